"""A webhook's requests: the three content modes of CloudEvents over HTTP, and the signature of Standard Webhooks.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md,
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from edge_hoi.errors import ConfigError
from edge_hoi.sinks.message import Message

ContentMode = Literal["structured", "binary", "batched"]
RESERVED_HEADERS = {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key"}
"""Headers that depend on a request's content."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 — a prefix of base64
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Characters that the binary mode does not quote in headers; the binding's section 3.1.3.2."""


class WebhookRequest(NamedTuple):
    """A request's content.

    Attributes:
        key: Equal for equal events, at every attempt.
        headers: With lower-case names.
        body: The content.
    """

    key: str
    headers: dict[str, str]
    body: bytes


def render(messages: Sequence[Message], mode: ContentMode) -> WebhookRequest:
    """Render messages as a request.

    Args:
        messages: At least one; exactly one unless batched.
        mode: `structured`: the event is the body. `binary`: its data is the body, its attributes are headers. `batched`: a list of
            events is the body.
    """
    envelopes = [json.loads(message.body) for message in messages]
    names = "\n".join(f"{envelope['source']} {envelope['id']}" for envelope in envelopes)
    key = hashlib.sha256(names.encode()).hexdigest()[:32]
    headers = {"webhook-id": key, "idempotency-key": f'"{key}"'}  # quoted, as draft-ietf-httpapi-idempotency-key-header has it
    if mode == "batched":
        return WebhookRequest(
            key,
            headers | {"content-type": "application/cloudevents-batch+json"},
            b"[" + b",".join(message.body for message in messages) + b"]",
        )
    if mode == "structured":
        return WebhookRequest(key, headers | {"content-type": "application/cloudevents+json"}, messages[0].body)
    envelope = envelopes[0]
    data = json.dumps(envelope.pop("data"), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    headers["content-type"] = envelope.pop("datacontenttype")
    attributes = {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in envelope.items()}
    return WebhookRequest(key, headers | attributes, data)


def signing_key(secret: str) -> bytes:
    """Decode a signing secret: `whsec_` and base64, as in Standard Webhooks, or any other text in UTF-8.

    Raises:
        ConfigError: The part after `whsec_` is not base64.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigError("expected base64 after whsec_ in signing_secret, got other text; is it complete?") from None


def signature_headers(request: WebhookRequest, key: bytes, unix_seconds: int) -> dict[str, str]:
    """Sign a request: HMAC-SHA256 over its key, the time, which lets a receiver reject replayed requests, and the body."""
    signed = f"{request.key}.{unix_seconds}.".encode() + request.body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-timestamp": str(unix_seconds), "webhook-signature": f"v1,{signature}"}
