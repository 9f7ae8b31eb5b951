"""Bad input: one clear line that says how to mend it, and an exit code that is not 0."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.pipeline.engines import engine_folder

RUN = [sys.executable, str(Path(__file__).parent.parent.parent / "run_stream.py")]


def run(*arguments, folder):
    result = subprocess.run([*RUN, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "Traceback" not in result.stderr
    return result, errors


@pytest.fixture
def truncated_mp4(tmp_path):
    """A recording whose index, at the end of the file, was never written."""
    import av

    from edge_hoi.ingest import open_source

    path = tmp_path / "whole.mp4"
    with av.open(str(path), "w") as container, open_source(str(DEMO_CLIP), source_id="demo") as source:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = source.info.width, source.info.height, "yuv420p"
        for frame in source:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        container.mux(stream.encode(None))
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(path.read_bytes()[:20_000])
    return truncated


def test_a_missing_file(tmp_path):
    result, errors = run("--source", "no-such.mp4", folder=tmp_path)
    assert result.returncode == 3
    assert len(errors) == 1
    assert "no-such.mp4" in errors[0]


def test_a_text_file_named_mp4(tmp_path):
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 100)
    result, errors = run("--source", "text.mp4", folder=tmp_path)
    assert result.returncode == 3
    assert len(errors) == 1
    assert "text.mp4" in errors[0]


def test_a_truncated_mp4(tmp_path, truncated_mp4):
    result, errors = run("--source", truncated_mp4.name, folder=tmp_path)
    assert result.returncode == 3
    assert len(errors) == 1
    assert "truncated.mp4" in errors[0]


def test_an_unreachable_camera_with_its_password_masked(tmp_path):
    # Port 9 of the loopback: nobody listens there, so the connection is refused at once.
    result, errors = run("--source", "rtsp://viewer:canary%2F%40@127.0.0.1:9/stream", "--allow-demo-engine", folder=tmp_path)
    assert result.returncode == 3
    assert len(errors) == 1
    assert "rtsp://viewer:***@127.0.0.1:9/stream" in errors[0]
    assert "canary" not in result.stderr + result.stdout


def test_a_bad_source_does_not_stop_a_good_one(tmp_path):
    result, errors = run("--source", "no-such.mp4", "--source", str(DEMO_CLIP), "--max-frames", "20", folder=tmp_path)
    assert result.returncode == 3
    assert len(errors) == 1
    assert " 20 " in next(line for line in result.stderr.splitlines() if line.startswith("demo ")), result.stderr


def test_an_engine_with_a_wrong_hash(tmp_path):
    engine = tmp_path / "engine"
    shutil.copytree(engine_folder("default"), engine)
    with (engine / "model.onnx").open("ab") as file:
        file.write(b"\0")
    result, errors = run("--engine", str(engine), folder=tmp_path)
    assert result.returncode == 4
    assert len(errors) == 1
    assert "model.onnx" in errors[0]
    assert "edge-hoi build" in errors[0]


def test_an_unknown_engine(tmp_path):
    result, errors = run("--engine", "defalt", folder=tmp_path)
    assert result.returncode == 4
    assert "did you mean `default`?" in errors[0]


def test_a_misspelt_key(tmp_path):
    (tmp_path / "config.yaml").write_text("sources:\n  - ulr: street.mp4\n")
    result, errors = run("config.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert errors == ["error: config.yaml: sources[0].ulr: unknown key; did you mean `url`?"]


def test_a_misspelt_verb(tmp_path):
    (tmp_path / "config.yaml").write_text("episodes: {verbs: {rid: {enter: 0.7}}}\n")
    result, errors = run("config.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert errors == ["error: episodes: no vocabulary of this run has the verb 'rid'; did you mean `ride`?"]


def test_an_unknown_vocabulary(tmp_path):
    result, errors = run("--vocabulary", "hico-det", folder=tmp_path)
    assert result.returncode == 2
    assert len(errors) == 1
    assert "hico_det" in errors[0]


def test_an_events_file_in_a_folder_that_does_not_exist(tmp_path):
    result, errors = run("--events", "no-such-folder/events.jsonl", folder=tmp_path)
    assert result.returncode == 6
    assert len(errors) == 1
    assert "no-such-folder/events.jsonl" in errors[0]


def test_an_unknown_option_is_refused_with_the_nearest_known_one(tmp_path):
    result, _ = run("--sorce", "a.mp4", folder=tmp_path)
    assert result.returncode == 2
    assert "--source" in result.stderr
