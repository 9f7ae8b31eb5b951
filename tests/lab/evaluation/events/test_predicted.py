"""Events read from a file with any content, and reassembled into episodes."""

import json

import numpy as np
import pytest
from known_videos import ANNA, BOXES, make_events, still
from sample_events import make_outage
from scripted import FAR_HUMAN, HEIGHT, HUMAN, OBJECT, RIDE, WIDTH, EventPipeline, make_frame, times

from edge_hoi.errors import DatasetError
from edge_hoi.events.camera_cloudevents import render_camera_event
from edge_hoi.events.cloudevents import render
from edge_hoi.lab.datasets.truth import Truth, TruthEpisode, TruthVideo
from edge_hoi.lab.evaluation.events import event_results, predicted_episodes, read_events, score_events
from edge_hoi.sinks import JsonlSink, Message
from edge_hoi.types import EndReason


def test_an_episode_is_reassembled_from_its_events():
    (episode,) = predicted_episodes(make_events(start=3, end=9, emitted=3.75, updates=[5, 7]))
    assert (episode.camera, episode.verb, episode.object_name) == ("street", "ride", "bicycle")
    assert (episode.start, episode.emitted, episode.end, episode.has_ended) == (3, 3.75, 9, True)
    assert [each.seconds for each in episode.observations] == [3.75, 5, 7, 9]
    np.testing.assert_allclose(np.array(episode.observations[0].human) * [200, 100, 200, 100], BOXES[ANNA])


def test_events_written_by_a_sink_are_read(tmp_path):
    """A rider from 2 s to 8 s, through the real tracker and keeper, written by the real sink."""
    line, events = EventPipeline(), []
    for pts in times(15, 12):
        events += line.update(make_frame(pts), [(HUMAN, OBJECT, RIDE, 0.9)] if 2 <= pts <= 8 else [])
    events += line.keeper.close(EndReason.SOURCE_LOST)
    with JsonlSink(tmp_path / "events.jsonl") as sink:
        sink.deliver([Message.of(event) for event in events])
    predicted = predicted_episodes(read_events(tmp_path / "events.jsonl"))
    assert predicted == predicted_episodes(map(render, events))
    tracks = {
        track: still(category, box, range(180))
        for track, category, box in ((1, "person", HUMAN), (2, "bicycle", OBJECT), (3, "person", FAR_HUMAN))
    }
    rides = (TruthEpisode(1, 2, "ride", "bicycle", 2.0, 8.0, ()),)
    truth = Truth(TruthVideo("camera.mp4", 15.0, WIDTH, HEIGHT, 180, 12.0), tracks, rides)
    metrics = event_results([score_events(truth, predicted, name="camera")]).overall
    assert (metrics.found, metrics.predicted, metrics.id_switches) == (1, 1, 0)
    assert metrics.start_delay.median == pytest.approx(0, abs=1e-6)
    assert metrics.end_delay.median == pytest.approx(0, abs=1e-6)
    # 0.9 (1 - exp(-t / 0.3)) comes to 0.6 after 0.33 s, and has to stay there for 0.5 s; both end on a frame.
    assert metrics.emit_delay.median == pytest.approx(0.83, abs=2 / 15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"specversion": "1.0"}\n{"spec', "line 2: expected an event as JSON"),
        (b"[]\n", "line 1: expected an event as JSON .*got list"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"[" * 100_000, "line 1: expected an event as JSON"),
    ],
)
def test_a_file_with_other_content_is_refused(tmp_path, content, message):
    (tmp_path / "events.jsonl").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_events(tmp_path / "events.jsonl")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*events\.jsonl: No such file or directory; check the path"):
        read_events(tmp_path / "events.jsonl")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["type"], "com.example.sold.v1", r"event 1: expected an event of type dev\.edge-hoi\.interaction\.\*, got 'com\.example"),
        (["sequence"], "first", "event 1: not as expected"),
        (["data"], None, "episode [0-9a-f]+ of /site/street: not as expected"),
        (["data", "human"], {}, "expected 'box', which is missing"),
        (["data", "human", "box"], [0, 0, 1], "not as expected"),
        (["data", "human", "box"], [0, 0, 10, 10], "expected a box relative to the frame"),
        (["data", "human", "box"], "0011", "expected a list of a box's four edges"),
        (["data", "last", "pts_seconds"], float("nan"), "expected pts_seconds as a finite number"),
        (["data", "start", "pts_seconds"], 99.0, "an episode must not end before it starts, got 99.0 s and 20.0 s"),
    ],
)
def test_malformed_events_are_refused(path, value, message):
    first, *others = make_events()
    inner = first = json.loads(json.dumps(first))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(DatasetError, match=message):
        predicted_episodes([first, *others])


def test_no_events_are_no_episodes(tmp_path):
    (tmp_path / "events.jsonl").write_text("")
    assert predicted_episodes(read_events(tmp_path / "events.jsonl")) == []


def test_events_of_cameras_are_passed_over():
    of_cameras = [render_camera_event(event) for event in make_outage(camera="street")]
    assert predicted_episodes([*of_cameras, *make_events()]) == predicted_episodes(make_events())
