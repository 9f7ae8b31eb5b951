from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from scripted import (
    BICYCLE,
    DRINK,
    FAR_HUMAN,
    FAR_OBJECT,
    HEIGHT,
    HOLD,
    HUMAN,
    MODEL,
    NO_INTERACTION,
    OBJECT,
    RIDE,
    SMILE,
    WIDTH,
    EventPipeline,
    at_noon,
    make_frame,
    make_interactions,
    make_keeper,
    moved,
    play,
    times,
)

from edge_hoi.compat import UTC
from edge_hoi.events import EpisodeSettings, VerbSettings
from edge_hoi.types import NO_OBJECT, ClockInfo, EndReason, Phase, Track, TrackedInteractions, TrackState

STARTED, UPDATED, ENDED = Phase.STARTED, Phase.UPDATED, Phase.ENDED
RIDING = [(HUMAN, OBJECT, RIDE, 0.8)]
RIDING_PAIR = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)]  # with track ids


def riding(*spans, human=HUMAN, object_box=OBJECT, score=0.8):
    return lambda pts: [(human, object_box, RIDE, score)] if any(begin <= pts < end for begin, end in spans) else []


def both(*scripts):
    return lambda pts: [row for script in scripts for row in script(pts)]


def phases(events):
    return [event.phase for event in events]


def of_phase(events, phase):
    return [event for event in events if event.phase is phase]


def hand_made(frame, rows, *, state=TrackState.CONFIRMED, appearances=None):
    """Build tracks from rows of (human id, human box, object id, object box, HOI id, score); `appearances` maps track ids to brightness."""
    appearances = {track_id: np.full(18, brightness, np.float32) for track_id, brightness in (appearances or {}).items()}
    rows, tracks = sorted(rows, key=lambda row: -row[5]), {}
    for human_id, human, object_id, object_box, _, score in rows:
        for track_id, category, box in ((human_id, NO_OBJECT, human), (object_id, BICYCLE, object_box)):
            box = np.array(box, np.float32)
            tracks[track_id] = Track(
                track_id, category == NO_OBJECT, category, box, score, 0.0, frame.pts_seconds, state, appearances.get(track_id)
            )
    interactions = make_interactions([(human, object_box, hoi, score) for _, human, _, object_box, hoi, score in rows])
    human_ids, object_ids = (np.array([row[column] for row in rows], np.int64) for column in (0, 2))
    return TrackedInteractions.of(interactions, human_ids, object_ids, tracks)


def test_an_episode_has_one_start_and_one_end_at_its_first_and_last_evidence():
    events = [event for event in play(riding((1, 5)), times(10, 10)) if event.phase is not UPDATED]
    started, ended = events
    assert (started.phase, ended.phase) == (STARTED, ENDED)
    assert started.event_id == ended.event_id
    assert (ended.end_reason, started.end_reason) == (EndReason.ABSENT, None)
    assert started.start.pts_seconds == pytest.approx(1)
    assert started.last.pts_seconds > 1.5  # it starts later than its first evidence
    assert ended.end == ended.last
    assert ended.end.pts_seconds == pytest.approx(4.9)
    assert ended.duration_seconds == pytest.approx(3.9)
    assert (ended.frames_seen, ended.frames_missed) == (40, 0)


def test_an_event_names_person_object_place_and_model():
    event = play(riding((0, 5)), times(10, 2))[0]
    assert (event.site, event.camera, event.verb, event.hoi_id, event.text) == ("site", "camera", "ride", RIDE, "person riding bicycle")
    assert (event.human.category, event.object.category) == ("person", "bicycle")
    assert event.human.track_id != event.object.track_id
    assert event.human.box == pytest.approx((HUMAN[0] / WIDTH, HUMAN[1] / HEIGHT, HUMAN[2] / WIDTH, HUMAN[3] / HEIGHT), abs=1e-5)
    assert event.human.score == pytest.approx(0.8)
    assert event.score.mean == pytest.approx(0.8)
    assert 0.6 <= event.score.now <= event.score.peak <= 0.8
    assert (event.frame_width, event.frame_height, event.model) == (WIDTH, HEIGHT, MODEL)


def test_an_interaction_without_object_has_none():
    event = play(lambda pts: [(HUMAN, None, SMILE, 0.8)], times(10, 2))[0]
    assert (event.object, event.text) == (None, "person smiling")


def test_no_interactions_emit_no_event():
    pipeline = EventPipeline()
    assert play(lambda pts: [], times(10, 3), pipeline) == []
    assert pipeline.keeper.close(EndReason.SHUTDOWN) == []


def test_the_verb_no_interaction_emits_no_event():
    assert play(lambda pts: [(HUMAN, OBJECT, NO_INTERACTION, 0.95)], times(10, 3)) == []


def test_a_certain_object_without_interaction_emits_no_event():
    assert play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.49)], times(10, 5)) == []


