"""Every script of examples/ runs, as its first line says."""

import runpy
import subprocess
import sys

import pytest

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source
from edge_hoi.media import write_image


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        frame = next(frame for frame in source if frame.index == 50)
    write_image(path, frame.image)
    return path


@pytest.fixture
def example(repository, compiled_once, capfd, monkeypatch, tmp_path):
    """Give a function that runs an example in an empty folder and returns what it prints."""

    def run(name, *arguments):
        script = str(repository / "examples" / f"{name}.py")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(script, run_name="__main__")
        return capfd.readouterr().out

    return run


@pytest.fixture
def example_alone(repository, tmp_path):
    """Give the same, in a process of its own."""

    def run(name, *arguments):
        command = [sys.executable, str(repository / "examples" / f"{name}.py"), *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_every_example_has_a_test(repository):
    names = {path.stem for path in (repository / "examples").glob("*.py")}
    assert names == {name.removeprefix("test_example_") for name in globals() if name.startswith("test_example_")}
    assert len(names) == 8


def test_example_photo(example, photo, tmp_path):
    printed = example("photo", photo, "drawn.png")
    assert "person talking on cell phone" in printed
    assert (tmp_path / "drawn.png").stat().st_size > 10_000


def test_example_video_to_pandas(example, short_clip):
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    assert "person sitting on chair" in example("video_to_pandas", short_clip)


def test_example_live_camera(example_alone, rtsp_server):
    camera = rtsp_server(DEMO_CLIP).url
    for seconds in (8, 30, 90):  # on a busy machine the engine takes most of 8 s to open
        printed = example_alone("live_camera", camera, seconds)
        if "started person" in printed:
            break
    assert "started person" in printed
    assert "ended person" in printed
    assert " events" in printed.splitlines()[-1]


def test_example_own_vocabulary(example, short_clip):
    printed = example("own_vocabulary", short_clip)
    assert printed.count("person riding bicycle") == 1
    assert "sitting" not in printed


def test_example_own_sink(example, short_clip, tmp_path):
    printed = example("own_sink", short_clip)
    rows = (tmp_path / "events.csv").read_text().splitlines()
    assert printed == f"{len(rows)} events in events.csv\n"
    assert rows[0].split(",")[1:3] == ["started", "person riding bicycle"]


def test_example_own_backend(example_alone, photo):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    assert "person talking on cell phone" in example_alone("own_backend", photo)


def test_example_own_loop(example):
    printed = example("own_loop")
    assert "frame 90: " in printed
    assert "person sitting on chair" in printed


@pytest.mark.slow
def test_example_evaluate_own_video(example):
    printed = example("evaluate_own_video")
    assert "F1" in printed
