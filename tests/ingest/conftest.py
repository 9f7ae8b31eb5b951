"""Shared clips."""

import pytest
from numbered_clips import write_clip
from servers.raw_server import RawServer


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Return a clip of 50 frames, 2 s, with its index at the start."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", container_options={"movflags": "faststart"})


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory):
    """Return a clip too long for a server to reach its end."""
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", frames=1000, key_frame_distance=25)


@pytest.fixture
def serve():
    """Return a function that starts a server: `serve(talk, host=..., tls=...)`."""
    servers = []

    def start(talk, **options):
        servers.append(RawServer(talk, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
