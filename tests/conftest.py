"""Fixtures that every test folder shares."""

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from servers.running import RTSP_PACKAGES, FileServer, RtspServer, SilentServer, has_rtsp_server

REPOSITORY = Path(__file__).resolve().parent.parent

# One thread for each process of PyTorch's: tests run in parallel already, and on small tensors a second thread costs five times the
# processor time. Commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests that name no engine run the embedded one, on any source, and nothing is fetched.
os.environ |= {"EDGE_HOI_ENGINE": "default", "EDGE_HOI_OFFLINE": "1"}

# No limits on time, which a busy machine would miss. `--hypothesis-profile thorough` tries more examples.
for profile, max_examples in {"quick": 25, "thorough": 200}.items():
    settings.register_profile(profile, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=max_examples)
settings.load_profile("quick")


def _shared_data_folder() -> Path:
    named = os.environ.get("EDGE_HOI_SHARED_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of reference data, which is not part of this repository."""
    folder = _shared_data_folder()
    if not folder.is_dir():
        pytest.skip("no reference data: put it in shared/data beside the checkout or name its folder in EDGE_HOI_SHARED_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """Keep what tests cache out of the user's own cache, and a user's cache out of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def event_validator():
    """Give what holds an event in its envelope against the published schema, formats included, without further keys."""
    from jsonschema import Draft202012Validator, FormatChecker
    from strict_schema import closed

    from edge_hoi.events import load_schema

    return Draft202012Validator(closed(load_schema()), format_checker=FormatChecker())


@pytest.fixture(autouse=True)
def every_event_is_as_the_schema_says(event_validator, monkeypatch):
    """Hold every event that any test has this process emit against the published schema."""
    from edge_hoi.events import cloudevents

    render, emitted = cloudevents.render, []

    def render_and_keep(event):
        emitted.append(render(event))
        return emitted[-1]

    monkeypatch.setattr(cloudevents, "render", render_and_keep)  # `encode` looks it up there
    yield
    sampled = emitted[:: 1 + len(emitted) // 200]  # a test that emits thousands makes them all alike
    assert [error.message for envelope in sampled for error in event_validator.iter_errors(envelope)] == []


@pytest.fixture(scope="session")
def repository() -> Path:
    """Give the root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def _compiled_engines(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def compiled_once(_compiled_engines):
    """Keep what OpenVINO compiles for an engine and its input size, which takes most of the time of opening it."""
    from edge_hoi.runtime import open_engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_engine.__kwdefaults__, "cache_folder", _compiled_engines)
        yield


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory) -> Path:
    """Give the first 4 seconds of the embedded clip, under its name."""
    import av

    from edge_hoi.demo import DEMO_CLIP

    path = tmp_path_factory.mktemp("short") / DEMO_CLIP.name
    with av.open(str(DEMO_CLIP)) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet, _ in zip(source.demux(video=0), range(60), strict=False):
            packet.stream = stream
            copy.mux(packet)
    return path


@pytest.fixture(scope="session")
def untrained_engine(tmp_path_factory) -> Path:
    """Give an engine's folder whose manifest says that it is untrained: the embedded one, under another name."""
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import read_manifest, write_manifest

    folder = tmp_path_factory.mktemp("engines") / "untrained"
    shutil.copytree(engine_folder("default"), folder)
    write_manifest(folder, read_manifest(folder).model_copy(update={"name": "untrained", "is_trained": False}))
    return folder


@pytest.fixture
def rtsp_server():
    """Give a function that starts a real RTSP server: `rtsp_server(path, user=None, password=None)`; see `RtspServer`."""
    if not has_rtsp_server():
        pytest.skip(f"no RTSP server: apt-get install {RTSP_PACKAGES}")
    servers = []

    def start(path: Path, **credentials: str) -> RtspServer:
        servers.append(RtspServer(path, **credentials))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def silent_server():
    """Give a camera that takes connections on `port` and never answers."""
    server = SilentServer()
    yield server
    server.stop()


@pytest.fixture
def http_server():
    """Give a function that serves a folder over HTTP: `http_server(folder).url`."""
    servers = []

    def start(folder: Path) -> FileServer:
        servers.append(FileServer(folder))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def wait_for():
    """Give a function that waits until something is so."""

    def wait(condition, seconds=60.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    return wait


@pytest.fixture
def read_outbox():
    """Give a function that reads every event of an outbox's file, as (episode, sequence, phase, end reason)."""

    def read(path):
        from edge_hoi.outbox import OutboxReader

        with OutboxReader(path) as reader:
            events = [message.event for message in reader.after(0, 1_000_000)]
        return [(event.event_id, event.sequence, event.phase, event.end_reason) for event in events]

    return read
