"""docs/events.md: its examples match the code's output, and every key is documented."""

import json
import re
from dataclasses import replace

import pytest
from sample_events import NOON, make_episode, make_outage

from edge_hoi.events import load_camera_schema, load_schema
from edge_hoi.events.camera_cloudevents import render_camera_event
from edge_hoi.events.cloudevents import render
from edge_hoi.sinks import Message
from edge_hoi.sinks.mqtt.frigate import render_message
from edge_hoi.sinks.webhook.request import render as render_request

EPISODE = make_episode(updates=1, event_id="6f1f3c5d2b8a4e0c9d7a1b2c3d4e5f60")
STARTED, _, ENDED = (replace(event, zones=("driveway",), entered_zones=("driveway",)) for event in EPISODE)


def pretty(document):
    """Format JSON with a line for each key, and short lists on one line."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]", text)


def binary_request(event):
    """Format a webhook's request in the binary mode, without the headers that the connection adds."""
    request = render_request([Message.of(event)], "binary")
    return "\n".join(f"{name}: {value}" for name, value in request.headers.items()) + f"\n\n{request.body.decode()}"


EXAMPLES = {
    "json": [
        pretty(render(STARTED)),
        pretty({key: render(ENDED)[key] for key in ("id", "type", "time", "sequence")}),
        pretty({key: value for key, value in render_camera_event(make_outage()[1]).items() if key in ("id", "type", "time", "data")}),
        pretty(json.loads(render_message(ENDED, STARTED))),
    ],
    "http": [binary_request(STARTED)],
}


@pytest.fixture
def document(repository):
    return (repository / "docs" / "events.md").read_text()


@pytest.mark.parametrize("language", EXAMPLES)
def test_examples_match_the_codes_output(document, language):
    assert re.findall(rf"```{language}\n(.*?)\n```", document, re.DOTALL) == EXAMPLES[language]


def test_the_examples_time_is_noon():
    assert STARTED.start.utc == NOON


def test_every_key_of_an_event_is_documented(document):
    schema = load_schema()
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", document, re.MULTILINE))))
    of_camera = load_camera_schema()["properties"]["data"]["properties"]
    assert explained == set(schema["properties"]) - {"data"} | set(schema["$defs"]["data"]["properties"]) | set(of_camera)
