"""Which episodes a rule matches, and when: patterns, zones, dwell, lines, schedules, scores and cooldowns."""

from dataclasses import replace
from datetime import datetime

import pytest
from pydantic import ValidationError
from scripted import HUMAN, OBJECT, RIDE, VOCABULARY, at_noon, play, times

from edge_hoi.compat import UTC
from edge_hoi.events.rules import RuleKeeper, RuleSettings, Schedule, matches, most_severe
from edge_hoi.types import ClockInfo, Crossing, Direction, Moment, Severity

(STARTED,) = play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))
CAMERA = ClockInfo("arrival", "estimated")


def event_at(pts, *, start=0.0, zones=(), score=0.8, event_id="a", clock=CAMERA, hoi_id=0, last=None):
    """Return an episode as of a media time, at which the person was seen last."""
    seen = pts if last is None else last
    return replace(
        STARTED,
        event_id=event_id,
        start=Moment(at_noon(start), start),
        last=Moment(at_noon(seen), seen),
        zones=zones,
        score=replace(STARTED.score, now=score),
        clock=clock,
        hoi_id=hoi_id,
    )


def keeper_of(*rules, camera="gate"):
    return RuleKeeper([RuleSettings(name=f"rule {number}", **rule) for number, rule in enumerate(rules)], VOCABULARY, camera=camera)


def matched_at(rule, events, crossings=()):
    """Return the times at which a rule matches the episode at the given times."""
    keeper = keeper_of(rule)
    return [pts for pts, event in events if keeper.update(event, [each for each in crossings if each.at.pts_seconds <= pts], pts)]


def crossing(pts, direction=Direction.TO_RIGHT, line="kerb"):
    return Crossing(line, direction, Moment(at_noon(pts), pts))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["ride bicycle", "hold cup", "drink_with cup", "hug person", "no_interaction bicycle", "smile nothing"]),
        ("ride bicycle", ["ride bicycle"]),
        ("ride", ["ride bicycle"]),
        ("ride *", ["ride bicycle"]),
        ("* cup", ["hold cup", "drink_with cup"]),
        ("h* *", ["hold cup", "hug person"]),
        ("hold bicycle", []),
        ("Ride", []),
    ],
)
def test_a_pattern_selects_interactions_by_verb_and_object(pattern, expected):
    found = [f"{VOCABULARY.verbs[hoi.verb_id]} {VOCABULARY.objects[hoi.object_id]}" for hoi in VOCABULARY.hois]
    assert [name for name, hoi in zip(found, VOCABULARY.hois, strict=True) if matches(pattern, VOCABULARY, hoi)] == expected


@pytest.mark.parametrize(("hoi_id", "expected"), [(0, [1.0]), (1, [])])
def test_a_rule_matches_its_interactions_only_and_each_episode_once(hoi_id, expected):
    events = [(pts, event_at(pts, hoi_id=hoi_id)) for pts in (1.0, 2.0, 3.0)]
    assert matched_at({"interactions": ["ride bicycle"]}, events) == expected


@pytest.mark.parametrize(("camera", "expected"), [("gate", 1), ("gate-2", 1), ("yard", 0)])
def test_a_rule_is_evaluated_for_its_cameras_only(camera, expected):
    assert len(keeper_of({"cameras": ["gate*"]}, camera=camera).update(event_at(1.0), [], 1.0)) == expected


def test_several_rules_match_one_episode_and_the_most_severe_names_it():
    keeper = keeper_of({}, {"severity": "warning"}, {"severity": "alert", "dwell_seconds": 2}, {"severity": "warning"})
    first = keeper.update(event_at(1.0), [], 1.0)
    later = keeper.update(event_at(2.0), [], 2.0)
    assert [rule.name for rule in first] == ["rule 0", "rule 1", "rule 3"]
    assert [rule.name for rule in later] == ["rule 2"]
    assert most_severe(first).name == "rule 1"
    assert most_severe(first + later).severity is Severity.ALERT
    assert most_severe([]) is None


