"""An hour of detections through tracker and episodes, and the same minutes at several frame rates."""

from collections import Counter

import numpy as np
import pytest
from scripted import HEIGHT, HOLD, RIDE, WIDTH, EventPipeline, make_frame, moved

from edge_hoi.types import EndReason, Phase

RIDER, BICYCLE = (20.0, 100.0, 80.0, 300.0), (10.0, 220.0, 110.0, 320.0)
HOLDER, CUP = (20.0, 100.0, 90.0, 300.0), (70.0, 180.0, 90.0, 205.0)
PLACES = (0.0, 160.0, 320.0, 480.0)
MISSED, JITTER = 0.1, 1.5  # share of the detections, pixels
COLOURS = ((200, 40, 40), (40, 40, 200), (40, 160, 40), (220, 200, 40))
IMAGE = np.repeat(np.array([COLOURS], np.uint8).repeat(HEIGHT, axis=0), WIDTH // len(PLACES), axis=1)
"""What is at each place has a colour of its own, as people in different clothes have."""


def true_episodes(seconds, seed):
    """Return (start, end, place, HOI) of episodes of 2 to 12 s at four places, 3 to 8 s apart at each."""
    rng, episodes = np.random.default_rng(seed), []
    for place in range(len(PLACES)):
        start = rng.uniform(0, 5)
        while (end := start + rng.uniform(2, 12)) < seconds:
            episodes.append((start, end, place, int(rng.choice([RIDE, HOLD]))))
            start = end + rng.uniform(3, 8)
    return sorted(episodes)


def observe(episodes, fps, seconds, seed):
    """Return the events of detections of the episodes, of which some are missed."""
    rng, pipeline, events = np.random.default_rng(seed), EventPipeline(), []
    current, waiting = [], list(reversed(episodes))
    for index in range(round(fps * seconds)):
        pts = index / fps
        while waiting and waiting[-1][0] <= pts:
            current.append(waiting.pop())
        current, rows = [each for each in current if each[1] > pts], []
        for _, _, place, hoi in current:
            boxes = (RIDER, BICYCLE) if hoi == RIDE else (HOLDER, CUP)
            if rng.random() >= MISSED:
                human, other = (tuple(np.array(moved(box, PLACES[place])) + rng.normal(0, JITTER, 4)) for box in boxes)
                rows.append((human, other, hoi, float(rng.uniform(0.7, 0.95))))
        events += pipeline.update(make_frame(pts, index=index, image=IMAGE), rows)
    return events + pipeline.keeper.close(EndReason.END_OF_STREAM)


def count_outcomes(episodes, events):
    """Count true episodes by how many emitted ones overlap them, and emitted ones that overlap none ("false")."""
    outcomes, found = Counter(), Counter()
    for event in (event for event in events if event.phase is Phase.ENDED):
        overlapping = [
            number
            for number, (start, end, place, hoi) in enumerate(episodes)
            if hoi == event.hoi_id
            and abs(event.human.box[0] * WIDTH - PLACES[place] - 20) < 60
            and min(end, event.end.pts_seconds) > max(start, event.start.pts_seconds)
        ]
        outcomes["false"] += not overlapping
        outcomes["joined"] += len(overlapping) > 1
        found.update(overlapping)
    outcomes.update(("missed", "found", "duplicate")[min(found[number], 2)] for number in range(len(episodes)))
    return outcomes


@pytest.mark.slow
def test_an_hour_has_every_episode_once_and_no_other():
    episodes = true_episodes(3600, seed=1)
    outcomes = count_outcomes(episodes, observe(episodes, 5, 3600, seed=2))
    assert len(episodes) > 1000
    assert (outcomes["duplicate"], outcomes["false"], outcomes["joined"]) == (0, 0, 0)
    assert outcomes["found"] == len(episodes)


@pytest.mark.slow
def test_f1_differs_by_at_most_0_03_between_5_and_30_frames_a_second():
    episodes = true_episodes(60, seed=3)
    f1 = {}
    for fps in (5, 10, 15, 30):
        outcomes = count_outcomes(episodes, observe(episodes, fps, 60, seed=4))
        found, emitted = outcomes["found"], outcomes["found"] + 2 * outcomes["duplicate"] + outcomes["false"]
        f1[fps] = 2 * found / (len(episodes) + emitted)
    assert min(f1.values()) >= 0.9
    assert max(f1.values()) - min(f1.values()) <= 0.03
