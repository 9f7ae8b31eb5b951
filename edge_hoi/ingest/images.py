"""Images as a source: a single one, or a folder of them at a fixed rate."""

import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from edge_hoi.errors import ConfigError, SourceError
from edge_hoi.ingest.clock import CaptureClock
from edge_hoi.ingest.frame_times import FrameTime
from edge_hoi.ingest.image_file import read_image
from edge_hoi.ingest.source import FrameStamp, Source, SourceInfo, SourceTally
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.ingest.url import IMAGE_SUFFIXES, VIDEO_SUFFIXES, SourceKind, local_path, source_kind
from edge_hoi.masking import get_logger
from edge_hoi.types import MAX_PIXELS, Frame

_logger = get_logger(__name__)

_NAMED = 10  # unreadable images named in the log; more are only counted


def images_in(folder: Path) -> list[Path]:
    """List the images of a folder, without subfolders, in natural order: `frame2.jpg` before `frame10.jpg`."""
    paths = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted(paths, key=lambda path: [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", path.name)])


class ImageSource(Source):
    """One image, or those of a folder as the frames of a recording."""

    def __init__(
        self,
        url: str,
        *,
        source_id: str,
        fps: float,
        target_fps: float | None = None,
        recorded_at: datetime | None = None,
        max_pixels: int = MAX_PIXELS,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Find the images and read the first that is readable.

        Args:
            url: Path or `file://` URL of an image or a folder.
            source_id: Name of the source.
            fps: Images per second of media time, above 0.
            target_fps: Process at most this many images per second, by media time; None for all.
            recorded_at: When the first image was captured.
            max_pixels: Larger images are unreadable.
            is_stopped: Asked before each image is read; once it returns True, reading ends with `SourceError`.

        Raises:
            SourceError: There is no readable image.
            ConfigError: `fps`, `target_fps` or `recorded_at` is invalid.
        """
        if not fps > 0:
            raise ConfigError(f"image_folder_fps must be above 0, got {fps}; use 25 for the frames of a 25 fps video.")
        path = local_path(url)
        is_folder = source_kind(url) is SourceKind.FOLDER
        try:
            self._paths = images_in(path) if is_folder else [path]
        except OSError as error:
            raise source_error(url, SourceKind.FOLDER, "unauthorized", "listing the folder is not permitted") from error
        if not self._paths:
            raise _no_image_error(url, path)
        if is_folder:
            _report_other_files(source_id, path)
        self.tally = SourceTally()
        self._source_id = source_id
        self._fps = fps
        self._url = url
        self._max_pixels = max_pixels
        self._is_stopped = is_stopped
        self._stamp = FrameStamp(source_id, CaptureClock.choose(is_live=False, source_id=source_id, recorded_at=recorded_at), target_fps)
        self._last_error: SourceError | None = None
        frames = self._read_all()
        first = next(frames, None)
        if first is None:
            assert self._last_error is not None
            raise self._last_error
        count = len(self._paths)
        self.info = SourceInfo(
            source_id=source_id,
            masked_url=url,
            width=first.width,
            height=first.height,
            fps=fps if is_folder else None,
            is_live=False,
            duration_seconds=count / fps if is_folder else None,
            frame_count=count,
        )
        self._frames: Iterator[Frame] = chain([first], frames)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images; unreadable ones are skipped, counted, and named in the log."""
        return self._frames

    def close(self) -> None:
        """Yield no more images; no file is open."""
        self._frames = iter(())

    def _read_all(self) -> Iterator[Frame]:
        for position, path in enumerate(self._paths):
            if self._is_stopped():
                raise source_error(self._url, SourceKind.FOLDER, "unreachable", "it was stopped")
            pts_seconds = position / self._fps
            if not self._stamp.count(pts_seconds):
                continue
            try:
                image = read_image(path, self._max_pixels)
            except SourceError as error:
                self.tally.decode_errors += 1
                self._last_error = error
                if len(self._paths) > 1 and self.tally.decode_errors <= _NAMED:
                    _logger.warning("%s: image skipped. %s", self._source_id, error)
                continue
            self.tally.frames_decoded += 1
            yield self._stamp.frame(image, FrameTime(pts_seconds, time.monotonic(), None), is_corrupt=False)


def _report_other_files(source_id: str, folder: Path) -> None:
    """Log what a folder contains besides images."""
    others = [path for path in folder.iterdir() if path.suffix.lower() not in IMAGE_SUFFIXES and not path.name.startswith(".")]
    kinds = Counter("folder" if path.is_dir() else path.suffix or "file without suffix" for path in others)
    if kinds:
        names = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        _logger.warning("%s: left out of %s, because they have no suffix of an image: %s", source_id, folder, names)


def _no_image_error(url: str, folder: Path) -> SourceError:
    """Create the error of a folder without images, with the command that processes its videos."""
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not videos:
        fix = f"put images there ({', '.join(sorted(IMAGE_SUFFIXES))})"
        return source_error(url, SourceKind.FOLDER, "not_found", "there is no image in this folder", fix)
    cause = f"there is no image in this folder, but {len(videos)} {'videos' if len(videos) > 1 else 'video'}"
    fix = f"run `edge-hoi run {shlex.quote(str(folder))} --events events.jsonl`"
    return source_error(url, SourceKind.FOLDER, "not_found", cause, fix)
