"""The events of cameras that come and go: few, in order, each once."""

import threading
import time
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from rig import Rig, failing, recording
from sample_events import NOON
from scripted import make_frame

from edge_hoi.errors import SourceError
from edge_hoi.ingest import FakeSource
from edge_hoi.outbox import Outbox
from edge_hoi.pipeline.camera_watch import PAUSE_SECONDS, CameraWatch
from edge_hoi.sinks import Message
from edge_hoi.types import Phase


class Scene:
    """One camera whose state a test sets, watched by clocks that a test moves."""

    def __init__(self, *, is_recording=False):
        self.seconds = 0.0
        self.events = []
        self._watch = CameraWatch("site", wall_clock=lambda: NOON + timedelta(seconds=self.seconds), clock=lambda: 1000 + self.seconds)
        self._camera = SimpleNamespace(source_id="gate", is_recording=is_recording, failure=None)

    def at(self, seconds, state, *, error=None):
        """Have the camera looked at, and return the states of all events so far."""
        self.seconds = seconds
        self._camera.state = state
        self._camera.reader = SimpleNamespace(error=error)
        self._camera.status = lambda: SimpleNamespace(error=str(error) if error else None)
        self.events += self._watch.update([self._camera])
        return [event.state.value for event in self.events]


def test_an_outage_is_one_down_and_one_up_whatever_happens_in_between():
    scene, error = Scene(), SourceError("no answer", code="timeout", is_retryable=True)
    assert scene.at(0, "connecting") == []
    assert scene.at(2, "streaming") == ["streaming"]
    for seconds in range(3, 10):
        scene.at(seconds, "streaming")
    assert scene.at(10, "silent") == ["streaming", "silent"]
    for seconds, state in enumerate(["reconnecting", "connecting", "reconnecting", "waiting", "connecting"], 11):
        scene.at(seconds, state, error=error)
    assert scene.at(40, "streaming") == ["streaming", "silent", "streaming"]
    up, down, back = scene.events
    assert (up.sequence, down.sequence, back.sequence) == (0, 1, 0)
    assert up.event_id == down.event_id != back.event_id
    assert [event.duration_seconds for event in scene.events] == [None, 8.0, 30.0]
    assert [(event.happened_at - NOON).total_seconds() for event in scene.events] == [2, 10, 40]
    assert all(event.recorded_at == event.happened_at and event.error is None for event in scene.events)


def test_the_first_outage_is_reported_at_once_and_says_why():
    scene = Scene()
    scene.at(0, "streaming")
    error = SourceError("rtsp://gate: wrong password", code="unauthorized", is_retryable=False)
    assert scene.at(0.1, "waiting", error=error) == ["streaming", "waiting"]
    assert (scene.events[1].error, scene.events[1].error_code) == ("rtsp://gate: wrong password", "unauthorized")


def test_a_camera_that_never_comes_is_down_once():
    scene, error = Scene(), SourceError("no answer", code="unreachable", is_retryable=True)
    for seconds in range(300):
        scene.at(seconds, ("connecting", "reconnecting")[seconds % 2], error=error)
    (down,) = scene.events
    assert (down.state, down.sequence, down.duration_seconds, down.error_code) == ("reconnecting", 0, None, "unreachable")
    scene.at(400, "streaming")
    assert (scene.events[1].duration_seconds, scene.events[1].event_id != down.event_id) == (399.0, True)


def test_a_camera_that_comes_and_goes_is_reported_twice_a_minute():
    scene = Scene()
    for seconds in range(3600):
        scene.at(seconds, ("streaming", "silent")[seconds % 2])
    assert 100 <= len(scene.events) <= 122
    assert all(earlier.phase is not later.phase for earlier, later in pairwise(scene.events))


@pytest.mark.parametrize(
    ("gone_at", "reported_at"), [(20 + PAUSE_SECONDS - 1, 20 + PAUSE_SECONDS), (20 + PAUSE_SECONDS, 20 + PAUSE_SECONDS)]
)
def test_an_outage_soon_after_another_is_reported_when_the_pause_is_over_with_its_own_time(gone_at, reported_at):
    scene = Scene()
    for seconds, state in ((0, "streaming"), (10, "silent"), (20, "streaming")):
        scene.at(seconds, state)
    for seconds in range(21, 200):
        if len(scene.at(seconds, "silent" if seconds >= gone_at else "streaming")) == 4:
            break
    assert seconds == reported_at
    assert scene.events[3].happened_at == NOON + timedelta(seconds=gone_at)
    assert scene.events[3].recorded_at == NOON + timedelta(seconds=reported_at)
    assert scene.events[3].duration_seconds == gone_at - 20


