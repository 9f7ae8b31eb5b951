"""`edge-hoi bench`: how fast engines are on this machine, and what they cost in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TimeRemainingColumn

from edge_hoi.cli.build_engine import parse_size
from edge_hoi.cli.lab.eval_events import check_folders
from edge_hoi.cli.run import DeviceOption
from edge_hoi.cli.terminal import err, out, print_note
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.lab.speed.bench import Progress as Report
    from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget
    from edge_hoi.runtime import Device


def bench(
    engines: Annotated[
        list[str] | None, typer.Argument(metavar="[ENGINE]...", help="Names below engines/, or folders with a manifest; the embedded one.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="What runs them, such as onnxruntime; their own where absent. Several times.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option("--batch", min=1, help="Pictures in a run. Several times; 1, 2 and 4.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of turns; a turn is four measured runs.")] = 25,
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="Video or folder of pictures for the stages; the clip that comes along.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Input HEIGHTxWIDTH; what the source's frames get in a stream where absent.")
    ] = None,
    device: DeviceOption = None,
    eager: Annotated[bool, typer.Option("--eager/--no-eager", help="Measure eager PyTorch beside them, to compare with.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the figures (.png, .svg, .pdf).")] = None,
) -> None:
    """Measure engines side by side: latency, throughput by batch, where a frame's time goes, and memory.

    Engines take turns within one run, so that whatever else the machine does falls on all alike. Their times are of noise, those of the
    stages of a video's frames. Where PyTorch is installed, it runs the same network eagerly, as the baseline.

        edge-hoi bench default --backend openvino --backend onnxruntime --json speed.json --plot speed.png
    """
    from edge_hoi.lab.evaluation import check_plot
    from edge_hoi.lab.speed.bench import BATCHES, BenchSettings
    from edge_hoi.lab.speed.bench import bench as measure
    from edge_hoi.lab.speed.benchmark_target import eager_targets
    from edge_hoi.lab.speed.plot import plot_speed
    from edge_hoi.pipeline import DEMO_CLIP

    check_folders(json_file, plot)
    if plot:
        check_plot(plot)
    settings = BenchSettings(source or str(DEMO_CLIP), tuple(batch or BATCHES), rounds)
    contenders = _contenders(engines or ["default"], backend or [], settings.source, size, device or "auto")
    eagers = eager_targets(contenders) if eager else []
    with _bar() as progress:
        report = measure([*eagers, *contenders], settings, progress=progress)
    out.print(f"{report.machine.describe()}; load average {report.load_average:.1f}", soft_wrap=True, markup=False)
    for table in report.tables():
        out.print(table)
    for line in report.left_out:
        print_note(line)
    if json_file:
        json_file.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if plot:
        plot_speed(report, plot)


def _contenders(engines: list[str], backends: list[str], source: str, size: str | None, device: "Device") -> "list[BenchmarkTarget]":
    """Make one contender of each engine and backend."""
    from edge_hoi.lab.speed.bench import decoded
    from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import choose_input_size, read_manifest

    first = next((frame for frame, _ in decoded(source)), None)
    if first is None:
        raise ConfigError(f"--source {source} has no frames; name another one")
    contenders = []
    for engine in dict.fromkeys(engines):
        folder = engine_folder(engine)
        manifest = read_manifest(folder)
        input_size = parse_size(size) if size else choose_input_size(first.width, first.height, manifest.input)
        for backend in dict.fromkeys(backends or [manifest.backend]):
            name = f"{engine} on {backend}" if len(backends) > 1 else engine
            contenders.append(BenchmarkTarget(name, folder, manifest, backend, device, input_size))
    return contenders


@contextmanager
def _bar() -> "Iterator[Report]":
    """Show a bar with the time left, where a terminal is there to show it."""
    columns = (*Progress.get_default_columns()[:3], TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show
