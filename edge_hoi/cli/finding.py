"""What `edge-hoi doctor` reports."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "missing", "unusable", "broken", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: Heading that it stands under.
        name: What was looked at.
        status: `ok`, `missing` (optional and absent), `unusable` (optional, there, and of no use on this machine), `broken` (needed and
            not usable), `info`.
        detail: What was found.
        mend: The command or step that helps, or an empty string.
    """

    topic: str
    name: str
    status: Status
    detail: str
    mend: str = ""
