"""Whatever a file of labels has, it is read or refused by an error."""

import json

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given
from known_videos import episode, make_events, make_truth

from edge_hoi.errors import DatasetError
from edge_hoi.lab.labels import draft_truth, read_labels, write_labels

TRUTH = make_truth(episode(), seconds=20)
SPECIAL = st.sampled_from([None, True, -1, 0, 1 << 70, 1e300, float("inf"), float("nan"), "", "x", "\x00", [], [1], {}, {"a": 1}])


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """Give the content of each form, and a folder."""
    folder = tmp_path_factory.mktemp("labels")
    for suffix in (".yaml", ".xml", ".json"):
        write_labels(TRUTH, folder / f"street{suffix}")
    return folder


def replaced(value, index, new):
    """Replace the value of a number, counted through the whole document."""
    count = [0]

    def walk(value):
        count[0] += 1
        if count[0] - 1 == index:
            return new
        if isinstance(value, dict):
            return {key: walk(each) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each) for each in value[:3]]
        return value

    return walk(value)


def read_or_refuse(path, content):
    path.write_text(content)
    try:
        read_labels(path, TRUTH.video)
    except DatasetError as error:
        assert path.name in str(error)  # noqa: PT017 -- labels that are read are right as well


@given(st.integers(0, 80), SPECIAL)
def test_any_value_anywhere_in_a_text_is_read_or_refused(forms, index, new):
    form = yaml.safe_load((forms / "street.yaml").read_text())
    read_or_refuse(forms / "changed.yaml", yaml.safe_dump(replaced(form, index, new)))


@given(st.integers(0, 120), SPECIAL)
def test_any_value_anywhere_in_coco_is_read_or_refused(forms, index, new):
    form = json.loads((forms / "street.json").read_text())
    read_or_refuse(forms / "changed.json", json.dumps(replaced(form, index, new)))


@given(st.integers(0, 60), st.sampled_from(["", "x", "-1", "1e99", "nan", "inf", "9" * 30, "²", "<b/>", "&a;"]))
def test_any_value_in_a_file_of_cvat_is_read_or_refused(forms, index, new):
    lines = (forms / "street.xml").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if "<track" in line)
    parts = "\n".join(lines[start : start + 12]).split('"')
    parts[index % len(parts)] = new
    read_or_refuse(forms / "changed.xml", "\n".join([*lines[:start], '"'.join(parts), *lines[start + 12 :]]))


@given(st.integers(0, 120), SPECIAL)
def test_any_value_anywhere_in_an_event_is_drafted_or_refused(index, new):
    events = [replaced(event, index, new) for event in make_events()]
    try:
        draft_truth(TRUTH.video, [event for event in events if isinstance(event, dict)], camera="street")
    except DatasetError as error:
        assert "ep" in str(error) or "event" in str(error)  # noqa: PT017


def test_a_person_who_has_all_but_left_the_frame_has_no_box():
    events = make_events()
    for event in events:
        event["data"]["human"]["box"] = [0.0, 0.2, 0.0, 0.8]
    truth = draft_truth(TRUTH.video, events, camera="street")
    (drafted,) = truth.episodes
    assert len(truth.tracks[drafted.human].frames) == 0
    assert len(truth.tracks[drafted.object].frames) == 100
