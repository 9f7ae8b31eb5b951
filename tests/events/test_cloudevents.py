import json
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone

import pytest
from scripted import HUMAN, OBJECT, RIDE, SMILE, at_noon, play, times

from edge_hoi.compat import UTC
from edge_hoi.errors import DeliveryError
from edge_hoi.events.cloudevents import decode, encode, render, split_attributes
from edge_hoi.types import (
    Absence,
    Crossing,
    Direction,
    EndReason,
    EpisodeBoxes,
    EpisodeLink,
    HumanChange,
    MediaFile,
    Moment,
    Phase,
    Severity,
)

SNAPSHOT = MediaFile("https://host/a.jpg", "0" * 64, "image/jpeg", 4000, 1.5)

ENVELOPE = [
    *("specversion", "id", "source", "type", "subject", "time", "sequence", "correlationid", "partitionkey"),
    *("datacontenttype", "dataschema", "data"),
]


@pytest.fixture
def event():
    return play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))[0]


def test_the_envelope_is_as_documented(event):
    rendered = render(event)
    assert list(rendered) == ENVELOPE
    assert rendered["id"] == f"{event.event_id}.00000000"
    assert rendered["type"] == "dev.edge-hoi.interaction.started.v1"
    assert (rendered["source"], rendered["partitionkey"]) == ("/site/camera", "camera")
    assert rendered["subject"] == rendered["correlationid"] == rendered["data"]["event_id"] == event.event_id
    assert rendered["time"] == "1970-01-01T00:00:00.000000Z"


def test_names_of_attributes_are_lower_case_letters_and_digits(event):
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in render(event))


def test_recorded_time_is_there_only_when_known(event):
    assert "recordedtime" not in render(event)
    assert render(replace(event, recorded_at=at_noon(0)))["recordedtime"] == "2026-01-01T12:00:00.000000Z"


def test_time_depends_on_the_phase(event):
    moments = {name: Moment(at_noon(second), second) for name, second in (("start", 1.0), ("last", 2.0), ("end", 3.0))}
    started = replace(event, start=moments["start"], last=moments["last"])
    ended = replace(started, phase=Phase.ENDED, sequence=2, end=moments["end"], end_reason=EndReason.ABSENT)
    updated = replace(started, phase=Phase.UPDATED, sequence=1)
    assert [render(each)["time"][17:19] for each in (started, updated, ended)] == ["01", "02", "03"]


def test_times_of_other_zones_become_utc(event):
    noon = datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert (
        render(replace(event, start=Moment(noon, 0.0)))["time"] == render(replace(event, start=Moment(noon.astimezone(UTC), 0.0)))["time"]
    )


def test_special_characters_are_quoted_in_the_source(event):
    assert render(replace(event, site="Werk 1/2", camera="Tür"))["source"] == "/Werk%201%2F2/T%C3%BCr"


def test_numbers_are_rounded(event):
    event = replace(event, human=replace(event.human, box=(0.1234567, 0.0, 1 / 3, 1.0), score=2 / 3), duration_seconds=1 / 3)
    data = render(event)["data"]
    assert data["human"] == {"track_id": 1, "box": [0.12346, 0.0, 0.33333, 1.0], "score": 0.6667}
    assert data["duration_seconds"] == 0.333333


def test_an_encoded_event_is_one_line_that_reads_back(event):
    line = encode(replace(event, text="person\nriding “bicycle”"))
    assert b"\n" not in line
    assert json.loads(line)["data"]["text"] == "person\nriding “bicycle”"


def test_the_largest_event_of_a_keeper_is_below_the_limit(event):
    changes = tuple(HumanChange(10**9, 10**9 + 1, event.last) for _ in range(16))
    assert len(encode(replace(event, merged_track_ids=tuple(range(10**9, 10**9 + 256)), human_changes=changes))) < 64 * 1024 / 8


def test_an_event_beyond_64_kib_is_refused(event):
    with pytest.raises(DeliveryError, match="65536 bytes"):
        encode(replace(event, text="x" * 66_000))


