"""`edge-hoi outbox` on the outbox of a finished run, and the run after it."""

import json
import threading
import time

import pytest
from sample_events import make_episode

from edge_hoi.cli import main
from edge_hoi.errors import EventRefusedError, SinkUnavailableError
from edge_hoi.outbox import Delivery, Outbox, OutboxReader, Relay
from edge_hoi.sinks import FakeSink, JsonlSink, RetrySettings

GATE, DOCK = make_episode(camera="gate"), make_episode(camera="dock")


@pytest.fixture
def path(tmp_path):
    """Create an outbox whose file sink has all events, and whose other sinks have none, or refused one."""
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox(path)
    quick = RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.01, max_refusals=1)
    sinks = {
        "file": JsonlSink(tmp_path / "first.jsonl"),
        "broker": FakeSink([SinkUnavailableError("nobody answers at broker:1883; start it")] * 10_000),
        "hook": FakeSink([EventRefusedError("answered 400 Bad Request")]),
    }
    delivery = Delivery(outbox, [Relay(name, sink, outbox, retry=quick) for name, sink in sinks.items()], drain_seconds=0.5)
    delivery.start()
    delivery.put(GATE + DOCK)
    assert outbox.flush(20)
    delivery.finish(threading.Event())
    delivery.close()
    return path


def outbox(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["outbox", *map(str, arguments)])
    return ended.value.code


def test_status_shows_waiting_and_delivered_events_and_errors(path, tmp_path, capsys):
    assert outbox("status", path) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["file"].split()[1:] == ["up", "0", "-", "10", "0", "0", "0"]
    assert rows["broker"].split()[1:3] == ["retrying", "10"]
    assert rows["broker"].endswith("nobody answers at broker:1883; start it")
    assert rows["hook"].split()[1:] == ["up", "0", "-", "9", "0", "1", "0"]
    config = tmp_path / "config.yaml"
    config.write_text("outbox: {path: outbox.sqlite}")
    assert outbox("status", config) == 0
    assert "broker" in capsys.readouterr().out


def test_dead_letters_are_listed_with_their_reason(path, capsys):
    assert outbox("dead-letters", path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert f"hook  {GATE[0].event_id}.00000000  gate: person riding bicycle, started  answered 400 Bad Request" in line
    assert outbox("dead-letters", path, "--sink", "file") == 0
    assert capsys.readouterr().out == "no dead letters\n"


def next_run(path, name):
    """Run a sink on the outbox until all replays are delivered."""
    sink, outbox = FakeSink(), Outbox(path)
    delivery = Delivery(outbox, [Relay(name, sink, outbox)])
    delivery.start()
    with OutboxReader(path) as reader:
        while any(record.replays for record in reader.sinks() if record.name == name):
            time.sleep(0.01)
    delivery.close()
    return [(event.event_id, event.sequence) for event in sink.events]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--camera", "dock"), DOCK),
        (("--id", GATE[0].event_id), GATE),
        (("--since", "2026-01-01T12:00:02", "--until", "2026-01-01T12:00:04", "--camera", "gate"), GATE[2:4]),
        ((), GATE + DOCK),
    ],
)
def test_a_replay_reaches_the_sink_in_the_next_run(path, capsys, options, expected):
    assert outbox("replay", path, "--sink", "file", *options) == 0
    assert capsys.readouterr().out == f"{len(expected)} events will be delivered to file again\n"
    assert next_run(path, "file") == [(event.event_id, event.sequence) for event in expected]


def test_dead_letters_are_replayed(path, capsys):
    assert outbox("replay", path, "--sink", "hook", "--dead-letters") == 0
    assert next_run(path, "hook") == [(GATE[0].event_id, 0)]
    assert outbox("dead-letters", path) == 0
    assert "no dead letters" in capsys.readouterr().out


def test_a_file_that_is_no_outbox_is_reported(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("Dear reader, " * 1000)
    (tmp_path / "config.yaml").write_text("site: yard")
    assert outbox("status", tmp_path / "letter.txt") == 6
    assert "expected an outbox" in capsys.readouterr().err
    assert outbox("status", tmp_path / "missing.sqlite") == 6
    assert "there is no outbox" in capsys.readouterr().err
    assert outbox("status", tmp_path / "config.yaml") == 2
    assert "waiting events are deleted at the end of each run" in capsys.readouterr().err


def test_the_first_file_contains_every_event(path, tmp_path):
    assert [json.loads(line)["data"]["phase"] for line in (tmp_path / "first.jsonl").read_text().splitlines()][-1] == "ended"
