"""Metrics as tables, JSON and a plot."""

import json

import cv2
import pytest
from known_videos import BEN, CUP, HIS, episode, make_events, make_truth
from rich.console import Console

from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation.events import (
    episode_table,
    event_results,
    plot_timeline,
    predicted_episodes,
    result_tables,
    score_events,
    video_to_json,
)


@pytest.fixture
def video():
    """One found late, one missed with a fragment, one too short, one false prediction."""
    truth = make_truth(
        episode(start=10, end=20, difficulties=["crossing"]),
        episode(verb="hold", item=CUP, start=30, end=40),
        episode(BEN, HIS, start=50, end=50.5),
    )
    predictions = [
        make_events(start=10.25, end=20.5),
        make_events(verb="hold", item=CUP, start=31, end=34),
        make_events(BEN, HIS, start=1, end=4),
    ]
    episodes = predicted_episodes(event for each in predictions for event in each)
    return score_events(truth, episodes, name="street", min_seconds=1)


def show(*tables):
    console = Console(width=200, record=True)
    for table in tables:
        console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]


def test_every_ground_truth_episode_and_false_prediction_has_a_line(video):
    assert show(episode_table(video)) == [
        "Ground truth of street: 1 of 2 episodes found",
        "episode from to start delay emit delay end delay IoU",
        "ride bicycle 10.0 s 20.0 s +0.25 s +0.75 s +0.50 s 0.93 found",
        "hold cup 30.0 s 40.0 s - - - - missed, fragments only",
        "ride bicycle 50.0 s 50.5 s - - - - too short to count",
        "ride bicycle 1.0 s 4.0 s - - - - false",
    ]


def test_metrics_are_grouped_by_verb_interaction_and_difficulty(video):
    lines = show(*result_tables(event_results([video])))
    assert any("1 videos, 1.0 minutes, 0.0 duplicates an hour" in line for line in lines)
    assert "all 2 1 3 0.333 0.500 0.400 0.929 +0.25 / +0.25 +0.75 / +0.75 +0.50 / +0.50 1.00 1 0 0" in lines
    assert "hold 1 0 1 0.000 0.000 0.000 - - - - - 1 0 0" in lines
    assert "ride bicycle 1 1 2 0.500 1.000 0.667 0.929 +0.25 / +0.25 +0.75 / +0.75 +0.50 / +0.50 1.00 0 0 0" in lines
    assert "crossing 1 1 - - 1.000 - 0.929 +0.25 / +0.25 +0.75 / +0.75 +0.50 / +0.50 1.00 0 0 0" in lines


def test_json_has_null_for_nan(video):
    results = json.loads(json.dumps(event_results([video]).to_json(), allow_nan=False))
    assert results["overall"]["start_delay"] == {"median": 0.25, "p95": 0.25}
    assert results["by_difficulty"]["none"]["precision"] is None
    form = json.loads(json.dumps(video_to_json(video), allow_nan=False))
    assert [each["is_found"] for each in form["ground_truth"]] == [True, False, False]
    assert form["ground_truth"][1]["predictions"][0]["outcome"] == "fragment"
    assert [(each["verb"], each["outcome"]) for each in form["unassigned"]] == [("ride", "false")]


def test_a_timeline_is_plotted(video, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    plot_timeline([video, video], tmp_path / "timeline.png")
    image = cv2.imread(str(tmp_path / "timeline.png"))
    found_green = (image == [51, 136, 34]).all(axis=2) | (abs(image.astype(int) - [82, 154, 68]).max(axis=2) < 6)
    assert found_green.sum() > 2000
    assert found_green.any(axis=1).sum() > 20


def test_an_empty_timeline_and_an_unknown_suffix_are_refused(video, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra: pip install '.[train]'")
    with pytest.raises(ConfigError, match="neither ground-truth nor predicted episodes"):
        plot_timeline([score_events(make_truth(), [], name="street")], tmp_path / "timeline.png")
    with pytest.raises(ConfigError, match=r"suffix .png"):
        plot_timeline([video], tmp_path / "timeline.gif")