def test_the_sdk_of_cloudevents_reads_it(event):
    formats = pytest.importorskip("cloudevents.core.formats.json", reason="needs the CloudEvents SDK: pip install '.[dev]'")
    v1 = pytest.importorskip("cloudevents.core.v1.event", reason="needs the CloudEvents SDK: pip install '.[dev]'")
    read = formats.JSONFormat().read(v1.CloudEvent, encode(replace(event, recorded_at=at_noon(0))))
    assert (read.get_id(), read.get_source(), read.get_type()) == (f"{event.event_id}.00000000", "/site/camera", render(event)["type"])
    assert read.get_time() == datetime(1970, 1, 1, tzinfo=UTC)
    assert read.get_extension("partitionkey") == "camera"
    assert read.get_data() == render(event)["data"]


def test_decode_and_encode_round_trip_to_the_same_bytes(event):
    alone = play(lambda pts: [(HUMAN, None, SMILE, 0.8)], times(10, 4))[-1]
    end = replace(
        event,
        phase=Phase.ENDED,
        sequence=7,
        end=Moment(at_noon(3), 3.0),
        end_reason=EndReason.ABSENT,
        site="Werk 1/2",
        camera="Tür",
        zones=("yard", "gate"),
        merged_track_ids=(4, 9),
        rule="loading",
        recorded_at=at_noon(4),
        snapshot=SNAPSHOT,
    )
    for each in (event, alone, end):
        read = decode(encode(each))
        assert encode(read) == encode(each)
        assert (read.site, read.camera, read.zones, read.recorded_at) == (each.site, each.camera, each.zones, each.recorded_at)
        assert (read.object is None) == (each.object is None)
        assert decode(encode(read)) == read


def test_attributes_and_data_are_split_for_a_binary_content_mode(event):
    rendered = render(event)
    data = rendered.pop("data")
    attributes, payload = split_attributes(encode(event))
    assert attributes == rendered
    assert json.loads(payload) == data
    assert payload in encode(event)


def test_every_field_reads_back(event):
    full = replace(
        event,
        phase=Phase.ENDED,
        sequence=7,
        end=Moment(at_noon(3), 3.0),
        end_reason=EndReason.ABSENT,
        absence=Absence.LEFT_FRAME,
        group_id="1" * 32,
        start_boxes=EpisodeBoxes((0.25, 0.0, 0.5, 1.0), None),
        human_changes=(HumanChange(1, 7, Moment(at_noon(1), 1.0)),),
        received_from=EpisodeLink("2" * 32, 3),
        handed_to=EpisodeLink("3" * 32, 4),
        snapshot=SNAPSHOT,
        clip=replace(SNAPSHOT, uri="https://host/a.mp4", media_type="video/mp4"),
        rule="loading",
        rules=("yard at night", "loading"),
        severity=Severity.ALERT,
        zones=("yard",),
        entered_zones=("yard", "gate"),
        crossings=(Crossing("kerb", Direction.TO_LEFT, Moment(at_noon(2), 2.0)),),
        recorded_at=at_noon(4),
        frames_missed=3,
    )
    read = decode(encode(full))
    rounded = {"human", "object", "score", "duration_seconds", "start", "last"}
    for field in fields(full):
        if field.name not in rounded:
            assert getattr(read, field.name) == getattr(full, field.name), field.name
    assert read.human.box == pytest.approx(full.human.box, abs=1e-5)
    assert (read.human.track_id, read.object.category, read.score.peak) == (1, "bicycle", round(full.score.peak, 4))


def test_an_event_of_an_earlier_version_reads_back_without_what_that_did_not_know(event):
    document = render(replace(event, zones=("yard",)))
    for name in ("entered_zones", "crossings", "rules", "severity", "group_id", "start_boxes"):
        del document["data"][name]
    read = decode(json.dumps(document).encode())
    assert (read.zones, read.entered_zones, read.crossings, read.rules, read.rule, read.severity) == (("yard",), (), (), (), None, None)
    assert (read.group_id, read.start_boxes, read.human_changes) == (None, None, ())


def test_an_event_of_exactly_64_kib_is_encoded(event):
    short = len(encode(replace(event, text="x"))) - 1
    assert len(encode(replace(event, text="x" * (64 * 1024 - short)))) == 64 * 1024
    with pytest.raises(DeliveryError, match="got 65537"):
        encode(replace(event, text="x" * (64 * 1024 - short + 1)))
