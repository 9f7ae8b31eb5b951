"""`edge-hoi sinks test`: reports for each sink whether it accepts events, and changes nothing else."""

import json

import jsonschema
import pytest

from edge_hoi.cli import main
from edge_hoi.events import load_camera_schema, load_schema


def sinks_test(folder, text, *options):
    path = folder / "config.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["sinks", "test", str(path), *options])
    return ended.value.code


def test_a_working_sink_gets_a_started_and_an_ended_event_appended(tmp_path, capsys):
    events = tmp_path / "events.jsonl"
    events.write_text('{"earlier": "event"}\n')
    assert sinks_test(tmp_path, "site: yard\nsinks: [{type: jsonl, path: events.jsonl}]") == 0
    earlier, start, end = [json.loads(line) for line in events.read_text().splitlines()]
    assert earlier == {"earlier": "event"}
    for event in (start, end):
        jsonschema.Draft202012Validator(load_schema()).validate(event)
        assert (event["source"], event["data"]["text"]) == ("/yard/edge-hoi-sinks-test", "person testing edge-hoi")
    assert (start["data"]["phase"], end["data"]["phase"], start["subject"] == end["subject"]) == ("started", "ended", True)
    assert "jsonl: accepted a started and an ended event in" in capsys.readouterr().out


def test_a_failing_sink_is_explained_and_the_others_are_tested(tmp_path, capsys):
    text = "sinks: [{type: jsonl, name: bad, path: missing/a.jsonl}, {type: jsonl, name: good, path: b.jsonl}]"
    assert sinks_test(tmp_path, text) == 6
    out = capsys.readouterr().out
    assert "✗ bad: cannot write events to" in out
    assert "name a file in a folder that exists" in out
    assert "keep its events until this is fixed" in out
    assert "✓ good" in out


def test_one_sink_can_be_chosen_by_its_name(tmp_path, capsys):
    text = "sinks: [{type: jsonl, name: first, path: a.jsonl}, {type: jsonl, name: second, path: b.jsonl}]"
    assert sinks_test(tmp_path, text, "--sink", "second") == 0
    assert not (tmp_path / "a.jsonl").exists()
    assert sinks_test(tmp_path, text, "--sink", "third") == 2
    assert "no sink 'third'; its sinks are first, second" in capsys.readouterr().err


def test_a_configuration_without_sinks_is_reported(tmp_path, capsys):
    assert sinks_test(tmp_path, "site: yard") == 2
    assert "it has no sinks" in capsys.readouterr().err


def test_a_sink_with_camera_events_gets_two_of_those_too(tmp_path, capsys):
    assert sinks_test(tmp_path, "site: yard\nsinks: [{type: jsonl, path: events.jsonl, camera_events: true}]") == 0
    *_, up, down = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    for event in (up, down):
        jsonschema.Draft202012Validator(load_camera_schema()).validate(event)
        assert event["source"] == "/yard/edge-hoi-sinks-test"
    assert (up["data"]["state"], down["data"]["state"], up["subject"] == down["subject"]) == ("streaming", "stopped", True)
    assert "jsonl: accepted a started and an ended event, and two of a camera, in" in capsys.readouterr().out