def test_a_short_outage_in_the_pause_is_not_reported_and_the_end_of_the_run_is():
    scene = Scene()
    for seconds, state in ((0, "streaming"), (10, "silent"), (20, "streaming"), (30, "silent"), (31, "streaming")):
        scene.at(seconds, state)
    assert len(scene.events) == 3
    assert scene.at(32, "stopped")[3:] == ["stopped"]
    assert scene.at(33, "stopped")[3:] == ["stopped"]


def test_a_recording_has_none():
    scene = Scene(is_recording=True)
    assert scene.at(0, "streaming") == scene.at(1, "failed") == []


def test_ids_differ_between_runs_and_cameras():
    def ids(seconds, name):
        watch = CameraWatch("site", wall_clock=lambda: NOON + timedelta(seconds=seconds), clock=lambda: 0.0)
        camera = SimpleNamespace(source_id=name, is_recording=False, failure=None, state="streaming", reader=SimpleNamespace(error=None))
        camera.status = lambda: SimpleNamespace(error=None)
        return [event.event_id for event in watch.update([camera])]

    assert ids(0, "gate") == ids(0, "gate")
    assert len({*ids(0, "gate"), *ids(0, "dock"), *ids(1, "gate")}) == 3


class LiveSource(FakeSource):
    """A live camera that sends its frames at ten a second, for a second and until `is_over`, and then breaks off."""

    def __init__(self, name, is_over):
        super().__init__([make_frame(0, camera=name)], is_live=True)
        self._name, self._is_over = name, is_over

    def __iter__(self):
        for index in range(600):
            if index >= 10 and self._is_over.is_set():
                return
            time.sleep(0.1)
            yield make_frame(index / 10, index=index, camera=self._name)


class SeenWatch(CameraWatch):
    """Sets `seen` once a camera was seen to stream."""

    def __init__(self, site):
        super().__init__(site)
        self.seen = threading.Event()

    def update(self, cameras):
        events = super().update(cameras)
        if any(event.state == "streaming" for event in events):
            self.seen.set()
        return events


def live(name, is_over):
    """Return what opens a camera that streams until `is_over`, and after that never again."""
    sources = [LiveSource(name, is_over)]

    def open_source():
        if not sources:
            raise SourceError("rtsp://gate: refused", code="unsupported", is_retryable=False)
        return sources.pop()

    return open_source


def test_a_run_puts_them_in_the_outbox_in_order_with_the_interactions(tmp_path):
    watch = SeenWatch("site")
    rig = Rig(watch=watch, retry_unreachable_sources=True)
    path = tmp_path / "outbox.sqlite"
    rig.run(
        rig.camera("gate", live("gate", watch.seen), is_recording=False),
        rig.camera("film", recording("film")),
        rig.camera("away", failing(is_retryable=False), is_recording=False),
        outbox=Outbox(path),
    )
    events = rig.events_by_camera()
    assert [event.state.value for event in events["away"]] == ["failed"]
    assert events["away"][0].error == "rtsp://nowhere: nobody answers"
    assert all(hasattr(event, "verb") for event in events["film"])
    states = [event.state.value for event in events["gate"] if not hasattr(event, "verb")]
    assert states[0] == "streaming"
    assert len(states) == 2
    assert not hasattr(events["gate"][0], "verb")  # it is up before anything is seen
    assert any(hasattr(event, "verb") for event in events["gate"])


def test_what_went_wrong_can_be_encoded_whatever_it_is():
    scene, error = Scene(), OSError("no file \udcff.mp4" + 2000 * "x")
    error.code = 5
    scene.at(0, "reconnecting", error=error)
    (down,) = scene.events
    assert (down.error[:13], len(down.error), down.error_code) == ("no file ?.mp4", 1000, None)
    assert Message.of(down).event == down


def test_a_camera_whose_state_cannot_be_reported_costs_one_line_and_no_other_event(caplog):
    class Broken(CameraWatch):
        def update(self, cameras):
            if cameras[0].source_id == "gate":
                raise ZeroDivisionError
            return super().update(cameras)

    rig = Rig(watch=Broken("site"))
    statuses = rig.run(
        rig.camera("gate", recording("gate")), rig.camera("film", recording("film")), rig.camera("away", failing(), is_recording=False)
    )
    assert [status.state for status in statuses[:2]] == ["ended", "ended"]
    events = rig.events_by_camera()
    assert all(hasattr(events[name][-1], "verb") and events[name][-1].phase is Phase.ENDED for name in ("gate", "film"))
    assert events["away"]
    assert sum("gate: whether it is up cannot be reported" in message for message in caplog.messages) == 1


def test_without_a_watch_there_are_none():
    rig, is_over = Rig(), threading.Event()
    is_over.set()
    rig.run(rig.camera("gate", live("gate", is_over), is_recording=False), stop=threading.Event())
    assert rig.sink.events
    assert all(hasattr(event, "verb") for event in rig.sink.events)
