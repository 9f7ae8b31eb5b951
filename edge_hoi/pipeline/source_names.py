"""Names for sources without an id."""

import itertools
import re
from collections.abc import Callable, Sequence

from edge_hoi.ingest import SourceKind, source_kind
from edge_hoi.ingest.url import local_path
from edge_hoi.masking import mask_url

RECORDINGS = (SourceKind.FILE, SourceKind.STDIN, SourceKind.FOLDER, SourceKind.IMAGE)
"""Kinds of source that are read losslessly."""


def name_sources(sources: Sequence[tuple[str | None, str]], note: Callable[[str], None] = lambda _: None) -> list[str]:
    """Return an id for each source: its own, or one made from its address, numbered where that is taken.

    Args:
        sources: Own id, or None, and address of each.
        note: Called with a message for the user where only the place in the list tells two cameras apart.

    Returns:
        An id for each, no two alike. What may be a secret in an address is never part of one.
    """
    taken = {own for own, _ in sources if own}
    names = []
    for own, url in sources:
        if own:
            names.append(own)
            continue
        base = _name_from_address(url)
        candidates = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in candidates if candidate not in taken)
        if name != base and (shown := mask_url(url)) != url:
            note(f"{shown} is called {name} by its place in the list; give it an `id`, which stays the same when the list changes")
        taken.add(name)
        names.append(name)
    return names


def _name_from_address(url: str) -> str:
    """Make a name from a file's stem, or from a camera's host and the parts of its path that are shown."""
    shown = mask_url(url)
    if shown == url and source_kind(url) in (*RECORDINGS, SourceKind.DEVICE):
        name = "stdin" if source_kind(url) is SourceKind.STDIN else local_path(url).stem
    else:
        name = re.split("[?#]", shown.rpartition("://")[2])[0].rpartition("@")[2]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-._")[:64] or "source"
