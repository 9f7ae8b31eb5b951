"""What a webhook is sent: the three content modes of CloudEvents over HTTP, and the signature of Standard Webhooks.

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
SET_HERE = {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key"}
"""Headers that a request's content decides."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 — says that base64 follows
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""Characters that stand as they are in headers of the binary mode, by the binding's section 3.1.3.2."""


class WebhookRequest(NamedTuple):
    """A request's content.

    Attributes:
        key: The same for the same events, whenever and as often as they are sent.
        headers: With lower-case names.
        body: The bytes.
    """

    key: str
    headers: dict[str, str]
    body: bytes


def render(messages: Sequence[Message], mode: ContentMode) -> WebhookRequest:
    """Put messages into a request.

    Args:
        messages: One at least, and one only but in the batched mode.
        mode: `structured`: the whole event is the body. `binary`: the body is its data, the attributes are headers. `batched`: the
            body is a list of whole events.
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
    """Read a signing secret.

    Args:
        secret: `whsec_` and base64, as Standard Webhooks writes it, or any text, taken as its UTF-8 bytes.

    Raises:
        ConfigError: What stands behind `whsec_` is not base64.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ConfigError("a signing_secret that begins with whsec_ goes on in base64, got other text; is it complete?") from None


def signature_headers(request: WebhookRequest, key: bytes, unix_seconds: int) -> dict[str, str]:
    """Sign a request: HMAC-SHA256 over its key, the time and the body.

    Args:
        request: The request.
        key: The signing key.
        unix_seconds: When it is sent, so that a receiver can refuse what someone recorded and sends again later.
    """
    signed = f"{request.key}.{unix_seconds}.".encode() + request.body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-timestamp": str(unix_seconds), "webhook-signature": f"v1,{signature}"}
