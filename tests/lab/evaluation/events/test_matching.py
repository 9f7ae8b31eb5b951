"""What a predicted episode turns out to be, on cases small enough to be score by hand."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from known_videos import ANNA, BEN, BOXES, CUP, HERS, HIS, as_predicted, episode, make_events, make_truth, still

from edge_hoi.lab.datasets.truth import TruthTrack
from edge_hoi.lab.evaluation.events import Outcome, event_results, predicted_episodes, score_events


def score(truth, *predictions, **options):
    return score_events(truth, predicted_episodes([event for each in predictions for event in each]), name="street", **options)


def outcomes(video):
    return [str(each.outcome) for each in video.predictions]


def metrics(truth, *predictions, **options):
    return event_results([score(truth, *predictions, **options)]).overall


def counts(overall):
    return overall.ground_truth, overall.predicted, overall.found


def shifted(box, pixels):
    return tuple((np.array(box) + np.array([pixels, 0, pixels, 0])).tolist())


def test_exact_predictions_have_perfect_metrics():
    overall = metrics(make_truth(episode()), as_predicted(episode()))
    assert counts(overall) == (1, 1, 1)
    assert (overall.precision, overall.recall, overall.f1, overall.temporal_iou) == (1, 1, 1, 1)
    assert (overall.start_delay.median, overall.end_delay.median) == (0, 0)
    assert overall.emit_delay.median == 0.5
    assert (overall.fragmentation, overall.missed_with_fragments, overall.duplicates, overall.id_switches) == (1, 0, 0, 0)


def test_a_shifted_episode_is_found_late():
    overall = metrics(make_truth(episode(start=10, end=20)), make_events(start=12, end=22, emitted=13.5))
    assert counts(overall) == (1, 1, 1)
    assert overall.temporal_iou == pytest.approx(8 / 12)
    assert overall.start_delay.median == pytest.approx(2)
    assert overall.emit_delay.median == pytest.approx(3.5)
    assert overall.end_delay.median == pytest.approx(2)


@pytest.mark.parametrize(("end", "is_found"), [(15.0, True), (14.9, False)])  # IoU 5 / 10, and 4.9 / 10
def test_a_match_needs_half_of_the_time(end, is_found):
    overall = metrics(make_truth(episode(start=10, end=20)), make_events(start=10, end=end))
    assert overall.found == is_found


def test_an_episode_in_two_unequal_fragments_is_found_and_fragmented():
    video = score(make_truth(episode(start=10, end=20)), make_events(start=10, end=16), make_events(start=17, end=20))
    assert outcomes(video) == ["match", "fragment"]
    overall = event_results([video]).overall
    assert counts(overall) == (1, 2, 1)
    assert (overall.precision, overall.recall, overall.fragmentation, overall.duplicates) == (0.5, 1, 2, 0)
    assert overall.f1 == pytest.approx(2 / 3)


def test_an_episode_in_fragments_too_small_to_match_is_missed_with_fragments():
    overall = metrics(make_truth(episode(start=10, end=20)), *(make_events(start=at, end=at + 3) for at in (10, 13.5, 17)))
    assert counts(overall) == (1, 3, 0)
    assert overall.missed_with_fragments == 1
    assert np.isnan(overall.fragmentation)
    assert np.isnan(overall.start_delay.median)


def test_the_same_episode_predicted_twice_is_a_duplicate():
    video = score(make_truth(episode(start=10, end=20)), make_events(), make_events(start=11, end=19))
    assert outcomes(video) == ["match", "duplicate"]
    results = event_results([video])
    assert results.overall.duplicates == 1
    assert results.duplicates_per_hour == 60  # one in a minute
    assert results.overall.precision == 0.5
    assert results.overall.fragmentation == 2


def test_a_duplicate_of_a_fragment_is_a_duplicate():
    parts = [make_events(start=10, end=14), make_events(start=10.5, end=13.5), make_events(start=15, end=18)]
    assert sorted(outcomes(score(make_truth(episode(start=10, end=20)), *parts))) == ["duplicate", "fragment", "fragment"]


def test_an_event_delivered_twice_counts_once():
    events = make_events(updates=[12.0])
    assert counts(metrics(make_truth(episode()), events, events)) == (1, 1, 1)


def test_the_wrong_object_is_not_found():
    video = score(make_truth(episode(item=HERS)), make_events(item=HIS))
    assert outcomes(video) == ["false"]
    assert event_results([video]).overall.recall == 0


def test_another_category_of_object_is_another_interaction():
    results = event_results([score(make_truth(episode(verb="hold", item=CUP)), make_events(verb="hold", item=HERS))])
    assert counts(results.by_verb["hold"]) == (1, 1, 0)
    assert counts(results.by_hoi["hold cup"]) == (1, 0, 0)
    assert counts(results.by_hoi["hold bicycle"]) == (0, 1, 0)
    assert np.isnan(results.by_hoi["hold cup"].precision)
    assert np.isnan(results.by_hoi["hold bicycle"].recall)


def test_no_predictions_miss_everything_and_no_ground_truth_leaves_nothing_to_miss():
    overall = metrics(make_truth(episode()))
    assert counts(overall) == (1, 0, 0)
    assert (overall.recall, overall.f1) == (0, 0)
    assert np.isnan(overall.precision)
    overall = metrics(make_truth())
    assert counts(overall) == (0, 0, 0)
    assert np.isnan(overall.f1)


def test_an_interaction_without_object_needs_the_person_only():
    overall = metrics(make_truth(episode(item=None, verb="smile")), make_events(item=None, verb="smile"))
    assert counts(overall) == (1, 1, 1)


def test_swapped_people_are_two_misses_and_two_false_predictions():
    truth = make_truth(episode(ANNA, HERS), episode(BEN, HIS))
    assert outcomes(score(truth, make_events(BEN, HERS), make_events(ANNA, HIS))) == ["false", "false"]


def test_a_track_that_goes_over_to_another_person_is_a_switch_and_loses_the_match():
    def swaps(seconds):
        return ANNA if seconds < 12 else BEN

    video = score(make_truth(episode()), make_events(swaps, emitted=10.5, updates=[12, 14, 16, 18]))
    assert outcomes(video) == ["false"]  # the boxes of one of six events are right
    assert event_results([video]).overall.id_switches == 1


def test_a_late_switch_leaves_the_match_and_is_counted():
    def swaps(seconds):
        return ANNA if seconds < 17 else BEN

    video = score(make_truth(episode()), make_events(swaps, emitted=10.5, updates=[12, 14, 16, 18]))
    assert outcomes(video) == ["match"]
    assert event_results([video]).overall.id_switches == 1


def test_person_and_object_that_both_change_are_two_switches():
    def person(seconds):
        return ANNA if seconds < 17 else BEN

    def bicycle(seconds):
        return HERS if seconds < 17 else HIS

    assert metrics(make_truth(episode()), make_events(person, bicycle, updates=[12, 14, 16])).id_switches == 2


def test_an_identity_is_kept_while_its_box_still_overlaps_enough():
    # Closer to Ben's box than to Anna's once, but not off Anna's: people who cross.
    near_ben = shifted(BOXES[ANNA], 8)
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 10))}

    def wanders(seconds):
        return near_ben if seconds == 14 else ANNA

    assert metrics(make_truth(episode(), tracks=tracks), make_events(wanders, updates=[12, 14, 16])).id_switches == 0


def test_boxes_are_compared_where_the_true_ones_are_at_that_time():
    walk = np.array([BOXES[ANNA]], np.float32) + np.arange(600)[:, None] * np.array([0.2, 0, 0.2, 0], np.float32)
    truth = make_truth(episode(item=None, verb="walk"), tracks={ANNA: TruthTrack("person", np.arange(600), walk)})

    def follows(seconds):
        return tuple(walk[round(seconds * 10)].tolist())

    def stands(_seconds):
        return BOXES[ANNA]

    assert outcomes(score(truth, make_events(follows, None, "walk", updates=[12, 14, 16]))) == ["match"]
    assert outcomes(score(truth, make_events(stands, None, "walk", updates=[12, 14, 16]))) == ["false"]


def test_boxes_are_not_compared_where_a_person_is_occluded():
    frames = np.concatenate([np.arange(0, 120), np.arange(180, 600)])  # occluded from 12 s to 18 s
    truth = make_truth(episode(), tracks={ANNA: still("person", BOXES[ANNA], frames)})

    def guesses(seconds):
        return BEN if 13 <= seconds <= 17 else ANNA

    assert outcomes(score(truth, make_events(guesses, updates=[13, 15, 17]))) == ["match"]
    before = make_truth(episode(), tracks={ANNA: still("person", BOXES[ANNA], range(5))})
    assert outcomes(score(before, make_events())) == ["false"]


@pytest.mark.parametrize("unlabelled", [(ANNA,), (HERS,), (ANNA, HERS)], ids=str)
def test_a_track_that_was_labelled_without_boxes_matches_any_box(unlabelled):
    truth = make_truth(episode(), tracks={name: still("person" if name == ANNA else "bicycle", BOXES[name], ()) for name in unlabelled})
    video = score_events(truth, predicted_episodes(make_events()), name="street")
    assert event_results([video]).overall.f1 == 1
    elsewhere = predicted_episodes(make_events(human=BEN, item=HIS))
    assert event_results([score_events(truth, elsewhere, name="street")]).overall.found == (len(unlabelled) == 2)


def test_the_number_of_matches_is_maximal():
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 8))}
    truth = make_truth(episode(ANNA, None, "smile"), episode(BEN, None, "smile", end=15.5), tracks=tracks)
    # The first overlaps Anna most (0.82 all the time), then Ben (0.54 for 0.55 of it); the second Anna (0.67 for 0.55 of it), not Ben.
    first, second = make_events(shifted(BOXES[ANNA], 2), None, "smile"), make_events(shifted(BOXES[ANNA], -4), None, "smile", end=15.5)
    assert outcomes(score(truth, first, second)) == ["match", "match"]
    assert outcomes(score(truth, first)) == ["match"]
    assert [each.match is not None for each in score(truth, first).truths] == [False, True]


@pytest.mark.parametrize(("start", "outcome"), [(18.0, "fragment"), (18.2, "false")])  # 2 s of 4 s, and 1.8 s of 3.8 s
def test_a_fragment_lies_within_by_half_at_least(start, outcome):
    assert outcomes(score(make_truth(episode(start=10, end=20)), make_events(start=start, end=22))) == [outcome]


@pytest.mark.parametrize(("start", "outcome"), [(13.0, "duplicate"), (13.2, "fragment")])  # overlaps for 3 s of 6 s, and 2.8 s of 5.8 s
def test_a_duplicate_overlaps_by_half_at_least(start, outcome):
    video = score(make_truth(episode(start=10, end=20)), make_events(start=10, end=16), make_events(start=start, end=19))
    assert outcomes(video)[1:] == [outcome]


def test_episodes_of_one_pair_that_touch_or_overlap_are_one():
    truth = make_truth(episode(start=10, end=15, difficulties=["crossing"]), episode(start=15.05, end=18), episode(start=17, end=20))
    video = score(truth, make_events(start=10, end=20))
    (only,) = video.truths
    assert (only.episode.start, only.episode.end, only.episode.difficulties) == (10, 20, ("crossing",))
    assert only.temporal_iou == 1


def test_episodes_of_two_pairs_at_the_same_time_stay_two():
    truth = make_truth(episode(ANNA, HERS), episode(BEN, HIS))
    assert counts(metrics(truth, make_events(ANNA, HERS), make_events(BEN, HIS))) == (2, 2, 2)
    assert counts(metrics(truth, make_events(ANNA, HERS))) == (2, 1, 1)


def test_an_episode_with_a_pause_stays_two():
    truth = make_truth(episode(start=10, end=14), episode(start=16, end=20))
    assert counts(metrics(truth, make_events(start=10, end=14), make_events(start=16, end=20))) == (2, 2, 2)
    assert counts(metrics(truth, make_events(start=10, end=20))) == (2, 1, 0)  # IoU 4 / 10 with either


def test_short_episodes_are_ignored_whether_found_or_not():
    truth = make_truth(episode(start=10, end=20), episode(BEN, HIS, start=30, end=30.8))
    for predictions in ([], [make_events(BEN, HIS, start=30, end=30.7)], [make_events(BEN, HIS, start=30.2, end=30.4)]):
        results = event_results([score(truth, make_events(), *predictions, min_seconds=1)])
        assert counts(results.overall) == (1, 1, 1)
        assert results.ignored == len(predictions)
    assert counts(metrics(truth, make_events(), make_events(BEN, HIS, start=30, end=30.7))) == (2, 2, 2)
    assert counts(metrics(truth, make_events(), make_events(BEN, HIS, start=30, end=35), min_seconds=1)) == (1, 2, 1)  # far too long


def test_verbs_that_were_not_annotated_are_ignored():
    predictions = [make_events(), make_events(verb="sit_on"), make_events(verb="hold", item=CUP)]
    results = event_results([score(make_truth(episode(), verbs=("ride", "hold")), *predictions)])
    assert counts(results.overall) == (1, 2, 1)
    assert results.ignored == 1
    assert list(results.by_verb) == ["hold", "ride"]
    assert counts(metrics(make_truth(episode()), *predictions)) == (1, 3, 1)


def test_an_episode_that_was_not_ended_has_no_end_delay():
    overall = metrics(make_truth(episode()), make_events(updates=[12, 14, 16, 18], ended=False))
    assert counts(overall) == (1, 1, 1)
    assert overall.temporal_iou == pytest.approx(0.8)
    assert np.isnan(overall.end_delay.median)
    assert overall.start_delay.median == 0


def test_an_episode_without_its_started_event_has_no_emit_delay():
    overall = metrics(make_truth(episode()), make_events(updates=[12, 14])[1:])
    assert counts(overall) == (1, 1, 1)
    assert np.isnan(overall.emit_delay.median)
    assert overall.start_delay.median == 0


def test_an_episode_of_no_length_matches_nothing():
    assert outcomes(score(make_truth(episode()), make_events(start=12, end=12))) == ["fragment"]
    assert outcomes(score(make_truth(episode()), make_events(start=32, end=32))) == ["false"]


def test_metrics_are_grouped_by_difficulty():
    truth = make_truth(
        episode(start=1, end=5),
        episode(start=10, end=15, difficulties=["crossing"]),
        episode(start=20, end=25, difficulties=["crossing", "dropout"]),
    )
    results = event_results([score(truth, make_events(start=1, end=5), make_events(start=10.5, end=15))])
    assert {name: (each.found, each.ground_truth) for name, each in results.by_difficulty.items()} == {
        "none": (1, 1),
        "crossing": (1, 2),
        "dropout": (0, 1),
    }
    assert results.by_difficulty["crossing"].start_delay.median == 0.5
    assert np.isnan(results.by_difficulty["crossing"].precision)


def test_delays_are_aggregated_over_all_videos():
    late = [0.1, 0.2, 0.3, 0.4, 2.0]
    scored = [score(make_truth(episode()), make_events(start=10 + each)) for each in late]
    results = event_results(scored)
    assert results.videos == 5
    assert results.seconds == 300
    assert results.overall.start_delay.median == pytest.approx(0.3)
    assert results.overall.start_delay.p95 == pytest.approx(0.4 + 0.8 * 1.6)  # four fifths of the way between the last two


@st.composite
def stories(draw):
    """Episodes of two people, some at the same time, none of the same pair closer than half a second."""
    episodes = []
    for human, item, verb in ((ANNA, HERS, "ride"), (BEN, HIS, "ride"), (ANNA, CUP, "hold"), (BEN, None, "smile")):
        at = 0.0
        for _ in range(draw(st.integers(0, 3))):
            start = at + draw(st.integers(5, 60)) / 10
            at = start + draw(st.integers(5, 120)) / 10
            if at <= 60:
                difficulties = draw(st.sets(st.sampled_from(["crossing", "occlusion", "dropout"])))
                episodes.append(episode(human, item, verb, round(start, 6), round(at, 6), sorted(difficulties)))
    return episodes


@given(story=stories())
def test_the_ground_truth_against_itself_is_perfect(story):
    video = score(make_truth(*story), *map(as_predicted, story))
    assert all(each.outcome is Outcome.MATCH for each in video.predictions)
    assert all(each.temporal_iou == 1 for each in video.truths)
    results = event_results([video])
    assert counts(results.overall) == (len(story), len(story), len(story))
    if story:
        for each in (results.overall, *results.by_verb.values(), *results.by_hoi.values()):
            assert (each.precision, each.recall, each.f1, each.fragmentation) == (1, 1, 1, 1)
    assert (results.overall.duplicates, results.overall.id_switches, results.overall.missed_with_fragments) == (0, 0, 0)


@st.composite
def predictions_near(draw):
    """Predictions near the ground truth and far from it."""
    spans = draw(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 150)), max_size=8))
    choices = [(ANNA, HERS, "ride"), (BEN, HIS, "ride"), (ANNA, CUP, "hold"), (BEN, None, "smile"), (BEN, HERS, "ride")]
    return [
        make_events(*draw(st.sampled_from(choices)), start / 10, (start + length) / 10, key=str(number))
        for number, (start, length) in enumerate(spans)
    ]


@given(story=stories(), predictions=predictions_near(), data=st.data(), min_seconds=st.sampled_from([0, 2.0]))
def test_the_order_of_episodes_and_of_events_does_not_matter(story, predictions, data, min_seconds):
    expected = score(make_truth(*story), *predictions, min_seconds=min_seconds)
    events = [event for each in predictions for event in each]
    shuffled = data.draw(st.permutations(events))
    again = score_events(
        make_truth(*data.draw(st.permutations(story))), predicted_episodes(shuffled), name="street", min_seconds=min_seconds
    )
    assert again == expected


@given(story=stories(), predictions=predictions_near())
def test_every_prediction_is_scored_once_and_the_counts_add_up(story, predictions):
    video = score(make_truth(*story), *predictions)
    assert sorted(each.episode.event_id for each in video.predictions) == sorted(each[0]["subject"] for each in predictions)
    results = event_results([video])
    assert results.overall.predicted == len(predictions)
    for parts in (results.by_verb, results.by_hoi):
        for name in ("ground_truth", "predicted", "found", "duplicates", "id_switches", "missed_with_fragments"):
            assert sum(getattr(each, name) for each in parts.values()) == getattr(results.overall, name)


def test_predictions_of_an_episode_that_is_not_required_are_ignored_whatever_they_are():
    truth = make_truth(episode(start=10, end=20), episode(BEN, HIS, start=30, end=31))
    exact, again, part = ((30, 31), (30.1, 30.9), (30.9, 31.0))
    video = score(
        truth, make_events(), *(make_events(BEN, HIS, start=start, end=end) for start, end in (exact, again, part)), min_seconds=2
    )
    required, short = video.truths
    assert (required.is_required, required.match is not None, required.temporal_iou) == (True, True, 1)
    assert (short.is_required, short.match, short.temporal_iou) == (False, None, 0)
    assert [str(each.outcome) for each in short.predictions] == ["ignored"] * 3
    overall = event_results([video]).overall
    assert counts(overall) == (1, 1, 1)
    assert (overall.duplicates, overall.fragmentation) == (0, 1)


@pytest.mark.parametrize(("min_seconds", "is_required"), [(10.0, True), (10.1, False)])
def test_an_episode_is_required_from_the_least_length_on(min_seconds, is_required):
    (only,) = score(make_truth(episode(start=10, end=20)), make_events(), min_seconds=min_seconds).truths
    assert only.is_required is is_required
    assert (only.match is not None) is is_required


def test_an_episode_that_is_not_required_takes_no_prediction_from_one_that_is():
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 1))}
    truth = make_truth(episode(ANNA, None, "smile", 10, 11), episode(BEN, None, "smile", 10, 12), tracks=tracks)
    video = score(truth, make_events(ANNA, None, "smile", 10, 11.1), min_seconds=2)
    assert [each.match is not None for each in video.truths] == [False, True]


def test_a_prediction_is_a_duplicate_of_any_other_and_not_only_of_the_match():
    parts = [(10, 15.5), (16, 18), (16.5, 17.5), (18.5, 20)]  # the match, a fragment, its duplicate, another fragment
    video = score(make_truth(episode(start=10, end=20)), *(make_events(start=start, end=end) for start, end in parts))
    (only,) = video.truths
    assert [(each.episode.start, str(each.outcome)) for each in only.predictions] == [
        *((10, "match"), (16, "fragment"), (16.5, "duplicate"), (18.5, "fragment")),
    ]


def test_the_match_comes_first_although_another_prediction_began_earlier():
    video = score(make_truth(episode(start=10, end=20)), make_events(start=9.9, end=11.5), make_events(start=10.5, end=20))
    (only,) = video.truths
    assert [(each.episode.start, str(each.outcome)) for each in only.predictions] == [(10.5, "match"), (9.9, "duplicate")]
    assert only.temporal_iou == pytest.approx(0.95)


def test_a_fragment_belongs_to_the_episode_whose_boxes_and_time_fit_best():
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 6))}
    truth = make_truth(episode(ANNA, None, "smile"), episode(BEN, None, "smile"), tracks=tracks)
    for box, expected in ((shifted(BOXES[ANNA], 1), ANNA), (shifted(BOXES[ANNA], 5), BEN)):
        video = score(truth, make_events(box, None, "smile", start=11, end=13))
        assert [each.episode.human for each in video.truths if each.predictions] == [expected]


@pytest.mark.parametrize(("pixels", "outcome"), [(10, "match"), (11, "false")])  # IoU of 10 / 30 and 9 / 31
def test_boxes_of_a_match_overlap_by_the_least_iou(pixels, outcome):
    truth = make_truth(episode(ANNA, None, "smile"))
    assert outcomes(score(truth, make_events(shifted(BOXES[ANNA], pixels), None, "smile"))) == [outcome]
    assert outcomes(score(truth, make_events(shifted(BOXES[ANNA], pixels), None, "smile", 11, 12))) == [
        outcome.replace("match", "fragment")
    ]


def test_of_two_predictions_the_better_one_is_the_match():
    for first, second in (((10, 18), (10, 19)), ((10, 19), (10, 18))):
        video = score(
            make_truth(episode(start=10, end=20)), make_events(start=first[0], end=first[1]), make_events(start=10, end=second[1])
        )
        assert video.truths[0].match.end == 19
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 4))}
    truth = make_truth(episode(ANNA, None, "smile"), episode(BEN, None, "smile"), tracks=tracks)
    near_ben, near_anna = (make_events(shifted(BOXES[ANNA], pixels), None, "smile") for pixels in (3, 1))
    video = score(truth, near_ben, near_anna)
    boxes = {each.episode.human: each.match.observations[0].human[0] * 200 for each in video.truths}
    assert boxes == pytest.approx({ANNA: 21, BEN: 23})


def test_one_pair_more_outweighs_a_better_overlap():
    truth = make_truth(episode(start=10, end=20), episode(start=20.5, end=30.5))
    # The long one fits the first by half, and the second by no more than that; the short one only the first, better.
    long, short = make_events(start=15.2, end=30.5), make_events(start=10, end=20)
    assert [each.match is not None for each in score(truth, long, short).truths] == [True, True]


@pytest.mark.parametrize(("start", "count"), [(15.1, 1), (15.2, 2)])
def test_episodes_a_frame_apart_are_joined_and_farther_ones_are_not(start, count):
    truth = make_truth(episode(start=10, end=15), episode(start=start, end=18))
    assert len(score(truth).truths) == count


def test_a_joined_episode_ends_with_the_later_one_and_names_each_difficulty_once():
    truth = make_truth(
        episode(start=10, end=20, difficulties=["crossing", "dropout"]), episode(start=12, end=15, difficulties=["dropout", "occlusion"])
    )
    (only,) = score(truth).truths
    assert (only.episode.start, only.episode.end) == (10, 20)
    assert only.episode.difficulties == ("crossing", "dropout", "occlusion")


def test_three_episodes_in_a_row_are_one_although_another_pair_lies_between():
    truth = make_truth(episode(start=10, end=12), episode(BEN, HIS, start=11, end=13), episode(start=12, end=14), episode(start=14, end=16))
    assert [(each.episode.human, each.episode.end) for each in score(truth).truths] == [(ANNA, 16), (BEN, 13)]


def test_the_length_of_the_video_and_its_name_are_passed_on():
    video = score(make_truth(episode()), make_events(), make_events(BEN, HIS, start=40, end=41))
    assert (video.name, video.seconds) == ("street", 60)
    assert [str(each.outcome) for each in video.predictions] == ["match", "false"]
    assert [str(each.outcome) for each in video.unassigned] == ["false"]


def test_predictions_are_compared_while_they_touch_the_episode_in_time():
    assert outcomes(score(make_truth(episode(start=10, end=20)), make_events(start=20, end=20))) == ["fragment"]
    assert outcomes(score(make_truth(episode(start=10, end=20)), make_events(start=10, end=10))) == ["fragment"]
    assert outcomes(score(make_truth(episode(start=10, end=20)), make_events(start=20.1, end=20.1))) == ["false"]


def test_a_match_belongs_to_its_episode_although_it_fits_another_better():
    tracks = {BEN: still("person", shifted(BOXES[ANNA], 8))}
    truth = make_truth(episode(ANNA, None, "smile"), episode(BEN, None, "smile"), tracks=tracks)
    both, first_only = make_events(shifted(BOXES[ANNA], 2), None, "smile", end=19), make_events(shifted(BOXES[ANNA], -4), None, "smile")
    video = score(truth, both, first_only)
    assert {each.episode.human: each.match.end for each in video.truths} == {ANNA: 20, BEN: 19}
    assert [[str(found.outcome) for found in each.predictions] for each in video.truths] == [["match"], ["match"]]
