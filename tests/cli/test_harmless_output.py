"""Texts that act on a terminal, or hold a secret, are harmless however they are printed."""

import logging
import sys
import threading

import pytest
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from edge_hoi import masking
from edge_hoi.cli import run as run_module
from edge_hoi.cli.app import app, main
from edge_hoi.cli.engine_fetching import download_bar
from edge_hoi.cli.lab.results import progress_bar
from edge_hoi.cli.terminal import Streams, err, harmless, out, print_error, print_note, print_result, show_logs

HOSTILE = "[/nope]\x1b]0;owned\x07\x9b31m\r\u202egpj\u2028[bold]x"
SHOWN = r"[/nope]\u001b]0;owned\u0007\u009b31m\u000d\u202egpj\u2028[bold]x"
SECRET = "s3cr3t-canary"


@pytest.fixture(autouse=True)
def _remembers_one_secret(monkeypatch):
    monkeypatch.setattr(masking, "_remembered", {SECRET: None})


def in_table(text):
    table = Table(title=text, min_width=120)
    table.add_column(text)
    table.add_row(text)
    out.print(table)


def in_progress(text):
    with Progress(console=err) as progress:
        progress.console.print(text)


def in_live_lines(text):
    with Live(Text(text), console=err, auto_refresh=False) as live:
        live.refresh()


def in_thread(text):
    thread = threading.Thread(target=lambda: int(text))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "show",
    [
        print_error,
        print_note,
        in_table,
        in_progress,
        in_live_lines,
        lambda text: out.print(text, soft_wrap=True),
        lambda text: out.print(Text(text, "red")),
        lambda text: out.print_json(f'["{text.encode("unicode_escape").decode()}"]'.replace("\\x", "\\u00")),
        lambda text: sys.stderr.write(text),
        lambda text: sys.stdout.write(text),
    ],
)
def test_every_way_of_printing_escapes_controls_and_masks_secrets(show, capsys):
    with Streams():
        show(f"{HOSTILE} {SECRET}")
    printed = "".join(capsys.readouterr())
    assert r"[/nope]\u001b]0;owned" in printed
    assert r"\u009b31m" in printed
    assert r"\u202egpj\u2028[bold]x ***" in printed
    assert SECRET not in printed
    assert not set(printed) & set("\x1b\x07\x9b\r\u202e\u2028")


@pytest.mark.parametrize(("show", "name"), [(print_error, "error"), (print_note, "note")])
def test_each_line_of_a_message_is_named_as_part_of_it(show, name, capsys):
    show("first\nerror: second")
    assert capsys.readouterr().err == f"{name}: first\n{name}: error: second\n"


@pytest.mark.parametrize("bar", [lambda text: progress_bar(), download_bar], ids=["progress", "download"])
def test_the_text_beside_a_bar_is_no_markup(bar, capsys, monkeypatch):
    monkeypatch.setattr(err, "_force_terminal", True)
    monkeypatch.setattr(err, "is_interactive", True)
    monkeypatch.setenv("TERM", "xterm")
    with Streams(), bar(HOSTILE) as update:
        if bar is download_bar:
            update(1, 2)
        else:
            update(description=HOSTILE, refresh=True)
    printed = "".join(capsys.readouterr())
    assert r"[/nope]\u001b]0;" in printed
    assert not set(printed) & set("\x07\x9b\u202e")


def test_ordinary_text_is_shown_as_it_is(capsys):
    text = "Straße\tм 人 🚲 \N{ZERO WIDTH JOINER} [bold] 100 % ▶"
    with Streams():
        out.print(text, soft_wrap=True)
        sys.stdout.write(f"{text}\n")
        print_result('{"text": "s3cr3t-canary"}')  # another program reads it
    assert capsys.readouterr().out == f'{text.expandtabs(8)}\n{text}\n{{"text": "s3cr3t-canary"}}\n'
    assert harmless(text) == text


def test_a_library_may_redraw_its_line(capsys):
    with Streams():
        sys.stderr.write("\r50 %\x1b[31m")
    assert capsys.readouterr().err == "\r50 %\\u001b[31m"


def test_a_message_of_the_log_stays_on_its_line(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with Streams():
        show_logs()
        logging.getLogger("edge_hoi.sinks").warning("server: %s", f"no\n2026-01-01 ERROR forged {HOSTILE} {SECRET}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(f"WARNING server: no\\n2026-01-01 ERROR forged {SHOWN} ***")


def test_a_traceback_of_the_log_or_of_a_thread_shows_no_secret(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    with Streams():
        show_logs()
        try:
            int(f"{SECRET} rtsp://u:other@h/live\x1b[2J")
        except ValueError:
            logging.getLogger("edge_hoi").exception("failed")
        in_thread(f"{SECRET}\x1b[2J")
    printed = capsys.readouterr().err
    assert printed.count("Traceback") == 2
    assert printed.count("***") >= 3
    assert "other" not in printed
    assert SECRET not in printed
    assert "\x1b" not in printed


def test_a_defect_of_a_command_is_reported_without_locals_and_secrets(capsys, monkeypatch):
    def fail(*_arguments):
        token = "l0cal-" + "canary"
        raise RuntimeError(f"{SECRET}{token[:0]}\x1b[2J rtsp://u:other@h/live?sig=more")

    monkeypatch.setattr(run_module, "stop_on_signal", fail)
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    printed = capsys.readouterr().err
    assert ended.value.code == 1
    assert r"RuntimeError: ***\u001b[2J rtsp://u:***@h/live?sig=***" in printed
    assert "please report it" in printed
    assert not [word for word in (SECRET, "l0cal-canary", "other", "more", "\x1b") if word in printed]
    assert not app.pretty_exceptions_show_locals
    assert not app.pretty_exceptions_enable


def test_a_wrong_argument_is_quoted_harmlessly(edge_hoi):
    code, printed = edge_hoi("run", "--source", "a.mp4", "b.yaml", f"{HOSTILE} {SECRET}")
    assert code == 2
    assert r"([/nope]\x1b]0;owned" in printed
    assert "***)" in printed
    assert not set(printed) & set("\x1b\x07\x9b\r\u202e\u2028")
