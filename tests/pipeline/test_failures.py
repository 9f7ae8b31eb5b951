"""Whatever raises wherever in a camera's part: the others go on, and every start has its one end at every sink."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import Rig, ScriptedDetector, Watcher, recording
from scripted import make_frame, make_keeper

from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.ingest import FakeSource
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Phase

TALL = np.zeros((640, 360, 3), np.uint8)  # of another shape than other cameras' frames, so that its engine is its own
FRAMES = 40
ERRORS = [EdgeHoiError("generated"), EngineError("generated"), OSError(28, "No space left on device"), ZeroDivisionError()]
STAGES = ["source", "engine", "detector", "tracker", "keeper before", "keeper after", "keeper close", "video", "video close", "display"]
STAGES += ["media update", "media end", "media poll", "media release"]


class Saboteur:
    """Raises an error at one stage, from the n-th time on."""

    def __init__(self, stage, error, after):
        self.stage, self.error, self.left = stage, error, after

    def at(self, stage):
        if stage == self.stage:
            self.left -= 1
            if self.left < 0:
                raise self.error

    def around(self, call, *, before=None, after=None):
        """Let a function fail before its work or after it."""

        def failing(*arguments, **options):
            self.at(before)
            result = call(*arguments, **options)
            self.at(after)
            return result

        return failing


def run(stage, error, after):
    """Run camera "a", which fails at a stage, beside camera "b", which does not; return the rig and the statuses by name."""
    saboteur = Saboteur(stage, error, after)

    class Detector(ScriptedDetector):
        def detect(self, images):
            if images[0].camera == "a":
                saboteur.at("detector")
            return super().detect(images)

    class Source(FakeSource):
        def __iter__(self):
            for frame in super().__iter__():
                saboteur.at("source")
                yield frame

    class Video:
        write = staticmethod(saboteur.around(lambda *_: None, before="video"))
        close = staticmethod(saboteur.around(lambda: None, before="video close"))
        request_stop = staticmethod(lambda: None)

    def keeper(camera):
        made = make_keeper(camera=camera)
        made.update = saboteur.around(made.update, before="keeper before", after="keeper after")
        made.close = saboteur.around(made.close, before="keeper close")
        return made

    class Media:
        is_waiting = False
        update = staticmethod(saboteur.around(lambda frame, tracked, events, current: events, before="media update"))
        poll = staticmethod(saboteur.around(list, before="media poll"))
        end = staticmethod(saboteur.around(lambda events, **_: events, before="media end"))
        release = staticmethod(saboteur.around(list, before="media release"))
        request_stop = close = staticmethod(lambda: None)

    rig = Rig(Detector, max_batch=2)
    open_engine = rig.pool._open

    def open_for(size):
        if size[0] > size[1]:
            saboteur.at("engine")
        return open_engine(size)

    rig.pool._open = open_for
    tracker, display = Tracker(), Watcher()
    tracker.update = saboteur.around(tracker.update, before="tracker")
    display.show_events = saboteur.around(display.show_events, before="display")
    frames = [make_frame(index / 10, index=index, camera="a", image=TALL) for index in range(FRAMES)]
    cameras = (
        rig.camera("a", lambda: Source(frames), tracker=tracker, keeper=keeper, make_video=lambda fps: Video(), make_media=Media),
        rig.camera("b", recording("b", FRAMES / 10)),
    )
    statuses = rig.run(*cameras, watcher=display)
    return rig, {status.source_id: status for status in statuses}


def check_episodes(events):
    phases = defaultdict(list)
    for event in events:
        phases[event.camera, event.event_id].append(event.phase)
    for episode, seen in phases.items():
        assert seen[0] is Phase.STARTED, episode
        assert seen[-1] is Phase.ENDED, episode
        assert set(seen[1:-1]) <= {Phase.UPDATED}, episode


@given(stage=st.sampled_from(STAGES), error=st.sampled_from(ERRORS), after=st.integers(0, FRAMES))
def test_no_sink_sees_an_end_without_its_start_or_a_start_without_its_end(stage, error, after):
    rig, statuses = run(stage, error, after)
    check_episodes(rig.sink.events)
    assert statuses["b"].state == "ended"
    assert statuses["b"].frames == FRAMES
    assert any(event.camera == "b" for event in rig.sink.events)


@pytest.mark.parametrize("stage", ["video", "video close", "display"])
def test_what_is_best_effort_costs_no_frame_and_no_event(stage, caplog):
    rig, statuses = run(stage, OSError(28, "No space left on device"), 3 if stage == "video" else 0)
    assert statuses["a"].state == statuses["b"].state == "ended"
    assert statuses["a"].frames == FRAMES
    assert {event.end_reason for event in rig.sink.events if event.phase is Phase.ENDED} == {EndReason.END_OF_STREAM}
    expected = "cannot show the run" if stage == "display" else "a: the annotated video is given up: [Errno 28] No space left"
    assert sum(expected in message for message in caplog.messages) == 1


@pytest.mark.parametrize("stage", ["engine", "detector"])
def test_an_engine_that_fails_for_one_camera_fails_that_camera_visibly(stage):
    rig, statuses = run(stage, EngineError("cannot open for this shape"), 0)
    assert (statuses["a"].state, statuses["a"].error) == ("failed", "cannot open for this shape")
    assert statuses["b"].state == "ended"
    assert {event.camera for event in rig.sink.events} == {"b"}


def test_a_keeper_that_breaks_has_its_open_episodes_ended_all_the_same():
    rig, statuses = run("keeper before", ZeroDivisionError(), 20)
    ended = [event for event in rig.sink.events if event.camera == "a" and event.phase is Phase.ENDED]
    assert [event.end_reason for event in ended] == [EndReason.SOURCE_LOST]
    assert statuses["a"].state == "failed"


def test_what_fails_while_a_camera_waits_for_frames_ends_that_camera_alone():
    """Its events are polled for between frames, in the loop that all cameras share."""
    rig, statuses = run("media poll", ZeroDivisionError("made up"), 3)
    assert (statuses["a"].state, statuses["a"].error) == ("failed", "made up")
    assert statuses["b"].frames == FRAMES
    check_episodes(rig.sink.events)
