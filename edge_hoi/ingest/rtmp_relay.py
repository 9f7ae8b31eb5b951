"""Pass RTMP on between its server and FFmpeg, which itself connects to this machine only. Certificates are verified as for HTTP."""

import re
import select
import socket
import threading
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit, urlunsplit

from edge_hoi.errors import SourceError
from edge_hoi.ingest.relay_sockets import CHUNK_BYTES, SEND_SECONDS, ready, receive
from edge_hoi.ingest.remote_access import RemoteAccess, uses_tls

_PORT, _TLS_PORT = 1935, 443
_MAX_CONNECTIONS = 4  # FFmpeg connects up to three times to show a password
_ANSWER_BYTES = 1 << 13  # a handshake of 3 KiB, and what answers FFmpeg's first command
_REFUSED_USER = re.compile(rb"\?reason=(?:authfailed|nosuchuser)")  # Adobe's authentication, also Limelight's
_CHUNK_HEADER = b"\xc3"  # after each 128 bytes of an answer


class RtmpRelay:
    """Connects FFmpeg to the server of a source.

    Attributes:
        error: Why the server could not be reached again, or that it refuses the password; None if neither.
        location: The URL for FFmpeg, on this machine.
        format: FFmpeg's name of the format.
        is_finite: Never: the server ends a stream when it likes.
    """

    format = "flv"
    is_finite = False
    io_open = None
    """FFmpeg opens the connection itself; compare `HttpClient.io_open`."""

    def __init__(self, url: str, access: RemoteAccess) -> None:
        """Take the source's URL; `start` connects."""
        self.error: SourceError | None = None
        self.location = ""
        self._url = urlsplit(url)
        self._access = access
        self._listener: socket.socket | None = None
        self._server: socket.socket | None = None

    def start(self, timeout_seconds: float) -> None:
        """Connect to the server, and wait for FFmpeg in a thread.

        Raises:
            SourceError: The server cannot be reached, or is not allowed.
        """
        self.restart(timeout_seconds)
        self._server = self._connect()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        user, at, _ = self._url.netloc.rpartition("@")
        own = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.location = urlunsplit(self._url._replace(scheme="rtmp", netloc=f"{user}{at}{own}"))
        threading.Thread(target=self._serve, args=(self._listener,), name="rtmp-relay", daemon=True).start()

    def restart(self, timeout_seconds: float) -> None:
        """Allow this many seconds for connecting. Afterwards the watchdog breaks the connection."""
        self._access.deadline.restart(timeout_seconds)

    def close(self) -> None:
        """Close the connection to the server, at which the relay ends."""
        for each in (self._listener, self._server):
            with suppress(OSError):
                if each is not None:
                    each.shutdown(socket.SHUT_RDWR)

    def follows_redirect(self) -> bool:
        """Whether `start` must be called again: never."""
        return False

    def _connect(self) -> socket.socket:
        has_tls = uses_tls(self._url.geturl())
        try:
            return self._access.connect(self._url.hostname or "", self._url.port or (_TLS_PORT if has_tls else _PORT), has_tls=has_tls)
        except (OSError, SourceError, UnicodeError) as error:  # UnicodeError: of a host whose name has empty parts
            raise self._access.error_of(error) from None

    def _serve(self, listener: socket.socket) -> None:
        """Pass on one connection after the other, each to the server."""
        with listener, suppress(OSError):
            try:
                for number in range(_MAX_CONNECTIONS):
                    client, _ = listener.accept()
                    with client:
                        try:
                            server = self._server = self._connect() if number or self._server is None else self._server
                        except SourceError as error:
                            self.error = error
                            return
                        with server, suppress(OSError):  # FFmpeg may break one connection, and connect again
                            self._pass_on(client, server)
            finally:
                if self._server is not None:
                    self._server.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on in both directions until a side closes its connection."""
        poll = select.poll()
        poll.register(client, select.POLLIN)
        poll.register(server, select.POLLIN)
        answers = b""
        while True:
            readable = ready(poll, server)
            if client.fileno() in readable:
                sent = client.recv(CHUNK_BYTES)
                if not sent:
                    return
                server.settimeout(SEND_SECONDS)
                server.sendall(sent)
            if server.fileno() in readable:
                data = receive(server)
                if data == b"":
                    return
                if data and len(answers) < _ANSWER_BYTES:
                    answers += data
                    if _REFUSED_USER.search(answers.replace(_CHUNK_HEADER, b"")):
                        self.error = self._access.status_error(401)
                client.sendall(data or b"")  # while FFmpeg does not read, the server waits


def server_address(url: str) -> str:
    """Return the address that the server is told (`tcUrl`): without user and stream, as FFmpeg divides the path.

    The first part of a path is the application, or the first two of three or more.
    """
    parts = urlsplit(url)
    names = parts.path.lstrip("/").split("/")
    application = "/".join(names[: 1 if len(names) < 3 else 2])
    return urlunsplit(SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], application, "", ""))
