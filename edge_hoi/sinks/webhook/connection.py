"""The HTTP connection of a webhook: POST requests to one address, each with a deadline."""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from edge_hoi import __version__
from edge_hoi.errors import ConfigError
from edge_hoi.masking import secrets_of_url
from edge_hoi.sinks.connection_failure import connection_failure, excerpt, origin
from edge_hoi.sinks.tls import TlsSettings
from edge_hoi.sinks.webhook.response import Response

if TYPE_CHECKING:
    import httpcore

_BODY_SECONDS = 1.0
"""The status decides; the body is read for this long, and up to `_BODY_BYTES`, to keep the connection and to quote it in errors."""
_BODY_BYTES = 16 * 1024
_IDLE_SECONDS = 5.0
"""A connection that has been idle for longer is not reused: many servers have closed it by then."""
_MIN_SECRET_LENGTH = 8
"""Shorter parts of a path are words, and are not masked."""


class Timeouts(NamedTuple):
    """Time limits; see `WebhookSettings`."""

    connect_seconds: float
    read_seconds: float
    total_seconds: float


class WebhookConnection:
    """A connection to one address, kept between requests.

    Redirects are not followed, cookies not stored, and proxies of the environment not used. No error contains a header's value, or the
    part of the address after the host.

    Attributes:
        url: The address; a secret.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        secrets: tuple[str, ...],
        tls: TlsSettings,
        proxy: str | None,
        timeouts: Timeouts,
    ) -> None:
        """Check the arguments and the certificate files.

        Args:
            url: An http or https address.
            headers: Sent with each request.
            secrets: Masked in quotes of the server, like the values of `headers`.
            tls: Certificates.
            proxy: Address of a proxy, optionally with user and password.
            timeouts: Time limits.

        Raises:
            ConfigError: An address is malformed.
            SinkFaultError: A file of `tls` cannot be used.
        """
        import httpcore
        import httpx

        from edge_hoi.sinks.webhook.network import BoundedNetwork

        logging.getLogger("httpcore").setLevel(logging.WARNING)  # at lower levels it logs headers, which contain secrets
        failures = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)
        self._errors = (*failures, httpcore.ConnectionNotAvailable, OSError)
        read, connect = timeouts.read_seconds, timeouts.connect_seconds
        self._limits = {"timeout": {"connect": connect, "read": read, "write": read, "pool": read}}
        self.url = url
        self._timeouts = timeouts
        self._secrets = (*secrets, *_secrets_of(headers, url), *secrets_of_url(proxy or ""))
        self._tls = tls
        self._network = BoundedNetwork()
        self._pool: httpcore.ConnectionPool | None = None
        try:
            address = httpx.URL(url)
            self._proxy = httpx.Proxy(proxy) if proxy is not None else None
        except (httpx.InvalidURL, ValueError):  # their texts quote the address
            place = origin(url) if proxy is None else f"{origin(url)} or its proxy"
            raise ConfigError(f"the address of {place} is invalid; check it for invalid characters") from None
        self._target = httpcore.URL(scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path)
        ours = {"host": address.netloc.decode(), "user-agent": f"edge-hoi/{__version__}", "accept-encoding": "identity"}
        self._headers = _in_bytes(ours | {name.lower(): value for name, value in headers.items()})
        self._context()

    def open(self) -> None:
        """Check that the server accepts connections, unless connected. Certificate files are read again.

        Raises:
            SinkUnavailableError: It accepts none now.
            SinkFaultError: It cannot be trusted, or a certificate file is invalid.
        """
        if self._pool is not None:
            return
        context = self._context()
        try:
            if self._proxy is None:
                self._probe(context)
        except self._errors as error:
            raise connection_failure(error, origin(self.url)) from None  # an error may quote what a server repeats
        self._pool = self._make_pool(context)

    def post(self, headers: dict[str, str], body: bytes) -> Response:
        """Send a request with additional headers, and wait for the response. A failed connection is closed.

        Raises:
            SinkUnavailableError: There was no response.
            SinkFaultError: The server cannot be trusted, or does not trust this client.
        """
        assert self._pool is not None
        try:
            return self._exchange(self._pool, headers, body)
        except self._errors as error:
            self.close()
            raise connection_failure(error, origin(self.url)) from None  # an error may quote what a server repeats

    def close(self) -> None:
        """Close the connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with suppress(*self._errors):
                pool.close()

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context() if urlsplit(self.url).scheme == "https" else None

    def _make_pool(self, context: ssl.SSLContext | None) -> "httpcore.ConnectionPool":
        """Create a pool below httpx's client, which would also resolve redirects, store cookies, and log addresses."""
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

    def _probe(self, context: ssl.SSLContext | None) -> None:
        """Connect and disconnect, to detect a server that is down or not trusted before there is an event for it."""
        self._network.limit(self._timeouts.connect_seconds)
        host = self._target.host.decode()
        stream = self._network.connect_tcp(host, self._target.port or (443 if context else 80))
        try:
            if context is not None:
                stream = stream.start_tls(context, host)
        finally:
            stream.close()

    def _exchange(self, pool: "httpcore.ConnectionPool", headers: Mapping[str, str], body: bytes) -> Response:
        import httpcore

        sent = [*self._headers, (b"content-length", str(len(body)).encode()), *_in_bytes(headers)]
        self._network.limit(self._timeouts.total_seconds)
        response = pool.handle_request(httpcore.Request("POST", self._target, headers=sent, content=body, extensions=self._limits))
        self._network.limit(_BODY_SECONDS)
        content = bytearray()
        try:
            for chunk in response.iter_stream():
                content += chunk
                if len(content) > _BODY_BYTES:
                    break
        except self._errors:
            pass  # the status has arrived
        finally:
            with suppress(*self._errors):
                response.close()
        received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Response(response.status, received, excerpt(content.decode(errors="replace"), self._secrets))


def _in_bytes(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _secrets_of(headers: Mapping[str, str], url: str) -> list[str]:
    """List the secrets of a request, which a server may quote and errors must not."""
    parts = urlsplit(url)
    path = [part for part in parts.path.split("/") if len(part) >= _MIN_SECRET_LENGTH]
    query = [value for _, value in parse_qsl(parts.query)]
    return [
        parts.path if path else "",
        *path,
        parts.query,
        *query,
        *headers.values(),
        *(value.rpartition(" ")[2] for value in headers.values()),
    ]
