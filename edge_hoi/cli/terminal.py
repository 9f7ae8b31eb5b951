"""The two consoles: results go to standard output, everything else to standard error.

A display cannot stop a command: characters that a stream cannot encode are replaced, and a failed write is kept until the command ends.
Nor can what is shown act on the terminal: whatever prints, texts of cameras, engines, servers and files among it, secrets are masked and
control characters escaped, and no text is taken for Rich's markup.
"""

import codecs
import errno
import io
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import IO, BinaryIO, TextIO, cast

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.logging import RichHandler
from rich.segment import Segment
from rich.text import Text
from typing_extensions import Self

from edge_hoi.masking import mask

FILE_WIDTH = 160
"""Columns where output goes to a file or a pipe, which have no window to fit."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, other line separators, and characters that change the direction of text."""
_ENCODING_ERRORS = "edge-hoi-degrade"
_ASCII = {"▶": ">", "■": "#", "·": "-", "…": "...", "✓": "ok", "✗": "failed"}


def harmless(text: str) -> str:
    r"""Mask secrets, and escape characters that act on a terminal, as in `\u001b`."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", mask(text))


class _Guard(io.TextIOBase):
    """Stands in for standard output or error while a command runs; write errors are kept, not raised, and texts made harmless.

    Attributes:
        stream: The stream below.
        exact: The same, for texts that are harmless already.
        failure: Of `exact`: the first error of a write to either.
    """

    def __init__(self, stream: TextIO | None, *, is_exact: bool = False) -> None:
        self.stream = stream
        self.exact = self if is_exact else _Guard(stream, is_exact=True)
        self.failure: Exception | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODING_ERRORS)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding if self.stream else "utf-8"

    @property
    def buffer(self) -> BinaryIO:
        """The bytes below, for a sink, whose errors are its own."""
        return self._opened().buffer

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        return self._opened().fileno()

    def write(self, text: str) -> int:
        if self.exact is not self:
            start = "\r" if text.startswith("\r") else ""  # progress of libraries
            self.exact.write(start + harmless(text.removeprefix(start)))
            return len(text)
        try:
            self._opened().write(text)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self.exact.failure = self.exact.failure or error
        return len(text)

    def flush(self) -> None:
        try:
            if self.stream:
                self.stream.flush()
        except (OSError, ValueError) as error:
            self.exact.failure = self.exact.failure or error

    def _opened(self) -> TextIO:
        if self.stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.stream


class _Console(Console):
    """A console that writes harmless texts, with no codes but its own."""

    @property
    def file(self) -> IO[str]:
        """Where it writes."""
        file = super().file
        return cast(IO[str], file.exact) if isinstance(file, _Guard) else file

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make each text harmless before it is wrapped, or measured in a table."""
        if isinstance(renderable, str):
            renderable = harmless(renderable)
        elif isinstance(renderable, Text) and (plain := harmless(renderable.plain)) != renderable.plain:
            renderable = renderable.blank_copy(plain)
        return super().render(renderable, options)


class _LineFormatter(logging.Formatter):
    """Keeps each message of the log on one line, so that no text in it looks like a message of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        return super().formatMessage(record).replace("\n", "\\n")


def _width(stream: TextIO | None) -> int | None:
    return None if stream is not None and stream.isatty() else FILE_WIDTH


out = _Console(highlight=False, emoji=False, markup=False, width=_width(sys.stdout))
err = _Console(stderr=True, highlight=False, emoji=False, markup=False, width=_width(sys.stderr))


def print_error(message: str) -> None:
    """Print an error, which may have several lines."""
    _print_lines("error: ", "bold red", message)


def print_note(message: str) -> None:
    """Print what a person should know and that is not an error; it may have several lines."""
    _print_lines("note: ", "bold yellow", message)


def _print_lines(name: str, style: str, message: str) -> None:
    """Print a message with its name before each line, so that no line in it looks like a message of its own."""
    for line in message.split("\n"):
        err.print(name, style=style, end="")
        err.print(line, soft_wrap=True)


def print_result(line: str) -> None:
    """Print one of many result lines, ASCII for another program, and end the command once standard output cannot be written.

    Raises:
        typer.Exit: The line could not be written.
    """
    exact = getattr(sys.stdout, "exact", None)
    print(line, file=exact, flush=True)  # a console would wrap it
    if getattr(exact, "failure", None):
        raise typer.Exit(1)


def show_logs() -> None:
    """Print the log's warnings on standard error: above the live line on a terminal, as whole lines elsewhere."""
    handler: logging.Handler
    if err.is_terminal:
        handler, form = RichHandler(console=err, show_path=False), "%(message)s"
    else:
        handler, form = logging.StreamHandler(), "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(_LineFormatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class Streams:
    """Guards standard output and error while a command runs, however the process was started. A context manager."""

    def __enter__(self) -> Self:
        """Put the guards in place."""
        for descriptor in range(3):  # else the next file opened would become standard output, and receive what native libraries print
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number; writing to it still fails
        self._out, self._err = _Guard(sys.stdout), _Guard(sys.stderr)
        sys.stdout, sys.stderr = cast(TextIO, self._out), cast(TextIO, self._err)
        return self

    def finish(self, exit_code: int, *, shows_progress: bool) -> int:
        """Report what standard output lost; return the exit code, which becomes 1 if the command succeeded and its result is lost.

        Args:
            exit_code: The command's exit code.
            shows_progress: Standard output shows progress only, and its loss is no failure.
        """
        self._out.flush()
        failure = self._out.exact.failure
        if failure is None:
            return exit_code
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        if shows_progress:
            print_note(f"standard output: {reason}; some lines are missing there")
            return exit_code
        if not isinstance(failure, BrokenPipeError):  # who ends `| head` knows
            print_error(f"cannot write to standard output: {reason}")
        return exit_code or 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Restore the streams."""
        for guard in (self._out, self._err):
            guard.flush()
            if guard.exact.failure:  # else the interpreter's own flush at its end fails too
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), guard.fileno())
        sys.stdout, sys.stderr = cast(TextIO, self._out.stream), cast(TextIO, self._err.stream)


def _degrade(error: UnicodeError) -> tuple[str, int]:
    r"""Replace characters that an encoding lacks; bytes of a file name that are not UTF-8 become `\xff`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    is_byte = {one: 0xDC80 <= ord(one) <= 0xDCFF for one in lacking}
    return "".join(_ASCII.get(one) or (f"\\x{ord(one) - 0xDC00:02x}" if is_byte[one] else "?") for one in lacking), error.end


codecs.register_error(_ENCODING_ERRORS, _degrade)
