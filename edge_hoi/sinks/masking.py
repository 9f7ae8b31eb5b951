"""Keep secrets out of what others wrote: a server's words may repeat what was sent to it."""

import json
from collections.abc import Iterable
from urllib.parse import quote, unquote

_SHORTEST = 4
"""Shorter words stand in any text; replacing them would make it unreadable."""


def mask(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets by `***`, also where they stand percent-encoded, decoded or escaped as in JSON.

    Args:
        text: Any text.
        secrets: What must not show; those of less than four characters are left.
    """
    forms = {
        form for secret in secrets for form in (secret, unquote(secret), quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= _SHORTEST:
            text = text.replace(form, "***")
    return text