@pytest.mark.parametrize("dropped", [0.0, 0.3])
def test_frame_rate_and_drops_change_an_episode_by_a_frame_at_most(dropped):
    script = both(riding((1, 4), (4.8, 9)), riding((2, 6), human=FAR_HUMAN, object_box=FAR_OBJECT, score=0.7))
    for fps in (5, 30):
        at = times(fps, 14, dropped=dropped, seed=3)
        longest = max(b - a for a, b in pairwise(at)) + 1e-9
        events = play(script, at)
        ended = sorted((event.start.pts_seconds, event.end.pts_seconds) for event in of_phase(events, ENDED))
        assert len(ended) == len(of_phase(events, STARTED)) == 2
        for (start, end), (true_start, true_end) in zip(ended, [(1, 9), (2, 6)], strict=True):
            assert 0 <= start - true_start <= longest
            assert 0 <= true_end - end <= longest


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_a_dropout_of_800_ms_with_an_id_switch_is_one_episode(fps):
    settings = EpisodeSettings(update_interval_seconds=1000)
    keeper, events = make_keeper(settings), []
    for pts in times(fps, 8):
        frame = make_frame(pts)
        human, object_id = (1, 2) if pts < 2.5 else (7, 8)
        rows = [(human, moved(HUMAN, 30 * pts), object_id, moved(OBJECT, 30 * pts), RIDE, 0.8)]
        events += keeper.update(frame, hand_made(frame, rows if pts < 2.5 or 3.3 <= pts < 5 else []))
    assert phases(events) == [STARTED, UPDATED, ENDED] or phases(events) == [STARTED, ENDED]
    started, ended = events[0], events[-1]
    assert (started.human.track_id, started.object.track_id, started.merged_track_ids) == (1, 2, ())
    assert (ended.human.track_id, ended.object.track_id, ended.merged_track_ids) == (7, 8, (1, 2))
    assert ended.duration_seconds == pytest.approx(5, abs=1 / fps + 1e-6)
    assert ended.frames_missed > 0


@pytest.mark.parametrize("score", [0.65, 0.8])  # a weak score takes longer to rise again
def test_an_occlusion_just_shorter_than_patience_is_one_episode(score):
    events = play(riding((0, 3), (4.4, 7), score=score), times(10, 12))
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1


def test_an_absence_longer_than_patience_is_two_episodes():
    events = play(riding((0, 3), (6, 9)), times(10, 12))
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 2
    assert len({event.event_id for event in events}) == 2


def test_a_new_track_far_away_does_not_continue_an_episode():
    events = play(both(riding((0, 3)), riding((3.5, 7), human=FAR_HUMAN, object_box=FAR_OBJECT)), times(10, 12))
    assert len(of_phase(events, STARTED)) == 2
    assert all(event.merged_track_ids == () for event in events)


@pytest.mark.parametrize(("far", "merged"), [(40, (4,)), (280, ())])
def test_evidence_that_jumps_to_another_object_within_reach_continues_the_episode(far, merged):
    cup, keeper, events = (120, 190, 132, 202), make_keeper(), []  # smaller than any movement of the hand that holds it
    for pts in times(10, 6):
        frame = make_frame(pts)
        jumps = 3 <= pts < 3.2
        rows = [(1, HUMAN, 2, cup, RIDE, 0.2 if jumps else 0.8), (1, HUMAN, 4, moved(cup, far), RIDE, 0.8 if jumps else 0.2)]
        events += keeper.update(frame, hand_made(frame, rows))
    events += keeper.close(EndReason.SHUTDOWN)
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1
    assert events[-1].merged_track_ids == merged


def test_a_person_continues_an_episode_after_an_occlusion_although_the_other_person_is_still_seen():
    keeper, events = make_keeper(), []
    for pts in times(10, 6):
        frame, is_occluded = make_frame(pts), 3 <= pts < 3.4
        sits = (1, HUMAN, 2 if pts < 3 else 4, OBJECT if pts < 3 else moved(OBJECT, 40), RIDE, 0.8)
        passes = (3, moved(HUMAN, 10 if is_occluded else 80), 2, OBJECT, RIDE, 0.8 if is_occluded else 0.1)
        events += keeper.update(frame, hand_made(frame, [passes] if is_occluded else [sits, passes]))
    events += keeper.close(EndReason.SHUTDOWN)
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1
    assert (events[-1].human.track_id, events[-1].merged_track_ids) == (1, (3, 2))


def test_a_neighbour_does_not_continue_the_episode_of_a_person_still_seen():
    beside, keeper, events = moved(HUMAN, 70), make_keeper(), []
    for pts in times(10, 8):
        frame = make_frame(pts)
        stays = (1, HUMAN, 2, OBJECT, RIDE, 0.8 if pts < 3 else 0.1)
        comes = (3, beside, 4, moved(OBJECT, 70), RIDE, 0.8)
        events += keeper.update(frame, hand_made(frame, [stays, comes] if pts >= 3 else [stays]))
    assert len(of_phase(events, STARTED)) == 2
    assert all(event.merged_track_ids == () for event in events)


@pytest.mark.parametrize(("appearances", "episodes"), [({1: 20, 3: 22}, 1), ({1: 20, 3: 60}, 2), ({1: 20}, 1), ({}, 1)])
def test_a_new_track_in_the_same_place_continues_an_episode_only_with_the_same_appearance(appearances, episodes):
    keeper, events = make_keeper(), []
    for pts in times(10, 8):
        frame = make_frame(pts)
        rows = [(1 if pts < 3 else 3, HUMAN, 2, OBJECT, RIDE, 0.8)] if not 3 <= pts < 3.6 else []
        events += keeper.update(frame, hand_made(frame, rows, appearances=appearances))
    assert len(of_phase(events, STARTED)) == episodes
    assert (events[-1].merged_track_ids == (1,)) is (episodes == 1)


@pytest.mark.parametrize(("is_exclusive", "shift", "people"), [(True, 0, 1), (False, 0, 2), (True, 250, 2)])
@pytest.mark.parametrize("has_own_track", [True, False])
def test_one_person_per_object_blocks_other_people_with_the_same_object(is_exclusive, shift, people, has_own_track):
    settings = EpisodeSettings(verbs={"ride": VerbSettings(one_person_per_object=is_exclusive)})
    keeper, events = make_keeper(settings), []
    for pts in times(10, 6):
        frame, object_id = make_frame(pts), 4 if has_own_track or shift else 2
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8), (3, moved(HUMAN, 300), object_id, moved(OBJECT, shift), RIDE, 0.75)]
        events += keeper.update(frame, hand_made(frame, rows if pts >= 1 else rows[:1]))
    assert {event.human.track_id for event in of_phase(events, STARTED)} == set([1, 3][:people])


