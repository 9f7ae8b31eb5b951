"""`edge-hoi verify`: accuracy of an engine of reduced precision against fp32."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from edge_hoi.cli.build_engine import require_build_extra
from edge_hoi.cli.run import BackendOption, DeviceOption
from edge_hoi.cli.sources import read_sources
from edge_hoi.cli.terminal import err, out, print_note

FP32 = "fp32"


def verify(
    engine: Annotated[str, typer.Argument(help="Engine: a name of this package's, or a folder with a manifest.")],
    against: Annotated[
        str,
        typer.Option(
            "--against", help="The reference: fp32 for the fp32 engine of the same weights, an engine's name or folder, or a checkpoint."
        ),
    ] = FP32,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", callback=read_sources, help="Videos, cameras or folders of images to compare on; default: the embedded clip."
        ),
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Number of frames, chosen to differ from each other.")] = 64,
    data: Annotated[Path | None, typer.Option("--data", help="A data set's folder, to compare mean average precision as well.")] = None,
    dataset: Annotated[
        Literal["hico_det", "vcoco", "custom"], typer.Option("--dataset", help="Which data set it is: its format.")
    ] = "custom",
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Its split.")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Evaluate only the first images of it.")] = None,
    backend: BackendOption = None,
    device: DeviceOption = None,
) -> None:
    """Run an engine and its fp32 reference, on the CPU if it runs there, on the same frames; fail if it exceeds the accuracy tolerance.

    The tolerances are those of the engine's manifest. Needs `pip install '.[build]'` in a checkout of edge-hoi.

        edge-hoi verify engines/quick --against hoiclip.safetensors --source street.mp4
        edge-hoi verify engines/quick --device gpu
    """
    require_build_extra("verifying")
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.export import LIMITS, collect_frames
    from edge_hoi.lab.datasets import open_dataset
    from edge_hoi.lab.evaluation.verify import precision_loss
    from edge_hoi.lab.evaluation.verify import verify as compare
    from edge_hoi.pipeline.engines import engine_folder
    from edge_hoi.runtime import read_manifest

    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    limits = {**LIMITS, **(manifest.accuracy.limits if manifest.accuracy else {})}
    with ExitStack() as cleanup:
        reference = _reference(folder, against, cleanup)
        err.print("choosing frames", style="dim")
        chosen = collect_frames(source or [str(DEMO_CLIP)], frames, manifest.input)
        comparison = compare(folder, reference, chosen, backend=backend, device=device or "auto", note=print_note)
        if data:
            images = open_dataset(dataset, data, split)
            ours, theirs = precision_loss(
                images, range(len(images))[:limit], folder, reference, backend=backend, device=device or "auto", note=print_note
            )
            comparison.measured["map_loss"] = theirs - ours
            comparison.worst_at["map_loss"] = f"mAP {100 * ours:.2f} %, fp32 {100 * theirs:.2f} %"
    table = Table("metric", "value", "limit", "worst", title=f"{manifest.name}, {manifest.precision}, {len(chosen.frames)} frames")
    for name, value in comparison.measured.items():
        table.add_row(name, f"{value:.4f}", f"{limits[name]:g}", comparison.worst_at[name])
    out.print(table)
    comparison.check_limits(limits, manifest.precision)


def _reference(folder: Path, against: str, cleanup: ExitStack) -> Path:
    from edge_hoi.cli.lab.eval import CHECKPOINT_SUFFIXES, checkpoint_engine
    from edge_hoi.lab.evaluation.verify import find_reference
    from edge_hoi.pipeline.engines import engine_folder

    if against == FP32:
        return find_reference(folder)
    path = Path(against).expanduser()
    return checkpoint_engine(path, cleanup) if path.suffix in CHECKPOINT_SUFFIXES else engine_folder(against)
