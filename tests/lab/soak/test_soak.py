"""Faulty cameras, with a reader alone and with all of a run."""

import json
import random
import sys
import time
from contextlib import ExitStack

import pytest
from busy_machine import within
from typer.testing import CliRunner

from edge_hoi.cli.app import app
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import ReaderState, RetryPolicy, SourceReader, open_source
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.lab.soak.faults import faults
from edge_hoi.lab.soak.soak import RECOVERY_SECONDS, FaultReport, SoakReport, judge, write_half_size

NAMES = list(faults(DEMO_CLIP, DEMO_CLIP, random.Random(0)))

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and open files are read from /proc")


@pytest.fixture(scope="module")
def clips(short_clip_of_module, tmp_path_factory):
    return short_clip_of_module, write_half_size(short_clip_of_module, tmp_path_factory.mktemp("half") / "half.mp4")


@pytest.fixture(scope="module")
def short_clip_of_module(tmp_path_factory):
    return write_half_size(DEMO_CLIP, tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.mark.parametrize("name", NAMES)
def test_frames_come_again_after_each_fault(clips, name):
    with FaultyCamera(clips[0], password="soak-password", has_sound=True) as camera:
        url, retries = camera.url, RetryPolicy(0.1, 0.5, slow_wait_seconds=0.5, is_patient=True)
        options = {"open_timeout_seconds": 5.0, "read_timeout_seconds": 1.0}
        with SourceReader(lambda: open_source(url, source_id="door", **options), source_id="door", retries=retries) as reader:
            assert reader.mailbox.get(60) is not None
            with faults(*clips, random.Random(0))[name](camera):
                time.sleep(1.5)
                assert not reader.state.is_final
            while reader.mailbox.get(0) is not None:
                pass
            ended = time.monotonic()
            assert reader.mailbox.get(within(RECOVERY_SECONDS)) is not None
            assert time.monotonic() - ended < within(RECOVERY_SECONDS)
            assert reader.state is not ReaderState.FAILED


def test_the_resolution_changes_within_a_connection(clips):
    with FaultyCamera(clips[0]) as camera, open_source(camera.url, source_id="door") as source:
        frames = iter(source)
        first = next(frames)
        camera.show(clips[1])
        small = next(frame for frame in frames if frame.width != first.width)
        assert (small.width, small.height) == (first.width // 4 * 2, first.height // 4 * 2)
        assert camera.sessions == 1


def test_the_slope_of_memory_is_that_after_warm_up():
    report = SoakReport(200.0, memory_mb=[*range(50), *([100.0] * 150)])
    assert report.memory_slope == (0.0, 0.0, 0.0)
    report.memory_mb = [100 + second / 3600 * 5 for second in range(200)]
    assert report.memory_slope == pytest.approx((5.0, 5.0, 5.0))
    report.memory_mb = [1.0] * 118
    assert report.memory_slope is None
    report.memory_mb = [1.0] * 119
    assert report.memory_slope == (0.0, 0.0, 0.0)
    report.faults = [FaultReport("cut", "camera-0", 1.0, 2.0, "streaming", 0.1)]
    assert json.loads(json.dumps(report.as_json()))["faults"][0]["fault"] == "cut"


def test_the_slope_of_memory_is_that_of_theil_and_sen():
    stats = pytest.importorskip("scipy.stats")
    noise = random.Random(3)
    memory = [400 + second / 300 + noise.gauss(0, 2) + 50 * (second == 2000) for second in range(3600)]
    medians = [sorted(memory[start : start + 40])[19:21] for start in range(1800, 3600, 40)]
    expected = stats.theilslopes([sum(pair) / 2 for pair in medians], [number / 90 for number in range(45)])
    assert SoakReport(3600.0, memory_mb=memory).memory_slope == pytest.approx((expected[0], expected[2], expected[3]))


@pytest.mark.parametrize(
    ("hours", "growth", "noise", "fails"),
    [
        (1.0, 0.9, 0.0, False),
        (1.0, 1.1, 0.0, True),
        (1.0, 1.1, 3.0, False),  # an hour cannot resolve it
        (1.0, 30.0, 3.0, True),
        (0.99, 30.0, 0.0, False),  # the allocator may still settle
    ],
)
def test_memory_may_grow_by_a_megabyte_an_hour_and_what_the_time_cannot_resolve(hours, growth, noise, fails):
    chosen = random.Random(1)
    memory = [400 + second / 3600 * growth + chosen.gauss(0, noise) for second in range(round(3600 * hours))]
    report = SoakReport(3600 * hours, memory_mb=memory)
    judge(report)
    assert [failure.startswith("memory grew by ") for failure in report.failures] == [True] * fails


def test_frames_and_sessions_of_many_clients_are_all_counted(clips):
    with FaultyCamera(clips[0]) as camera, ExitStack() as stack:
        sources = [stack.enter_context(open_source(camera.url, source_id="door")) for _ in range(6)]
        taken = sum(1 for source in sources for _ in zip(range(10), source, strict=False))
        assert camera.sessions == 6
        assert camera.sent >= taken


@pytest.mark.slow
def test_a_soak_of_two_cameras_loses_nothing(tmp_path):
    results = tmp_path / "soak.json"
    done = CliRunner().invoke(app, ["soak", "--seconds", "40", "--cameras", "2", "--json", str(results)], obj=[])
    assert done.exit_code == 0, done.output
    report = json.loads(results.read_text())
    assert len(report["faults"]) >= 4
    assert report["failures"] == []
    assert all(camera["frames"] > 0 for camera in report["cameras"])
