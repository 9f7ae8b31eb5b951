"""The table of docs/exit-codes.md against the classes and the program."""

import re

import pytest

from edge_hoi import errors
from edge_hoi.cli.lab.soak import FAILED_EXIT_CODE
from edge_hoi.cli.run import CUT_SHORT_EXIT_CODE, INCOMPLETE_EXIT_CODE


def subclasses(of):
    return [of, *(below for subclass in of.__subclasses__() for below in subclasses(subclass) if below.__module__ == errors.__name__)]


@pytest.fixture(scope="module")
def table(repository):
    """Give the errors that the table lists for each code."""
    rows = re.findall(r"^\| (\d+) \| .+? \| (.*?) ?\| .+ \|$", (repository / "docs" / "exit-codes.md").read_text(), re.MULTILINE)
    return {int(code): set(re.findall(r"`(\w+)`", names)) for code, names in rows}


def test_the_table_lists_every_error_under_its_code(table):
    listed = {name: code for code, names in table.items() for name in names}
    assert listed == {one.__name__: one.exit_code for one in subclasses(errors.EdgeHoiError)}


def test_the_table_lists_every_code(table):
    codes = {one.exit_code for one in subclasses(errors.EdgeHoiError)}
    assert list(table) == sorted({0, *codes, CUT_SHORT_EXIT_CODE, FAILED_EXIT_CODE, INCOMPLETE_EXIT_CODE})


def test_no_other_code_is_written_in_the_commands(repository):
    """Commands exit with the code of an error, or with a plain 1."""
    written = {
        match
        for path in (repository / "edge_hoi" / "cli").rglob("*.py")
        for match in re.findall(r"(?:typer\.Exit|sys\.exit)\((\w+)\)", path.read_text())
    }
    assert written <= {"1", "code", "CUT_SHORT_EXIT_CODE", "INCOMPLETE_EXIT_CODE", "FAILED_EXIT_CODE"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["no-such-command"], 2),
        (["run", "missing.yaml"], 2),
        (["run", "--vocabulary", "missing.yaml"], 2),
        (["run", "--source", "missing.mp4"], 3),
        (["run", "--engine", "missing"], 4),
        (["run", "--events", "missing/folder/events.jsonl"], 6),
        (["models", "pull", "missing"], 2),
        (["datasets", "check", "hico_det", "--data", "."], 1),
    ],
)
def test_commands_end_with_the_codes_of_the_table(shell, table, arguments, code):
    ended = shell(*arguments)
    assert ended.code == code, ended
    assert code in table
    assert "Traceback" not in ended.err