def test_an_object_is_available_again_after_an_episode_has_ended():
    keeper, events = make_keeper(EpisodeSettings(one_person_per_object=True)), []
    for pts in times(10, 9):
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8) if pts < 3 else (3, FAR_HUMAN, 2, OBJECT, RIDE, 0.8)]
        events += keeper.update(frame, hand_made(frame, rows, appearances={1: 20, 3: 60}))
    assert [event.start.pts_seconds for event in of_phase(events, STARTED)] == pytest.approx([0, 3])


def test_a_blocked_episode_begins_when_the_other_has_ended():
    keeper, events = make_keeper(EpisodeSettings(one_person_per_object=True)), []
    for pts in times(10, 9):
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts < 4 else []
        rows += [(3, FAR_HUMAN, 2, OBJECT, RIDE, 0.75)] if pts >= 2 else []
        events += keeper.update(frame, hand_made(frame, rows, appearances={1: 20, 3: 60}))
    events += keeper.close(EndReason.SHUTDOWN)
    first, second = of_phase(events, ENDED)
    assert (first.human.track_id, second.human.track_id) == (1, 3)
    assert first.end.pts_seconds == second.start.pts_seconds == pytest.approx(3.9)
    assert second.duration_seconds == pytest.approx(5)


def test_weak_evidence_of_another_track_does_not_continue_an_episode():
    keeper, events = make_keeper(), []
    for pts in times(10, 8):
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if not 3 <= pts < 4 else [(7, HUMAN, 8, OBJECT, RIDE, 0.4)]
        events += keeper.update(frame, hand_made(frame, rows))
    assert len(of_phase(events, STARTED)) == 1
    assert events[-1].merged_track_ids == ()


def test_an_id_swap_leaves_the_episode_with_its_person():
    keeper, events = make_keeper(), []
    for pts in times(10, 8):
        frame = make_frame(pts)
        rider, other = (1, 3) if pts < 3 else (3, 1)
        rows = [(rider, HUMAN, 2, OBJECT, RIDE, 0.8), (other, moved(HUMAN, 70), 4, FAR_OBJECT, RIDE, 0.2)]
        events += keeper.update(frame, hand_made(frame, rows))
    assert len({event.event_id for event in events}) == 1
    assert (events[-1].human.track_id, events[-1].merged_track_ids) == (3, (1,))


def test_an_id_switch_before_the_start_does_not_delay_it():
    keeper, events = make_keeper(), []
    for pts in times(30, 2):
        frame = make_frame(pts)
        events += keeper.update(frame, hand_made(frame, [(1 if pts < 0.5 else 9, HUMAN, 2, OBJECT, RIDE, 0.8)]))
    assert events[0].phase is STARTED
    assert events[0].start.pts_seconds == 0
    assert events[0].merged_track_ids == (1,)


def test_evidence_with_gaps_shorter_than_patience_is_one_episode():
    events = play(riding((0, 0.5), (1.5, 5)), times(10, 7))  # 0.5 s are too short for a start
    assert phases(events)[0] is STARTED
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1
    assert events[0].start.pts_seconds == 0


def test_flicker_that_never_lasts_emits_no_event():
    assert play(lambda pts: RIDING if round(pts * 30) % 10 == 0 else [], times(30, 10)) == []


def test_a_score_that_drops_too_early_emits_no_event():
    assert play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8 if pts < 0.6 else 0.55)], times(30, 5)) == []


def test_tentative_tracks_emit_no_event():
    keeper = make_keeper()
    for pts in times(10, 3):
        frame = make_frame(pts)
        assert keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.8)], state=TrackState.TENTATIVE)) == []


def test_flicker_within_an_episode_is_one_episode():
    events = play(lambda pts: RIDING if pts < 6 and round(pts * 30) % 6 else [], times(30, 10))
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1
    ended = events[-1]
    assert ended.frames_missed == pytest.approx(180 / 6, abs=2)
    assert ended.score.mean == pytest.approx(0.8)


def test_a_single_high_score_long_before_does_not_move_the_start():
    events = play(riding((0, 0.1), (2, 5)), times(10, 4))
    assert events[0].start.pts_seconds == pytest.approx(2)


def test_corrupt_frames_never_start_an_event():
    assert play(riding((0, 10)), times(10, 10), corrupt=lambda pts: True) == []
    pipeline = EventPipeline()
    tracked_before = play(riding((0, 10)), times(10, 0.4), pipeline)
    at = [0.4 + pts for pts in times(10, 5)]
    assert play(riding((0, 10)), at, pipeline, corrupt=lambda pts: True) == tracked_before == []


def test_a_frame_without_evidence_starts_no_event_although_the_smoothed_score_is_still_high():
    pipeline = EventPipeline(EpisodeSettings(smoothing_seconds=1, min_duration_seconds=0.5))
    script = riding((0, 1.3), score=1.0)  # up from 0.9 s on, so that a start is due at 1.4 s
    assert play(script, times(30, 3), pipeline) == []


def test_corrupt_frames_shorter_than_patience_do_not_end_an_episode():
    events = play(riding((0, 6)), times(10, 10), corrupt=lambda pts: 2 <= pts < 3)
    assert len(of_phase(events, STARTED)) == len(of_phase(events, ENDED)) == 1


def test_updates_come_at_most_once_an_interval_and_only_for_a_change():
    still = play(riding((0, 20)), times(10, 20))
    assert len(of_phase(still, UPDATED)) <= 1  # the score may still settle
    moving = play(lambda pts: [(moved(HUMAN, 10 * pts), moved(OBJECT, 10 * pts), RIDE, 0.8)], times(10, 20))
    emitted = [event.last.pts_seconds for event in moving]
    assert len(emitted) > 5
    assert min(b - a for a, b in pairwise(emitted)) >= 2 - 1e-9


