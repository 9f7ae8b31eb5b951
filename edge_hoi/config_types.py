"""Field types of several parts' settings."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo, WithJsonSchema

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class Section(BaseModel):
    """A section of the configuration: immutable, without unknown keys. Errors do not show values, which may be secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def anchor(value: str, info: ValidationInfo) -> str:
    """Resolve a relative path against the `folder` of the validation context; leave URLs and "-" as they are."""
    folder = (info.context or {}).get("folder")
    if folder is None or value == "-" or _SCHEME.match(value):
        return value
    return str(Path(folder) / os.path.expanduser(value))  # noqa: PTH111 -- Path.expanduser raises where there is no home


def _text(value: object) -> str:
    """Accept a non-empty text, also one with a file name that is not UTF-8, which pydantic's own `str` refuses."""
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")
    if not value:
        raise ValueError("String should have at least 1 character")
    return value


PathText = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
"""A non-empty text that may be a file name of any encoding."""
Location = Annotated[PathText, AfterValidator(anchor)]
"""A path or a URL; a relative path in a configuration file is relative to that file's folder."""
Decoder = Literal["auto", "cpu", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"]
"""What decodes video: software, or a device by FFmpeg's name."""


def _switch(value: object) -> object:
    """Accept what YAML 1.1 makes of `on` and `off`."""
    return ("off", "on")[value] if isinstance(value, bool) else value


Deinterlace = Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)]
"""Which frames to deinterlace: those that the stream marks as interlaced, all, or none."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, '_', '.', '-'")]
"""A name that is valid in addresses, topics and file names."""
