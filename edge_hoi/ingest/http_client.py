"""Read HTTP and HLS for FFmpeg, which itself opens no connection for them.

So certificates are verified as Python does, redirects and the addresses in playlists are checked, names are resolved once for the check and
the connection, each wait has a deadline, and FFmpeg knows no password. Proxies are not used: the address could not be checked.
"""

import http.client
import io
import re
import time
import urllib.error
import urllib.request
import weakref
from contextlib import closing
from email.message import Message
from http.cookiejar import CookieJar
from typing import IO
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from edge_hoi import __version__
from edge_hoi.errors import SourceError
from edge_hoi.ingest.aes import CbcReader
from edge_hoi.ingest.http_transport import DigestFirst, Transport
from edge_hoi.ingest.remote_access import RemoteAccess
from edge_hoi.ingest.segment_dates import SegmentDates
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import SourceKind

_PLAYLIST = b"#EXTM3U"
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")  # PyAV fails on addresses that are not UTF-8, as FFmpeg also cuts them
_MAX_PLAYLIST_BYTES = 4 << 20  # a day of segments of 4 s
_MAX_RENDITIONS = 100  # FFmpeg reads the playlist of each before the first frame
_RENDITION = re.compile(rb"(?:^|[\r\n\0])#EXT-X-(?:STREAM-INF|MEDIA):")  # where FFmpeg begins a line
_SEGMENT_LENGTH = re.compile(rb"^#EXTINF:\s*(\d{1,9}(?:\.\d{1,9})?)", re.MULTILINE)
_SEGMENTS_BEHIND = 3  # FFmpeg begins with the third last segment of a live playlist
_PLAYLIST_ADDRESS = re.compile(r'(?m)(?<=URI=")[^"\n]*(?=")|^[^#\s].*$')
_MAX_REDIRECTS = 5
_MAX_READ_BYTES = 1 << 16
_MAX_COOKIES = 50
_IMAGES_TYPE = "multipart/x-mixed-replace"
_PLAYLIST_TYPES = frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"})


class HttpClient:
    """Opens what a source consists of: a file or stream, or the playlists, segments and keys of HLS.

    Errors are kept in `error` and end the data, instead of being raised into FFmpeg: PyAV prints those that FFmpeg tolerates.

    Attributes:
        error: Why the last resource could not be opened or read on; None if it could.
        location: The source's URL after redirects, without user and password.
        format: FFmpeg's name of the format where it can only be known by the content type, not by the data; None to detect it.
        is_finite: Whether the server announced a length: of a recording, or of one image of many, which is no finite source.
        segment_dates: When the segments of playlists were captured.
        captured_seconds: When the first frame of a live playlist was captured at the latest, by `time.monotonic()`; None of other sources.
    """

    def __init__(self, url: str, access: RemoteAccess) -> None:
        """Take the source's URL; `start` connects."""
        parts = urlsplit(url)
        self.error: SourceError | None = None
        self.location = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.format: str | None = None
        self.captured_seconds: float | None = None
        self.segment_dates = SegmentDates()
        self._url = url
        self._access = access
        self._responses: weakref.WeakSet[http.client.HTTPResponse] = weakref.WeakSet()
        self.is_finite = False
        self._has_media = False  # something else than a playlist was opened
        self._first: IO[bytes] | _HttpFile | None = None
        self._cookies = CookieJar()
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            servers = [urljoin(self.location, "/"), f"https://{parts.hostname}/"]  # the second for redirects from http
            passwords.add_password(None, servers, unquote(parts.username), unquote(parts.password or ""))
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            Transport(access),
            _Redirects(access),
            urllib.request.HTTPBasicAuthHandler(passwords),
            DigestFirst(passwords),
            urllib.request.HTTPCookieProcessor(self._cookies),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def start(self, timeout_seconds: float) -> None:
        """Open the source, and set `location` and `format`.

        Raises:
            SourceError: It cannot be opened.
        """
        self.restart(timeout_seconds)
        try:
            file = _HttpFile(self, self.location, 0, None)
            self._first = self._contents(file, self.location)
        except Exception as error:
            raise self._access.error_of(error) from None
        self.is_finite = file.has_length and file.content_type != _IMAGES_TYPE
        self.location, self.format = file.url, "hls" if file.content_type in _PLAYLIST_TYPES else None

    def restart(self, timeout_seconds: float) -> None:
        """Allow this many seconds for what is read next."""
        self._access.deadline.restart(timeout_seconds)

    def close(self) -> None:
        """Close all connections."""
        for response in tuple(self._responses):
            response.close()

    def follows_redirect(self) -> bool:
        """Whether `start` must be called again for a redirect: never, because it follows all itself."""
        return False

    def io_open(self, url: str, flags: int, options: dict[str, str]) -> "IO[bytes] | _HttpFile | CbcReader":
        """Open a resource; the arguments are those of PyAV's `io_open`."""
        del flags
        if self._first is not None and url == self.location:
            file, self._first = self._first, None
            return file
        try:
            return self._open(url, options)
        except Exception as error:  # see the class
            self.fail(error)
            return io.BytesIO()

    def request(self, url: str, start: int, end: int | None) -> http.client.HTTPResponse:
        """Request a resource from byte `start` to before `end`; None for all of it."""
        if self.error is not None and self.error.code == "refused":
            raise self.error
        self._access.check(url)
        last = "" if end is None else end - 1
        request = urllib.request.Request(_quoted(url), headers={"Range": f"bytes={start}-{last}", "User-Agent": f"edge-hoi/{__version__}"})  # noqa: S310
        try:
            response: http.client.HTTPResponse | None = self._opener.open(request)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._access.status_error(error.code) from None
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, Exception) else error from None
        except ValueError as error:  # from urllib, of other schemes than Basic and Digest
            cause, fix = "it wants another authentication than Basic or Digest", "set the server to one of these"
            raise source_error(self._url, SourceKind.HTTP, "unauthorized", cause, fix) from error
        if response is None:
            raise OSError("no handler opened it")
        if len(self._cookies) > _MAX_COOKIES:
            self._cookies.clear()
        if start > 0 and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            response.close()
            raise OSError("the server ignored the range")
        self._responses.add(response)
        return response

    def succeed(self) -> None:
        """Forget the last error, because data has arrived; a refusal remains."""
        if self.error is not None and self.error.code != "refused":
            self.error = None

    def fail(self, error: Exception) -> None:
        """Keep an error; a refusal is not replaced."""
        if self.error is None or self.error.code != "refused":
            self.error = self._access.error_of(error)

    def _open(self, url: str, options: dict[str, str]) -> "IO[bytes] | _HttpFile | CbcReader":
        is_encrypted = url.startswith(("crypto+", "crypto:"))
        start = int(options.get("offset", 0))
        end = int(options["end_offset"]) if "end_offset" in options else None
        url = url[len("crypto+") :] if is_encrypted else url
        file = _HttpFile(self, url, start, end)
        self.segment_dates.opened(url)
        if is_encrypted:
            self._has_media = True
            return CbcReader(file, bytes.fromhex(options["key"]), bytes.fromhex(options["iv"]))
        return self._contents(file, url)

    def _contents(self, file: "_HttpFile", url: str) -> "IO[bytes] | _HttpFile":
        if file.begins_with(_PLAYLIST):
            return io.BytesIO(self._playlist(file, url))
        self._has_media = True
        return file

    def _playlist(self, file: "_HttpFile", url: str) -> bytes:
        """Read a playlist whole, with limits, and with absolute addresses where it was redirected."""
        content = bytearray()
        with closing(file):
            while data := file.read(_MAX_READ_BYTES):
                content += data
                if len(content) > _MAX_PLAYLIST_BYTES:
                    raise self._access.refusal(f"a playlist has more than {_MAX_PLAYLIST_BYTES >> 20} MiB")
        renditions = len(_RENDITION.findall(content))
        if renditions > _MAX_RENDITIONS:
            raise self._access.refusal(f"a playlist names more than {_MAX_RENDITIONS} renditions")
        if renditions and self._has_media:  # against RFC 8216, section 4.3.4; FFmpeg crashes on renditions that it learns of late
            raise self._access.refusal("a playlist of segments names renditions")
        lengths = [float(length) for length in _SEGMENT_LENGTH.findall(content)[-_SEGMENTS_BEHIND:]]
        if self.captured_seconds is None and lengths and b"#EXT-X-ENDLIST" not in content:
            self.captured_seconds = time.monotonic() - sum(lengths)
        if file.url != url:
            text = content.decode("utf-8", "surrogateescape")
            content = bytearray(_PLAYLIST_ADDRESS.sub(lambda match: urljoin(file.url, match[0]), text).encode("utf-8", "surrogateescape"))
        plain = _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], bytes(content))
        self.segment_dates.read(plain.decode("ascii"), url)
        return plain


