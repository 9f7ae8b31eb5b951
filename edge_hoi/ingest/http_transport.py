"""HTTP by `urllib` over the connections that `RemoteAccess` allows, with all waits until its deadline."""

import functools
import http.client
import io
import socket
import urllib.request
from email.message import Message
from typing import IO, Any

from edge_hoi.ingest.remote_access import RemoteAccess


class Transport(urllib.request.AbstractHTTPHandler):
    """Opens connections as `RemoteAccess` allows them."""

    def __init__(self, access: RemoteAccess) -> None:
        super().__init__()
        self._access = access

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection without TLS."""
        return self.do_open(functools.partial(_Connection, access=self._access), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection with TLS."""
        return self.do_open(functools.partial(_TlsConnection, access=self._access), request)


class DigestFirst(urllib.request.HTTPDigestAuthHandler):
    """Uses Digest wherever the server names it, so that the password is not sent."""

    def http_error_401(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> Any:  # noqa: ANN401
        """Ask again with the password, and close the first answer, which urllib leaves open meanwhile."""
        fp.close()
        for challenge in headers.get_all("WWW-Authenticate", ()):
            if challenge.lower().startswith("digest"):
                headers.replace_header("WWW-Authenticate", challenge)  # the first, at which urllib looks
        return super().http_error_401(req, fp, code, msg, headers)  # type: ignore[arg-type]


class _Connection(http.client.HTTPConnection):
    has_tls = False

    def __init__(self, host: str, *, access: RemoteAccess, timeout: object) -> None:
        del timeout  # the deadline replaces it
        super().__init__(host)
        self._access = access
        self.response_class = functools.partial(_Response, access=access)  # type: ignore[assignment]

    def connect(self) -> None:
        self.sock = self._access.connect(self.host, self.port, has_tls=self.has_tls)


class _TlsConnection(_Connection):
    default_port = http.client.HTTPS_PORT
    has_tls = True


class _Response(http.client.HTTPResponse):
    """A response whose waits all end at the deadline."""

    def __init__(self, sock: socket.socket, *, access: RemoteAccess, **options: Any) -> None:  # noqa: ANN401 -- http.client's
        super().__init__(sock, **options)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, access))


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket, access: RemoteAccess) -> None:
        self._raw = raw
        self._sock = sock
        self._access = access

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 -- as in typeshed
        self._sock.settimeout(self._access.deadline.remaining())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
