"""Files in batches together have the events that each has alone, to the byte, in INT8 and in fp32."""

import shutil
import threading

import pytest

from edge_hoi.config import EngineConfig, RunConfig, SourceConfig
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.pipeline import build_pipeline
from edge_hoi.runtime import openvino_engine
from edge_hoi.sinks import JsonlSettings

NAMES = ("one", "two", "three")


class Silent:
    """Shows nothing."""

    is_due = False

    def show_events(self, events):
        """Show no events."""

    def show_progress(self, statuses):
        """Show no progress."""


def lines_of(folder, names, max_batch, requests=1):
    """Return the lines of events of each camera, as they were written."""
    path = folder / f"{'-'.join(names)}.jsonl"
    config = RunConfig(
        sources=tuple(SourceConfig(url=str(folder / f"{name}.mp4"), id=name) for name in names),
        engine=EngineConfig(path="default", device="cpu", max_batch=max_batch, requests=requests),
        sinks=(JsonlSettings(path=str(path)),),
        max_frames=20,
    )
    build_pipeline(config, note=lambda _: None).run(threading.Event(), Silent())
    lines = path.read_bytes().splitlines()
    return {name: [line for line in lines if f'"partitionkey":"{name}"'.encode() in line] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_files_in_batches_have_the_events_that_each_has_alone(repository, tmp_path, monkeypatch, precision):
    if not (repository / "engines" / "default").is_dir():
        pytest.skip("needs the checkout's engines/default")
    monkeypatch.setattr(openvino_engine, "engine_saturates", lambda manifest: precision == "fp32")
    for name in NAMES:
        shutil.copy(DEMO_CLIP, tmp_path / f"{name}.mp4")
    together = lines_of(tmp_path, NAMES, 3)
    assert all(len(lines) > 2 for lines in together.values())
    assert {name: lines_of(tmp_path, [name], 1)[name] for name in NAMES} == together


@pytest.mark.slow
def test_files_have_the_same_bytes_with_any_number_of_runs_in_flight(repository, tmp_path):
    if not (repository / "engines" / "default").is_dir():
        pytest.skip("needs the checkout's engines/default")
    for name in NAMES[:2]:
        shutil.copy(DEMO_CLIP, tmp_path / f"{name}.mp4")
    one, two, four = (lines_of(tmp_path, NAMES[:2], 1, requests) for requests in (1, 2, 4))
    assert all(len(lines) > 2 for lines in one.values())
    assert one == two == four
