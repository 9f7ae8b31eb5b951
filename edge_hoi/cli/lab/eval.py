"""`edge-hoi eval`: how good an engine is, by the benchmarks' own measures."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from edge_hoi.cli.lab.eval_events import check_folders, events
from edge_hoi.cli.run import DeviceOption
from edge_hoi.cli.terminal import err, out, print_note
from edge_hoi.errors import DatasetError, MissingDependencyError

if TYPE_CHECKING:
    from edge_hoi.lab.datasets import AnnotatedImages
    from edge_hoi.vocabulary import Vocabulary

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")
PUBLISHED_SIZE = (800, 1216)
"""About the published evaluation's pictures: shorter side 800, longer at most 1333, in multiples of 32."""

app = typer.Typer(
    no_args_is_help=True, help="Measure how good an engine is: on pictures by the benchmarks' own rules, on video by its events."
)
app.command("events")(events)


@app.command("hoi")
def hoi(
    data: Annotated[
        Path, typer.Option("--data", help="The data set's folder: annotations and pictures. docs/datasets.md shows how it lies.")
    ],
    dataset: Annotated[Literal["hico_det", "vcoco", "custom"], typer.Option("--dataset", help="Which data set it is.")] = "hico_det",
    engine: Annotated[
        str, typer.Option("--engine", help="Engine: a name below engines/, a folder with a manifest, or a checkpoint (.pth, .safetensors).")
    ] = "default",
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Which part of it.")] = "test",
    zero_shot: Annotated[
        str | None,
        typer.Option(
            "--zero-shot",
            help="Tell unseen from seen categories: rare_first, non_rare_first, unseen_object, unseen_verb, uc0..4; of custom data one of "
            "its zero_shot.yaml.",
        ),
    ] = None,
    enhance: Annotated[
        int,
        typer.Option("--enhance", min=0, help="Training-free enhancement: how many categories a picture lifts. The paper has 10; 0: off."),
    ] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all figures, category by category, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the categories' average precision (.png, .svg, .pdf).")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many pictures, to try things.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=64, help="Pictures of like shape that the engine takes at once.")] = 1,
    device: DeviceOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to go on if pictures are missing.")] = False,
) -> None:
    """Run an engine over a data set and print the figures that papers report.

    HICO-DET: mAP by default and with known objects; full, rare, non-rare. V-COCO: role AP in both scenarios, and the published code's
    figure. A picture needs about a kilobyte of memory. Figures of a part of the pictures are not comparable with a paper's.

        edge-hoi eval hoi --engine hoiclip --dataset hico_det --data datasets/hico_20160224_det --output results.json --plot ap.png
    """
    from edge_hoi.lab.datasets import open_dataset, unseen_hoi_ids
    from edge_hoi.lab.evaluation import check_plot, open_benchmark, plot_categories
    from edge_hoi.lab.evaluation.evaluate import evaluate

    check_folders(output, plot)
    if plot:
        check_plot(plot)
    pictures = open_dataset(dataset, data, split)
    unseen = unseen_hoi_ids(dataset, data, pictures.vocabulary, zero_shot)
    present = _present(pictures, is_strict=strict)[:limit]
    benchmark = open_benchmark(pictures.vocabulary, unseen_ids=unseen, allowed=_correspondence(dataset, data, pictures.vocabulary))
    with ExitStack() as cleanup:
        folder = _engine_folder(engine, pictures.vocabulary, needs_text=enhance > 0, cleanup=cleanup)
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        bar = cleanup.enter_context(Progress(*columns, console=err, transient=True, disable=not err.is_terminal))
        task = bar.add_task("pictures", total=len(present))
        manifest = evaluate(
            pictures,
            present,
            benchmark,
            folder,
            max_batch=batch,
            device=device or "auto",
            enhanced=enhance,
            note=print_note,
            progress=partial(bar.advance, task),
        )
    results = benchmark.results()
    for figures in results:
        out.print(figures.table())
    about = {
        "engine": {"name": manifest.name, "weights_sha256": manifest.weights_sha256, "precision": manifest.precision},
        "dataset": {"name": dataset, "split": split, "pictures": len(pictures), "judged": len(present)},
        "enhance": enhance,
        "zero_shot": zero_shot,
    }
    if output:
        about["results"] = [figures.to_json() for figures in results]
        output.write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if plot:
        plot_categories(results[0], plot)


