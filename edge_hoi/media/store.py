"""A folder of images and videos of episodes, which keeps within its budget by deleting the oldest."""

import hashlib
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import Field

from edge_hoi.config_types import Location, Section
from edge_hoi.errors import EdgeHoiError
from edge_hoi.types import MediaFile
from edge_hoi.unfinished import writing_file

_MEGABYTE = 1_000_000
SUFFIXES = {"image/jpeg": ".jpg", "image/webp": ".webp", "video/mp4": ".mp4"}
_OWN = re.compile(rf"[0-9a-f]{{32}}-\d{{8}}({'|'.join(map(re.escape, SUFFIXES.values()))})(\.unfinished)?")
"""Names of files of this program; no others in the folder are counted or deleted."""


class StoreSettings(Section):
    """Where images and videos are kept, and for how long. Decimal megabytes."""

    path: Location = Field(description="The folder, with one for each camera in it; no other program may write there")
    base_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address at which a web server offers the folder; events refer to file:// where absent"
    )
    max_megabytes: float = Field(2000.0, gt=0, description="Of all cameras; the oldest files are deleted")
    max_megabytes_per_camera: float | None = Field(None, gt=0, description="Likewise for each camera")
    max_age_days: float | None = Field(30.0, gt=0, description="Older files are deleted; null for no limit")
    reserve_megabytes: float = Field(
        500.0,
        ge=0,
        description="Space that stays free on the disk: the oldest files are deleted, and if that is not enough none is written",
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    camera: str
    size_bytes: int
    written_seconds: float


class MediaStore:
    """Writes files that appear complete or not at all, and deletes the oldest before a new one exceeds the budget. Thread-safe."""

    def __init__(self, settings: StoreSettings, *, clock: Callable[[], float] = time.time) -> None:
        """Find what the folder has; create it if it is missing. What a killed process left unfinished is deleted.

        Args:
            settings: Where and how much.
            clock: Seconds since 1970, of which the files' times are.

        Raises:
            EdgeHoiError: The folder cannot be created or read.
        """
        self.folder = Path(settings.path).resolve()
        self._settings = settings
        self._base = self.folder.as_uri() if settings.base_url is None else settings.base_url.rstrip("/")
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Path, _Entry] = {}
        """Of all files, the oldest first."""
        self._bytes: Counter[str] = Counter()
        """Of each camera's files."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._find_files()
        except OSError as error:
            raise EdgeHoiError(f"{self.folder}: media cannot be kept there ({error.strerror}); name a folder that is writable") from error

    def write(self, camera: str, name: str, data: bytes, *, media_type: str, start_seconds: float) -> MediaFile:
        """Write a file.

        Args:
            camera: Name of the source.
            name: An event id, "-" and 8 digits. A file of this name is replaced.
            data: The content.
            media_type: One of `SUFFIXES`.
            start_seconds: Media time of the image, or of the video's first frame.

        Returns:
            The reference for events.

        Raises:
            EdgeHoiError: There is no room for it, or it cannot be written.
        """
        path = self.folder / camera / f"{name}{SUFFIXES[media_type]}"
        try:
            with self._lock:
                self._make_room(camera, len(data))
                self._forget(path)
                path.parent.mkdir(exist_ok=True)
                with writing_file(path) as unfinished, unfinished.open("r+b") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._remember(_Entry(path, camera, len(data), self._clock()))
        except OSError as error:
            raise EdgeHoiError(f"{path}: cannot be written ({error.strerror})") from error
        uri = f"{self._base}/{quote(camera)}/{path.name}"
        return MediaFile(uri, hashlib.sha256(data).hexdigest(), media_type, len(data), start_seconds)

    def read(self, media: MediaFile) -> bytes | None:
        """Read a file that it wrote; None if it was deleted since, or has changed."""
        camera, name = (unquote(part) for part in media.uri.split("/")[-2:])
        path = self.folder / camera / name
        if "/" in camera or camera in ("", ".", "..") or not _OWN.fullmatch(name):
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == media.sha256 else None

    def _find_files(self) -> None:
        found = []
        for path in self.folder.glob("*/*"):
            if not _OWN.fullmatch(path.name) or path.is_symlink() or path.parent.is_symlink():
                continue
            if path.suffix == ".unfinished":
                path.unlink(missing_ok=True)
            else:
                status = path.stat()
                found.append(_Entry(path, path.parent.name, status.st_size, status.st_mtime))
        for entry in sorted(found, key=lambda entry: (entry.written_seconds, entry.path)):
            self._remember(entry)

    def _make_room(self, camera: str, size_bytes: int) -> None:
        """Delete the oldest files until a further one keeps within every limit; raise `EdgeHoiError` where that is not possible."""
        settings = self._settings
        # Nothing is deleted for a file that would not fit even then.
        if size_bytes > settings.max_megabytes * _MEGABYTE:
            raise self._no_room("max_megabytes")
        if settings.max_megabytes_per_camera is not None and size_bytes > settings.max_megabytes_per_camera * _MEGABYTE:
            raise self._no_room("max_megabytes_per_camera")
        if shutil.disk_usage(self.folder).free + self._bytes.total() - size_bytes < settings.reserve_megabytes * _MEGABYTE:
            raise self._no_room("reserve_megabytes")
        if settings.max_age_days is not None:
            latest = self._clock() - settings.max_age_days * 86_400
            while (oldest := self._oldest()) is not None and oldest.written_seconds < latest:
                self._delete(oldest)
        if settings.max_megabytes_per_camera is not None:
            most = settings.max_megabytes_per_camera * _MEGABYTE
            self._delete_until(lambda: self._bytes[camera] + size_bytes <= most, "max_megabytes_per_camera", camera)
        self._delete_until(lambda: self._bytes.total() + size_bytes <= settings.max_megabytes * _MEGABYTE, "max_megabytes")
        reserve = settings.reserve_megabytes * _MEGABYTE
        self._delete_until(lambda: shutil.disk_usage(self.folder).free - size_bytes >= reserve, "reserve_megabytes")

    def _delete_until(self, is_enough: Callable[[], bool], limit: str, camera: str | None = None) -> None:
        while not is_enough():
            oldest = self._oldest(camera)
            if oldest is None:
                raise self._no_room(limit)
            self._delete(oldest)

    def _no_room(self, limit: str) -> EdgeHoiError:
        fix = "free space on the disk, or lower that limit" if limit == "reserve_megabytes" else "raise that limit"
        return EdgeHoiError(f"{self.folder}: `{limit}` leaves no room for another file; {fix}")

    def _oldest(self, camera: str | None = None) -> _Entry | None:
        return next((entry for entry in self._entries.values() if camera in (None, entry.camera)), None)

    def _delete(self, entry: _Entry) -> None:
        entry.path.unlink(missing_ok=True)
        self._forget(entry.path)

    def _remember(self, entry: _Entry) -> None:
        self._entries[entry.path] = entry
        self._bytes[entry.camera] += entry.size_bytes

    def _forget(self, path: Path) -> None:
        entry = self._entries.pop(path, None)
        if entry is not None:
            self._bytes[entry.camera] -= entry.size_bytes
