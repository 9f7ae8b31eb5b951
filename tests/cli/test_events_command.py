"""`edge-hoi events` on files of events."""

import hashlib
import json
import os
import threading

import pytest
from past_events import past_events, write_lines

from edge_hoi.cli import main


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path):
    riding, holding = past_events("a" * 32, seconds=15.4), past_events("b" * 32, at=600, is_open=True, verb="hold", camera="dock")
    return write_lines(tmp_path / "events.jsonl", riding, holding)


@pytest.fixture
def events(capsys):
    """Run the command; give its exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["events", *map(str, arguments)])
        return (ended.value.code or 0, *capsys.readouterr())

    return run


def test_a_table_has_a_line_for_each_episode(events, path):
    code, table, notes = events(path)
    assert (code, notes) == (0, "")
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["2026-01-01T12:00:00+00:00", "15.4", "s", "gate", "person", "riding", "bicycle", "0.80", "absent"],
        ["2026-01-01T12:10:00+00:00", "1.5", "s", "dock", "person", "riding", "bicycle", "0.80", "open"],
    ]


def test_a_long_table_ends_with_the_newest_and_says_so(events, tmp_path):
    path = write_lines(tmp_path / "events.jsonl", *(past_events(f"{number:032x}", at=number) for number in range(101)))
    code, table, notes = events(path)
    assert code == 0
    assert [len(table.splitlines()), table.split()[8]] == [101, "2026-01-01T12:00:01+00:00"]
    assert notes == "note: only the newest 100 episodes are shown; --limit shows more, --format csv all\n"
    code, table, notes = events(path, "--limit", 2)
    assert (len(table.splitlines()), notes) == (3, "")
    assert len(events(path, "--format", "csv")[1].splitlines()) == 102


def test_conditions_select(events, path):
    for option in (("--verb", "h*"), ("--camera", "dock"), ("--since", "2026-01-01T12:05"), ("--min-seconds", "0.1", "--verb", "hold")):
        rows = json.loads(events(path, "--format", "json", *option)[1])
        assert [row["verb"] for row in rows] == ["hold"], option
    assert [json.loads(line)["verb"] for line in events(path, "--format", "jsonl", "--until", "12:05")[1].splitlines()] == ["ride", "hold"]


def test_where_nothing_is_selected_it_says_what_there_is(events, path):
    code, table, notes = events(path, "--verb", "fly")
    assert (code, table) == (0, "")
    assert notes == (
        "note: no episode is selected; there are 5 events from 2026-01-01T12:00:00+00:00 to 2026-01-01T12:10:01+00:00, with cameras: dock, "
        "gate; verbs: hold, ride; objects: bicycle\n"
    )
    path.write_bytes(b"")
    assert events(path) == (0, "", "note: there are no events\n")


def test_sums_are_a_table_or_csv(events, path):
    _, table, _ = events(path, "--sum", "camera")
    assert [line.split() for line in table.splitlines()] == [
        ["camera", "episodes", "seconds", "longest_seconds"],
        ["dock", "1", "1.5", "1.5"],
        ["gate", "1", "15.4", "15.4"],
    ]
    _, lines, _ = events(path, "--sum", "hour", "--format", "csv")
    assert lines == "hour,episodes,seconds,longest_seconds\n2026-01-01T12:00:00.000+00:00,2,16.9,15.4\n"


def test_files_are_written_in_the_form_of_their_suffix_and_the_source_stays(events, path, tmp_path):
    before = hashlib.sha256(path.read_bytes()).digest()
    assert events(path, "-o", tmp_path / "seen.csv", "--timeline", tmp_path / "seen.svg") == (0, "", "")
    assert (
        (tmp_path / "seen.csv").read_text().splitlines()[1].startswith("2026-01-01T12:00:00.000+00:00,2026-01-01T12:00:15.400+00:00,15.4,")
    )
    assert (tmp_path / "seen.svg").read_text().startswith("<svg ")
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "events.jsonl"), "--output events.jsonl is a source, and would be overwritten"),
        (("--timeline", "same.html", "--output", "same.html"), "expected the suffix .csv"),
        (("--timeline", "events.png", "--since", "2h", "--until", "3h"), "--since 2h is not before --until 3h"),
        (("--timeline", "events.gif"), "expected the suffix .png"),
        (("--output", "seen.txt"), "expected the suffix .csv, .parquet, .json or .jsonl"),
        (("--output", "seen.csv", "--format", "table"), "a table is for the terminal"),
        (("--format", "parquet"), "Parquet needs a file"),
        (("--sum", "day", "--limit", 5), "--limit is of episodes"),
        (("--media", "media"), "name its file with --timeline"),
        (("--since", "soon"), "--since: expected a time such as 2h"),
        (("nothing.db",), "nothing.db: there is no such file or folder"),
    ],
)
def test_mistakes_are_errors_of_one_line_before_anything_is_written(events, path, monkeypatch, arguments, message):
    monkeypatch.chdir(path.parent)
    code, output, errors = events("events.jsonl", *arguments)
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert message in errors
    assert [each.name for each in path.parent.iterdir()] == ["events.jsonl"]


@pytest.mark.parametrize(
    ("source", "existing", "arguments"),
    [
        ("rot.jsonl", "rot.jsonl.1", "rot.jsonl -o rot.jsonl.1 --format csv"),
        ("w.jsonl", "w.jsonl-wal", "w.jsonl -o w.jsonl-wal --format csv"),
        ("w.jsonl", "w.jsonl-shm", "w.jsonl -o w.jsonl-shm --format csv"),
        ("x.jsonl.unfinished", "x.jsonl.unfinished", "x.jsonl.unfinished -o x.jsonl"),
        ("x.svg.unfinished", "x.svg.unfinished", "x.svg.unfinished --timeline link.svg"),
        (".hidden", "a.jsonl", ". -o a.jsonl"),
    ],
)
def test_no_file_that_is_read_is_overwritten(events, tmp_path, monkeypatch, source, existing, arguments):
    monkeypatch.chdir(tmp_path)
    for name in (source, existing):
        write_lines(tmp_path / name, past_events("a" * 32))
    (tmp_path / "link.svg").symlink_to("x.svg")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.exists()}
    code, _, errors = events(*arguments.split())
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "choose another file" in errors
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.exists()} == before


@pytest.mark.parametrize("arguments", ["-o {} --format csv", "--format json -o {}", "--format json --timeline {}"])
def test_an_output_through_a_link_or_into_a_pipe_leaves_them_as_they_are(events, path, tmp_path, arguments):
    name = tmp_path / "out.svg"
    target = tmp_path / "target"
    name.symlink_to(target)
    assert events(path, *arguments.format(name).split())[::2] == (0, "")
    assert name.is_symlink()
    expected = target.read_bytes()
    assert len(expected) > 100
    name.unlink()
    os.mkfifo(name)
    found = []
    reader = threading.Thread(target=lambda: found.append(name.read_bytes()))
    reader.start()
    assert events(path, *arguments.format(name).split())[::2] == (0, "")
    reader.join(10)
    assert found == [expected]
    assert name.is_fifo()


def test_names_in_events_do_not_act_on_the_terminal(events, tmp_path):
    path = write_lines(tmp_path / "events.jsonl", past_events("a" * 32, camera="\x1b[31mgate"))
    for form in ("table", "csv", "json", "jsonl"):
        assert "\x1b" not in events(path, "--format", form)[1]
