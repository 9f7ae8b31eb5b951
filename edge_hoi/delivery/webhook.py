"""Events as HTTP POST requests: CloudEvents, signed as Standard Webhooks asks."""

import re
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from edge_hoi.delivery.message import Message
from edge_hoi.delivery.settings import SinkSettings
from edge_hoi.delivery.sink import Sink, SinkContext
from edge_hoi.delivery.tls import TlsSettings
from edge_hoi.delivery.webhook_connection import Timeouts, WebhookConnection
from edge_hoi.delivery.webhook_outcome import failure_of_answer, retry_after
from edge_hoi.delivery.webhook_request import SET_HERE, ContentMode, render, signature_headers, signing_key
from edge_hoi.errors import EventRefusedError, SinkError, SinkUnavailableError

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+([ \t]+[\x21-\x7e]+)*")
_OF_THE_CONNECTION = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "accept-encoding"}


class BasicAuth(BaseModel):
    """User and password of HTTP's basic authentication."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(pattern=r"^[^:\x00-\x1f]+$")
    password: SecretStr


class WebhookSettings(SinkSettings):
    """Events as HTTP POST requests with CloudEvents 1.0."""

    type: Literal["webhook"] = "webhook"
    url: SecretStr = Field(description="http:// or https:// address; nothing behind the host is ever shown, for it often is a secret")
    content_mode: ContentMode = Field(
        "structured", description="structured: an event is a body; binary: its attributes are headers; batched: a list of events is a body"
    )
    signing_secret: SecretStr | None = Field(None, min_length=1, description="Requests are signed with it; whsec_ and base64, or any text")
    bearer_token: SecretStr | None = Field(None, description="Sent as `Authorization: Bearer ...`")
    basic: BasicAuth | None = Field(None, description="Sent as `Authorization: Basic ...`")
    headers: dict[str, SecretStr] = Field({}, description="More headers; their values are never shown")
    tls: TlsSettings = TlsSettings()
    proxy: SecretStr | None = Field(None, description="http:// address of a proxy; those of the environment are not used")
    connect_timeout_seconds: float = Field(5.0, gt=0, le=60)
    read_timeout_seconds: float = Field(5.0, gt=0, le=60, description="Longest silence while a request is sent and its answer awaited")
    total_timeout_seconds: float = Field(10.0, gt=0, le=120, description="Longest time for a request until its answer's status")

    @field_validator("url", "proxy")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_address(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _no_user_in_url(self) -> Self:
        if "@" in self.url.get_secret_value().partition("?")[0]:
            raise ValueError(
                "url: there is no user and no '@' in it; put them under `basic: {user: ..., password: ...}`, write %40 in a path"
            )
        return self

    @model_validator(mode="after")
    def _headers_can_be_sent(self) -> Self:
        names = [name.lower() for name in self.headers]
        for name in names:
            if not _HEADER_NAME.fullmatch(name) or names.count(name) > 1:
                raise ValueError(f"headers: a name is of letters, digits and '-', and there once, got {name!r}")
            if name in SET_HERE | _OF_THE_CONNECTION or name.startswith("ce-"):
                raise ValueError(f"headers: {name} is set by edge-hoi itself; leave it out")
        if sum([self.bearer_token is not None, self.basic is not None, "authorization" in names]) > 1:
            raise ValueError("choose one of bearer_token, basic, and an Authorization header; a request has one of them")
        for name, value in self.all_headers().items():
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"the value of header {name} is of visible ASCII characters, and spaces inside; is a line's end in it?")
        return self

    def all_headers(self) -> dict[str, str]:
        """Give the headers that are sent with every request, secrets in plain text."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        if self.basic is not None:
            pair = f"{self.basic.user}:{self.basic.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return headers

    def make(self, context: SinkContext) -> "WebhookSink":  # noqa: ARG002 — every run posts in the same way
        """Make the sink."""
        connection = WebhookConnection(
            self.url.get_secret_value(),
            headers=self.all_headers(),
            secrets=(self.basic.password.get_secret_value(),) if self.basic else (),
            tls=self.tls,
            proxy=self.proxy.get_secret_value() if self.proxy else None,
            timeouts=Timeouts(self.connect_timeout_seconds, self.read_timeout_seconds, self.total_timeout_seconds),
        )
        secret = self.signing_secret.get_secret_value() if self.signing_secret else None
        return WebhookSink(connection, content_mode=self.content_mode, signing_secret=secret)


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
                    refusal.taken = taken
                    raise
                middle = len(chunk) // 2
                waiting += [chunk[middle:], chunk[:middle]]
            except SinkError as failure:
                failure.taken = taken
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


def _check_address(address: str) -> None:
    """Refuse what is no address, without quoting it."""
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not address.isprintable() or " " in address:
        raise ValueError("an address is http:// or https://, a host and perhaps :port, then a path; spaces in it are %20")
