"""Which episodes are selected, and that of each its newest event counts."""

import itertools
from datetime import timedelta

import pytest
from past_events import bodies, past_events, read_episodes, write_lines
from sample_events import NOON

from edge_hoi.history import EpisodeJoin, Record, Selection
from edge_hoi.types import Participant, Severity

BOX = (0.1, 0.1, 0.5, 0.5)
EPISODES = (
    past_events("a" * 32, at=0, seconds=4, score=0.9, rules=("[a-z] rule",)),
    past_events("b" * 32, at=10, seconds=10, verb="hold", object=Participant(3, "bottle", BOX, 0.9), camera="dock", score=0.5),
    past_events("c" * 32, at=30, verb="hold", object=Participant(4, "cup", BOX, 0.9), entered_zones=("kitchen", "hall"), zones=("hall",)),
    past_events("d" * 32, at=40, verb="smile", object=None, rules=("seen", "alarm"), rule="alarm", severity=Severity.ALERT),
)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "abcd"),
        ({"cameras": ("dock",)}, "b"),
        ({"cameras": ("*",)}, "abcd"),
        ({"verbs": ("ride", "smile")}, "ad"),
        ({"verbs": ("Ride",)}, ""),
        ({"verbs": ("ho*",), "objects": ("b?ttle",)}, "b"),
        ({"objects": ("*",)}, "abc"),
        ({"zones": ("kitchen",)}, "c"),
        ({"zones": ("[hk]*",)}, ""),
        ({"rules": ("[a-z]*",)}, "a"),
        ({"rules": ("seen",)}, "d"),
        ({"rules": ("a*",)}, "d"),
        ({"min_score": 0.8}, "acd"),
        ({"min_score": 0.801}, "a"),
        ({"min_seconds": 4}, "ab"),
        ({"min_seconds": 4.001}, "b"),
        ({"since": at(20)}, "bcd"),
        ({"since": at(20.001)}, "cd"),
        ({"until": at(10)}, "a"),
        ({"until": at(10.001)}, "ab"),
        ({"since": at(12), "until": at(13)}, "b"),
    ],
    ids=str,
)
def test_an_episode_is_selected_where_it_meets_all_conditions(tmp_path, conditions, expected):
    path = write_lines(tmp_path / "events.jsonl", *EPISODES)
    assert "".join(each.event_id[0] for each in read_episodes(path, **conditions)) == expected


def test_the_newest_event_of_an_episode_counts_in_any_order_and_however_often(tmp_path):
    for order in itertools.permutations(bodies(EPISODES[0])):
        with EpisodeJoin(Selection()) as join:
            join.read(Record(tmp_path, number, body) for number, body in enumerate((*order, order[0], order[1]), start=1))
            (episode,) = join
        assert (episode.seconds, episode.end_reason) == (4.0, "absent")
        assert join.events == 5


def test_cameras_with_equal_ids_have_episodes_of_their_own(tmp_path):
    one, other = (past_events("a" * 32, camera=camera) for camera in ("gate/ü", "dock"))
    episodes = read_episodes(write_lines(tmp_path / "events.jsonl", one, other))
    assert sorted(each.camera for each in episodes) == ["dock", "gate/ü"]


def test_the_newest_episodes_are_those_that_started_last(tmp_path):
    with EpisodeJoin(Selection(verbs=("hold", "ride"))) as join:
        join.read(Record(tmp_path, 1, body) for body in bodies(*EPISODES))
        assert [each.event_id[0] for each in join.newest(2)] == ["b", "c"]
        assert join.names == {"camera": {"gate", "dock"}, "verb": {"ride", "hold", "smile"}, "object": {"bicycle", "bottle", "cup", ""}}
        assert (join.first, join.last) == (at(0), at(43))
