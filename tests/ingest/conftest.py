"""Clips that the tests of ingest share."""

import pytest
from numbered_clips import write_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Give a clip of 50 frames, 2 s, that can be read from its start (its index is in front)."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", container_options={"movflags": "faststart"})


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory):
    """Give a clip of 60 s at 25 fps, for servers that must not come to its end."""
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", frames=1000, key_frame_distance=25)
