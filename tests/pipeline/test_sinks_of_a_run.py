"""What the sinks of a configuration get, and what they are told of the run."""

import threading

import pytest
from sample_events import make_episode, make_outage

from edge_hoi.config import parse_config
from edge_hoi.pipeline.sinks import open_delivery
from edge_hoi.sinks import FakeSink, JsonlSettings, Message


def config_of(**settings):
    return parse_config({"site": "site", **settings}, origin="test")


def test_only_sinks_that_ask_for_them_get_events_of_cameras_and_none_is_left_waiting(tmp_path):
    up, down, back = make_outage()
    events = [up, *make_episode(), down, back]
    names = {"all": True, "plain": False}
    sinks = [{"type": "jsonl", "name": name, "path": str(tmp_path / name), "camera_events": asks} for name, asks in names.items()]
    delivery = open_delivery(config_of(sinks=sinks, outbox={"path": str(tmp_path / "outbox.sqlite")}), ["gate"])
    delivery.start()
    delivery.put(events)
    delivery.finish(threading.Event())
    assert [status.waiting for status in delivery.statuses()] == [0, 0]
    delivery.close()
    assert (tmp_path / "all").read_bytes().splitlines() == [Message.of(event).body for event in events]
    assert (tmp_path / "plain").read_bytes().splitlines() == [Message.of(event).body for event in events[1:-2]]


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (None, None),
        ({}, "image/jpeg"),
        ({"snapshots": {"format": "webp"}}, "image/webp"),
        ({"snapshots": None, "clips": {}}, None),
    ],
    ids=["no media", "jpeg", "webp", "clips only"],
)
def test_a_sink_is_told_the_type_of_images_or_that_there_are_none(tmp_path, monkeypatch, media, expected):
    contexts = []

    def make(_settings, context):
        contexts.append(context)
        return FakeSink()

    monkeypatch.setattr(JsonlSettings, "make", make)
    folder = {"media": {"path": str(tmp_path / "media"), **media}} if media is not None else {}
    config = config_of(sinks=[{"type": "jsonl", "path": str(tmp_path / "events")}], **folder)
    open_delivery(config, ["gate"]).close()
    assert [context.snapshot_type for context in contexts] == [expected]
