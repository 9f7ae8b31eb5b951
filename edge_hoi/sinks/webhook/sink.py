"""The webhook sink: events as HTTP POST requests, CloudEvents with a Standard Webhooks signature."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from edge_hoi.compat import UTC
from edge_hoi.errors import EventRefusedError, SinkError, SinkUnavailableError
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.sink import Sink
from edge_hoi.sinks.webhook.connection import WebhookConnection
from edge_hoi.sinks.webhook.request import ContentMode, render, signature_headers, signing_key
from edge_hoi.sinks.webhook.response import failure_of, retry_after


class WebhookSink(Sink):
    """Posts events to one address; 2xx means that they were accepted.

    A batch is accepted completely (2xx) or not at all. A refused batch is bisected, in order, until the one event is found that the
    server refuses. If the server stored a part of a batch that it refused, it receives that part again, with equal ids.
    """

    def __init__(
        self, connection: WebhookConnection, *, content_mode: ContentMode = "structured", signing_secret: str | None = None
    ) -> None:
        """Prepare the sink, which opens and closes the connection; without a secret, requests are not signed.

        Raises:
            ConfigError: The signing secret is malformed.
        """
        self._connection = connection
        self._content_mode = content_mode
        self._signing_key = signing_key(signing_secret) if signing_secret else None
        self._paused_until = 0.0  # by time.monotonic()
        self._pause_reason = ""

    def open(self) -> None:
        """Check that the server accepts connections.

        Raises:
            SinkUnavailableError: It accepts none now, or its `Retry-After` has not passed.
            SinkFaultError: It cannot be trusted, or a certificate file is invalid.
        """
        self._check_pause()
        self._connection.open()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Post messages.

        Raises:
            SinkUnavailableError: No response, 408, 429 or 5xx; or a `Retry-After` has not passed, until when nothing is sent.
            EventRefusedError: Any other 4xx.
            SinkFaultError: 401, 403, 407, a redirect, or an untrusted certificate.
        """
        size = max(1, len(messages)) if self._content_mode == "batched" else 1
        waiting = [messages[first : first + size] for first in range(0, len(messages), size)]
        waiting.reverse()
        delivered = 0
        while waiting:
            chunk = waiting.pop()
            try:
                self._post(chunk)
            except SinkError as failure:
                if isinstance(failure, EventRefusedError) and len(chunk) > 1:
                    middle = len(chunk) // 2
                    waiting += [chunk[middle:], chunk[:middle]]
                    continue
                failure.delivered = delivered
                raise
            delivered += len(chunk)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _post(self, messages: Sequence[Message]) -> None:
        self._check_pause()
        request = render(messages, self._content_mode)
        now = datetime.now(UTC)
        signature: Mapping[str, str] = {}
        if self._signing_key is not None:
            signature = signature_headers(request, self._signing_key, int(now.timestamp()))
        response = self._connection.post({**request.headers, **signature}, request.body)
        failure = failure_of(response, self._connection.url)
        if isinstance(failure, SinkUnavailableError) and (wait := retry_after(response, now)):
            self._paused_until = time.monotonic() + wait.total_seconds()
            self._pause_reason = f"{failure}; nothing is sent until {now + wait:%H:%M:%S} UTC, as it requests"
            self._check_pause()
        if failure is not None:
            raise failure

    def _check_pause(self) -> None:
        """Send nothing before the server's `Retry-After` has passed."""
        if time.monotonic() < self._paused_until:
            raise SinkUnavailableError(self._pause_reason)
