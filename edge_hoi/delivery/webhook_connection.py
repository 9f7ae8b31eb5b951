"""The HTTP side of a webhook: POST requests to one address, each within a time limit that holds for all of it."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from edge_hoi import __version__
from edge_hoi.delivery.connection_failure import failure_of_connection, origin
from edge_hoi.delivery.event_loop import SinkEventLoop
from edge_hoi.delivery.masking import mask
from edge_hoi.delivery.tls import TlsSettings
from edge_hoi.delivery.webhook_outcome import Answer
from edge_hoi.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import httpx

_BODY_SECONDS = 1.0
"""The status has decided; for so long the rest of an answer is waited for, and not at all beyond `_BODY_BYTES`."""
_BODY_BYTES = 16 * 1024
_SHOWN_CHARACTERS = 200
_CLOSE_SECONDS = 0.5
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
            import httpx
        except ImportError as error:
            raise MissingDependencyError("a webhook needs httpx; pip install 'edge-hoi[webhook]'") from error
        logging.getLogger("httpcore").setLevel(logging.WARNING)  # below that it logs headers, which hold secrets
        self._errors = (httpx.TransportError, OSError)
        self._limits = {"timeout": httpx.Timeout(timeouts.read_seconds, connect=timeouts.connect_seconds).as_dict()}
        self.url = url
        self._proxy, self._timeouts = proxy, timeouts
        ours = {"user-agent": f"edge-hoi/{__version__}", "accept-encoding": "identity"}
        self._headers = ours | {name.lower(): value for name, value in headers.items()}
        self._secrets = (*secrets, *_secrets_of(headers, url))
        self._tls = tls or TlsSettings()
        self._loop: SinkEventLoop | None = None
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._check_addresses()
        self._context()

    def open(self) -> None:
        """See whether the server takes connections; does nothing while there is one. Files of certificates are read anew.

        Raises:
            SinkUnavailableError: It takes none now.
            SinkFaultError: It cannot be trusted, or a file of our own cannot be used.
        """
        if self._transport is not None:
            return
        context = self._context()
        self._loop, self._transport = SinkEventLoop(), self._make_transport(context)
        try:
            if self._proxy is None:
                self._loop.run_until_complete(self._knock(context))
        except self._errors as error:
            self.close()
            raise failure_of_connection(error, origin(self.url)) from None  # an error may quote what a server repeats

    def post(self, headers: dict[str, str], body: bytes) -> Answer:
        """Send a request, and wait for the answer. A connection that failed is closed.

        Args:
            headers: Further headers.
            body: The request's body.

        Raises:
            SinkUnavailableError: There was no answer.
            SinkFaultError: The server cannot be trusted, or does not trust us.
        """
        assert self._loop is not None
        try:
            return self._loop.run_until_complete(self._exchange(headers, body))
        except self._errors as error:
            self.close()
            raise failure_of_connection(error, origin(self.url)) from None  # an error may quote what a server repeats

    def close(self) -> None:
        """Let go of the connection."""
        loop, transport, self._loop, self._transport = self._loop, self._transport, None, None
        if loop is not None and transport is not None:
            with suppress(*self._errors):
                loop.run_until_complete(asyncio.wait_for(transport.aclose(), _CLOSE_SECONDS))
            loop.close()

    def _check_addresses(self) -> None:
        import httpx

        try:
            httpx.URL(self.url)
            if self._proxy is not None:
                httpx.Proxy(self._proxy)
        except (httpx.InvalidURL, ValueError):  # their texts quote the address
            place = origin(self.url) if self._proxy is None else f"{origin(self.url)} or its proxy"
            raise ConfigError(f"the address of {place} cannot be read; check it for characters that do not belong there") from None

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context() if urlsplit(self.url).scheme == "https" else None

    def _make_transport(self, context: ssl.SSLContext | None) -> "httpx.AsyncHTTPTransport":
        """Make what is below httpx's client, which would also read where a redirect points to, keep cookies, and log addresses."""
        import httpx

        return httpx.AsyncHTTPTransport(
            verify=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # one that knows no authority is made in no time
            proxy=self._proxy,
            trust_env=False,
            limits=httpx.Limits(max_connections=1),
        )

    async def _knock(self, context: ssl.SSLContext | None) -> None:
        """Connect and hang up, so that a server that is away or not trusted is found before there is an event for it."""
        parts = urlsplit(self.url)
        async with asyncio.timeout(self._timeouts.connect_seconds):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if context else 80), ssl=context)
        writer.transport.abort()
        await asyncio.sleep(0)  # lets the loop close the socket

    async def _exchange(self, headers: dict[str, str], body: bytes) -> Answer:
        import httpx

        assert self._transport is not None
        request = httpx.Request("POST", self.url, headers=self._headers | headers, content=body, extensions=self._limits)
        async with asyncio.timeout(self._timeouts.total_seconds):
            response = await self._transport.handle_async_request(request)
        words = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS), aclosing(response.aiter_raw()) as chunks:  # type: ignore[type-var]  # it is a generator
                async for chunk in chunks:
                    words += chunk
                    if len(words) > _BODY_BYTES:
                        break
        except self._errors:
            pass  # the status was said
        finally:
            with suppress(*self._errors):
                await response.aclose()
        return Answer(response.status_code, response.headers, self._shown(bytes(words)))

    def _shown(self, words: bytes) -> str:
        """Make one line of what a server wrote."""
        text = mask(words.decode(errors="replace"), self._secrets)
        line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
        return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."


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
