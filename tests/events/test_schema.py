import copy
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from scripted import FAR_HUMAN, FAR_OBJECT, HUMAN, OBJECT, RIDE, SMILE, EventPipeline, at_noon, make_frame, moved, times
from strict_schema import open_objects

from edge_hoi.events import load_schema
from edge_hoi.events.cloudevents import DATASCHEMA, EVENT_TYPES, decode, encode, render
from edge_hoi.types import EndReason


def all_kinds(*, is_live):
    """Return events of every phase, with and without an object, with merged tracks, of a file or a camera."""
    pipeline = EventPipeline(wall_clock=(lambda: at_noon(60)) if is_live else None)
    events = []
    for pts in times(10, 9):
        shift = 25 * pts
        rows = [(moved(HUMAN, shift), moved(OBJECT, shift), RIDE, 0.8)] if not 3 <= pts < 4 else []
        rows += [(FAR_HUMAN, FAR_OBJECT, RIDE, 0.7), (FAR_HUMAN, None, SMILE, 0.9)] if pts < 5 else []
        events += pipeline.update(make_frame(pts, captured_at=at_noon(pts) if is_live else None), rows)
    return events + pipeline.keeper.close(EndReason.SHUTDOWN)


@pytest.mark.parametrize("is_live", [False, True])
def test_every_event_validates(event_validator, is_live):
    events = all_kinds(is_live=is_live)
    assert {event.phase for event in events} == set(EVENT_TYPES)
    assert {event.object is None for event in events} == {False, True}
    for event in events:
        event_validator.validate(render(event))


@pytest.mark.parametrize("correction", [None, "restamped", "joined", "measured"])
def test_a_clock_says_what_was_done_only_if_something_was(event_validator, correction):
    event = all_kinds(is_live=True)[0]
    event = replace(event, clock=replace(event.clock, correction=correction))
    rendered = render(event)
    event_validator.validate(rendered)
    clock = {"source": "arrival", "quality": "estimated"}
    assert rendered["data"]["clock"] == (clock if correction is None else clock | {"correction": correction})
    assert decode(encode(event)).clock == event.clock


def test_formats_are_checked():
    assert {"date-time", "uri-reference"} <= set(FormatChecker().checkers)


def test_the_schema_is_valid_and_matches_the_event_types():
    schema = load_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == DATASCHEMA
    assert set(schema["properties"]["type"]["enum"]) == set(EVENT_TYPES.values())


OPTIONAL = {"recordedtime", "correction", "absence", "group_id", "start_boxes", "human_changes", "received_from", "handed_to"}


def test_every_object_of_the_schema_may_get_keys_and_requires_all_but_the_optional_ones():
    found = list(open_objects(load_schema()))
    assert len(found) == 15
    for schema in found:
        assert set(schema["properties"]) - set(schema["required"]) <= OPTIONAL


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("specversion",), "0.3"),
        (("time",), "yesterday"),
        (("time",), "2026-01-01T12:00:00+01:00"),
        (("type",), "dev.edge-hoi.interaction.ended.v1"),
        (("sequence",), "1"),
        (("sequence",), "00000001"),
        (("source",), "site/camera"),
        (("surplus",), 1),
        (("data", "surplus"), 1),
        (("data", "phase"), "ended"),
        (("data", "end_reason"), "absent"),
        (("data", "human", "track_id"), 0),
        (("data", "human", "box"), [0, 0, 1]),
        (("data", "human", "box"), [0, 0, 1, 1.01]),
        (("data", "object", "category"), ""),
        (("data", "score", "now"), 1.2),
        (("data", "duration_seconds"), -1),
        (("data", "clock", "source"), "sundial"),
        (("data", "model", "weights"), "latest"),
        (("data", "start", "utc"), "1970-01-01"),
        (("data", "group_id"), "1"),
        (("data", "start_boxes", "human"), None),
        (("data", "human_changes"), []),
        (("data", "absence"), "hidden"),  # of a `started` event
        (("data", "handed_to"), {"event_id": "0" * 32, "track_id": 1}),
        (("data", "received_from"), {"event_id": "0" * 32}),
    ],
)
def test_an_invalid_event_is_refused(event_validator, path, value):
    document = copy.deepcopy(render(next(event for event in all_kinds(is_live=False) if event.object)))
    event_validator.validate(document)
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert not event_validator.is_valid(document)


def test_an_ended_event_without_a_reason_is_refused(event_validator):
    document = render(all_kinds(is_live=False)[-1])
    document["data"]["end_reason"] = None
    assert not event_validator.is_valid(document)


def test_a_consumer_s_schema_accepts_what_a_later_version_adds():
    document = render(all_kinds(is_live=True)[0])
    document["surplus"] = document["data"]["surplus"] = document["data"]["clock"]["surplus"] = 1
    assert Draft202012Validator(load_schema()).is_valid(document)
