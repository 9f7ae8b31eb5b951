"""Labels that are drafted from events."""

import numpy as np
import pytest
from known_videos import ANNA, BEN, BOXES, HERS, HIS, make_events, make_truth
from sample_events import make_outage

from edge_hoi.errors import DatasetError
from edge_hoi.events.camera_cloudevents import render_camera_event
from edge_hoi.lab.datasets.truth import Truth
from edge_hoi.lab.evaluation.events import event_results, predicted_episodes, score_events
from edge_hoi.lab.labels import draft_truth, keyframes
from edge_hoi.lab.labels.keyframes import fill, frames_in, thin, visible_spans

VIDEO = make_truth().video


def moved(box, seconds):
    return tuple(edge + 2 * seconds for edge in box)


def draft(*events, **options) -> Truth:
    return draft_truth(VIDEO, [each for episode in events for each in episode], **{"camera": "street", **options})


def test_a_draft_has_the_episodes_and_their_boxes_interpolated():
    events = make_events(lambda seconds: moved(BOXES[ANNA], seconds), HERS, start=10, end=20, emitted=11, updates=(15,))
    smiling = make_events(BEN, None, "smile", start=10, end=10)
    for event in smiling:
        event["data"]["human"]["track_id"] = 9
    truth = draft(events, smiling)
    smile, ride = truth.episodes
    assert (ride.verb, ride.object_name, ride.start, ride.end) == ("ride", "bicycle", 10.0, 20.0)
    assert (smile.verb, smile.object, smile.start, smile.end) == ("smile", None, 10.0, 10.1)
    track = truth.tracks[ride.human]
    assert track.frames.tolist() == list(range(100, 201))
    left = track.boxes[:, 0]
    assert left[[0, 10, 30, 100]].tolist() == pytest.approx([42, 42, 46, 60], abs=0.02)  # from the first event on
    assert truth.verbs is None


def test_the_boxes_at_the_start_are_used_where_events_have_them():
    events = make_events(lambda seconds: moved(BOXES[ANNA], seconds), HERS, start=10, end=20, emitted=11)
    for event in events:
        event["data"]["start_boxes"] = {"human": event["data"]["human"]["box"], "object": event["data"]["object"]["box"]}
        event["data"]["start_boxes"]["human"] = [each / size for each, size in zip(moved(BOXES[ANNA], 10), (200, 100) * 2, strict=True)]
    truth = draft(events)
    left = truth.tracks[truth.episodes[0].human].boxes[:, 0]
    assert left[[0, 5, 10, 100]].tolist() == pytest.approx([40, 41, 42, 60], abs=0.02)


def test_a_run_agrees_with_its_own_draft():
    events = [*make_events(updates=(12, 14)), *make_events(BEN, HIS, start=30, end=50, updates=(40,))]
    (scored,) = [score_events(draft(events), predicted_episodes(events), name="street")]
    assert event_results([scored]).overall.f1 == 1


def test_only_wanted_verbs_are_drafted_and_then_annotated():
    truth = draft(make_events(), make_events(BEN, HIS, "push"), verbs=["push", "hold"])
    assert [each.verb for each in truth.episodes] == ["push"]
    assert truth.verbs == ("push", "hold")
    assert {each.category for each in truth.tracks.values()} == {"person", "bicycle"}
    assert len(truth.tracks) == 2


def test_events_of_other_cameras_need_the_name_of_one():
    gate, dock = make_events(camera="gate"), make_events(BEN, HIS, camera="dock", start=30, end=40)
    assert draft(gate, camera="gate").episodes[0].start == 10
    assert draft(gate, dock, camera="dock").episodes[0].start == 30
    with pytest.raises(DatasetError, match="the events are of the cameras dock, gate, none of street; choose one with --camera"):
        draft(gate, dock)
    with pytest.raises(DatasetError, match="the events are of the camera gate, none of street; choose one with --camera"):
        draft(gate)


def test_a_track_of_two_categories_becomes_two():
    one, other = make_events(), make_events(verb="hold", start=30, end=40)
    for event in other:
        event["data"]["object"]["category"] = "cup"
    truth = draft(one, other)
    assert [truth.tracks[each.object].category for each in truth.episodes] == ["bicycle", "cup"]


def test_no_events_are_an_empty_draft_and_others_are_refused():
    assert draft().episodes == ()
    with pytest.raises(DatasetError, match=r"event 1: expected an event of type dev\.edge-hoi\.interaction\.\*, got 'com\.example'"):
        draft([{**make_events()[0], "type": "com.example"}])
    broken = make_events()
    del broken[0]["data"]["human"]
    with pytest.raises(DatasetError, match="expected 'human', which is missing"):
        draft(broken)


def test_frames_that_interpolation_gives_are_left_out():
    frames = np.arange(10, 61)
    left = np.interp(frames, [10, 30, 60], [0, 100, 40])
    boxes = np.stack([left, left, left + 10, left + 10], axis=1).astype(np.float32)
    assert thin(frames, boxes, 0.01) == [0, 20, 50]
    assert thin(frames, boxes, 1000) == [0, 50]
    assert thin(frames[:1], boxes[:1], 0) == [0]
    kept = {int(frames[index]): boxes[index].tolist() for index in (0, 20, 50)}
    filled, again = fill(kept, frames.tolist())
    assert filled.tolist() == frames.tolist()
    assert np.abs(again - boxes).max() < 0.01


def test_times_in_view_are_the_runs_of_consecutive_frames():
    assert visible_spans(np.array([3, 4, 5, 9, 11, 12])) == [slice(0, 3), slice(3, 4), slice(4, 6)]
    assert visible_spans(np.array([], np.int64)) == []


def test_events_of_cameras_are_passed_over():
    of_cameras = [render_camera_event(event) for event in make_outage(camera="street")]
    assert repr(draft(make_events(), of_cameras)) == repr(draft(make_events()))
    assert draft(of_cameras).episodes == ()


def test_the_frames_of_spans_are_counted_once(monkeypatch):
    spans = [(7, 9), (0, 3), (2, 5), (1, 2), (5, 6)]
    monkeypatch.setattr(keyframes, "MAX_BOXES", 10)
    assert frames_in(spans, 2).tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert frames_in([], 10).tolist() == []
    with pytest.raises(DatasetError, match="the labels have more than 10 boxes"):
        frames_in(spans, 3)


def test_a_draft_of_too_many_boxes_is_refused(monkeypatch):
    events = [*make_events(), *make_events(verb="hold", start=15, end=20)]  # 101 frames of a person and of a bicycle
    monkeypatch.setattr(keyframes, "MAX_BOXES", 202)
    assert len(draft(events).tracks) == 2
    monkeypatch.setattr(keyframes, "MAX_BOXES", 201)
    with pytest.raises(DatasetError, match="the labels have more than 201 boxes"):
        draft(events)


def test_tracks_whose_ids_no_form_holds_get_others():
    episodes = [make_events(verb=str(number), start=number, end=number + 1) for number in range(4)]
    for events, track in zip(episodes, (1, 10**9 - 1, 10**9, -3), strict=True):
        for event in events:
            event["data"]["human"]["track_id"] = event["data"]["object"]["track_id"] = track
    assert [(each.human, each.object) for each in draft(*episodes).episodes] == [(1, 2), (10**9 - 1, 3), (4, 5), (6, 7)]
