"""Get the engine that a command runs, with a bar on a terminal where something is fetched."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from edge_hoi.cli.signals import exit_on_signal
from edge_hoi.cli.terminal import err, print_note

if TYPE_CHECKING:
    from edge_hoi import hub
    from edge_hoi.config import EngineConfig

OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Fetch nothing; fail if the engine is not on this machine. Or set EDGE_HOI_OFFLINE=1.")
]


def get_engine(engine: "EngineConfig", sources: Sequence[str], *, may_be_missing: bool = False) -> str:
    """Return the name or folder of the engine for sources, once it is on this machine.

    Args:
        engine: The configuration's.
        sources: Addresses of the sources.
        may_be_missing: Fetch the engine even if they are missing files.

    Raises:
        SourceError: All are missing files, for which nothing is fetched.
        DownloadError: The engine must be fetched, and cannot or may not be.
        EngineError: The engine cannot be built.
    """
    from edge_hoi.ingest import open_source
    from edge_hoi.ingest.url import is_local, local_path
    from edge_hoi.pipeline.engine_choice import choose_engine, obtain_engine
    from edge_hoi.pipeline.photo_engine import find_photo_engine, is_photo

    name = choose_engine(engine, sources)
    if not is_photo(name) or find_photo_engine(name):
        return name
    if not may_be_missing and not any(not is_local(url) or local_path(url).exists() for url in sources):
        open_source(sources[0], source_id="source").close()  # raises what a run would report in the end
    with exit_on_signal(), download_bar("fetching") as progress:
        return str(obtain_engine(engine, sources, note=print_note, progress=progress))


@contextmanager
def download_bar(what: str) -> Iterator["hub.Progress"]:
    """Yield what shows the bytes fetched, once there are some."""
    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(escape(what), total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=done != total)
