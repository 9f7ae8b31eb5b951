"""Types of fields that the settings of several parts share."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def anchor(value: str, info: ValidationInfo) -> str:
    """Make a relative path count from the configuration file's folder.

    Args:
        value: A path, a URL, or "-"; only relative paths change.
        info: Its context may hold the `folder`.
    """
    folder = (info.context or {}).get("folder")
    if folder is None or value == "-" or _SCHEME.match(value):
        return value
    return str(Path(folder) / Path(value).expanduser())


Location = Annotated[str, Field(min_length=1), AfterValidator(anchor)]
"""A path or a URL; a relative path in a configuration file counts from that file's folder."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, '_', '.', '-'")]
"""A name that may stand in addresses, topics and file names."""
