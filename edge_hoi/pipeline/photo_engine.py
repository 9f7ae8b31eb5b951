"""The engine `photo`, for real video: its detector is fetched from its publisher and the engine built when it is first needed.

The cache folder's `photo/` holds the detectors as published, a folder `DETECTOR-KEY` for each engine, and `detector`, which names the one
that `photo` stands for. The key changes with whatever an engine is made of, so that a new version of edge-hoi builds one of its own, and
one that still runs keeps its own.
"""

import fcntl
import hashlib
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

from edge_hoi import __version__
from edge_hoi.config import cache_folder, cache_home, mirror
from edge_hoi.errors import DownloadError, EdgeHoiError, EngineError
from edge_hoi.hub import KnownModel, Progress, download, known_models
from edge_hoi.own_file import open_own
from edge_hoi.regular_file import open_regular
from edge_hoi.runtime import open_engine, random_inputs, read_manifest
from edge_hoi.unfinished import writing_file

PHOTO = "photo"
DEFAULT_FPS = 10.0
"""Frames a second that a detector must reach to be chosen, enough for one camera."""

Note = Callable[[str], None]
_PREFIX = f"{PHOTO}-"
_MAX_DETECTOR_BYTES = 64 << 20
_CHOICE_FILE = "detector"
_MEASURED_RUNS = 10


def is_photo(name: str | Path) -> bool:
    """Whether a name is `photo` or `photo-DETECTOR`."""
    return str(name) == PHOTO or (str(name).startswith(_PREFIX) and any(model.name == str(name) for model in photo_detectors()))


def photo_detectors() -> tuple[KnownModel, ...]:
    """List the detectors, the most accurate first."""
    return tuple(model for model in known_models() if model.kind == "photo")


def find_photo_engine(name: str = PHOTO) -> Path | None:
    """Return the folder of an engine that is built; None if it is not, or is damaged, or of another version of this package.

    Args:
        name: `photo` for the detector that was chosen last, or `photo-DETECTOR`.
    """
    for base in (cache_home(), cache_folder()):  # the first may be readable only, the second is writable
        home = base / PHOTO
        chosen = _choice(home) if name == PHOTO else name
        for model in photo_detectors():
            if model.name == chosen and _is_sound(folder := _folder(home, model)):
                return folder
    return None


def _is_sound(folder: Path) -> bool:
    """Whether a folder holds an engine whose files are as its manifest says."""
    try:
        read_manifest(folder)
    except EngineError:
        return False
    return True


def obtain_photo_engine(
    name: str = PHOTO,
    *,
    may_fetch: bool = True,
    fps: float = DEFAULT_FPS,
    note: Note = lambda _: None,
    progress: Progress = lambda *_: None,
    chooses: bool = False,
) -> Path:
    """Return an engine's folder, after fetching its detector and building it where that was not done yet.

    Args:
        name: `photo-DETECTOR`, or `photo` for the detector chosen last; if none was, the most accurate that is fast enough here.
        may_fetch: Whether the network may be used.
        fps: Frames a second that are fast enough.
        note: Called with what is done and why.
        progress: Called with the bytes fetched so far, and their total.
        chooses: Let `photo` stand for this detector from now on, or choose anew.

    Raises:
        DownloadError: A detector is missing and cannot or may not be fetched.
        EngineError: The engine cannot be built or opened.
    """
    if not chooses and (folder := find_photo_engine(name)):
        return folder
    home = cache_folder() / PHOTO
    with _locked(home, note):
        if not chooses and (folder := find_photo_engine(name)):
            return folder
        providing = _Provider(home, may_fetch, note, progress)
        wanted = name if name != PHOTO else None if chooses else _choice(home)
        model = next((model for model in photo_detectors() if model.name == wanted), None) or _choose(providing, fps, note)
        folder = providing.engine(model)
        if chooses or name == PHOTO:
            _write_choice(home, model)
        return folder


def bring_detector(file: Path, name: str = PHOTO, *, note: Note = lambda _: None) -> Path:
    """Build the engine of a detector that was fetched by other means; `photo` stands for it from now on.

    Args:
        file: A detector as published.
        name: `photo-DETECTOR` to accept no other, or `photo`.
        note: Called with what is waited for.

    Returns:
        The engine's folder.

    Raises:
        DownloadError: The file cannot be read, or is no such detector.
        EngineError: The engine cannot be built.
    """
    expected = [model for model in photo_detectors() if name in (PHOTO, model.name)]
    home = cache_folder() / PHOTO
    try:
        with open_regular(file) as opened:
            if os.fstat(opened.fileno()).st_size > _MAX_DETECTOR_BYTES:
                raise DownloadError(f"{file} is larger than any known detector; is this the right file?")
            model = next((model for model in expected if model.pin.difference(opened) is None), None)
            if model is None:
                names = ", ".join(map(_file_name, expected))
                raise DownloadError(
                    f"{file} is not {names} as published; fetch it again, or build an engine of any detector with "
                    "`edge-hoi build --detector FILE`"
                )
            with _locked(home, note):
                with _explained(home), writing_file(home / _file_name(model)) as copy, copy.open("wb") as target:
                    opened.seek(0)
                    shutil.copyfileobj(opened, target)
                folder = _Provider(home, False, note, lambda *_: None).engine(model)
                _write_choice(home, model)
    except OSError as error:
        raise DownloadError(f"{file}: {error.strerror or error}; name a file that can be read") from error
    return folder


