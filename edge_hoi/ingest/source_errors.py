"""Says in one line what went wrong with a source and how to mend it, from what FFmpeg reports.

FFmpeg's own messages are never passed on: they hold URLs with their passwords. PyAV leaves FFmpeg's log switched off for the same
reason, and this package does not switch it on.
"""

from pathlib import Path

import av

from edge_hoi.errors import SourceError
from edge_hoi.ingest.url import SourceKind, local_path, mask_url

_RETRYABLE = frozenset({"unreachable", "timeout"})

_CODE_OF_ERROR: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError, av.error.PermissionError), "unauthorized"),
    ((av.error.HTTPNotFoundError, av.error.FileNotFoundError), "not_found"),
    ((av.error.ExitError, av.error.TimeoutError), "timeout"),
    ((av.error.InvalidDataError,), "not_video"),
    (
        (av.error.LookupError, av.error.PatchWelcomeError, av.error.NotImplementedError, av.error.ExperimentalError),
        "unsupported",
    ),
)

_CAME_AND_MEND = {
    "not_found": ("the server has no such stream", "check the path in the URL"),
    "not_video": ("it answered, but not with video", "check the path in the URL"),
    "corrupt": ("its data is damaged", "check the sender"),
    "unreachable": ("no connection, or it broke", "check that the camera is on, the address, the port and the network"),
    "unauthorized": ("the user name or the password was refused", "correct them in the URL"),
    "timeout": ("no data came in time", "check that the camera streams, or raise the timeout"),
    "unsupported": ("FFmpeg cannot read this format", "set the camera to H.264 or H.265"),
}

_CAME_AND_MEND_OF_FILE = {
    "not_found": ("there is no such file", "check the path"),
    "not_video": ("this is not a video or a picture", "check which file was meant"),
    "corrupt": ("the file is damaged or incomplete", "copy or record it again"),
    "unreachable": ("reading failed", "check the disk or the device"),
    "unauthorized": ("reading is not permitted", "change the permissions of the file"),
    "timeout": ("no data came in time", "check the device, or raise the timeout"),
    "unsupported": ("FFmpeg cannot read this format", "convert it to H.264 in MP4"),
}

# Where containers and pictures say what they are: (offset, bytes).
_SIGNATURES = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"free", b"skip", b"wide")),
    *((0, magic) for magic in (b"RIFF", b"\x1a\x45\xdf\xa3", b"FLV", b"OggS", b"\xff\xd8\xff", b"\x89PNG", b"BM")),
)


def failure(url: str, kind: SourceKind, code: str, came: str | None = None, mend: str | None = None) -> SourceError:
    """Make the error of a source.

    Args:
        url: The source, with its secrets; they are masked here.
        kind: What kind of source it is.
        code: See `SourceError`.
        came: What happened, in place of the usual words for this code.
        mend: How to mend it, likewise.
    """
    is_network = kind in (SourceKind.RTSP, SourceKind.HTTP)
    usual_came, usual_mend = (_CAME_AND_MEND if is_network else _CAME_AND_MEND_OF_FILE)[code]
    if is_network and "@" in url and code in ("unauthorized", "unreachable", "not_found"):
        usual_mend += "; in a password, write @ as %40, / as %2F and % as %25"
    message = f"Cannot read {mask_url(url)}: {came or usual_came}; {mend or usual_mend}."
    return SourceError(message, code=code, is_retryable=code in _RETRYABLE)


def failure_of(error: av.FFmpegError, url: str, kind: SourceKind, *, is_timed_out: bool) -> SourceError:
    """Translate an error of FFmpeg.

    Args:
        error: What PyAV raised. Its text and its `filename` hold the URL as it is and go no further than this.
        url: The source, with its secrets.
        kind: What kind of source it is.
        is_timed_out: The call took as long as it was allowed to. FFmpeg reports an interrupted call as almost any error
            (a silent RTSP server as invalid data).
    """
    code = "timeout" if is_timed_out else _code_of(error, kind)
    if code == "not_video" and kind in (SourceKind.FILE, SourceKind.IMAGE):
        return failure_of_file(url, kind)
    return failure(url, kind, code)


def failure_of_file(url: str, kind: SourceKind) -> SourceError:
    """Make the error of a file that holds no video that can be read: damaged, if it starts like one; else not a video at all."""
    start = _first_bytes(local_path(url))
    if not start:
        return failure(url, kind, "not_video", "the file is empty")
    is_damaged = any(start[offset : offset + len(mark)] == mark for offset, mark in _SIGNATURES)
    return failure(url, kind, "corrupt" if is_damaged else "not_video")


def _code_of(error: av.FFmpegError, kind: SourceKind) -> str:
    for types, code in _CODE_OF_ERROR:
        if isinstance(error, types):
            return code
    return "corrupt" if kind in (SourceKind.FILE, SourceKind.IMAGE) else "unreachable"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
