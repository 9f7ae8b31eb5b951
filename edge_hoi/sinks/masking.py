"""Remove secrets from texts of servers and libraries, which may quote what was sent to them."""

import json
from collections.abc import Iterable
from urllib.parse import quote, unquote

_MIN_LENGTH = 4
"""Shorter secrets occur in any text; replacing them would make it unreadable."""


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets of four characters or more by `***`, also percent-encoded, decoded, or escaped as in JSON."""
    forms = {
        form for secret in secrets for form in (secret, unquote(secret), quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= _MIN_LENGTH:
            text = text.replace(form, "***")
    return text