@pytest.mark.parametrize(("score", "expected"), [(0.7, [1.0]), (0.699, [])])
def test_a_score_of_exactly_min_score_is_enough(score, expected):
    assert matched_at({"min_score": 0.7}, [(1.0, event_at(1.0, score=score))]) == expected


def test_a_rule_of_several_zones_matches_in_any_of_them():
    events = [(1.0, event_at(1.0)), (2.0, event_at(2.0, zones=("yard",))), (3.0, event_at(3.0, zones=("road", "gate")))]
    assert matched_at({"zones": ["gate", "kitchen"]}, events) == [3.0]


def test_dwell_counts_from_the_start_of_the_episode():
    assert matched_at({"dwell_seconds": 2}, [(pts, event_at(pts, start=0.5)) for pts in (1.0, 2.0, 2.4, 2.5, 3.0)]) == [2.5]


def test_dwell_counts_from_when_the_zone_was_entered_and_starts_again_when_it_is_left():
    inside = {1.0, 2.0, 4.0, 5.0, 6.0}
    events = [(pts, event_at(pts, zones=("kitchen",) if pts in inside else ())) for pts in map(float, range(9))]
    assert matched_at({"zones": ["kitchen"], "dwell_seconds": 2}, events) == [6.0]


def test_time_without_evidence_at_the_end_is_no_dwell():
    events = [(pts, event_at(pts, last=min(pts, 1.5))) for pts in (1.0, 2.0, 3.0)]
    assert matched_at({"dwell_seconds": 2}, events) == []


@pytest.mark.parametrize(
    ("direction", "expected"), [("to_right", [2.0]), ("to_left", [4.0]), ("any", [2.0])], ids=["to_right", "to_left", "any"]
)
def test_a_line_crossed_back_and_forth_matches_once_in_each_direction(direction, expected):
    crossings = [crossing(2.0), crossing(4.0, Direction.TO_LEFT), crossing(6.0), crossing(7.0, line="other")]
    events = [(pts, event_at(pts)) for pts in map(float, range(9))]
    assert matched_at({"line": {"name": "kerb", "direction": direction}}, events, crossings) == expected


def test_a_line_has_to_be_crossed_while_the_other_conditions_hold():
    events = [(pts, event_at(pts, zones=("yard",) if pts >= 3 else ())) for pts in map(float, range(9))]
    rule = {"line": "kerb", "zones": ["yard"]}
    assert matched_at(rule, events, [crossing(2.0)]) == []
    assert matched_at(rule, events, [crossing(2.0), crossing(5.0)]) == [5.0]


def test_a_line_has_to_be_crossed_after_the_dwell():
    events = [(pts, event_at(pts)) for pts in map(float, range(9))]
    assert matched_at({"line": "kerb", "dwell_seconds": 3}, events, [crossing(2.0), crossing(3.0)]) == [3.0]


def test_a_line_crossed_between_the_start_and_the_started_event_counts():
    assert matched_at({"line": "kerb"}, [(1.0, event_at(1.0, start=0.2))], [crossing(0.5)]) == [1.0]


@pytest.mark.parametrize(("second", "expected"), [(30.999, []), (31.0, ["rule 0"])])
def test_no_other_episode_matches_within_the_cooldown(second, expected):
    keeper = keeper_of({"cooldown_seconds": 30})
    assert keeper.update(event_at(1.0), [], 1.0)
    keeper.forget("a")
    assert [rule.name for rule in keeper.update(event_at(second, event_id="b"), [], second)] == expected


def test_an_episode_that_lasts_beyond_the_cooldown_matches_then():
    keeper = keeper_of({"cooldown_seconds": 30})
    assert keeper.update(event_at(1.0), [], 1.0)
    found = [pts for pts in (20.0, 30.0, 31.0, 32.0) if keeper.update(event_at(pts, event_id="b"), [], pts)]
    assert found == [31.0]


def test_a_line_crossed_within_the_cooldown_does_not_match_after_it():
    keeper = keeper_of({"line": "kerb", "cooldown_seconds": 30})
    assert keeper.update(event_at(1.0), [crossing(1.0)], 1.0)
    found = [
        pts
        for pts in (20.0, 40.0, 41.0)
        if keeper.update(event_at(pts, event_id="b"), [crossing(5.0), crossing(41.0)][: 2 if pts > 40 else 1], pts)
    ]
    assert found == [41.0]


