"""Pass RTSP on between its server and FFmpeg, which itself connects to this machine only.

FFmpeg follows redirects to any address, sends UDP packets to any address that a server names, and allocates replies of any announced size.
So until it plays, it gets only what `RtspMessages` has read. Certificates are verified as for HTTP.
"""

import select
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from edge_hoi.errors import SourceError
from edge_hoi.ingest.relay_sockets import CHUNK_BYTES, SEND_SECONDS, ready, receive
from edge_hoi.ingest.remote_access import RemoteAccess, uses_tls
from edge_hoi.ingest.rtsp_messages import RtspMessages
from edge_hoi.ingest.rtsp_requests import RtspRequests

_PORT, _TLS_PORT = 554, 322
_MAX_REDIRECTS = 5


class RtspRelay:
    """Connects FFmpeg to the server of a source.

    Attributes:
        error: Why the relay ended the connection, or the server did not do what FFmpeg asked for last; None if neither.
        location: The URL for FFmpeg, on this machine.
        format: FFmpeg's name of the format.
    """

    is_finite = False
    io_open = None
    """FFmpeg opens the connection itself; compare `HttpClient.io_open`."""

    def __init__(self, url: str, access: RemoteAccess) -> None:
        """Take the source's URL; `start` connects."""
        self.error: SourceError | None = None
        self.location = ""
        self.format = "rtsp"
        self._access = access
        self._url = url
        self._server: socket.socket | None = None
        self._redirects = 0
        self._is_redirected = False

    def start(self, timeout_seconds: float) -> None:
        """Connect to the server, and wait for FFmpeg in a thread.

        Raises:
            SourceError: The server cannot be reached, or is not allowed.
        """
        self.restart(timeout_seconds)
        self._is_redirected = False
        parts, has_tls = urlsplit(self._url), uses_tls(self._url)
        try:
            port = parts.port or (_TLS_PORT if has_tls else _PORT)
            server = self._server = self._access.connect(parts.hostname or "", port, has_tls=has_tls)
        except (OSError, SourceError, UnicodeError) as error:  # UnicodeError: of a host whose name has empty parts
            raise self._access.error_of(error) from None
        listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        listener.settimeout(timeout_seconds)
        user, at, _ = parts.netloc.rpartition("@")
        own = f"127.0.0.1:{listener.getsockname()[1]}"
        self.location = urlunsplit(parts._replace(scheme="rtsp", netloc=f"{user}{at}{own}"))
        requests = RtspRequests(f"rtsp://{own}", parts, port)
        threading.Thread(target=self._serve, args=(listener, server, requests), name="rtsp-relay", daemon=True).start()

    def restart(self, timeout_seconds: float) -> None:
        """Allow this many seconds for connecting. Afterwards FFmpeg watches the time, and closes its connection."""
        self._access.deadline.restart(timeout_seconds)

    def close(self) -> None:
        """Close the connection to the server, at which the relay ends."""
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)

    def follows_redirect(self) -> bool:
        """Whether the server redirected, so that `start` connects to the new address."""
        return self._is_redirected

    def _serve(self, listener: socket.socket, server: socket.socket, requests: RtspRequests) -> None:
        with server, suppress(OSError):
            with listener:
                client, _ = listener.accept()
            with client:
                try:
                    self._pass_on(client, server, requests)
                except SourceError as error:
                    self.error = error
                except ValueError as error:
                    self.error = self._access.refusal(f"it sent {error}")

    def _pass_on(self, client: socket.socket, server: socket.socket, requests: RtspRequests) -> None:
        """Pass on until a side closes its connection, which is an error of a server that owes a reply: FFmpeg takes it for no video."""
        client.settimeout(None)  # while FFmpeg does not read, the server waits
        poll = select.poll()
        poll.register(client, select.POLLIN)
        poll.register(server, select.POLLIN)
        messages = RtspMessages(_address(server))
        owes_reply = True
        while True:
            readable = ready(poll, server)
            if client.fileno() in readable:
                sent = client.recv(CHUNK_BYTES)
                if not sent:
                    return
                request = requests.take(sent)
                messages.has_ended = messages.has_ended or request.startswith(b"TEARDOWN ")  # its reply changes nothing
                owes_reply = not messages.has_ended
                messages.is_last = messages.is_last or request.startswith(b"PLAY ")
                server.settimeout(SEND_SECONDS)
                with suppress(ConnectionError):  # which receiving tells
                    server.sendall(request)
            if server.fileno() in readable:
                data = receive(server)
                if data is None:
                    continue
                if not data:
                    if owes_reply:  # a part of one is for FFmpeg to judge
                        self.error = None if messages.rest() else self._access.error_of(ConnectionResetError())
                    return
                passed = messages.take(data)
                owes_reply = owes_reply and not passed
                # Before FFmpeg sees it, which then ends.
                self.error = None if messages.refusal is None else self._access.status_error(messages.refusal)
                client.sendall(passed)
                if messages.redirect is not None:
                    self._redirect(messages.redirect)
                    return

    def _redirect(self, location: str) -> None:
        self._access.check(location)
        if self._redirects == _MAX_REDIRECTS:
            raise self._access.refusal(f"it redirects more than {_MAX_REDIRECTS} times")
        self._redirects += 1
        old, new = urlsplit(self._url), urlsplit(location)
        if "@" not in new.netloc and (old.hostname, old.port) == (new.hostname, new.port):
            new = new._replace(netloc=old.netloc)
        self._url, self._is_redirected = urlunsplit(new), True


def _address(server: socket.socket) -> str:
    """Return the IP address of a server; an empty one if it has reset the connection, which receiving tells."""
    with suppress(OSError):
        return socket.getnameinfo(server.getpeername(), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return ""
