"""Download a file over HTTP, resume after an interruption, and never leave a partial file under the final name.

The bytes received so far are in `NAME.part`. Where the content is known beforehand, the next download continues there; its hash is
checked in any case. Proxies are those of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
"""

import contextlib
import errno
import fcntl
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from edge_hoi import __version__
from edge_hoi.errors import DownloadError
from edge_hoi.hub.pin import Pin
from edge_hoi.own_file import open_own

Progress = Callable[[int, int | None], None]
"""Called with the bytes received, and the total."""

TIMEOUT_SECONDS = 30.0
MAX_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 18
_MAX_TRIES_WITHOUT_PROGRESS = 3


def download(
    url: str,
    path: Path,
    *,
    pin: Pin,
    max_bytes: int = MAX_BYTES,
    progress: Progress = lambda *_: None,
    pause_seconds: float = 1.0,
) -> None:
    """Download a file, or the missing rest of it.

    Args:
        url: `http://` or `https://`; redirects to `https://` are followed, to others only from their own kind.
        path: The file to write; it appears complete and checked, or not at all.
        pin: What its content must be. Whether one without a full hash will do is the caller's decision.
        max_bytes: Most bytes that it may have.
        progress: Called after each chunk.
        pause_seconds: Wait before a retry; doubles with each retry without progress.

    Raises:
        DownloadError: The server is unreachable, has no such file or does not state its size; the file is too large or not the expected
            one; or it cannot be written.
    """
    _check_address(url)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as file:
            while True:
                is_resumed = _size(file) > 0 and pin.is_full
                if not is_resumed:
                    _empty(file)
                _Transfer(url, file, pin, max_bytes, progress).run(pause_seconds)
                difference = pin.difference(file)
                if difference is None:
                    break
                _empty(file)
                if not is_resumed:  # else the part was of another file
                    raise DownloadError(f"{_without_query(url)}: {difference}; it was replaced or damaged; deleted")
            os.fsync(file.fileno())
            part.replace(path)
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror or error}; free some space or choose another folder") from error


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise DownloadError(
            f"expected an address that begins with https:// and contains no password, got one that begins with {parts.scheme}:"
        )


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """Open and lock the partial file, which is no link to another; delete it if it stays empty."""
    with open_own(part, 0o666) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(f"another process is downloading {part}; wait for it") from error
        try:
            yield file
        finally:
            if _size(file) == 0:
                part.unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects that are as safe as the address itself."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse one from https:// to another scheme."""
        try:
            _check_address(newurl)
            if urlsplit(newurl).scheme not in ("https", urlsplit(req.full_url).scheme):
                raise DownloadError(f"{_without_query(req.full_url)} redirects to an address without encryption; download it by hand")
        except DownloadError:
            fp.close()
            raise
        req.remove_header("Proxy-authorization")  # it would reach the new host; set again where a proxy is used
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Transfer:
    """Fetches the missing bytes of a file, with retries."""

    def __init__(self, url: str, file: BinaryIO, pin: Pin, max_bytes: int, progress: Progress) -> None:
        self._url, self._file, self._pin, self._max_bytes, self._progress = url, file, pin, max_bytes, progress
        self._name = _without_query(url)
        self._version = ""
        self._open = urllib.request.build_opener(_Redirects).open

    def run(self, pause_seconds: float) -> None:
        """Fetch until the file has all its bytes."""
        tries = 0
        while True:
            before = _size(self._file)
            try:
                if self._fetch_once():
                    return
                problem = "the connection broke"
            except urllib.error.HTTPError as error:
                error.close()
                if error.code < 500 and error.code != 429:
                    raise DownloadError(_refusal(self._name, error.code)) from error
                problem = f"HTTP status {error.code} ({error.reason})"
            except (urllib.error.URLError, http.client.HTTPException) as error:
                problem = str(getattr(error, "reason", None) or error) or type(error).__name__
            done = _size(self._file)
            tries = 0 if done > before else tries + 1
            if tries == _MAX_TRIES_WITHOUT_PROGRESS:
                kept = f"{done} bytes are kept, pull again to resume" if self._pin.is_full else "pull again"
                raise DownloadError(f"cannot download {self._name}{_through_proxy(self._url)}: {problem}; {kept}, or download it by hand")
            time.sleep(pause_seconds * 2**tries)

    def _fetch_once(self) -> bool:
        """Request the missing bytes once, and return whether the file is complete."""
        file, have = self._file, _size(self._file)
        if have and have == self._pin.size_bytes:
            return True
        headers = {"User-Agent": f"edge-hoi/{__version__}", "Accept-Encoding": "identity"}
        if have and (self._version or self._pin.is_full):
            headers |= {"Range": f"bytes={have}-", **({"If-Range": self._version} if self._version else {})}
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 -- its scheme was checked
        try:
            with _as_url_errors():
                response = self._open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # no bytes after those we have
                error.close()
                if error.headers.get("Content-Range") == f"bytes */{have}":
                    return True
                _empty(file)
                return False
            raise
        with response:
            start, total = self._read_headers(response, have)
            if start == 0:
                _empty(file)
            while file.tell() < total:
                with _as_url_errors():
                    chunk = response.read(min(_CHUNK_BYTES, total - file.tell()))
                if not chunk:
                    break
                _write(file, chunk)
                self._progress(file.tell(), total)
        return file.tell() == total

    def _read_headers(self, response: http.client.HTTPResponse, have: int) -> tuple[int, int]:
        """Return the offset at which the response starts, and the size of the whole file, once both are acceptable."""
        # A weak tag (W/"...") does not guarantee equal bytes.
        tag = response.headers.get("ETag", "")
        self._version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        start, total = 0, response.headers.get("Content-Length", "")
        if response.status == 206:
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            start, total = (int(match[1]), match[2]) if match else (-1, "")
            if start not in (0, have):
                raise DownloadError(f"{self._name}: requested bytes from {have}, got others; download it by hand")
        expected = self._pin.size_bytes
        if not total.isdecimal():
            if expected is None:
                raise DownloadError(f"{self._name}: the server does not state the file's size; download it by hand")
            return start, expected
        size = int(total)
        if expected not in (None, size):
            raise DownloadError(f"{self._name}: expected {expected} bytes, the server has {size}; it was replaced; check the model's page")
        if size > self._max_bytes:
            raise DownloadError(
                f"{self._name}: {size} bytes are more than the {self._max_bytes} that are accepted; is this the right file?"
            )
        free = shutil.disk_usage(self._file.fileno()).free
        if free < size - start:
            raise OSError(
                errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: it needs {(size - start) / 1e6:.1f} MB, {free / 1e6:.1f} MB are free"
            )
        return start, size


@contextlib.contextmanager
def _as_url_errors() -> Iterator[None]:
    """Tell failures of the network from those of the disk: both are `OSError`."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise urllib.error.URLError(error) from error


def _size(file: BinaryIO) -> int:
    """Move to a file's end, and return its size."""
    return file.seek(0, 2)


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of it, which an unbuffered file need not do at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _refusal(name: str, status: int) -> str:
    if status == 407:
        return f"{name}: the proxy wants a password; put it into HTTPS_PROXY: http://USER:PASSWORD@PROXY:PORT"
    if status < 400:
        return f"{name}: redirects without an end or to an address that is not allowed; download it by hand"
    return f"{name}: HTTP status {status} ({http.client.responses.get(status, 'unknown')}); check the model's page"


def _through_proxy(url: str) -> str:
    """Name the proxy that requests for an address go through."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return ""
    return f" through the proxy {proxy.rpartition('@')[2].rpartition('/')[2]}"


def _without_query(url: str) -> str:
    """Remove the query, which may hold a token."""
    return url.partition("?")[0]
