"""Zones, lines and rules on the events of scripted episodes: exactly which events, in which order."""

from itertools import pairwise

import pytest
from scripted import HEIGHT, HUMAN, OBJECT, RIDE, VOCABULARY, WIDTH, at_noon, make_frame, make_interactions, make_keeper, moved, times

from edge_hoi.events import EpisodeSettings, EventLabeller, RuleKeeper, RuleSettings, ZoneKeeper
from edge_hoi.events.cloudevents import render
from edge_hoi.events.zones import LineSettings, ZoneSettings
from edge_hoi.tracking import Tracker
from edge_hoi.types import Direction, EndReason, Phase, Severity

STARTED, UPDATED, ENDED = Phase.STARTED, Phase.UPDATED, Phase.ENDED
YARD = {"yard": ZoneSettings(points=[(0.5, 0), (1, 0), (1, 1), (0.5, 1)])}
KERB = {"kerb": LineSettings(points=[(0.5, 1), (0.5, 0)])}
FOOT = ((HUMAN[0] + HUMAN[2]) / 2 / WIDTH, HUMAN[3] / HEIGHT)
QUIET = EpisodeSettings(update_interval_seconds=1000)
"""Nothing but the start and the end, and what the labels cause."""


class LabelledPipeline:
    """The tracker, the episodes and the labels of one camera."""

    def __init__(self, *rules, zones=None, lines=None, settings=QUIET, interval=2.0):
        self.tracker = Tracker()
        named = [RuleSettings(name=f"rule {number}", **rule) for number, rule in enumerate(rules)]
        self.keeper = EventLabeller(
            make_keeper(settings),
            ZoneKeeper(zones or {}, lines or {}),
            RuleKeeper(named, VOCABULARY, camera="camera"),
            update_interval_seconds=interval,
        )

    def ride(self, path, at):
        """Return the events of a ride whose foot point is at a share `path(pts)` of the width, or None where it is not seen."""
        events = []
        for pts in at:
            x = path(pts)
            rows = [] if x is None else [(*(moved(box, (x - FOOT[0]) * WIDTH) for box in (HUMAN, OBJECT)), RIDE, 0.9)]
            frame = make_frame(pts, captured_at=at_noon(pts))
            events += self.keeper.update(frame, self.tracker.update(frame, make_interactions(rows)))
        return events


def told(events):
    return [(event.sequence, event.phase, event.zones, event.entered_zones) for event in events]


def ramp(pts, begin, end, low=0.3, high=0.7):
    """Move evenly from `low` to `high` between two times."""
    return low + (high - low) * min(max((pts - begin) / (end - begin), 0), 1)


def test_a_ride_into_a_zone_and_out_again_tells_both_and_keeps_the_zone_as_entered():
    pipeline = LabelledPipeline(zones=YARD, interval=0.5)
    events = pipeline.ride(lambda pts: ramp(pts, 3, 5) if pts < 8 else ramp(pts, 8, 10, 0.7, 0.3), times(10, 14))
    events += pipeline.keeper.close(EndReason.END_OF_STREAM)
    assert told(events) == [
        (0, STARTED, (), ()),
        (1, UPDATED, ("yard",), ("yard",)),
        (2, UPDATED, (), ("yard",)),
        (3, ENDED, (), ("yard",)),
    ]


def test_a_ride_along_a_zone_s_border_with_jitter_tells_nothing_but_start_and_end():
    pipeline = LabelledPipeline(zones=YARD, interval=0.0)
    events = pipeline.ride(lambda pts: 0.494 + 0.005 * (-1) ** round(10 * pts), times(10, 20))
    events += pipeline.keeper.close(EndReason.END_OF_STREAM)
    assert told(events) == [(0, STARTED, (), ()), (1, ENDED, (), ())]


def test_changes_of_zones_are_told_no_more_often_than_the_update_interval_allows():
    pipeline = LabelledPipeline(zones={name: YARD["yard"].model_copy(update={"leave_seconds": 0.0}) for name in ("a", "b")}, interval=5.0)
    events = pipeline.ride(lambda pts: 0.35 + 0.15 * abs(pts % 4 - 2), times(10, 20))
    updates = [event.last.pts_seconds for event in events if event.phase is UPDATED]
    assert len(updates) >= 2
    assert min(after - before for before, after in pairwise(updates)) >= 5.0


def test_a_rule_that_matches_later_is_told_at_once_and_one_that_matches_at_the_start_with_it():
    pipeline = LabelledPipeline(
        {"interactions": ["ride *"]}, {"zones": ["yard"], "dwell_seconds": 2, "severity": "alert"}, zones=YARD, interval=100
    )
    events = pipeline.ride(lambda pts: ramp(pts, 3, 5), times(10, 12)) + pipeline.keeper.close(EndReason.SHUTDOWN)
    assert [(event.phase, event.rules, event.rule, event.severity) for event in events] == [
        (STARTED, ("rule 0",), "rule 0", Severity.INFO),
        (UPDATED, ("rule 0", "rule 1"), "rule 1", Severity.ALERT),
        (ENDED, ("rule 0", "rule 1"), "rule 1", Severity.ALERT),
    ]
    entered = events[1].last.pts_seconds - 2
    assert 4.0 <= entered <= 4.5  # the middle of the frame is reached at 4 s, and the zone entered 0.2 s later


