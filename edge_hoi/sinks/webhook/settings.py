"""Settings of a webhook: `type: webhook` in a configuration."""

import re
from base64 import b64encode
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from typing_extensions import Self

from edge_hoi.config_types import Section
from edge_hoi.sinks.settings import SinkSettings
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.sinks.tls import TlsSettings
from edge_hoi.sinks.webhook.request import RESERVED_HEADERS, ContentMode

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+([ \t]+[\x21-\x7e]+)*")
_CONNECTION_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "accept-encoding"}


class BasicAuth(Section):
    """User and password of HTTP's basic authentication."""

    user: str = Field(pattern=r"^[^:\x00-\x1f]+$")
    password: SecretStr


class WebhookSettings(SinkSettings):
    """Events as HTTP POST requests with CloudEvents 1.0."""

    type: Literal["webhook"] = "webhook"
    url: SecretStr = Field(description="http:// or https:// address; the part after the host, often a secret, is never shown")
    content_mode: ContentMode = Field(
        "structured",
        description="structured: an event is the body; binary: its attributes are headers; batched: a list of events is the body",
    )
    signing_secret: SecretStr | None = Field(
        None, min_length=1, description="Key of the requests' signature: whsec_ and base64, or any text"
    )
    bearer_token: SecretStr | None = Field(None, description="Sent as `Authorization: Bearer ...`")
    basic: BasicAuth | None = Field(None, description="Sent as `Authorization: Basic ...`")
    headers: dict[str, SecretStr] = Field({}, description="Additional headers; their values are never shown")
    tls: TlsSettings = TlsSettings()
    proxy: SecretStr | None = Field(None, description="http:// address of a proxy; those of the environment are not used")
    connect_timeout_seconds: float = Field(5.0, gt=0, le=60)
    read_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="Longest time without data while a request is sent and its response awaited"
    )
    total_timeout_seconds: float = Field(
        10.0, gt=0, le=120, description="Longest time from the start of a request to its response's status"
    )

    @field_validator("url", "proxy")
    @classmethod
    def _is_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_address(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _no_user_in_url(self) -> Self:
        if "@" in self.url.get_secret_value().partition("?")[0]:
            raise ValueError("url: a user or '@' is not allowed; use `basic: {user: ..., password: ...}`, and %40 in a path")
        return self

    @model_validator(mode="after")
    def _headers_can_be_sent(self) -> Self:
        names = [name.lower() for name in self.headers]
        for name in names:
            if not _HEADER_NAME.fullmatch(name) or names.count(name) > 1:
                raise ValueError(f"headers: a name has letters, digits and '-', and occurs once, got {name!r}")
            if name in RESERVED_HEADERS | _CONNECTION_HEADERS or name.startswith("ce-"):
                raise ValueError(f"headers: {name} is set by edge-hoi itself; remove it")
        if sum([self.bearer_token is not None, self.basic is not None, "authorization" in names]) > 1:
            raise ValueError("choose one of bearer_token, basic, and an Authorization header")
        for name, value in self.all_headers().items():
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(
                    f"the value of header {name} must be visible ASCII characters with spaces between them; does it contain a newline?"
                )
        return self

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every request, with secrets in plain text."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        if self.basic is not None:
            pair = f"{self.basic.user}:{self.basic.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return headers

    def make(self, context: SinkContext) -> Sink:  # noqa: ARG002 — all runs post alike
        """Create the sink."""
        self._require("httpx", "httpcore")
        from edge_hoi.sinks.webhook.connection import Timeouts, WebhookConnection
        from edge_hoi.sinks.webhook.sink import WebhookSink

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


def _check_address(address: str) -> None:
    """Reject an invalid address, without quoting it."""
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not address.isprintable() or " " in address:
        raise ValueError("expected http:// or https://, a host, optionally :port, and a path, with spaces as %20")
