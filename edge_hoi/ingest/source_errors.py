"""Create the error of a source, in one line with its cause and fix, from FFmpeg's errors.

FFmpeg's own messages contain URLs with passwords, so they are never passed on. PyAV switches off FFmpeg's log for the same reason, and
this package does not switch it on.
"""

import traceback

import av

from edge_hoi.errors import SourceError
from edge_hoi.ingest.url import SourceKind, local_path
from edge_hoi.masking import mask_url

_RETRYABLE = frozenset({"unreachable", "timeout", "memory", "crashed"})

_CODE_OF_ERROR: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError, av.error.PermissionError), "unauthorized"),
    ((av.error.HTTPNotFoundError, av.error.FileNotFoundError), "not_found"),
    ((av.error.ExitError, av.error.TimeoutError), "timeout"),
    ((av.error.InvalidDataError, av.error.ArgumentError), "not_video"),  # the second is a format that is not in the list of this kind
    ((av.error.MemoryError,), "memory"),
    ((av.error.LookupError, av.error.PatchWelcomeError, av.error.NotImplementedError, av.error.ExperimentalError), "unsupported"),
)

_CAUSE_AND_FIX_OF_STREAM = {
    "not_found": ("the server has no such stream", "check the path in the URL"),
    "not_video": ("it answered, but not with video", "check the path in the URL"),
    "corrupt": ("its data is damaged", "check the sender"),
    "unreachable": ("no connection, or it broke", "check that the camera is on, the address, the port and the network"),
    "unauthorized": ("the user name or the password was refused", "correct them in its URL"),
    "timeout": ("no data came in time", "check that the camera streams, or raise the timeout"),
    "unsupported": ("FFmpeg cannot read this format", "set the camera to H.264 or H.265"),
    "refused": ("it asks for what a source may not do", "check that this is the right server"),
    "memory": ("there is not enough memory for its data", "check the sender, or allow it more memory"),
    "crashed": ("its decoding process died", "check the sender, and update PyAV"),
}

_CAUSE_AND_FIX_OF_FILE = {
    "not_found": ("there is no such file", "check the path"),
    "not_video": ("this is not a video or an image", "check the path"),
    "corrupt": ("the file is damaged or incomplete", "copy or record it again"),
    "unreachable": ("reading failed", "check the disk or the device"),
    "unauthorized": ("reading is not permitted", "change the permissions of the file"),
    "timeout": ("no data came in time", "check the device, or raise the timeout"),
    "unsupported": ("FFmpeg cannot read this format", "convert it to H.264 in MP4"),
    "refused": ("it asks for what a source may not do", "check where the file is from"),
    "memory": ("there is not enough memory for its data", "check its size, or allow it more memory"),
    "crashed": ("its decoding process died", "check the file, and update PyAV"),
}

_CAUSE_AND_FIX_OF_STDIN = {
    "not_video": ("it holds no video that can be read without seeking", "pipe MPEG-TS, Matroska or fragmented MP4 into it"),
    "corrupt": ("its data is damaged", "check the sender"),
    "unreachable": ("reading failed", "check the sender"),
    "memory": ("there is not enough memory for its data", "check the sender"),
    "crashed": ("its decoding process died", "check the sender, and update PyAV"),
}

# Signatures of containers and images: (offset, bytes).
_SIGNATURES = (
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"free", b"skip", b"wide")),
    *((0, magic) for magic in (b"RIFF", b"\x1a\x45\xdf\xa3", b"FLV", b"OggS", b"\xff\xd8\xff", b"\x89PNG", b"BM")),
)


def source_error(url: str, kind: SourceKind, code: str, cause: str | None = None, fix: str | None = None) -> SourceError:
    """Create the error of a source.

    Args:
        url: The source, with its secrets; they are masked here.
        kind: The kind of the source.
        code: See `SourceError`.
        cause: Replaces the default cause of this code.
        fix: Replaces the default fix of this code.
    """
    texts = _CAUSE_AND_FIX_OF_STREAM if kind.is_network else _CAUSE_AND_FIX_OF_FILE
    if kind is SourceKind.STDIN:
        texts = texts | _CAUSE_AND_FIX_OF_STDIN
    default_cause, default_fix = texts[code]
    if code == "not_found" and url.isdecimal():
        default_fix = f"for a webcam use /dev/video{int(url)}"
    if kind.is_network and "@" in url and code in ("unauthorized", "unreachable", "not_found"):
        default_fix += "; in a password there, write @ as %40, / as %2F and % as %25"
    message = f"Cannot read {mask_url(url)}: {cause or default_cause}; {fix or default_fix}."
    return SourceError(message, code=code, is_retryable=code in _RETRYABLE)


def defect_error(source_id: str, error: Exception) -> SourceError:
    """Create the error of a defect of edge-hoi, without the text of `error`, which may contain the URL."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return SourceError(
        f"Reading {source_id} failed on a bug of edge-hoi: {type(error).__name__} in {place.name}, line {place.lineno} of "
        f"{place.filename}; please report it.",
        code="unsupported",
        is_retryable=False,
    )


def ffmpeg_source_error(error: av.FFmpegError, url: str, kind: SourceKind) -> SourceError:
    """Translate an error of FFmpeg.

    Args:
        error: From PyAV. Its text and `filename` contain the unmasked URL and are not used.
        url: The source, with its secrets.
        kind: The kind of the source.
    """
    if isinstance(error, av.error.ProtocolNotFoundError):
        return source_error(url, kind, "unsupported", f"this FFmpeg cannot read {kind}", "use PyAV's own FFmpeg, or restream it as RTSP")
    code = _code_of(error, kind)
    if code == "not_video" and kind in (SourceKind.FILE, SourceKind.IMAGE):
        return unreadable_file_error(url, kind)
    return source_error(url, kind, code)


def unreadable_file_error(url: str, kind: SourceKind) -> SourceError:
    """Create the error of a file without readable video: `corrupt` if it has the signature of a video or image, else `not_video`."""
    with local_path(url).open("rb") as file:
        start = file.read(16)
    if not start:
        return source_error(url, kind, "not_video", "the file is empty")
    is_damaged = any(start[offset : offset + len(mark)] == mark for offset, mark in _SIGNATURES)
    return source_error(url, kind, "corrupt" if is_damaged else "not_video")


def _code_of(error: av.FFmpegError, kind: SourceKind) -> str:
    if kind.is_network and isinstance(error, av.error.PermissionError):  # -1, by which FFmpeg's RTSP and RTMP say that the connection broke
        return "unreachable"
    for types, code in _CODE_OF_ERROR:
        if isinstance(error, types):
            return code
    return "corrupt" if kind in (SourceKind.FILE, SourceKind.IMAGE) else "unreachable"
