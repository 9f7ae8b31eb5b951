"""No output overwrites an input, the configuration or another output, however it is named."""

import os
import shutil

import pytest

from edge_hoi.cli import main
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.errors import ConfigError, DeliveryError
from edge_hoi.ingest import open_source
from edge_hoi.media import write_image
from edge_hoi.overwriting import refuse_overwriting


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a video, an image, a configuration and a vocabulary, and links to them, also with the suffix of events."""
    shutil.copy(DEMO_CLIP, tmp_path / "x.mp4")
    os.link(tmp_path / "x.mp4", tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to("x.mp4")
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        write_image(tmp_path / "photo.png", next(iter(source)).image)
    (tmp_path / "cfg.yaml").write_text("sources: [{url: x.mp4, id: door}]\noutbox: {path: out.jsonl}\n")
    (tmp_path / "words.yaml").write_text("- person riding bicycle\n")
    for name in ("x.mp4", "cfg.yaml", "words.yaml"):
        os.link(tmp_path / name, (tmp_path / name).with_suffix(".jsonl"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        "run --source x.mp4 --annotate x.mp4",
        "run --source x.mp4 --events x.jsonl",
        "run --source x.mp4 --annotate hard.mp4",
        "run --source x.mp4 --annotate soft.mp4",
        "run --source soft.mp4 --events ./../{name}/x.jsonl",
        "run --source file://{folder}/x.mp4 --events x.jsonl",
        "run --events cfg.jsonl cfg.yaml",
        "run --events out.jsonl cfg.yaml",
        "run --source x.mp4 --events new.jsonl --annotate new.jsonl",
        "run --source x.mp4 --vocabulary words.yaml --events words.jsonl",
        "run --source x.mp4 --engine {engine} --events {engine}/events.jsonl",
        "run --source . --events x.jsonl",
        "detect x.mp4 --annotate x.mp4",
        "bench --source x.mp4 --json x.mp4",
        "eval events --events cfg.yaml --truth words.yaml --output cfg.yaml",
        "eval events --events cfg.yaml --truth words.yaml --output new.png --plot new.png",
        "detect photo.png --annotate ./photo.png",
    ],
)
def test_it_is_refused_before_anything_is_opened(folder, untrained_engine, capsys, arguments):
    engine = folder / "engine"
    shutil.copytree(untrained_engine, engine)
    (engine / "events.jsonl").write_text("{}")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as ended:
        main(arguments.format(folder=folder, name=folder.name, engine=engine).split())
    assert ended.value.code == ConfigError.exit_code
    assert "would be overwritten; choose another file" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_several_videos_of_one_name_are_told_apart_by_their_sources(folder, capsys):
    with pytest.raises(SystemExit):
        main(["run", "--source", "x.mp4", "--source", "photo.png", "--annotate", "x.jsonl", "--events", "x-photo.jsonl"])
    assert "the annotated video of photo x-photo.jsonl is the file of sink jsonl" in capsys.readouterr().err


def test_devices_and_different_files_may_be_named_freely(folder):
    outputs = [("--events", folder / "events.jsonl"), ("--plot", folder / "plot.png")]
    devices = [("--events", folder / "/dev/null"), ("--plot", folder / "/dev/null")]
    refuse_overwriting(outputs + devices, [("the source", folder / "x.mp4"), ("a vocabulary", folder / "missing.yaml")])


def test_images_of_a_video_do_not_overwrite_each_other(folder, capsys):
    with pytest.raises(SystemExit):
        main(["detect", "x.mp4", "--annotate", "seen.png"])
    assert "seen.png holds one image, and x.mp4 has several; name a video (.mp4)" in capsys.readouterr().err
    assert not (folder / "seen.png").exists()


@pytest.mark.parametrize(
    "command", ["run --source x.mp4 --annotate seen.txt", "detect photo.png --annotate seen.txt", "detect x.mp4 --annotate ."]
)
def test_a_video_of_an_unknown_kind_is_refused_before_a_frame_is_processed(folder, capsys, command):
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    captured = capsys.readouterr()
    assert ended.value.code == ConfigError.exit_code
    assert "a video's file name ends in .mp4, .mov, .mkv; got" in captured.err
    assert captured.out == ""


def test_an_overlong_name_is_the_fault_of_who_opens_it(folder, capsys):
    refuse_overwriting([("--events", folder / ("9" * 400))], [("the source", folder / ("8" * 400))])
    with pytest.raises(SystemExit) as ended:
        main(["run", "--source", "x.mp4", "--events", "9" * 400])
    assert ended.value.code == DeliveryError.exit_code
    assert "File name too long" in capsys.readouterr().err
