"""Variables of a configuration: from the environment, or from files that it names."""

import pytest

from edge_hoi import masking
from edge_hoi.environment import insert_variables
from edge_hoi.errors import ConfigError
from edge_hoi.masking import mask


@pytest.fixture(autouse=True)
def _remembers_nothing_else(monkeypatch):
    monkeypatch.setattr(masking, "_remembered", {})


def test_variables_are_replaced_in_all_texts(monkeypatch):
    monkeypatch.setenv("PLACE", "gate")
    document = {"a": ["${PLACE}", 1, None, {"b": "x ${PLACE} ${PLACE}"}], "${PLACE}": "$PLACE {PLACE}"}
    assert insert_variables(document, "a.yaml") == {"a": ["gate", 1, None, {"b": "x gate gate"}], "${PLACE}": "$PLACE {PLACE}"}


@pytest.mark.parametrize(
    ("content", "value"), [(b"s3cret", "s3cret"), (b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b" s\n\n", " s\n")]
)
def test_a_file_may_hold_the_value(tmp_path, monkeypatch, content, value):
    (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("CAMERA_PASSWORD_FILE", str(tmp_path / "secret"))
    assert insert_variables("${CAMERA_PASSWORD}", "a.yaml") == value
    monkeypatch.setenv("CAMERA_PASSWORD", "of the environment")
    assert insert_variables("${CAMERA_PASSWORD}", "a.yaml") == "of the environment"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "No such file"),
        (".", "Is a directory"),
        ("/dev/zero", "no regular file"),
        ("large", "larger than 64 KiB"),
        ("binary", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, path, reason):
    (tmp_path / "large").write_bytes(b"x" * 65_537)
    (tmp_path / "binary").write_bytes(b"\xff")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / path))
    with pytest.raises(ConfigError, match=rf"a\.yaml: KEY_FILE is .*{path}, which cannot be read \(.*{reason}"):
        insert_variables("${KEY}", "a.yaml")


def test_a_missing_variable_is_an_error_that_says_how_to_set_it():
    with pytest.raises(ConfigError, match=r"a\.yaml: \$\{NO_SUCH\} is used.*`export NO_SUCH=\.\.\.`.* set NO_SUCH_FILE"):
        insert_variables(["${NO_SUCH}"], "a.yaml")


@pytest.mark.parametrize(
    ("text", "is_masked"),
    [
        ("${CAMERA_PASSWORD}", True),
        ("rtsp://u:${CAMERA_PASSWORD}@h/live", True),
        ("rtsp://h/live/${PLACE}", True),
        ("rtsp://h?${PLACE}", True),
        ("rtsp://${PLACE}/live", False),
        ("${PLACE}/clip.mp4", False),
    ],
)
def test_what_may_be_a_secret_is_masked_from_then_on(monkeypatch, text, is_masked):
    monkeypatch.setenv("CAMERA_PASSWORD", "Hunter-2")
    monkeypatch.setenv("PLACE", "Hunter-2")
    insert_variables(text, "a.yaml")
    assert mask("is it Hunter-2?") == ("is it ***?" if is_masked else "is it Hunter-2?")