def test_sequence_counts_up():
    events = play(lambda pts: [(moved(HUMAN, 10 * pts), moved(OBJECT, 10 * pts), RIDE, 0.8)] if pts < 15 else [], times(10, 20))
    assert [event.sequence for event in events] == list(range(len(events)))
    assert phases(events) == [STARTED, *[UPDATED] * (len(events) - 2), ENDED]


def test_an_episode_ends_at_its_maximum_duration_and_the_next_one_follows():
    events = play(riding((0, 20)), times(10, 8), EventPipeline(EpisodeSettings(max_duration_seconds=3)))
    ended = of_phase(events, ENDED)
    assert [event.end_reason for event in ended] == [EndReason.MAX_DURATION] * 2
    assert ended[0].duration_seconds == pytest.approx(3, abs=0.11)
    starts = [event.start.pts_seconds for event in of_phase(events, STARTED)]
    assert starts == pytest.approx([0, 3.1, 6.2], abs=0.11)


def test_cooldown_delays_the_next_start():
    script = riding((0, 3), (6, 12))
    without = of_phase(play(script, times(10, 12)), STARTED)
    pipeline = EventPipeline(EpisodeSettings(cooldown_seconds=5))
    late = of_phase(play(lambda pts: [*script(pts), (HUMAN, OBJECT, NO_INTERACTION, 0.6)], times(10, 12), pipeline), STARTED)
    assert without[1].last.pts_seconds < 8
    assert late[1].last.pts_seconds == pytest.approx(3 + 1.5 + 5, abs=0.5)


def test_a_verbs_exceptions_hold_for_that_verb_alone():
    settings = EpisodeSettings(verbs={"ride": VerbSettings(min_duration_seconds=3)})
    script = both(riding((0, 9)), lambda pts: [(FAR_HUMAN, FAR_OBJECT, HOLD, 0.8)])
    began = {event.verb: event.last.pts_seconds for event in of_phase(play(script, times(10, 8), EventPipeline(settings)), STARTED)}
    assert began["ride"] - began["hold"] == pytest.approx(2.5, abs=0.11)


def test_of_an_exclusive_group_only_the_verb_with_the_best_score_has_an_episode():
    settings = EpisodeSettings(exclusive_groups=(("hold", "drink_with"),))

    def script(pts):
        return [(HUMAN, OBJECT, HOLD, 0.8), (HUMAN, OBJECT, DRINK, 0.7 if pts < 4 else 0.95)]

    events = play(script, times(10, 8), EventPipeline(settings))
    emitted = [(event.verb, event.phase) for event in events if event.phase is not UPDATED]
    assert emitted == [("hold", STARTED), ("hold", ENDED), ("drink_with", STARTED)]
    without = play(script, times(10, 8))
    assert {event.verb for event in of_phase(without, STARTED)} == {"hold", "drink_with"}


def test_exclusive_verbs_of_different_people_are_independent():
    settings = EpisodeSettings(exclusive_groups=(("hold", "drink_with"),))
    rows = [(HUMAN, OBJECT, HOLD, 0.8), (FAR_HUMAN, FAR_OBJECT, DRINK, 0.7)]
    assert len(of_phase(play(lambda pts: rows, times(10, 4), EventPipeline(settings)), STARTED)) == 2


@pytest.mark.parametrize("reason", [EndReason.SHUTDOWN, EndReason.SOURCE_LOST])
def test_closing_ends_open_episodes_and_the_keeper_stays_usable(reason):
    pipeline = EventPipeline()
    events = play(both(riding((0, 50)), riding((0, 50), human=FAR_HUMAN, object_box=FAR_OBJECT)), times(10, 4), pipeline)
    ended = pipeline.keeper.close(reason)
    assert [(event.phase, event.end_reason) for event in ended] == [(ENDED, reason)] * 2
    assert {event.event_id for event in ended} == {event.event_id for event in of_phase(events, STARTED)}
    assert pipeline.keeper.close(reason) == []
    again = play(riding((0, 50)), [5 + pts for pts in times(10, 4)], pipeline)
    assert len({event.event_id for event in of_phase(events + again, STARTED)}) == 3


def test_an_episode_does_not_outlast_a_gap_without_frames():
    pipeline = EventPipeline()
    events = play(riding((0, 100)), [*times(10, 3), *(60 + pts for pts in times(10, 3))], pipeline)
    ended = of_phase(events, ENDED)
    assert [(event.end.pts_seconds, event.end_reason) for event in ended] == [(2.9, EndReason.ABSENT)]
    assert of_phase(events, STARTED)[1].start.pts_seconds == 60


@pytest.mark.parametrize("jump", [0.0, -2.0, -3600.0])
def test_durations_are_right_although_media_time_jumps_back(jump):
    at = [pts if pts < 3 else pts + jump - 0.1 for pts in times(10, 12)]
    pipeline, events = EventPipeline(), []
    for index, pts in enumerate(at):
        events += pipeline.update(make_frame(pts), RIDING if index < 60 else [])
    ended = of_phase(events, ENDED)
    assert len(ended) == len(of_phase(events, STARTED)) == 1
    assert ended[0].duration_seconds == pytest.approx(5.9, abs=0.11)


def test_durations_are_right_although_the_wall_clock_steps_by_an_hour():
    pipeline, events = EventPipeline(), []
    for pts in times(10, 12):
        captured_at = at_noon(pts) + timedelta(hours=1 if pts >= 3 else 0)
        events += pipeline.update(make_frame(pts, captured_at=captured_at), riding((1, 6))(pts))
    ended = events[-1]
    assert ended.duration_seconds == pytest.approx(4.9, abs=0.01)
    assert ended.clock == ClockInfo("arrival", "estimated")
    assert (ended.start.utc, ended.end.utc) == (at_noon(1.0), at_noon(5.9) + timedelta(hours=1))


def test_a_file_without_wall_clock_counts_utc_from_1970_with_a_relative_clock():
    event = play(riding((1.5, 5)), times(10, 4))[0]
    assert event.start.utc == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert (event.clock, event.recorded_at) == (ClockInfo("media", "relative"), None)