def test_the_rules_of_a_forgotten_episode_are_forgotten():
    keeper = keeper_of({})
    keeper.update(event_at(1.0), [], 1.0)
    keeper.forget("a")
    keeper.forget("never known")
    assert keeper._watches == {}


NIGHT = Schedule(between=["22:00", "06:00"], days=["fri", "sat"], time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        # 2026-01-02 is a Friday; Berlin is one hour ahead of UTC.
        ((2026, 1, 2, 20, 59), False),
        ((2026, 1, 2, 21, 0), True),
        ((2026, 1, 2, 23, 30), True),
        ((2026, 1, 3, 4, 59), True),
        ((2026, 1, 3, 5, 0), False),
        ((2026, 1, 3, 21, 0), True),
        ((2026, 1, 4, 4, 59), True),  # the night that begins on Saturday ends on Sunday
        ((2026, 1, 4, 21, 0), False),
        ((2026, 1, 2, 4, 59), False),  # and Friday morning belongs to Thursday
    ],
)
def test_a_schedule_across_midnight_belongs_to_the_day_on_which_it_begins(utc, expected):
    assert NIGHT.holds_at(datetime(*utc, tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        # 2026-03-29: 01:59:59 in Berlin is followed by 03:00. 2026-10-25: 02:59:59 is followed by 02:00.
        ((2026, 3, 29, 0, 14), False),
        ((2026, 3, 29, 0, 59), False),
        ((2026, 3, 29, 1, 0), False),
        ((2026, 3, 30, 0, 15), True),
        ((2026, 10, 25, 0, 15), True),
        ((2026, 10, 25, 0, 45), False),
        ((2026, 10, 25, 1, 15), True),
        ((2026, 10, 25, 1, 45), False),
    ],
)
def test_hours_that_a_change_of_the_clocks_skips_are_missing_and_those_it_repeats_come_twice(utc, expected):
    assert Schedule(between=["02:15", "02:45"], time_zone="Europe/Berlin").holds_at(datetime(*utc, tzinfo=UTC)) is expected


@pytest.mark.parametrize(("utc", "expected"), [((2026, 6, 1, 20, 0), True), ((2026, 1, 1, 20, 0), False), ((2026, 1, 1, 21, 0), True)])
def test_a_schedule_follows_summer_time(utc, expected):
    assert Schedule(between=["22:00", "24:00"], time_zone="Europe/Berlin").holds_at(datetime(*utc, tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("between", "minutes"), [((1320, "06:00"), (1320, 360)), (("0:00", "24:00"), (0, 1440)), (("9:05", 600), (545, 600))]
)
def test_times_of_day_are_read_with_and_without_quotes(between, minutes):
    assert Schedule(between=between).between == minutes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"between": ["25:00", "06:00"]}, "a time of day is written"),
        ({"between": ["22:60", "06:00"]}, "a time of day is written"),
        ({"between": [1441, "06:00"]}, "a time of day is written"),
        ({"between": [True, "06:00"]}, "a time of day is written"),
        ({"between": ["06:00", "06:00"]}, "for the whole day write"),
        ({"days": []}, "at least 1 item"),
        ({"days": ["monday"]}, "'mon', 'tue'"),
        ({"time_zone": "Mars/Olympus"}, "no such time zone"),
        ({"time_zone": "../../etc/passwd"}, "no such time zone"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Schedule(**settings)


@pytest.mark.parametrize(("clock", "expected"), [(CAMERA, [1.0]), (ClockInfo("media", "relative"), [])], ids=["camera", "file"])
def test_a_schedule_holds_by_the_capture_time_and_not_where_that_is_unknown(clock, expected, caplog):
    events = [(pts, event_at(pts, clock=clock)) for pts in (1.0, 2.0)]
    assert matched_at({"schedule": {"between": ["12:00", "12:01"]}}, events) == expected
    assert [record.message for record in caplog.records] == [
        "gate: rules with a schedule match nothing, as its time of recording is not known; set `recorded_at`"
    ] * (not expected)
