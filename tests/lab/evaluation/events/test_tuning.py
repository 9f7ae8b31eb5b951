import pytest
import yaml
from known_videos import BEN, HIS, episode, make_events, make_truth

from edge_hoi.config import parse_config
from edge_hoi.errors import DatasetError
from edge_hoi.lab.evaluation.events import predicted_episodes, score_events
from edge_hoi.lab.evaluation.events.tuning import Counts, Thresholds, choose_thresholds, count, cross_validate, plot_thresholds

TRIED = (0.4, 0.6, 0.8)
RIDE = (Counts(10, 10, 12), Counts(10, 9, 9), Counts(10, 4, 4))
HOLD = (Counts(10, 9, 30), Counts(10, 8, 20), Counts(10, 8, 9))
RARE = (Counts(1, 1, 1), Counts(1, 1, 2), Counts(1, 1, 1))
NEVER = (Counts(2, 0, 5), Counts(2, 0, 3), Counts(2, 0, 2))


def tables(**columns):
    return [{name.replace("_", " "): column[index] for name, column in columns.items()} for index in range(len(TRIED))]


def test_counts_give_precision_recall_and_f1():
    counts = Counts(4, 3, 6) + Counts(4, 1, 2)
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 0.5, 0.5)
    assert (Counts().precision, Counts().recall, Counts().f1) == (1, 1, 0)


def test_an_interaction_gets_an_exception_only_where_it_gains_enough():
    """All together have F1 of 40/65, 36/54 and 26/36; at 0.72, riding gains 3.5 at 0.6 against 0.8, and the rare one nothing."""
    chosen = choose_thresholds(tables(ride_bicycle=RIDE, hold_cup=HOLD, wear_hat=RARE))
    assert chosen == Thresholds(2, {"ride bicycle": 1})
    assert chosen.count(tables(ride_bicycle=RIDE, hold_cup=HOLD, wear_hat=RARE)) == Counts(21, 18, 19)


def test_a_wanted_precision_takes_the_largest_recall_that_has_it_and_disables_what_never_does():
    columns = tables(ride_bicycle=RIDE, hold_cup=HOLD, kick_ball=NEVER)
    chosen = choose_thresholds(columns, min_precision=0.8)
    assert chosen == Thresholds(2, {"ride bicycle": 0, "kick ball": None})
    assert chosen.count(columns) == Counts(22, 18, 21)
    assert choose_thresholds(columns, min_precision=0.85).exceptions["ride bicycle"] == 1


def test_chosen_thresholds_are_a_configuration():
    chosen = Thresholds(2, {"ride bicycle": 1, "kick ball": None})
    episodes = parse_config(yaml.safe_load(yaml.safe_dump({"episodes": chosen.to_settings(TRIED)})), origin="test").episodes
    levels = [(each.enter, each.leave) for each in (episodes, episodes.of_interaction("ride", "bicycle"))]
    assert levels == [(0.8, 0.68), (0.6, 0.51)]
    assert not episodes.of_interaction("kick", "ball").enabled


def test_no_threshold_that_finds_anything_is_an_error():
    with pytest.raises(DatasetError, match="no threshold finds any episode"):
        choose_thresholds(tables(kick_ball=NEVER))


def scored(video, *, low, high):
    """Score a video of one true episode, which the low threshold and the high one find or not; the low one adds a false episode."""
    truth = make_truth(episode(start=10, end=20))
    right, wrong = make_events(start=10, end=20, camera=video), make_events(BEN, HIS, start=40, end=50, camera=video)
    found = [(right if low else []) + wrong, right if high else []]
    return [score_events(truth, predicted_episodes(each), name=video) for each in found]


def test_cross_validation_counts_each_video_with_the_thresholds_of_the_others():
    videos = [scored("a", low=True, high=True), scored("b", low=True, high=True), scored("c", low=True, high=False)]
    assert [count([each]) for each in videos[0]] == [{"ride bicycle": Counts(1, 1, 2)}, {"ride bicycle": Counts(1, 1, 1)}]
    # Without c, and without a or b, the high threshold is best; c has its episode at the low one only.
    assert cross_validate(videos, folds=3) == Counts(3, 2, 2)


def test_the_plot_is_an_image(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "thresholds.png"
    columns = tables(ride_bicycle=RIDE, hold_cup=HOLD, kick_ball=NEVER)
    plot_thresholds(columns, TRIED, choose_thresholds(columns, min_precision=0.8), path)
    assert path.read_bytes().startswith(b"\x89PNG")
