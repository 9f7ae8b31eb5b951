"""The loop around scripted detections: nothing is mixed between cameras, and no camera holds up another."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from busy_machine import within
from rig import BrokenTracker, Rig, ScriptedDetector, Watcher, failing, recording
from scripted import make_frame

from edge_hoi.errors import EngineError, SinkFaultError, SinkUnavailableError
from edge_hoi.ingest import FakeSource
from edge_hoi.outbox import Outbox
from edge_hoi.pipeline.pipeline import FILE_WAIT_SECONDS, _next_frame
from edge_hoi.sinks import FakeSink
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Phase


def test_a_recording_gives_one_episode_with_its_end():
    rig = Rig()
    (status,) = rig.run(rig.camera("a", recording("a")))
    assert [event.phase for event in rig.sink.events if event.phase is not Phase.UPDATED] == [Phase.STARTED, Phase.ENDED]
    assert rig.sink.events[-1].end_reason is EndReason.END_OF_STREAM
    assert (status.state, status.frames, status.error, status.running) == ("ended", 30, None, 0)
    assert not rig.sink.is_open


def test_several_cameras_give_what_each_gives_alone():
    alone = {}
    for name, seconds in {"a": 2.0, "b": 3.0, "c": 1.5}.items():
        rig = Rig()
        rig.run(rig.camera(name, recording(name, seconds)))
        alone[name] = rig.sink.events
    rig = Rig(max_batch=3)
    rig.run(*(rig.camera(name, recording(name, seconds)) for name, seconds in {"a": 2.0, "b": 3.0, "c": 1.5}.items()))
    assert rig.events_by_camera() == alone
    assert rig.detector.batches[0] == ["a", "b", "c"]


def test_a_run_over_recordings_is_the_same_each_time():
    runs = []
    for _ in range(2):
        rig = Rig(max_batch=4)
        rig.run(*(rig.camera(name, recording(name)) for name in "ab"))
        runs.append(rig.sink.events)
    assert runs[0] == runs[1]


def test_a_camera_whose_tracker_breaks_ends_alone():
    rig = Rig()
    broken, whole = rig.run(rig.camera("a", recording("a"), tracker=BrokenTracker()), rig.camera("b", recording("b")))
    assert (broken.state, broken.error) == ("failed", "made up")
    assert (whole.state, whole.frames) == ("ended", 30)
    assert {event.camera for event in rig.sink.events} == {"b"}


def test_a_source_that_is_missing_ends_alone():
    rig = Rig()
    missing, whole = rig.run(rig.camera("a", failing("not_found", is_retryable=False)), rig.camera("b", recording("b")))
    assert (missing.state, missing.error) == ("failed", "rtsp://nowhere: nobody answers")
    assert whole.frames == 30


def test_a_run_gives_up_when_nothing_can_be_reached_and_says_why():
    rig = Rig()
    statuses = rig.run(*(rig.camera(name, failing(), is_recording=False) for name in "ab"))
    assert [(status.state, status.error) for status in statuses] == [("failed", "rtsp://nowhere: nobody answers")] * 2
    assert rig.opened == []


def test_a_run_gives_up_on_a_camera_never_reached_once_everything_else_has_ended():
    rig = Rig()
    recorded, unreachable = rig.run(rig.camera("a", recording("a")), rig.camera("b", failing(), is_recording=False))
    assert (recorded.state, recorded.frames) == ("ended", 30)
    assert (unreachable.state, unreachable.error) == ("failed", "rtsp://nowhere: nobody answers")


def test_a_run_that_waits_for_sources_goes_on_trying():
    rig = Rig(retry_unreachable_sources=True)
    attempts = []

    def comes_up():
        attempts.append(None)
        if len(attempts) < 4:
            failing()()
        return recording("a", 1.0)()

    (status,) = rig.run(rig.camera("a", comes_up, is_recording=False))
    assert (status.state, status.frames) == ("ended", 10)
    assert len(attempts) == 4


def test_a_live_camera_that_goes_away_has_its_episode_ended_while_it_is_away():
    rig = Rig()
    stop = threading.Event()
    opened = []

    def flaky():
        if opened:
            failing()()
        opened.append(None)
        frames = [replace(make_frame(index / 10, index=index, camera="a"), arrived_seconds=time.monotonic()) for index in range(20)]
        return Paced(frames)

    class Paced(FakeSource):
        def __init__(self, frames):
            super().__init__(frames, is_live=True)

        def __iter__(self):
            for frame in super().__iter__():
                time.sleep(0.03)
                yield frame

    watcher = Watcher()

    def stop_when_ended():
        deadline = time.monotonic() + 60
        while not any(event.phase is Phase.ENDED for event in watcher.events) and time.monotonic() < deadline:
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=stop_when_ended).start()
    (status,) = rig.run(rig.camera("a", flaky, is_recording=False), stop=stop, watcher=watcher)
    ends = [event for event in rig.sink.events if event.phase is Phase.ENDED]
    assert [event.end_reason for event in ends] == [EndReason.SOURCE_LOST]
    assert "nobody answers" in status.error


def test_a_stop_ends_what_is_running():
    rig = Rig()
    stop = threading.Event()
    watcher = Watcher()
    watcher.show_events = lambda events: stop.set()
    rig.run(rig.camera("a", recording("a", 60.0)), stop=stop, watcher=watcher)
    assert rig.sink.events[-1].phase is Phase.ENDED
    assert rig.sink.events[-1].end_reason is EndReason.SHUTDOWN
    assert not rig.sink.is_open


def test_no_more_frames_are_taken_than_asked_for():
    rig = Rig(max_batch=8)
    first, second = rig.run(rig.camera("a", recording("a"), max_frames=7), rig.camera("b", recording("b")))
    assert (first.frames, first.state) == (7, "ended")
    assert second.frames == 30


def test_frames_of_another_shape_get_an_engine_of_that_shape():
    rig = Rig()
    tall = [make_frame(index / 10, index=index, camera="b", image=np.zeros((640, 360, 3), np.uint8)) for index in range(5)]
    rig.run(rig.camera("a", recording("a", 0.5)), rig.camera("b", lambda: FakeSource(tall)))
    (wide_height, wide_width), (tall_height, tall_width) = (engine.input_size for engine in rig.opened)
    assert wide_width > wide_height
    assert tall_height > tall_width


def test_an_engine_that_fails_ends_the_run_with_every_sink_closed():
    class Failing(ScriptedDetector):
        def detect(self, images):
            raise EngineError("made up")

    rig = Rig(Failing)
    with pytest.raises(EngineError, match="made up"):
        rig.run(rig.camera("a", recording("a")))
    assert not rig.sink.is_open
    with pytest.raises(EngineError):
        rig.opened[0].run({})  # it was closed


class Away(FakeSink):
    """A sink whose other system is never there."""

    def open(self):
        raise SinkUnavailableError("nobody answers")


class Wrong(FakeSink):
    """A sink that cannot work as it is configured."""

    def open(self):
        raise SinkFaultError("the password was refused")


class Hung(FakeSink):
    """A sink whose other system takes the connection and then goes silent."""

    def deliver(self, messages):
        time.sleep(60)


def test_a_sink_that_fails_holds_up_neither_the_run_nor_the_other_sinks_and_what_it_missed_is_told():
    rig = Rig()
    (status,) = rig.run(rig.camera("a", recording("a")), sinks=[Away(), rig.sink])
    assert (status.state, status.frames) == ("ended", 30)
    assert rig.sink.events[-1].phase is Phase.ENDED
    (line,) = rig.delivery.lost()
    assert line.startswith(f"{len(rig.sink.events)} events were not delivered to sink 0: nobody answers")


def test_a_sink_that_comes_up_late_gets_everything():
    rig = Rig()
    late = FakeSink([SinkUnavailableError("not yet")] * 5)
    rig.run(rig.camera("a", recording("a")), sinks=[late, rig.sink])
    assert late.events == rig.sink.events != []
    assert rig.delivery.lost() == []


def test_a_run_whose_only_sinks_need_a_person_ends_unless_its_events_outlast_it(tmp_path):
    rig = Rig()
    endless = rig.camera("a", recording("a", 600.0))
    (status,) = rig.run(endless, sinks=[Wrong()])
    assert status.frames < 6000
    assert "the password was refused" in rig.delivery.lost()[0]
    rig = Rig()
    (status,) = rig.run(rig.camera("a", recording("a")), sinks=[Wrong()], outbox=Outbox(tmp_path / "outbox.sqlite"))
    assert status.frames == 30
    assert rig.delivery.lost() == []
    assert rig.delivery.statuses()[0].waiting > 0


@pytest.mark.parametrize("bad", [Away, Wrong, Hung])
def test_a_stop_takes_less_than_5_seconds_whatever_the_sinks_do(tmp_path, bad):
    rig = Rig()
    stop = threading.Event()
    stopped = []

    class StopsAtTheFirstEvent(Watcher):
        def show_events(self, events):
            stopped.append(time.monotonic())
            stop.set()

    def silent():
        time.sleep(60)  # a reader that hangs in opening its source

    cameras = [rig.camera("a", recording("a", 60.0)), rig.camera("b", silent, is_recording=False)]
    rig.run(*cameras, stop=stop, watcher=StopsAtTheFirstEvent(), sinks=[bad(), rig.sink], outbox=Outbox(tmp_path / "outbox.sqlite"))
    assert time.monotonic() - stopped[0] < within(5)
    assert rig.sink.events[-1].end_reason is EndReason.SHUTDOWN


def test_progress_is_shown_when_it_is_due():
    rig = Rig()
    watcher = Watcher(is_due=True)
    rig.run(rig.camera("a", recording("a", 1.0)), watcher=watcher)
    frames = [status.frames for (status,) in watcher.reports]
    assert frames == sorted(frames)
    assert frames[-1] == 10


def test_a_stop_while_waiting_for_a_recordings_next_frame_ends_the_run():
    """A recording on a network share that hangs: its frames are waited for, and a stop ends the wait."""
    rig, stop, hangs = Rig(), threading.Event(), threading.Event()

    class Hanging(FakeSource):
        def __iter__(self):
            yield from [make_frame(index / 10, index=index, camera="a") for index in range(20)]
            threading.Timer(0.1, stop.set).start()
            hangs.wait(30)

    started = time.monotonic()
    (status,) = rig.run(rig.camera("a", lambda: Hanging([make_frame(0, camera="a")])), stop=stop)
    hangs.set()
    assert time.monotonic() - started < within(10)
    assert (status.state, status.frames) == ("stopped", 20)
    assert rig.sink.events[-1].end_reason is EndReason.SHUTDOWN


def test_a_stop_between_two_recordings_frames_takes_no_frame_of_the_next():
    """Without a frame to come, one camera is asked after the other, and each wait ends with the stop."""
    stop = threading.Event()
    stop.set()
    rig = Rig()
    cameras = [rig.camera(name, lambda: FakeSource([])) for name in "ab"]
    asked = []
    for camera in cameras:
        camera.reader.mailbox.get = lambda timeout, name=camera.source_id: asked.append((name, timeout))
        assert _next_frame(camera, stop) is None
    assert asked == [("a", FILE_WAIT_SECONDS), ("b", FILE_WAIT_SECONDS)]


def test_without_a_stop_a_recordings_frame_is_waited_for_until_it_comes():
    rig = Rig()
    camera = rig.camera("a", lambda: FakeSource([]))
    late = make_frame(0.0, camera="a")
    answers = [None, None, late]
    camera.reader.mailbox.get = lambda timeout: answers.pop(0)
    assert _next_frame(camera, threading.Event()) is late


class BreaksLater(Tracker):
    """Tracks some frames, then fails."""

    def update(self, frame, interactions):
        if frame.index == 20:
            raise ZeroDivisionError("made up")
        return super().update(frame, interactions)


def test_the_episodes_of_a_camera_that_fails_end_at_once():
    """The end comes before anything later of the other camera, and not when the run is over."""
    rig, watcher = Rig(), Watcher()
    rig.run(rig.camera("a", recording("a", 9.0), tracker=BreaksLater()), rig.camera("b", recording("b", 9.0)), watcher=watcher)
    (end,) = [number for number, event in enumerate(watcher.events) if event.camera == "a" and event.phase is Phase.ENDED]
    assert watcher.events[end].end_reason is EndReason.SOURCE_LOST
    later = [event for event in watcher.events[end + 1 :] if event.camera == "b"]
    assert [event.phase for event in later] == [Phase.UPDATED] * (len(later) - 1) + [Phase.ENDED]
    assert len(later) > 2
    assert later[0].last.pts_seconds >= 2.0
