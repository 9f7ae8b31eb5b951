"""Download a file over HTTP, resume after an interruption, and never leave a partial file under the final name.

The bytes received so far are in `NAME.part`, the server's version tag in `NAME.part.version`; the next download resumes there if the server
still has that version.
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
"""Called with the bytes received, and the total if it is known."""

TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 18
_MAX_TRIES_WITHOUT_PROGRESS = 3


def download(url: str, path: Path, *, sha256: str | None = None, progress: Progress = lambda *_: None, pause_seconds: float = 1.0) -> None:
    """Download a file, or the missing rest of it.

    Args:
        url: `http://` or `https://`.
        path: The file to write; it appears complete and checked, or not at all.
        sha256: Its hash or the hash's first digits; None for no check.
        progress: Called after each chunk.
        pause_seconds: Wait before a retry; doubles with each retry without progress.

    Raises:
        DownloadError: The server is unreachable or has no such file, or the file differs from the expected one.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise DownloadError(
            f"expected an address that begins with https:// and contains no password, got one that begins with {parts.scheme}:"
        )
    part = path.with_name(path.name + ".part")
    version = path.with_name(path.name + ".part.version")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part, version) as file:
            _fetch(url, file, version, progress, pause_seconds)
            file.flush()
            found = sha256_of_file(part)
            if not found.startswith(sha256 or ""):
                _truncate(file)
                raise DownloadError(f"{_without_query(url)}: expected sha256 {sha256}, got {found}; it was replaced or damaged; deleted")
            part.replace(path)
            version.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror or error}; free some space or choose another folder") from error


@contextlib.contextmanager
def _locked(part: Path, version: Path) -> Iterator[IO[bytes]]:
    """Open and lock the partial file; delete it if it stays empty."""
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(f"another process is downloading {part}; wait for it") from error
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
                raise DownloadError(f"{_without_query(url)}: HTTP status {error.code} ({error.reason}); check the model's page") from error
            problem = f"HTTP status {error.code} ({error.reason})"
        except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        tries = 0 if file.seek(0, 2) > before else tries + 1
        if tries == _MAX_TRIES_WITHOUT_PROGRESS:
            done = file.seek(0, 2)
            raise DownloadError(
                f"cannot download {_without_query(url)}: {problem}; {done} bytes are kept, pull again to resume, or download it by hand"
            )
        time.sleep(pause_seconds * 2**tries)


class _ResponseInfo(NamedTuple):
    """The offset at which the response starts, the length of the whole file if known, and the file's version tag or ""."""

    start: int
    total: int | None
    version: str


def _fetch_once(url: str, file: IO[bytes], version: Path, progress: Progress) -> bool:
    """Request the missing bytes once, and return whether the file is complete."""
    have = file.seek(0, 2)
    headers = {"User-Agent": f"edge-hoi/{__version__}", "Accept-Encoding": "identity"}
    known_version = version.read_text() if version.exists() else ""
    if have and known_version:
        headers |= {"Range": f"bytes={have}-", "If-Range": known_version}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- its scheme was checked
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # no bytes after those we have
            error.close()
            return error.headers.get("Content-Range") == f"bytes */{have}" or _truncate(file)
        raise
    with response:
        info = _read_headers(response)
        if info.start not in (0, have):
            raise DownloadError(f"{_without_query(url)}: requested bytes from {have}, got bytes from {info.start}; download it by hand")
        if info.start == 0:
            _truncate(file)
        version.write_text(info.version)
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            progress(file.tell(), info.total)
    return info.total is None or file.tell() == info.total


def _read_headers(response: http.client.HTTPResponse) -> _ResponseInfo:
    # A weak tag (W/"...") does not guarantee equal bytes.
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "")) if response.status == 206 else None
    if match:
        return _ResponseInfo(int(match[1]), int(match[2]), version)
    length = response.headers.get("Content-Length", "")
    return _ResponseInfo(0, int(length) if length.isdecimal() else None, version)


def _truncate(file: IO[bytes]) -> bool:
    file.seek(0)
    file.truncate()
    return False


def _without_query(url: str) -> str:
    """Remove the query, which may hold a token."""
    return url.partition("?")[0]
