"""Bad input: one clear line that says how to mend it, and an exit code that is not 0."""

import shutil

import pytest

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.pipeline.engines import engine_folder


@pytest.fixture
def run(run_here):
    """Give a function that returns how a run ended, and its errors."""

    def run(*arguments):
        result = run_here(*arguments)
        assert "Traceback" not in result.stderr
        return result, [line for line in result.stderr.splitlines() if line.startswith("error:")]

    return run


@pytest.fixture
def truncated_mp4(short_clip, tmp_path):
    """A recording whose index, at the end of the file, was never written."""
    import av

    from edge_hoi.ingest import open_source

    path = tmp_path / "whole.mp4"
    with av.open(str(path), "w") as container, open_source(str(short_clip), source_id="demo") as source:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = source.info.width, source.info.height, "yuv420p"
        for frame in source:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        container.mux(stream.encode(None))
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(path.read_bytes()[:20_000])
    return truncated


def test_a_missing_file(run):
    result, errors = run("--source", "no-such.mp4")
    assert result.returncode == 3
    assert len(errors) == 1
    assert "no-such.mp4" in errors[0]


def test_a_text_file_named_mp4(run, tmp_path):
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 100)
    result, errors = run("--source", "text.mp4")
    assert result.returncode == 3
    assert len(errors) == 1
    assert "text.mp4" in errors[0]


def test_a_truncated_mp4(run, truncated_mp4):
    result, errors = run("--source", truncated_mp4.name)
    assert result.returncode == 3
    assert len(errors) == 1
    assert "truncated.mp4" in errors[0]


def test_an_unreachable_camera_with_its_password_masked(run):
    # Port 9 of the loopback: nobody listens there, so the connection is refused at once.
    result, errors = run("--source", "rtsp://viewer:canary%2F%40@127.0.0.1:9/stream", "--allow-demo-engine")
    assert result.returncode == 3
    assert len(errors) == 1
    assert "rtsp://viewer:***@127.0.0.1:9/stream" in errors[0]
    assert "canary" not in result.stderr + result.stdout


def test_a_bad_source_does_not_stop_a_good_one(run):
    result, errors = run("--source", "no-such.mp4", "--source", str(DEMO_CLIP), "--max-frames", "20")
    assert result.returncode == 3
    assert len(errors) == 1
    assert " 20 " in next(line for line in result.stderr.splitlines() if line.startswith("demo ")), result.stderr


def test_an_engine_with_a_wrong_hash(run, tmp_path):
    engine = tmp_path / "engine"
    shutil.copytree(engine_folder("default"), engine)
    with (engine / "model.onnx").open("ab") as file:
        file.write(b"\0")
    result, errors = run("--engine", str(engine))
    assert result.returncode == 4
    assert len(errors) == 1
    assert "model.onnx" in errors[0]
    assert "edge-hoi build" in errors[0]


def test_an_unknown_engine(run):
    result, errors = run("--engine", "defalt")
    assert result.returncode == 4
    assert "did you mean 'default'?" in errors[0]


def test_a_misspelt_key(run, tmp_path):
    (tmp_path / "config.yaml").write_text("sources:\n  - ulr: street.mp4\n")
    result, errors = run("config.yaml")
    assert result.returncode == 2
    assert errors == ["error: config.yaml:2: sources[0].ulr: unknown key; did you mean 'url'?"]


def test_a_misspelt_verb(run, tmp_path):
    (tmp_path / "config.yaml").write_text("episodes: {verbs: {rid: {enter: 0.7}}}\n")
    result, errors = run("config.yaml")
    assert result.returncode == 2
    assert errors == ["error: episodes: no vocabulary of this run has the verb 'rid'; did you mean 'ride'?"]


def test_an_unknown_vocabulary(run):
    result, errors = run("--vocabulary", "hico-det")
    assert result.returncode == 2
    assert len(errors) == 1
    assert "hico_det" in errors[0]


def test_an_events_file_in_a_folder_that_does_not_exist(run):
    result, errors = run("--events", "no-such-folder/events.jsonl")
    assert result.returncode == 6
    assert len(errors) == 1
    assert "no-such-folder/events.jsonl" in errors[0]


def test_an_unknown_option_is_refused_with_the_nearest_known_one(run):
    result, _ = run("--sorce", "a.mp4")
    assert result.returncode == 2
    assert "--source" in result.stderr