def test_events_of_a_live_source_have_a_recorded_time():
    pipeline = EventPipeline(wall_clock=lambda: at_noon(99))
    assert play(riding((0, 5)), times(10, 2), pipeline)[0].recorded_at == at_noon(99)


def test_event_ids_differ_between_runs_cameras_and_days_only():
    def event_id(captured=None, **others):
        pipeline = EventPipeline(**others)
        for pts in times(10, 3):
            for event in pipeline.update(make_frame(pts, captured_at=captured and captured + timedelta(seconds=pts)), riding((0, 5))(pts)):
                return event.event_id
        raise AssertionError

    ids = [event_id(), event_id(camera="other"), event_id(run_key="second"), event_id(at_noon(0)), event_id(at_noon(86_400))]
    assert len(set(ids)) == 5
    assert event_id() == ids[0]


def test_event_ids_differ_although_media_time_repeats_itself():
    keeper, events = make_keeper(), []
    for pts in times(10, 6) * 2:
        frame = make_frame(pts)
        events += keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts < 3 else []))
    starts = of_phase(events, STARTED)
    assert [event.start.pts_seconds for event in starts] == [0, 0]
    assert starts[0].event_id != starts[1].event_id


def test_several_cameras_give_the_same_events_as_single_runs():
    scripts = [riding((1, 4)), riding((0, 2), (5, 8)), both(riding((0, 9)), riding((2, 4), human=FAR_HUMAN, object_box=FAR_OBJECT))]
    pipelines = [EventPipeline(camera=f"camera-{number}") for number in range(3)]
    together = [[], [], []]
    for pts in times(10, 12):
        for events, pipeline, script in zip(together, pipelines, scripts, strict=True):
            events += pipeline.update(make_frame(pts), script(pts))
    single = [play(script, times(10, 12), EventPipeline(camera=f"camera-{number}")) for number, script in enumerate(scripts)]
    assert together == single
    assert all(together)


def test_events_name_the_category_of_their_object():
    script = both(riding((0, 9)), lambda pts: [(FAR_HUMAN, FAR_OBJECT, HOLD, 0.8)])
    events = of_phase(play(script, times(10, 3)), STARTED)
    assert {event.verb: event.object.category for event in events} == {"ride": "bicycle", "hold": "cup"}


def frames_until_the_start(at, *, evidence_from, settings=None, keeper=None):
    """Return how many frames had evidence when the episode started."""
    keeper = keeper or make_keeper(settings)
    for pts in at:
        frame = make_frame(pts)
        events = keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts >= evidence_from else []))
        if events:
            return events[0].frames_seen
    return None


def with_gap(seconds, *, fps=8):
    """Return times at which the frame after 2 s comes so much later."""
    return [*times(fps, 2 + 1 / fps), *(2 + seconds + pts for pts in times(fps, 4))]


@pytest.mark.parametrize("jump", [0.5, 1, 1.7, 10, 3600, 86_400])
def test_the_first_evidence_after_a_gap_does_not_weigh_the_gap(jump):
    usual = frames_until_the_start(with_gap(0.125), evidence_from=2.1)
    assert frames_until_the_start(with_gap(jump), evidence_from=2.1) == usual == 8  # smoothed 0.6 at the 4th frame, and 0.5 s


def test_evidence_before_a_gap_does_not_shorten_the_evidence_needed_after_it():
    # The smoothed score has reached `enter` when the gap begins. In its place are frames without evidence.
    at = [*times(8, 0.75), *(2 + pts for pts in times(8, 3))]
    filled = times(8, 5)
    gap, missing = make_keeper(), make_keeper()
    starts = []
    for keeper, frames in ((gap, at), (missing, filled)):
        events = []
        for pts in frames:
            frame = make_frame(pts)
            rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts in at else []
            events += keeper.update(frame, hand_made(frame, rows))
        starts.append([(event.last.pts_seconds, event.frames_seen, event.score.now) for event in of_phase(events, STARTED)])
    assert starts[0] == [pytest.approx(each) for each in starts[1]]
    assert starts[0][0][:2] == (2.625, 12)


def test_a_gap_at_the_begin_of_a_stream_has_no_weight_but_a_low_frame_rate_has():
    after_gap = [0.0, *(60 + pts for pts in times(8, 4))]
    assert frames_until_the_start(after_gap, evidence_from=1) == 9  # the first weighs nothing, as the first of a stream
    assert frames_until_the_start(times(8, 4), evidence_from=0) == 9
    assert frames_until_the_start([0.0, 1.5, 3.0], evidence_from=1) == 2  # 1.5 s are the patience, and may lie between two frames
    assert frames_until_the_start([0.0, 1.625, 3.125, 4.625], evidence_from=1) == 3


@pytest.mark.parametrize(("interval", "frames"), [(0.375, 6), (0.5, 8)])  # 3 and 4 usual intervals
def test_an_interval_of_up_to_three_usual_ones_is_no_gap(interval, frames):
    assert frames_until_the_start(with_gap(interval), evidence_from=2.1) == frames


def test_the_usual_interval_follows_a_change_of_the_frame_rate():
    at = [*times(8, 2), *(2 + pts for pts in times(2, 20))]
    assert frames_until_the_start(at, evidence_from=10) == frames_until_the_start(times(2, 20), evidence_from=10) == 2


def test_a_second_gap_is_measured_by_the_frames_and_not_by_the_first():
    keeper = make_keeper()
    at = [*times(8, 2), 60.0, 120.0, 180.0, *(240 + pts for pts in times(8, 3))]
    assert frames_until_the_start(at, evidence_from=240, keeper=keeper) == 8


