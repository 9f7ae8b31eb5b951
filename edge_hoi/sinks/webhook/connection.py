"""The HTTP side of a webhook: POST requests to one address, each within a time limit that holds for all of it."""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from edge_hoi import __version__
from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.sinks.connection_failure import failure_of_connection, origin
from edge_hoi.sinks.masking import mask
from edge_hoi.sinks.tls import TlsSettings
from edge_hoi.sinks.webhook.outcome import Answer

if TYPE_CHECKING:
    import httpcore

_BODY_SECONDS = 1.0
"""The status has decided; for so long the rest of an answer is waited for, and not at all beyond `_BODY_BYTES`."""
_BODY_BYTES = 16 * 1024
_SHOWN_CHARACTERS = 200
_IDLE_SECONDS = 5.0
"""A connection that has been idle for longer is not used again: many a server has closed it by then."""
_SHORTEST_SECRET_PATH = 8
"""Shorter parts of a path are words, and may be repeated."""


class Timeouts(NamedTuple):
    """How long a server is waited for.

    Attributes:
        connect_seconds: Longest time for a connection.
        read_seconds: Longest silence while a request is sent and its answer awaited.
        total_seconds: Longest time from the start of a request to its answer's status.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 5.0
    total_seconds: float = 10.0


_TIMEOUTS = Timeouts()


class WebhookConnection:
    """A connection to one address, kept from request to request.

    Redirects are not followed, cookies not kept, and proxies of the environment not used. No error holds a header's value, or what
    follows the host in the address.

    Attributes:
        url: The address; a secret.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        secrets: tuple[str, ...] = (),
        tls: TlsSettings | None = None,
        proxy: str | None = None,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> None:
        """Check the arguments and the files of certificates.

        Args:
            url: An http or https address.
            headers: Sent with each request.
            secrets: What else than `headers` a server must not be quoted with.
            tls: Certificates.
            proxy: Address of a proxy, with user and password if need be.
            timeouts: How long the server is waited for.

        Raises:
            ConfigError: An address is malformed.
            SinkFaultError: A file of `tls` cannot be used.
            MissingDependencyError: httpx is not installed.
        """
        try:
            import httpcore
            import httpx

            from edge_hoi.sinks.webhook.network import BoundedNetwork
        except ImportError as error:
            raise MissingDependencyError("a webhook needs httpx; pip install 'edge-hoi[webhook]'") from error
        logging.getLogger("httpcore").setLevel(logging.WARNING)  # below that it logs headers, which hold secrets
        failures = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)
        self._errors = (*failures, httpcore.ConnectionNotAvailable, OSError)
        read, connect = timeouts.read_seconds, timeouts.connect_seconds
        self._limits = {"timeout": {"connect": connect, "read": read, "write": read, "pool": read}}
        self.url = url
        self._timeouts = timeouts
        self._secrets = (*secrets, *_secrets_of(headers, url))
        self._tls = tls or TlsSettings()
        self._network = BoundedNetwork()
        self._pool: httpcore.ConnectionPool | None = None
        try:
            address = httpx.URL(url)
            self._proxy = httpx.Proxy(proxy) if proxy is not None else None
        except (httpx.InvalidURL, ValueError):  # their texts quote the address
            place = origin(url) if proxy is None else f"{origin(url)} or its proxy"
            raise ConfigError(f"the address of {place} cannot be read; check it for characters that do not belong there") from None
        self._target = httpcore.URL(scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path)
        ours = {"host": address.netloc.decode(), "user-agent": f"edge-hoi/{__version__}", "accept-encoding": "identity"}
        self._headers = _in_bytes(ours | {name.lower(): value for name, value in headers.items()})
        self._context()

    def open(self) -> None:
        """See whether the server takes connections; does nothing while there is one. Files of certificates are read anew.

        Raises:
            SinkUnavailableError: It takes none now.
            SinkFaultError: It cannot be trusted, or a file of our own cannot be used.
        """
        if self._pool is not None:
            return
        context = self._context()
        try:
            if self._proxy is None:
                self._knock(context)
        except self._errors as error:
            raise failure_of_connection(error, origin(self.url)) from None  # an error may quote what a server repeats
        self._pool = self._make_pool(context)

    def post(self, headers: dict[str, str], body: bytes) -> Answer:
        """Send a request, and wait for the answer. A connection that failed is closed.

        Args:
            headers: Further headers.
            body: The request's body.

        Raises:
            SinkUnavailableError: There was no answer.
            SinkFaultError: The server cannot be trusted, or does not trust us.
        """
        assert self._pool is not None
        try:
            return self._exchange(self._pool, headers, body)
        except self._errors as error:
            self.close()
            raise failure_of_connection(error, origin(self.url)) from None  # an error may quote what a server repeats

    def close(self) -> None:
        """Let go of the connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with suppress(*self._errors):
                pool.close()

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context() if urlsplit(self.url).scheme == "https" else None

    def _make_pool(self, context: ssl.SSLContext | None) -> "httpcore.ConnectionPool":
        """Make what is below httpx's client, which would also read where a redirect points to, keep cookies, and log addresses."""
        import httpcore

        if (proxy := self._proxy) is None:
            return httpcore.ConnectionPool(
                ssl_context=context, max_connections=1, keepalive_expiry=_IDLE_SECONDS, network_backend=self._network
            )
        return httpcore.HTTPProxy(
            httpcore.URL(scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path),
            proxy_auth=proxy.raw_auth,
            ssl_context=context,
            max_connections=1,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._network,
        )

    def _knock(self, context: ssl.SSLContext | None) -> None:
        """Connect and hang up, so that a server that is away or not trusted is found before there is an event for it."""
        self._network.allow(self._timeouts.connect_seconds)
        host = self._target.host.decode()
        stream = self._network.connect_tcp(host, self._target.port or (443 if context else 80))
        try:
            if context is not None:
                stream = stream.start_tls(context, host)
        finally:
            stream.close()

    def _exchange(self, pool: "httpcore.ConnectionPool", headers: Mapping[str, str], body: bytes) -> Answer:
        import httpcore

        sent = [*self._headers, (b"content-length", str(len(body)).encode()), *_in_bytes(headers)]
        self._network.allow(self._timeouts.total_seconds)
        response = pool.handle_request(httpcore.Request("POST", self._target, headers=sent, content=body, extensions=self._limits))
        self._network.allow(_BODY_SECONDS)
        words = bytearray()
        try:
            for chunk in response.iter_stream():
                words += chunk
                if len(words) > _BODY_BYTES:
                    break
        except self._errors:
            pass  # the status was said
        finally:
            with suppress(*self._errors):
                response.close()
        answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, answered, self._shown(bytes(words)))

    def _shown(self, words: bytes) -> str:
        """Make one line of what a server wrote."""
        text = mask(words.decode(errors="replace"), self._secrets)
        line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
        return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."


def _in_bytes(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _secrets_of(headers: Mapping[str, str], url: str) -> list[str]:
    """List what a server may quote from a request and must not be quoted with."""
    parts = urlsplit(url)
    path = [part for part in parts.path.split("/") if len(part) >= _SHORTEST_SECRET_PATH]
    query = [value for _, value in parse_qsl(parts.query)]
    return [
        parts.path if path else "",
        *path,
        parts.query,
        *query,
        *headers.values(),
        *(value.rpartition(" ")[2] for value in headers.values()),
    ]
