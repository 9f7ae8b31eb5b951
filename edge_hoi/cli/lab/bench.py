"""`edge-hoi bench`: latency, throughput and memory of engines on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_hoi.cli.build_engine import parse_size
from edge_hoi.cli.lab.results import check_outputs, progress_bar, write_json
from edge_hoi.cli.run import DeviceOption
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError
from edge_hoi.masking import mask_url

if TYPE_CHECKING:
    from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget
    from edge_hoi.runtime import Device


def bench(
    engines: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENGINE]...", help="Names of this package's, or folders with a manifest; default: the embedded one."),
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="Backend, such as onnxruntime; default: the engine's own. Repeatable.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option("--batch", min=1, help="Batch size. Repeatable; default: 1, 2 and 4.")] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds; each engine has a turn of four measured runs in each.")] = 25,
    source: Annotated[
        str | None,
        typer.Option("--source", "-s", callback=read_sources, help="Video or folder of images for the stages; default: the embedded clip."),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="Input HEIGHTxWIDTH; default: what a stream would choose for the source.")
    ] = None,
    device: DeviceOption = None,
    eager: Annotated[bool, typer.Option("--eager/--no-eager", help="Also measure eager PyTorch, as the baseline.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results to this file.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Plot the results (.png, .svg, .pdf).")] = None,
) -> None:
    """Measure engines side by side: latency, throughput by batch size, time of each pipeline stage, and memory.

    Engines take turns within one run, so that other load on the machine affects all alike. Latency is measured on random input, stages on
    a video's frames. Where PyTorch is installed, it runs the same network eagerly, as the baseline.

        edge-hoi bench default --backend openvino --backend onnxruntime --json speed.json --plot speed.png
    """
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.lab.speed.bench import BATCHES, BenchSettings
    from edge_hoi.lab.speed.bench import bench as measure
    from edge_hoi.lab.speed.benchmark_target import eager_targets
    from edge_hoi.lab.speed.plot import plot_speed

    check_outputs(json_file, plot, [source])
    settings = BenchSettings(source or str(DEMO_CLIP), tuple(batch or BATCHES), rounds)
    targets = _targets(engines or ["default"], backend or [], settings.source, size, device or "auto")
    eagers = eager_targets(targets) if eager else []
    with progress_bar() as update:
        report = measure([*eagers, *targets], settings, progress=lambda what, done, of: update(description=what, completed=done, total=of))
    out.print(f"{report.machine.describe()}; load average {report.load_average:.1f}", soft_wrap=True)
    for table in report.tables():
        out.print(table)
    for line in report.skipped:
        print_note(line)
    if json_file:
        write_json(json_file, report.to_json())
    if plot:
        plot_speed(report, plot)


def _targets(engines: list[str], backends: list[str], source: str, size: str | None, device: "Device") -> "list[BenchmarkTarget]":
    """Return a target for each engine and backend."""
    from edge_hoi.lab.speed.bench import decoded
    from edge_hoi.lab.speed.benchmark_target import BenchmarkTarget
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import choose_input_size, read_manifest
    from edge_hoi.runtime.open import choose_backend

    first = next((frame for frame, _ in decoded(source)), None)
    if first is None:
        raise ConfigError(f"--source {mask_url(source)} has no frames; choose another one")
    targets = []
    for engine in dict.fromkeys(engines):
        folder = engine_folder(engine)
        manifest = read_manifest(folder)
        input_size = parse_size(size) if size else choose_input_size(first.width, first.height, manifest.input)
        for backend in dict.fromkeys(backends or [choose_backend(folder, manifest, None)]):
            name = f"{engine} on {backend}" if len(backends) > 1 else engine
            targets.append(BenchmarkTarget(name, folder, manifest, backend, device, input_size))
    return targets