class _HttpFile:
    """A resource as a file. Seeking takes effect with the next read, by a new request."""

    def __init__(self, client: HttpClient, url: str, start: int, end: int | None) -> None:
        self._client = client
        self._start = start
        self._end = end
        self._position = 0
        self._head = b""
        self._response: http.client.HTTPResponse | None = client.request(url, start, end)
        self.url = self._response.url
        self.content_type = self._response.headers.get_content_type()
        length = self._response.length
        ranges = self._response.headers.get("Accept-Ranges", "")
        self._size = length
        self.has_length = length is not None
        self._is_seekable = length is not None and (self._response.status == http.HTTPStatus.PARTIAL_CONTENT or ranges == "bytes")

    def begins_with(self, signature: bytes) -> bool:
        """Whether it begins so; to be called before reading."""
        while len(self._head) < len(signature) and signature.startswith(self._head):
            data = self._receive(len(signature) - len(self._head))
            if not data:
                break
            self._head += data
        return self._head == signature

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end and after an error."""
        try:
            data = self._head[:size] or self._receive(min(size, _MAX_READ_BYTES))  # FFmpeg asks for a whole packet, of any announced size
        except Exception as error:  # see `HttpClient`
            self._client.fail(error)
            return b""
        self._head = self._head[len(data) :]
        self._position += len(data)
        return data

    def _receive(self, size: int) -> bytes:
        if self._size is not None and self._position >= self._size:
            return b""
        if self._response is None:
            self._response = self._client.request(self.url, self._start + self._position, self._end)
        data = self._response.read1(size)
        if len(data) > size:  # for a negative size of a chunk; PyAV copies all of it into a buffer of `size` bytes
            raise OSError("more data than asked for")
        if data:
            self._client.succeed()
        return data

    def seekable(self) -> bool:
        """Whether the server sends parts of it."""
        return self._is_seekable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position of the next read."""
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size or 0}[whence]
        if position != self._position:
            self.close()
            self._position, self._head = max(position, 0), b""
        return self._position

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def close(self) -> None:
        """Close the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to where the source may lead."""

    max_redirections = _MAX_REDIRECTS

    def __init__(self, access: RemoteAccess) -> None:
        self._access = access

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # else urllib reads all of it
        self._access.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _quoted(url: str) -> str:
    """Quote what a request line cannot contain."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=quote(parts.path, "/%:@!$&'()*+,;=~"), query=quote(parts.query, "/?%:@!$&'()*+,;=~[]{}|")))