@pytest.mark.parametrize("direction", ["to_right", "to_left"])
def test_a_line_crossed_back_and_forth_while_riding_makes_one_event_of_a_rule_for_one_direction(direction):
    pipeline = LabelledPipeline({"interactions": ["ride"], "line": {"name": "kerb", "direction": direction}}, lines=KERB, interval=1000)
    events = pipeline.ride(lambda pts: ramp(pts, 3, 5) if pts < 8 else ramp(pts, 8, 10, 0.7, 0.3), times(10, 14))
    events += pipeline.keeper.close(EndReason.SHUTDOWN)
    assert [(event.phase, event.rule) for event in events] == [(STARTED, None), (UPDATED, "rule 0"), (ENDED, "rule 0")]
    assert [crossing.direction for crossing in events[-1].crossings] == [Direction.TO_RIGHT, Direction.TO_LEFT]
    assert events[1].crossings == events[-1].crossings[: 1 if direction == "to_right" else 2]
    first, second = (crossing.at for crossing in events[-1].crossings)
    assert 4.0 < first.pts_seconds < 4.5
    assert 9.0 < second.pts_seconds < 9.5
    assert first.utc == at_noon(first.pts_seconds)


def test_a_crossing_before_the_episode_began_is_not_the_episode_s():
    pipeline = LabelledPipeline(lines=KERB, interval=0.0)
    for pts in times(10, 3):  # somebody walks across the line: no interaction, but a track
        frame = make_frame(pts)
        shift = (ramp(pts, 0, 2) - FOOT[0]) * WIDTH
        rows = [(moved(HUMAN, shift), moved(OBJECT, shift), 4, 0.9)]
        assert pipeline.keeper.update(frame, pipeline.tracker.update(frame, make_interactions(rows))) == []
    events = pipeline.ride(lambda pts: 0.7, [3 + pts for pts in times(10, 3)])
    assert [(event.phase, event.crossings) for event in events] == [(STARTED, ())]


def test_crossings_that_an_event_has_no_room_for_are_not_told_again():
    lines = {"kerb": KERB["kerb"], "rail": LineSettings(points=[(0.5, 1), (0.5, 0)], of="object")}
    pipeline = LabelledPipeline(lines=lines, interval=0.0)
    events = []
    for pts in times(10, 50):  # both cross 16 times, then the object 4 times, then nothing moves
        there_and_back = ramp(pts % 2, 0, 1) if pts % 2 < 1 else ramp(pts % 2, 1, 2, 0.7, 0.3)
        human_x, object_x = there_and_back if pts < 16 else 0.3, there_and_back if pts < 20 else 0.3
        boxes = (moved(box, (x - FOOT[0]) * WIDTH) for box, x in ((HUMAN, human_x), (OBJECT, object_x)))
        frame = make_frame(pts)
        events += pipeline.keeper.update(frame, pipeline.tracker.update(frame, make_interactions([(*boxes, RIDE, 0.9)])))
    assert [event.phase for event in events if event.last.pts_seconds > 21] == []
    crossings = events[-1].crossings
    assert [sum(each.line == line for each in crossings) for line in lines] == [14, 18]
    assert list(crossings) == sorted(crossings, key=lambda each: each.at.pts_seconds)


def test_dwell_counts_from_when_a_zone_was_entered_before_the_episode_was_believed():
    pipeline = LabelledPipeline({"zones": ["yard"], "dwell_seconds": 2}, zones=YARD, settings=EpisodeSettings(min_duration_seconds=1.5))
    events = pipeline.ride(lambda pts: ramp(pts, 0, 1, 0.4, 0.6), times(10, 6))  # in the yard from 0.5 s on, which is told 0.2 s later
    entered = min(event.last.pts_seconds for event in events if event.zones)
    (matched,) = (event.last.pts_seconds for event in events if event.rule and event.phase is UPDATED and event.sequence == 1)
    assert events[0].start.pts_seconds == 0
    assert entered > 1
    assert matched == pytest.approx(2.7, abs=0.11)


def test_current_describes_open_episodes_with_their_labels():
    pipeline = LabelledPipeline({"severity": "warning"}, zones=YARD)
    (started,) = pipeline.ride(lambda pts: 0.7, times(10, 3))
    (current,) = pipeline.keeper.current()
    assert (current.event_id, current.sequence, current.zones, current.rule) == (started.event_id, 1, ("yard",), "rule 0")


def test_two_runs_over_a_script_emit_equal_events_that_fit_the_schema(event_validator):
    def run():
        rules = {"zones": ["yard"], "dwell_seconds": 1, "severity": "alert"}, {"line": "kerb", "cooldown_seconds": 5}
        pipeline = LabelledPipeline(*rules, zones=YARD, lines=KERB, settings=EpisodeSettings())
        path = lambda pts: None if 6 < pts < 6.8 else 0.5 + 0.3 * ((-1) ** int(pts / 3))  # noqa: E731
        return pipeline.ride(path, times(10, 20)) + pipeline.keeper.close(EndReason.END_OF_STREAM)

    events = run()
    assert {event.rule for event in events} >= {"rule 0"}
    assert [render(event) for event in events] == [render(event) for event in run()]
    for event in events:
        event_validator.validate(render(event))
    by_episode = {event.event_id: [each.sequence for each in events if each.event_id == event.event_id] for event in events}
    assert all(sequences == list(range(len(sequences))) for sequences in by_episode.values())
