"""Events as HTTP POST requests: CloudEvents, signed as Standard Webhooks asks."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from edge_hoi.compat import UTC
from edge_hoi.errors import EventRefusedError, SinkError, SinkUnavailableError
from edge_hoi.sinks.message import Message
from edge_hoi.sinks.sink import Sink
from edge_hoi.sinks.webhook.connection import WebhookConnection
from edge_hoi.sinks.webhook.outcome import failure_of_answer, retry_after
from edge_hoi.sinks.webhook.request import ContentMode, render, signature_headers, signing_key


class WebhookSink(Sink):
    """Posts events to one address; 2xx means that they were taken.

    A batch is taken as a whole (2xx) or not at all. One that is refused is halved, in order, until the one event is found that the
    server cannot take. Should a server have kept a part of what it refused, it gets that again, with equal ids.
    """

    def __init__(
        self, connection: WebhookConnection, *, content_mode: ContentMode = "structured", signing_secret: str | None = None
    ) -> None:
        """Put the parts together.

        Args:
            connection: Where requests go; the sink opens and closes it.
            content_mode: How events are put into requests; see `render`.
            signing_secret: See `signing_key`; None leaves requests unsigned.

        Raises:
            ConfigError: The signing secret is malformed.
        """
        self._connection = connection
        self._content_mode = content_mode
        self._signing_key = signing_key(signing_secret) if signing_secret else None
        self._left_alone_until = 0.0  # by time.monotonic()
        self._left_alone_because = ""

    def open(self) -> None:
        """See whether the server takes connections.

        Raises:
            SinkUnavailableError: It takes none now, or its `Retry-After` has not passed.
            SinkFaultError: It cannot be trusted, or a file of certificates cannot be used.
        """
        self._leave_alone()
        self._connection.open()

    def deliver(self, messages: Sequence[Message]) -> None:
        """Post some messages.

        Args:
            messages: In order; may be none.

        Raises:
            SinkUnavailableError: No answer, 408, 429 or 5xx; or a `Retry-After` has not passed, until when nothing is sent.
            EventRefusedError: Any other 4xx.
            SinkFaultError: 401, 403, 407, a redirect, or no trust in the server's certificate.
        """
        size = max(1, len(messages)) if self._content_mode == "batched" else 1
        waiting = [messages[first : first + size] for first in range(0, len(messages), size)]
        waiting.reverse()
        taken = 0
        while waiting:
            chunk = waiting.pop()
            try:
                self._post(chunk)
            except EventRefusedError as refusal:
                if len(chunk) == 1:
                    refusal.delivered = taken
                    raise
                middle = len(chunk) // 2
                waiting += [chunk[middle:], chunk[:middle]]
            except SinkError as failure:
                failure.delivered = taken
                raise
            else:
                taken += len(chunk)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _post(self, messages: Sequence[Message]) -> None:
        self._leave_alone()
        request = render(messages, self._content_mode)
        now = datetime.now(UTC)
        signature: Mapping[str, str] = {}
        if self._signing_key is not None:
            signature = signature_headers(request, self._signing_key, int(now.timestamp()))
        answer = self._connection.post({**request.headers, **signature}, request.body)
        failure = failure_of_answer(answer, self._connection.url)
        if isinstance(failure, SinkUnavailableError) and (wait := retry_after(answer, now)):
            self._left_alone_until = time.monotonic() + wait.total_seconds()
            self._left_alone_because = f"{failure}; nothing is sent until {now + wait:%H:%M:%S} UTC, as it asks"
            self._leave_alone()
        if failure is not None:
            raise failure

    def _leave_alone(self) -> None:
        """Send nothing to a server that asked for a pause."""
        if time.monotonic() < self._left_alone_until:
            raise SinkUnavailableError(self._left_alone_because)
