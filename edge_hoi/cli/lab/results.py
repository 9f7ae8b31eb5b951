"""Progress bars and result files of the laboratory's commands."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edge_hoi.cli.terminal import err
from edge_hoi.errors import ConfigError
from edge_hoi.overwriting import refuse_overwriting


@contextmanager
def progress_bar(what: str = "", *, total: float | None = None, is_counted: bool = False) -> Iterator[Callable[..., None]]:
    """Show a bar with the time left, with counts or percent, on a terminal only; yields rich's `Progress.update` of its task."""
    name = TextColumn("{task.description}", style="progress.description", markup=False)  # which may be an engine's
    columns = (name, BarColumn(), MofNCompleteColumn() if is_counted else TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        yield partial(bar.update, bar.add_task(what, total=total))


def check_outputs(output: Path | None, plot: Path | None, inputs: Iterable[Path | str | None] = ()) -> None:
    """Check that results can be written, before hours are spent on them; None for what is not wanted.

    Raises:
        ConfigError: A file's folder does not exist, it would overwrite an input, or a plot's suffix is unknown.
        MissingDependencyError: A plot is wanted and Matplotlib is not installed.
    """
    for path in (output, plot):
        if path and not path.resolve().parent.is_dir():
            raise ConfigError(f"cannot write {path}: there is no folder {path.parent}; create it, or choose another one")
    outputs = [(name, path) for name, path in (("the results", output), ("the plot", plot)) if path]
    refuse_overwriting(outputs, [("an input", Path(path)) for path in inputs if path])
    if plot:
        from edge_hoi.lab.evaluation.plot import check_plot

        check_plot(plot)


def write_json(path: Path, results: Any) -> None:  # noqa: ANN401 -- any JSON
    """Write results as JSON."""
    path.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