def test_time_that_stands_still_does_not_count_as_an_interval():
    at = [*times(8, 2), *[2.0] * 30, *(2.125 + pts for pts in times(8, 3))]
    assert frames_until_the_start(at, evidence_from=2.1) == 8


@pytest.mark.parametrize(("gap", "episodes"), [(1.5, 1), (1.625, 2)])
def test_a_gap_as_long_as_patience_does_not_end_an_episode_and_a_longer_one_does(gap, episodes):
    keeper, events = make_keeper(), []
    for pts in with_gap(gap):
        frame = make_frame(pts)
        events += keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.8)]))
    assert len(of_phase(events, STARTED)) == episodes
    assert [event.end_reason for event in of_phase(events, ENDED)] == [EndReason.ABSENT] * (episodes - 1)


@pytest.mark.parametrize(("gap", "episodes"), [(0.625, 1), (0.75, 2)])
def test_time_without_evidence_before_a_gap_counts_with_the_gap(gap, episodes):
    keeper, events = make_keeper(), []
    idle_for = 1.0  # from the frame at 2.125 s on, with frames; patience is 1.5 s, and the gap's last frame would be 0.125 s before its end
    for pts in [*times(8, 3.125), *(3 + gap + pts for pts in times(8, 2))]:
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts <= 2 or pts > 2 + idle_for else []
        events += keeper.update(frame, hand_made(frame, rows))
    assert len(of_phase(events, STARTED)) == episodes
    assert [(event.end_reason, event.end.pts_seconds) for event in of_phase(events, ENDED)] == [(EndReason.ABSENT, 2.0)] * (episodes - 1)


@pytest.mark.parametrize(("second", "start"), [(1.625, 0.0), (1.75, 1.75)])
def test_an_episode_that_has_not_started_is_deleted_after_patience_without_evidence(second, start):
    events = []
    keeper = make_keeper()
    for pts in times(8, 4):
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts == 0 or pts >= second else []
        events += keeper.update(frame, hand_made(frame, rows))
    assert of_phase(events, STARTED)[0].start.pts_seconds == start