def _present(pictures: "AnnotatedImages", *, is_strict: bool) -> list[int]:
    """List the pictures that are there, and say how many are not."""
    present, first_missing = [], None
    for index in range(len(pictures)):
        try:
            pictures.image_path(index)
            present.append(index)
        except DatasetError as error:
            first_missing = first_missing or error
    if first_missing is not None:
        if is_strict or not present:
            raise DatasetError(f"{len(pictures) - len(present)} of {len(pictures)} pictures are missing. {first_missing}")
        print_note(
            f"{len(pictures) - len(present)} of {len(pictures)} pictures are missing; the figures are of those present, "
            "and not to be compared with others' (--strict refuses this)"
        )
    if pictures.name == "vcoco" and all(annotation.object_boxes.any(axis=1).all() for annotation in pictures.annotations):
        print_note(
            "these annotations of V-COCO tell nothing about interactions without object, which the benchmark counts: the figures are not "
            "to be compared with others'; test_vcoco.json has them"
        )
    return present


def _correspondence(dataset: str, data: Path, vocabulary: "Vocabulary") -> Any:  # noqa: ANN401 -- an array or None
    """Read which verbs of V-COCO go with which objects, where the published recipe's file is there."""
    from edge_hoi.lab.datasets import read_correspondence

    paths = [data / "annotations" / "corre_vcoco.npy", data / "corre_vcoco.npy"] if dataset == "vcoco" else []
    return next((read_correspondence(path, vocabulary) for path in paths if path.is_file()), None)


def _engine_folder(engine: str, vocabulary: "Vocabulary", *, needs_text: bool, cleanup: ExitStack) -> Path:
    """Find the engine's folder; a checkpoint is made into an engine that PyTorch runs, for as long as this lasts."""
    from edge_hoi.pipeline.engines import engine_folder

    path = Path(engine).expanduser()
    if path.suffix not in CHECKPOINT_SUFFIXES:
        return engine_folder(engine)
    return checkpoint_engine(path, cleanup, vocabulary, needs_text=needs_text)


def checkpoint_engine(path: Path, cleanup: ExitStack, vocabulary: "Vocabulary | None" = None, *, needs_text: bool = False) -> Path:
    """Make a checkpoint into an engine that PyTorch runs.

    Args:
        path: The checkpoint.
        cleanup: Removes the engine when it is closed.
        vocabulary: What it is to be used for; None for its own.
        needs_text: Whether it needs its text tower for more than new vocabularies.

    Returns:
        The engine's folder.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        EdgeHoiError: The checkpoint cannot be used.
    """
    MissingDependencyError.unless_installed(f"evaluating the checkpoint {path}", ("torch", "torchvision", "open_clip", "onnx"), "build")
    from edge_hoi.export import build_engine
    from edge_hoi.model import load_checkpoint
    from edge_hoi.model.checkpoint_vocabulary import vocabulary_of

    checkpoint = load_checkpoint(path)
    folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="edge-hoi-"))) / "engine"
    build_engine(
        checkpoint,
        vocabulary_of(checkpoint, path),
        folder,
        name=path.stem,
        description=f"HOICLIP from {path.name}",
        is_trained=True,
        backend="torch",
        input_size=PUBLISHED_SIZE,
        with_text_tower=needs_text or (vocabulary is not None and checkpoint.vocabulary_sha256 != vocabulary.content_hash),
    )
    return folder
