"""Open files to write where others may put symbolic links in their place.

A file that only this program uses is never a link. One that the user names may be: to `/dev/stdout`, or to another disk. It is followed if
the user, the administrator or the owner of its folder made it, which is the rule of Linux's `protected_symlinks` on every system.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_own(path: Path, mode: int = 0o600) -> BinaryIO:
    """Open a file of this program to read and write, unbuffered; create it, by default readable by its owner only, if it is missing.

    Raises:
        OSError: It cannot be opened, or is a symbolic link (`ELOOP`), a pipe or a device (`EINVAL`).
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        raise _named(error, path) from error
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return file


def create_own(path: Path, mode: int = 0o600) -> None:
    """Create an empty file of this program.

    Raises:
        FileExistsError: Something has its name.
        OSError: It cannot be created.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode))


def replace_own(path: Path) -> None:
    """Create an empty file of this program in the place of one, or of a link, that a stopped process left; by the umask for others.

    Raises:
        OSError: It cannot be created, or what has its name cannot be removed.
    """
    path.unlink(missing_ok=True)
    create_own(path, 0o666)


def open_to_append(path: Path, *, is_own: bool = False) -> BinaryIO:
    """Open a file that the user named, unbuffered; create it if it is missing.

    Args:
        path: The file.
        is_own: The user named its folder only: it is never a link.

    Raises:
        OSError: It cannot be opened, or is a symbolic link that is not followed.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP or is_own:
            raise _named(error, path) from error
        check_link(path)
        descriptor = os.open(path, flags, 0o666)
    return os.fdopen(descriptor, "ab", buffering=0)


def unfinished_name(path: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return path.with_name(f"{path.name}.unfinished")


def check_link(path: Path) -> None:
    """Raise `PermissionError` if a path that the user named is a symbolic link that is not followed."""
    if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
        raise PermissionError(errno.EACCES, "it is a symbolic link that another user made", str(path))


def _named(error: OSError, path: Path) -> OSError:
    """Say of a link what it is: to the system, it is one of too many."""
    return OSError(errno.ELOOP, f"{path.name} is a symbolic link; remove it", str(path)) if error.errno == errno.ELOOP else error
