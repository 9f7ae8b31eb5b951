"""Refuse outputs that would overwrite an input, a configuration, or another output, before anything is opened."""

import os
from collections.abc import Iterable
from pathlib import Path

from edge_hoi.errors import ConfigError
from edge_hoi.own_file import unfinished_name

Named = tuple[str, Path]
"""What a file is, for messages ("--events", "source gate"), and its path."""


def refuse_overwriting(outputs: Iterable[Named], inputs: Iterable[Named]) -> None:
    """Compare every output with the inputs and the outputs before it, also through links and other spellings.

    An output is also compared as the file that it is until it is complete. Outputs that exist and are no regular files (`/dev/null`, a
    pipe) may be named twice. An output below an input that is a folder is refused where it exists: it is part of that input.

    Args:
        outputs: Files to be written.
        inputs: Files and folders to be read.

    Raises:
        ConfigError: An output is the same file as another.
    """
    known = list(inputs)
    for name, path in outputs:
        # os.path's functions are False for what cannot be a file, such as an overlong name; whoever opens it says so.
        exists = os.path.exists(path)  # noqa: PTH110
        if exists and not path.is_file():
            continue
        unfinished = [unfinished_name(each) for each in (path, path.resolve())]
        for other, other_path in known:
            is_part = exists and os.path.isdir(other_path) and other_path.resolve() in path.resolve().parents  # noqa: PTH112
            if is_part or is_same_file(path, other_path):
                raise ConfigError(f"{name} {path} is {other}, and would be overwritten; choose another file")
            if any(is_same_file(each, other_path) for each in unfinished):
                raise ConfigError(f"{other_path} is {other}, and {name} {path} would overwrite it until complete; choose another file")
        known.append((name, path))


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths name one file, which need not exist."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()
