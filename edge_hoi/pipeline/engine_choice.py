"""Which engine a configuration means, and getting it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_hoi.config import EngineConfig, is_offline, preferred_engine
from edge_hoi.demo import DEMO_CLIP
from edge_hoi.hub import Progress
from edge_hoi.ingest.url import is_local, local_path
from edge_hoi.overwriting import is_same_file
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.photo_engine import PHOTO, find_photo_engine, is_photo, obtain_photo_engine

DEFAULT = "default"
"""The embedded engine."""


def choose_engine(engine: EngineConfig, sources: Sequence[str]) -> str:
    """Return the engine that is named; else `EDGE_HOI_ENGINE`; else the embedded one for the embedded clip, `photo` for other sources.

    `allow_demo` without a name asks for the embedded engine, too: no other is a demonstration.

    Args:
        engine: The configuration's.
        sources: Their addresses; none where they are not known yet.
    """
    if named := engine.path or preferred_engine():
        return named
    is_rendered = bool(sources) and all(is_local(url) and is_same_file(local_path(url), DEMO_CLIP) for url in sources)
    return DEFAULT if engine.allow_demo or is_rendered else PHOTO


def obtain_engine(
    engine: EngineConfig, sources: Sequence[str], *, note: Callable[[str], None], progress: Progress = lambda *_: None
) -> Path:
    """Find the folder of the engine that `choose_engine` chooses; fetch and build `photo` where it is not here yet.

    Args:
        engine: The configuration's.
        sources: Addresses of the sources.
        note: Called with what is fetched and why.
        progress: Called with the bytes fetched so far, and their total.

    Raises:
        DownloadError: The engine must be fetched, and cannot or may not be.
        EngineError: There is no engine of that name, or it cannot be built.
    """
    name = choose_engine(engine, sources)
    if not is_photo(name):
        return engine_folder(name)
    may_fetch = not (engine.offline or is_offline())
    if may_fetch and not engine.path and find_photo_engine(name) is None:
        note("no engine is named: getting `photo`, which is for real video; --engine names another, --offline forbids to fetch")
    return obtain_photo_engine(name, may_fetch=may_fetch, note=note, progress=progress)