def test_patience_of_an_episode_that_has_not_started_counts_from_its_last_evidence():
    keeper, events = make_keeper(), []
    for pts in times(8, 6):
        frame = make_frame(pts)
        rows = [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts % 1 == 0 or pts >= 4 else []  # one frame a second starts nothing
        events += keeper.update(frame, hand_made(frame, rows))
    (started,) = of_phase(events, STARTED)
    assert started.start.pts_seconds == 0
    assert started.last.pts_seconds > 4


def handed_over(rows_at, *, settings=None, seconds=5.0):
    keeper, events = make_keeper(settings), []
    for pts in times(8, seconds):
        frame = make_frame(pts)
        events += keeper.update(frame, hand_made(frame, rows_at(pts)))
    return events


def test_a_new_track_continues_a_started_episode_rather_than_a_nearer_one_that_has_not_started():
    def rows_at(pts):
        started = (1, HUMAN, 11, OBJECT, RIDE, 0.8)
        nearer = (2, moved(HUMAN, 40), 12, moved(OBJECT, 40), RIDE, 0.8)
        new = (3, moved(HUMAN, 38), 13, moved(OBJECT, 38), RIDE, 0.8)
        return [new] if pts >= 3 else [started, nearer] if pts >= 2.75 else [started]

    events = handed_over(lambda pts: rows_at(pts) if pts < 4 else [], seconds=7)
    assert [(event.human.track_id, event.merged_track_ids) for event in of_phase(events, ENDED)] == [(3, (1, 11))]


def test_a_new_track_continues_the_nearest_of_several_episodes():
    def rows_at(pts):
        near = (1, HUMAN, 11, OBJECT, RIDE, 0.8)
        far = (2, moved(HUMAN, 40), 12, moved(OBJECT, 40), RIDE, 0.8)
        new = (3, moved(HUMAN, 10), 13, moved(OBJECT, 10), RIDE, 0.8)
        return [new] if pts >= 3 else [far, near]

    events = handed_over(lambda pts: rows_at(pts) if pts < 4.5 else [], seconds=8)
    merged = {event.human.track_id: event.merged_track_ids for event in of_phase(events, ENDED)}
    assert merged == {2: (), 3: (1, 11)}


@pytest.mark.parametrize(("before", "after"), [(0.55, 0.95), (0.95, 0.55)])
def test_a_hand_over_keeps_the_larger_smoothed_score(before, after):
    """Tracks 1 and 2 are seen twice for 0.375 s, then as 7 and 8 only. By then the scores are 0.55 and 0.68, or 0.95 and 0.39."""
    settings = EpisodeSettings(update_interval_seconds=0, score_tolerance=0, enter=0.5)

    def rows_at(pts):
        old, new = (1, HUMAN, 2, OBJECT, RIDE, before), (7, HUMAN, 8, OBJECT, RIDE, after)
        return [new] if pts >= 3 else [old, new] if pts >= 2.625 else [old]

    keeper = make_keeper(settings)
    share = -np.expm1(-0.125 / 0.3)
    older = newer = now = 0.0
    for index, pts in enumerate(times(8, 3.125)):
        frame = make_frame(pts)
        events = keeper.update(frame, hand_made(frame, rows_at(pts)))
        older += (share if index else 0) * (before - older) if pts < 3 else 0
        newer += share * (after - newer) if 2.625 <= pts < 3 else 0
        now = events[-1].score.now if events else now
    larger = max(older, newer)
    assert now == pytest.approx(larger + share * (after - larger))
    assert events[-1].merged_track_ids == (1, 2)


@pytest.mark.parametrize(("shift", "merged"), [(130, (1, 2)), (145, ())])
def test_a_new_track_within_reach_continues_an_episode_and_one_beyond_it_does_not(shift, merged):
    """Reach is half of the longer side of the box, 200 pixels, and 1.5 of it each second: 137.5 pixels after 0.125 s."""

    def rows_at(pts):
        tall = (90.0, 100.0, 170.0, 300.0)
        ids, x = ((1, 2), 0) if pts < 2 else ((3, 4), shift)
        return [(ids[0], moved(HUMAN, x), ids[1], moved(tall, x), RIDE, 0.8)] if pts <= 2 else []

    (ended,) = of_phase(handed_over(rows_at, seconds=6), ENDED)
    assert ended.merged_track_ids == merged


def test_the_same_track_is_the_same_object_wherever_it_has_moved():
    """One person stops at 2 s; the other takes the object far away, and may start when the first episode has ended."""

    def rows_at(pts):
        first = (1, HUMAN, 2, OBJECT, RIDE, 0.8)
        second = (3, FAR_HUMAN, 2, FAR_OBJECT, RIDE, 0.8)
        return [first] if pts < 2 else [second]

    events = handed_over(rows_at, settings=EpisodeSettings(one_person_per_object=True, max_speed=0), seconds=6)
    first_ended = next(number for number, event in enumerate(events) if event.phase is ENDED and event.human.track_id == 1)
    second_started = next(number for number, event in enumerate(events) if event.phase is STARTED and event.human.track_id == 3)
    assert first_ended < second_started
    assert events[second_started].last.pts_seconds >= 3.5


def test_merged_tracks_are_the_newest_256():
    settings = EpisodeSettings(update_interval_seconds=0)
    events = handed_over(lambda pts: [(round(pts * 8) + 10, HUMAN, 2, OBJECT, RIDE, 0.8)], settings=settings, seconds=40)
    assert len({event.event_id for event in events}) == 1
    last = events[-1]
    assert last.merged_track_ids == tuple(range(last.human.track_id - 256, last.human.track_id))
    assert len(events[20].merged_track_ids) < 256


def count_updates(change, settings):
    """Return how many events follow the start when the person moves or the score changes at 4 s."""
    shift, score = change

    def rows_at(pts):
        return [(1, moved(HUMAN, shift), 2, OBJECT, RIDE, score) if pts >= 4 else (1, HUMAN, 2, OBJECT, RIDE, 0.8)]

    return len(of_phase(handed_over(rows_at, settings=settings, seconds=6), UPDATED))


@pytest.mark.parametrize(
    ("change", "is_updated"),
    [((0, 0.8), False), ((0.05 * WIDTH, 0.8), False), ((0.07 * WIDTH, 0.8), True), ((0, 0.75), False), ((0, 0.65), True)],
)
def test_an_update_needs_a_change_beyond_its_tolerance(change, is_updated):
    settings = EpisodeSettings(update_interval_seconds=2, score_tolerance=0.1, box_tolerance=0.0625)
    before = count_updates((0, 0.8), settings)
    assert (count_updates(change, settings) > before) is is_updated


def test_an_update_comes_when_the_interval_has_passed_and_not_before():
    settings = EpisodeSettings(update_interval_seconds=1, box_tolerance=0)
    events = handed_over(lambda pts: [(1, moved(HUMAN, 10 * pts), 2, OBJECT, RIDE, 0.8)], settings=settings, seconds=5)
    at = [event.last.pts_seconds for event in events]
    assert [b - a for a, b in pairwise(at)] == [1.0] * (len(at) - 1)
    assert len(at) > 3


@pytest.mark.parametrize(("leave", "evidence"), [(0.5, 0.5), (0.5, 0.4375)])
def test_a_score_of_at_least_leave_is_evidence(leave, evidence):
    settings = EpisodeSettings(enter=leave, leave=leave, min_duration_seconds=0)
    events = handed_over(lambda pts: [(1, HUMAN, 2, OBJECT, RIDE, 1.0 if pts < 1 else evidence)], settings=settings, seconds=5)
    assert (phases(events)[-1] is ENDED) is (evidence < leave)
    if evidence < leave:
        assert events[-1].end.pts_seconds == 0.875
        assert events[-1].score.peak > 0.9
        assert events[-1].score.mean == 1.0


@pytest.mark.parametrize(("min_duration", "last"), [(0.0, 0.5), (0.25, 0.75), (0.26, 0.875)])
def test_an_episode_starts_when_the_score_has_been_high_for_the_least_duration(min_duration, last):
    settings = EpisodeSettings(min_duration_seconds=min_duration)
    events = handed_over(lambda pts: [(1, HUMAN, 2, OBJECT, RIDE, 0.8)], settings=settings, seconds=2)
    assert events[0].last.pts_seconds == last  # smoothed: 0.59 at 0.375 s, 0.65 at 0.5 s


@pytest.mark.parametrize(("max_duration", "duration"), [(2.0, 2.0), (2.01, 2.125)])
def test_an_episode_ends_at_its_largest_duration_exactly(max_duration, duration):
    settings = EpisodeSettings(max_duration_seconds=max_duration)
    events = handed_over(lambda pts: [(1, HUMAN, 2, OBJECT, RIDE, 0.8)], settings=settings, seconds=3)
    (ended,) = of_phase(events, ENDED)
    assert (ended.end_reason, ended.duration_seconds) == (EndReason.MAX_DURATION, duration)


@pytest.mark.parametrize(("cooldown", "last"), [(1.0, 3.0), (1.01, 3.125)])
def test_a_cooldown_is_over_exactly_when_its_time_has_passed(cooldown, last):
    settings = EpisodeSettings(max_duration_seconds=2, cooldown_seconds=cooldown)
    events = handed_over(lambda pts: [(1, HUMAN, 2, OBJECT, RIDE, 0.8)], settings=settings, seconds=4)
    assert of_phase(events, STARTED)[1].last.pts_seconds == last


def score_after(weight, is_corrupt, other, seconds=0.5):
    """Return the smoothed score when a pair is detected with a score of 0.8 for 4 s, then `seconds` with `other` rows, then once more."""
    settings = EpisodeSettings(update_interval_seconds=0, score_tolerance=0, missed_weight=weight)
    keeper, last = make_keeper(settings), None
    for pts in times(8, 4 + seconds + 0.125):
        frame = make_frame(pts, is_corrupt=is_corrupt and 4 <= pts < 4 + seconds)
        rows = other if 4 <= pts < 4 + seconds else [(1, HUMAN, 2, OBJECT, RIDE, 0.8)]
        for event in keeper.update(frame, hand_made(frame, rows)):
            last = event
    return last.score.now


ALONE = [(1, HUMAN, 5, FAR_OBJECT, RIDE, 0.2)]  # the person, with another object
BOTH_IDLE = [(1, HUMAN, 2, OBJECT, NO_INTERACTION, 0.9)]


@pytest.mark.parametrize(
    ("weight", "is_corrupt", "other", "counts"),
    [
        (0.1, False, [], 0.1),
        (0.1, False, ALONE, 0.1),
        (0.1, True, BOTH_IDLE, 0.1),
        (0.1, False, BOTH_IDLE, 1.0),
        (0.25, False, [], 0.25),
        (0.0, False, [], 0.0),
        (1.0, False, [], 1.0),
    ],
)
def test_a_frame_without_the_pair_weighs_less_than_one_with_the_pair_but_without_the_interaction(weight, is_corrupt, other, counts):
    before = 0.8 * -np.expm1(-3.875 / 0.3) * np.exp(-counts * 0.5 / 0.3)
    assert score_after(weight, is_corrupt, other) == pytest.approx(before + -np.expm1(-0.125 / 0.3) * (0.8 - before))


@pytest.mark.parametrize(("every", "is_started"), [(3, True), (5, False)])
def test_an_episode_starts_though_two_of_three_frames_miss_the_pair(every, is_started):
    settings = EpisodeSettings(enter=0.6)
    events = handed_over(lambda pts: RIDING_PAIR if round(pts * 8) % every == 0 else [], settings=settings)
    assert bool(events) is is_started  # a score of 0.8 in one of three frames is smoothed to 0.67, in one of five to 0.57


def test_an_episode_ends_although_single_frames_with_evidence_recur():
    """After 3 s the pair is still detected, and a quarter of the frames has evidence: smoothed, that is far below `leave`."""

    def rows_at(pts):
        return RIDING_PAIR if pts < 3 or round(pts * 8) % 4 == 0 else BOTH_IDLE

    (ended,) = of_phase(handed_over(rows_at, seconds=7), ENDED)
    assert 4 < ended.end.pts_seconds < 5


@pytest.mark.parametrize(("patience", "ended_at"), [(1.0, 3.125), (1.01, 3.25)])
def test_an_episode_ends_when_there_was_no_evidence_for_patience(patience, ended_at):
    """The first frame without evidence is at 2.125 s."""
    keeper = make_keeper(EpisodeSettings(patience_seconds=patience))
    for pts in times(8, 6):
        frame = make_frame(pts)
        events = keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.8)] if pts <= 2 else []))
        if phases(events) == [ENDED]:
            assert pts == ended_at
            assert (events[0].end.pts_seconds, events[0].frames_seen, events[0].frames_missed) == (2.0, 17, 0)
            return
    raise AssertionError


