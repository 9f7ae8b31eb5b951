"""Fetching a file over HTTP so that an interruption costs nothing and a half file is not taken for a whole one.

What came so far stands in `NAME.part`, and the server's name for that version in `NAME.part.version`; the next try goes on from there if
the server still has that version. urllib does all that is needed, so no HTTP library is a dependency.
"""

import contextlib
import fcntl
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from edge_hoi import __version__
from edge_hoi.errors import DownloadError
from edge_hoi.hashing import sha256_of_file

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be, if that is known."""

TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_MAX_TRIES_WITHOUT_PROGRESS = 3


def download(url: str, path: Path, *, sha256: str | None = None, progress: Progress = lambda *_: None, pause_seconds: float = 1.0) -> None:
    """Fetch a file, or what is missing of it.

    Args:
        url: `http://` or `https://`.
        path: Where to; the file appears there whole and checked, or not at all.
        sha256: Its hash or the hash's first digits; None to believe the server.
        progress: Told how far it is.
        pause_seconds: Wait before going on after the connection broke; doubles each time that nothing came.

    Raises:
        DownloadError: The server cannot be reached or has no such file, or what came is not what was expected.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise DownloadError(
            f"expected an address that begins with https:// and holds no password, got one that begins with {parts.scheme}:"
        )
    part = path.with_name(path.name + ".part")
    version = path.with_name(path.name + ".part.version")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part, version) as file:
            _fetch(url, file, version, progress, pause_seconds)
            file.flush()
            found = sha256_of_file(part)
            if not found.startswith(sha256 or ""):
                _start_again(file)
                raise DownloadError(f"{_shown(url)}: expected sha256 {sha256}, got {found}; it was replaced or damaged, and not kept")
            part.replace(path)
            version.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror or error}; free some space or choose another folder") from error


@contextlib.contextmanager
def _alone(part: Path, version: Path) -> Iterator[IO[bytes]]:
    """Open what is there so far, keep other processes off it, and leave nothing behind if nothing came."""
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(f"{part} is being fetched by another process; wait for it") from error
        try:
            yield file
        finally:
            if file.seek(0, 2) == 0:
                part.unlink(missing_ok=True)
                version.unlink(missing_ok=True)


def _fetch(url: str, file: IO[bytes], version: Path, progress: Progress, pause_seconds: float) -> None:
    tries = 0
    while True:
        before = file.seek(0, 2)
        try:
            if _fetch_once(url, file, version, progress):
                return
            problem = "the connection broke"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code != 429:
                raise DownloadError(f"{_shown(url)}: the server answers {error.code} ({error.reason}); look at the model's page") from error
            problem = f"the server answers {error.code} ({error.reason})"
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        tries = 0 if file.seek(0, 2) > before else tries + 1
        if tries == _MAX_TRIES_WITHOUT_PROGRESS:
            done = file.seek(0, 2)
            raise DownloadError(f"cannot fetch {_shown(url)}: {problem}; {done} bytes are kept, pull again to go on, or fetch it by hand")
        time.sleep(pause_seconds * 2**tries)


class _Answer(NamedTuple):
    """What the server sends.

    Attributes:
        start: Where in the file it begins.
        total: Length of the whole file, if the server says so.
        version: The server's name for this version of the file, or an empty string.
    """

    start: int
    total: int | None
    version: str


def _fetch_once(url: str, file: IO[bytes], version: Path, progress: Progress) -> bool:
    """Ask once for what is missing, and tell whether the file is whole now."""
    have = file.seek(0, 2)
    headers = {"User-Agent": f"edge-hoi/{__version__}", "Accept-Encoding": "identity"}
    known_version = version.read_text() if version.exists() else ""
    if have and known_version:
        headers |= {"Range": f"bytes={have}-", "If-Range": known_version}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- its scheme was checked
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing after what we have
            error.close()
            return error.headers.get("Content-Range") == f"bytes */{have}" or _start_again(file)
        raise
    with response:
        answer = _read_headers(response)
        if answer.start not in (0, have):
            raise DownloadError(f"{_shown(url)}: asked for what follows byte {have}, got what follows {answer.start}; fetch it by hand")
        if answer.start == 0:
            _start_again(file)
        version.write_text(answer.version)
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            progress(file.tell(), answer.total)
    return answer.total is None or file.tell() == answer.total


def _read_headers(response: http.client.HTTPResponse) -> _Answer:
    # A weak tag (W/"...") promises less than equal bytes.
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "")) if response.status == 206 else None
    if match:
        return _Answer(int(match[1]), int(match[2]), version)
    length = response.headers.get("Content-Length", "")
    return _Answer(0, int(length) if length.isdecimal() else None, version)


def _start_again(file: IO[bytes]) -> bool:
    file.seek(0)
    file.truncate()
    return False


def _shown(url: str) -> str:
    """Leave out what may be a token."""
    return url.partition("?")[0]
