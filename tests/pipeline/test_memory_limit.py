"""Runs whose sources are decoded in processes of their own."""

import signal
import threading

import psutil
import pytest
from rig import Watcher

from edge_hoi.config import parse_config
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.pipeline import build_pipeline

pytestmark = pytest.mark.usefixtures("compiled_once")


def run(watcher, stop=None, media=None, **source):
    document = {"sources": [source], "engine": {"path": "default", "allow_demo": True}, "media": media}
    pipeline = build_pipeline(parse_config(document, origin="test"), note=lambda text: None)
    (status,) = pipeline.run(stop or threading.Event(), watcher)
    return status


def decoding_processes():
    return [child for child in psutil.Process().children() if "decoding_process" in " ".join(child.cmdline())]


def test_a_recording_gives_the_same_events_and_no_process_is_left(short_clip):
    here, there = Watcher(), Watcher()
    status = run(there, url=str(short_clip), memory_limit="256MB")
    assert (status.state, status.frames, status.crashes) == ("ended", 60, 0)
    assert decoding_processes() == []
    run(here, url=str(short_clip))
    assert there.events == here.events
    assert there.events != []


def test_snapshots_are_the_same_as_without_a_limit(short_clip, tmp_path):
    found = []
    for limit in (None, "256MB"):
        watcher, folder = Watcher(), tmp_path / str(limit)
        run(watcher, url=str(short_clip), memory_limit=limit, media={"path": str(folder), "reserve_megabytes": 0})
        assert all(event.snapshot for event in watcher.events)
        found.append({path.name: path.read_bytes() for path in folder.rglob("*.jpg")})
    assert found[0] == found[1] != {}


class Killer(Watcher):
    """Kills the decoding process once, and stops the run when the source streams again."""

    def __init__(self, stop):
        super().__init__(is_due=True)
        self.stop, self.killed, self.frames = stop, None, 0

    def show_progress(self, statuses):
        super().show_progress(statuses)
        (status,) = statuses
        if self.killed is None and status.state == "streaming" and status.frames:
            (self.killed,) = decoding_processes() or [None]
            if self.killed:
                self.killed.send_signal(signal.SIGSEGV)
        if status.reconnections and not self.frames:  # frames from before the crash may still be processed after it
            self.frames = status.frames
        if self.frames and status.frames > self.frames:
            self.stop.set()


def test_a_camera_whose_decoder_crashes_is_restarted_and_the_status_counts_it(short_clip):
    stop = threading.Event()
    watcher = Killer(stop)
    with FaultyCamera(short_clip) as camera:
        status = run(watcher, stop, url=camera.url, memory_limit="256MB")
    errors = {report.error for (report,) in watcher.reports}
    assert (status.state, status.crashes, status.error) == ("stopped", 1, None)
    assert any("signal 11" in error for error in errors if error)
    assert decoding_processes() == []