class _Provider:
    """Fetches detectors and builds their engines, in one folder."""

    def __init__(self, home: Path, may_fetch: bool, note: Note, progress: Progress) -> None:
        self.home, self.may_fetch, self._note, self._progress = home, may_fetch, note, progress

    def has_detector(self, model: KnownModel) -> bool:
        """Whether a detector need not be fetched."""
        return (self.home / _file_name(model)).is_file()

    def engine(self, model: KnownModel) -> Path:
        """Return the folder of a detector's engine, once it is there."""
        folder = _folder(self.home, model)
        if _is_sound(folder):
            return folder
        from edge_hoi.photo import PhotoOptions, build_photo_engine  # which takes long to import

        detector = self._detector(model)
        shutil.rmtree(folder, ignore_errors=True)  # it is damaged, if it is there
        self._note(f"building engine {model.name} in {folder}")
        with _explained(folder):
            build_photo_engine(PhotoOptions(detector, name=model.name), folder)
        return folder

    def _detector(self, model: KnownModel) -> Path:
        path = self.home / _file_name(model)
        if path.is_file():
            with open_regular(path) as file:
                if model.pin.difference(file) is None:
                    return path
            path.unlink()
        if not self.may_fetch:
            raise DownloadError(
                f"engine {model.name} is not on this machine, and --offline or EDGE_HOI_OFFLINE forbids to fetch it; {_by_hand(model)}"
            )
        assert model.file is not None
        size = f"{model.size_bytes / 1e6:.1f} MB, " if model.size_bytes else ""
        self._note(f"fetching the detector of engine {model.name} ({size}licence {model.licence}, {model.page})")
        base = mirror()
        address = f"{base.rstrip('/')}/{path.name}" if base else model.file
        try:
            download(address, path, pin=model.pin, max_bytes=_MAX_DETECTOR_BYTES, progress=self._progress)
        except DownloadError as error:
            raise DownloadError(f"{error}; {_by_hand(model)}") from error
        return path


def _choose(providing: _Provider, fps: float, note: Note) -> KnownModel:
    """Choose the most accurate detector that reaches a rate here: as measured, of those that may by the smallest one's rate."""
    usable = [model for model in photo_detectors() if providing.may_fetch or providing.has_detector(model)]
    *larger, smallest = usable or photo_detectors()[-1:]
    rate = frames_per_second(providing.engine(smallest)) if larger else 0.0
    for model in larger:
        assert model.gflops is not None
        assert smallest.gflops is not None
        expected = rate * smallest.gflops / model.gflops
        if expected < fps:
            note(f"{model.name} would run about {expected:.1f} frames/s here, fewer than {fps:g}: not tried")
            continue
        try:
            reached = frames_per_second(providing.engine(model))
        except EdgeHoiError as error:
            note(f"{model.name} is left out: {error}")
            continue
        if reached >= fps:
            note(f"chosen: {model.name}, which runs {reached:.1f} frames/s here")
            return model
        note(f"{model.name} runs {reached:.1f} frames/s here, fewer than {fps:g}: not taken")
    if larger:
        note(f"chosen: {smallest.name}, which runs {rate:.1f} frames/s here")
    return smallest


def frames_per_second(folder: Path) -> float:
    """Measure how many frames a second an engine runs on this machine, one by one: the median of several runs on noise."""
    with open_engine(folder) as engine:
        inputs = random_inputs(engine.inputs)
        seconds = []
        for _ in range(2 + _MEASURED_RUNS):
            started = time.perf_counter()
            engine.run(inputs)
            seconds.append(time.perf_counter() - started)
    return 1 / statistics.median(seconds[2:])  # the first runs allocate


@contextmanager
def _locked(home: Path, note: Note) -> Iterator[None]:
    """Let one process at a time fetch and build; the others wait for it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = open_own(home / ".lock")
    except OSError as error:
        raise DownloadError(f"cannot write {home}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another process is fetching an engine: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn errors of writing a folder into DownloadError."""
    try:
        yield
    except OSError as error:
        raise DownloadError(f"cannot write {folder}: {error.strerror or error}; free some space, or set XDG_CACHE_HOME") from error


def _folder(home: Path, model: KnownModel) -> Path:
    key = hashlib.sha256(f"{_package_key()} {model.git_blob}".encode())
    return home / f"{model.name.removeprefix(_PREFIX)}-{key.hexdigest()[:12]}"


@cache
def _package_key() -> str:
    """Hash what this package makes engines of: the head and its settings."""
    package = Path(str(resources.files("edge_hoi")))
    key = hashlib.sha256(__version__.encode())
    for file in sorted([*package.glob("assets/photo_head/*"), *package.glob("photo/data/*")]):
        key.update(file.read_bytes())
    return key.hexdigest()


def _file_name(model: KnownModel) -> str:
    return Path(model.file or model.name).name


def _by_hand(model: KnownModel) -> str:
    return (
        f"on a machine with a network run `curl -fLO {model.file}`, bring the file, and run "
        f"`edge-hoi models pull photo --from {_file_name(model)}` here"
    )


def _choice(home: Path) -> str | None:
    try:
        return (home / _CHOICE_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _write_choice(home: Path, model: KnownModel) -> None:
    with _explained(home), writing_file(home / _CHOICE_FILE) as path:
        path.write_text(model.name, encoding="utf-8")
