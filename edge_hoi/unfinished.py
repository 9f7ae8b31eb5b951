"""Folders and files that appear complete or not at all; what a stopped process leaves is removed by itself or by the next one."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir, mkdtemp

from edge_hoi.masking import get_logger
from edge_hoi.own_file import check_link, replace_own, unfinished_name

_LOGGER = get_logger(__name__)

_PREFIX, _SUFFIX = ".edge-hoi-", ".unfinished"
_MARKER = "owner"
"""File in an unfinished folder. Its process holds a lock on it, which ends with the process, even where process ids are reused."""

_MARK = "edge-hoi unfinished folder of "


@contextmanager
def temporary_folder(parent: Path | None = None, target: str = "") -> Iterator[Path]:
    """Yield a new folder that is removed at the end; if this process is killed, `remove_leftovers` of another removes it.

    Args:
        parent: Where it is created; None for the system's folder of temporary files.
        target: Name of the folder in `parent` that the new one will replace; see `writing_folder`.
    """
    parent = parent or Path(gettempdir())
    remove_leftovers(parent)
    work = Path(mkdtemp(dir=parent, prefix=_PREFIX, suffix=_SUFFIX))
    try:
        with (work / _MARKER).open("x", encoding="utf-8") as marker:
            with suppress(OSError):  # a file system without locks: nobody else removes it then
                fcntl.flock(marker, fcntl.LOCK_EX)
            marker.write(_MARK + target)
            marker.flush()
            folder = work / "new"
            folder.mkdir()
            yield folder
    finally:
        _finish(work, parent / target)


@contextmanager
def writing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder to fill, which replaces `folder` when the block ends without an error.

    Raises:
        OSError: The parent of `folder` is not writable.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent, folder.name) as new:
        yield new
        if folder.exists():
            folder.rename(new.with_name("old"))
        new.rename(folder)


@contextmanager
def writing_file(path: Path, *, is_shared: bool = False) -> Iterator[Path]:
    """Yield the path of an empty file to write, which replaces `path` when the block ends without an error, and is removed otherwise.

    Args:
        path: The file.
        is_shared: Whether several processes may write it at the same time. If not, the next one overwrites what a killed one left.

    Raises:
        OSError: The file cannot be created.
    """
    unfinished = unfinished_name(path.with_name(f"{path.name}.{token_hex(4)}") if is_shared else path)
    replace_own(unfinished)
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def writing_output(path: Path) -> Iterator[Path]:
    """Yield the path to write of a file that the user named; see `writing_file`.

    Links are followed. What is no regular file, such as a device, is written itself.

    Raises:
        OSError: The file cannot be created, or is a symbolic link that another user made.
    """
    check_link(path)
    if path.exists() and not path.is_file():
        yield path
        return
    with writing_file(path.resolve()) as unfinished:
        yield unfinished


def remove_leftovers(parent: Path) -> None:
    """Remove the unfinished folders in a folder whose processes have ended, and put back what they were replacing."""
    for work in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            if work.is_symlink() or work.stat().st_uid != os.getuid():
                continue
            with (work / _MARKER).open("r+", encoding="utf-8") as marker:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its owner lives
                mark = marker.read()
                if mark.startswith(_MARK):
                    _finish(work, parent / Path(mark.removeprefix(_MARK)).name)
                    _LOGGER.warning("removed %s, which a stopped process left unfinished", work)
        except (OSError, UnicodeError):  # it is in use, or not ours
            continue


def _finish(work: Path, target: Path) -> None:
    """Put back what was being replaced, if nothing took its place, and remove an unfinished folder."""
    old = work / "old"
    if old.exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(work, ignore_errors=True)
