"""Which servers a network source may use: its own, and those that the configuration allows by name."""

import ipaddress
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import source_kind
from edge_hoi.masking import mask_url

_TLS_SCHEMES = frozenset({"https", "rtsps", "rtmps"})
_SCHEMES = {"http": ("http", "https"), "https": ("https",), "rtsp": ("rtsp", "rtsps"), "rtsps": ("rtsps",), "rtmp": (), "rtmps": ()}
"""The schemes that a source of a scheme may lead to."""

_CODE_OF_STATUS = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 410: "not_found"}
_FIX_OF_STATUS = {
    453: "let fewer viewers watch it, or use its sub-stream",
    461: "set rtsp_transport to udp",
    500: "restart the camera if it stays so",
    503: "it is starting or has too many viewers: wait, or let fewer watch it",
}


_Socket = TypeVar("_Socket", bound=socket.socket)


class Deadline:
    """The end of all waits of an operation, however many they are: a server may send a byte now and then."""

    def __init__(self, seconds: float) -> None:
        """Allow this many seconds from now."""
        self.restart(seconds)

    def restart(self, seconds: float) -> None:
        """Allow this many seconds from now."""
        self._ends_at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0; raise `TimeoutError` if there are none."""
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


@lru_cache(maxsize=16)
def _tls_context(ca_file: str | None, _modified_ns: int, *, tls_verify: bool) -> ssl.SSLContext:
    """Load certificates once for all connections of all sources: they take 1 MB, and cameras reconnect often."""
    context = ssl.create_default_context(cafile=ca_file)
    if not tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class RemoteAccess:
    """Checks and opens the connections of one source.

    A server chooses addresses by redirects and playlists. They are refused where they name another host (unless it is allowed), another
    scheme, or TLS no more; and where a host's name leads nearer to this machine than the source's own address did: to this machine or its
    link from anywhere else, to private networks from public addresses.

    Attributes:
        deadline: Of the current operation.
    """

    def __init__(
        self,
        url: str,
        *,
        allowed_hosts: Iterable[str] = (),
        tls_verify: bool = True,
        ca_file: str | None = None,
        password_place: str | None = None,
    ) -> None:
        """Take the settings of the source.

        Args:
            url: The source.
            allowed_hosts: Hosts, besides its own, that it may lead to.
            tls_verify: Whether servers must prove who they are.
            ca_file: Certificates (PEM) of authorities that are trusted instead of the system's.
            password_place: What holds the password, for messages; None for the URL.

        Raises:
            SourceError: The URL is not valid.
            ConfigError: `ca_file` cannot be read.
        """
        self.deadline = Deadline(0)
        self._is_aborted = False
        self._connections: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._connecting = threading.Lock()  # `abort` is called in another thread
        self._url = url
        self._password_place = password_place
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            fix = "write it as SCHEME://HOST:PORT/PATH; in a password, write @ as %40, / as %2F, [ as %5B and % as %25"
            raise source_error(url, source_kind(url), "unsupported", "this is no valid URL", fix) from None
        self._scheme = parts.scheme.lower()
        self._hosts = {host.lower() for host in (parts.hostname or "", *allowed_hosts)}
        self._nearest: int | None = None
        try:
            self._tls = _tls_context(ca_file, Path(ca_file).stat().st_mtime_ns if ca_file else 0, tls_verify=tls_verify)
        except OSError as error:  # of which ssl.SSLError is one
            raise ConfigError(
                f"ca_file {ca_file} cannot be read as certificates: {error.strerror or error}; give a file in PEM."
            ) from error

    def check(self, url: str) -> None:
        """Raise `SourceError` unless the source may lead to this URL."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise self.refusal("it leads to an address that is no valid URL") from None
        if parts.scheme.lower() not in _SCHEMES[self._scheme]:
            raise self.refusal(f"it leads to {mask_url(url)}, and from {self._scheme} to {parts.scheme or 'a file'} is not allowed")
        if (parts.hostname or "") not in self._hosts:
            raise self.refusal(f"it leads to another host, {parts.hostname}", "if that is right, add it to allowed_hosts")

    def connect(self, host: str, port: int, *, has_tls: bool) -> socket.socket:
        """Connect to the first address of a host that answers, before the deadline.

        Raises:
            SourceError: The address is not allowed.
            OSError: No address answers, or the certificate is not trusted.
        """
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            self._check_address(host, str(address[0]))
            seconds = self.deadline.remaining() / (len(addresses) - tried + 1)  # leaves time for the others
            connection = self._kept(socket.socket(family, kind, protocol))
            connection.settimeout(seconds)
            try:
                connection.connect(address)
                break
            except OSError:
                connection.close()
                if tried == len(addresses):
                    raise
        if not has_tls:
            return connection
        try:
            connection = self._kept(self._tls.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False))
            connection.settimeout(self.deadline.remaining())
            connection.do_handshake()
        except BaseException:
            connection.close()
            raise
        return connection

    def abort(self) -> None:
        """End all waits for servers, from another thread: break the connections, and allow no more."""
        with self._connecting:
            self._is_aborted = True
            connections = tuple(self._connections)
        for connection in connections:
            with suppress(OSError):  # it is not connected
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which also changes its state

    def refusal(self, cause: str, fix: str | None = None) -> SourceError:
        """Create the error of a source that wants what it may not have."""
        return source_error(self._url, source_kind(self._url), "refused", cause, fix)

    def status_error(self, status: int) -> SourceError:
        """Create the error of a server's answer by its status (RFC 9110, section 15; RFC 2326, section 11)."""
        code = _CODE_OF_STATUS.get(status, "unreachable")
        cause, fix = f"the server answered {status}" if code == "unreachable" else None, _FIX_OF_STATUS.get(status)
        if code == "unauthorized" and self._password_place is not None:
            fix = f"correct them in {self._password_place}"
        return source_error(self._url, source_kind(self._url), code, cause, fix)

    def error_of(self, error: Exception) -> SourceError:
        """Translate an error of a connection or of HTTP."""
        kind = source_kind(self._url)
        if isinstance(error, SourceError):
            return error
        if isinstance(error, ssl.SSLCertVerificationError):
            fix = "set ca_file to the certificate of its authority, or tls_verify to false to trust any server"
            return self.refusal(f"its certificate is not trusted ({error.verify_message})", fix)
        if isinstance(error, TimeoutError):
            return source_error(self._url, kind, "timeout")
        if isinstance(error, ssl.SSLError):
            fix = "check that the port is one of TLS, and that the server has TLS 1.2 or newer"
            return source_error(self._url, kind, "unreachable", f"TLS failed ({(error.reason or 'the connection broke').lower()})", fix)
        return source_error(self._url, kind, "unreachable")

    def _kept(self, connection: _Socket) -> _Socket:
        """Keep a connection to abort it."""
        with self._connecting:
            self._connections.add(connection)
            is_aborted = self._is_aborted
        if is_aborted:
            connection.close()
            raise TimeoutError
        return connection

    def _check_address(self, host: str, address: str) -> None:
        scope = _scope(address)
        if self._nearest is None:  # the source's own address, which the configuration names
            self._nearest = scope
        if scope < self._nearest:
            raise self.refusal(f"it leads to {host}, whose address {address} is of this machine or a local network")


def uses_tls(url: str) -> bool:
    """Whether a URL's scheme is one with TLS."""
    return urlsplit(url).scheme.lower() in _TLS_SCHEMES


def _scope(address: str) -> int:
    """Return how far from this machine an address is: 0 is the machine itself, 1 its link, 2 a private network, 3 all else."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast:
        return 0
    if ip.is_link_local:
        return 1
    return 3 if ip.is_global else 2