def test_at_a_tie_within_an_exclusive_group_the_started_verb_stays():
    settings = EpisodeSettings(exclusive_groups=(("hold", "drink_with"),))

    def rows_at(pts):
        first, second = (HOLD, DRINK) if pts < 2 else (DRINK, HOLD)  # of equal scores, in either order
        return [(1, HUMAN, 2, OBJECT, first, 0.75), (1, HUMAN, 2, OBJECT, second, 0.75)]

    events = [event for event in handed_over(rows_at, settings=settings, seconds=5) if event.phase is not UPDATED]
    assert [(event.verb, event.phase) for event in events] == [("hold", STARTED)]


def test_an_episode_is_not_low_while_its_score_equals_leave():
    """The time constant is so short that the smoothed score is the score. Evidence ends before 1 s; patience counts from then on."""
    settings = EpisodeSettings(smoothing_seconds=1e-3, leave=0.5, enter=0.5, min_duration_seconds=0, patience_seconds=0.25)
    keeper, emitted = make_keeper(settings), []
    for pts in times(8, 3):
        frame = make_frame(pts)
        events = keeper.update(frame, hand_made(frame, [(1, HUMAN, 2, OBJECT, RIDE, 0.5)] if pts < 1 else []))
        emitted += [(event.phase, pts) for event in events]
    assert emitted == [(STARTED, 0.125), (ENDED, 1.25)]


def test_a_person_far_away_does_not_continue_an_episode_by_its_object_alone():
    def rows_at(pts):
        human = (1, HUMAN) if pts < 2 else (3, FAR_HUMAN)
        return [(*human, 2, OBJECT, RIDE, 0.8)] if pts <= 2 else []

    (ended,) = of_phase(handed_over(rows_at, seconds=6), ENDED)
    assert (ended.human.track_id, ended.merged_track_ids) == (1, ())


def test_current_describes_the_open_episodes_as_of_the_newest_frame_and_emits_nothing():
    pipeline = EventPipeline()
    assert play(riding((0, 9)), times(10, 0.4), pipeline) == []
    assert pipeline.keeper.current() == []
    (started,) = play(riding((0, 9)), times(10, 1), pipeline)
    (current,) = pipeline.keeper.current()
    assert (current.event_id, current.phase, current.sequence) == (started.event_id, UPDATED, 1)
    assert current.last.pts_seconds == 0.9 > started.last.pts_seconds
    assert pipeline.keeper.current() == [current]
    assert [event.sequence for event in pipeline.keeper.close(EndReason.SHUTDOWN)] == [1]
    assert pipeline.keeper.current() == []
