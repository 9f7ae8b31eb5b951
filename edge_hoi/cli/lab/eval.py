"""`edge-hoi eval`: an engine's accuracy, by the benchmarks' own metrics."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_hoi.cli.lab.eval_events import events
from edge_hoi.cli.lab.results import check_outputs, progress_bar, write_json
from edge_hoi.cli.run import BackendOption, DeviceOption
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import DatasetError, MissingDependencyError

if TYPE_CHECKING:
    from edge_hoi.lab.datasets import AnnotatedImages
    from edge_hoi.vocabulary import Vocabulary

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")
PUBLISHED_SIZE = (800, 1216)
"""About the published evaluation's images: shorter side 800, longer at most 1333, in multiples of 32."""

app = typer.Typer(no_args_is_help=True, help="Evaluate an engine: on images with the benchmarks' own metrics, on videos by its events.")
app.command("events")(events)


@app.command("hoi")
def hoi(
    data: Annotated[Path, typer.Option("--data", help="The data set's folder: annotations and images. docs/datasets.md shows its layout.")],
    dataset: Annotated[
        Literal["hico_det", "vcoco", "custom"], typer.Option("--dataset", help="Which data set it is: its format.")
    ] = "hico_det",
    engine: Annotated[
        str,
        typer.Option("--engine", help="Engine: a name, a folder with a manifest, or a checkpoint (.pth, .safetensors)."),
    ] = "default",
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Its split.")] = "test",
    zero_shot: Annotated[
        str | None,
        typer.Option(
            "--zero-shot",
            help="Report unseen and seen categories: rare_first, non_rare_first, unseen_object, unseen_verb, uc0..4; for custom data, a "
            "name in its zero_shot.yaml.",
        ),
    ] = None,
    enhance: Annotated[
        int,
        typer.Option(
            "--enhance", min=0, help="Training-free enhancement: number of categories lifted in an image. 10 in the paper; 0: off."
        ),
    ] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all metrics, category by category, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Plot the categories' average precision (.png, .svg, .pdf).")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Evaluate only the first images, for a quick check.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, max=64, help="Images of one input size that the engine processes at once.")] = 1,
    device: DeviceOption = None,
    backend: BackendOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if images are missing.")] = False,
) -> None:
    """Run an engine over a data set and print the metrics that papers report.

    HICO-DET: mAP in the default and the known-object setting; full, rare, non-rare. V-COCO: role AP in both scenarios, and the verb
    AP of the published code. An image needs about a kilobyte of memory. Metrics on a part of the images do not compare with a paper's.

        edge-hoi eval hoi --engine engines/hoiclip --dataset hico_det --data datasets/hico_20160224_det --output results.json --plot ap.png
    """
    from edge_hoi.lab.datasets import open_dataset, unseen_hoi_ids
    from edge_hoi.lab.evaluation import open_benchmark, plot_categories
    from edge_hoi.lab.evaluation.evaluate import evaluate

    check_outputs(output, plot, [data, engine])
    images = open_dataset(dataset, data, split)
    unseen = unseen_hoi_ids(dataset, data, images.vocabulary, zero_shot)
    present = _present(images, is_strict=strict)[:limit]
    benchmark = open_benchmark(images.vocabulary, unseen_ids=unseen, allowed=_correspondence(dataset, data, images.vocabulary))
    with ExitStack() as cleanup:
        folder = _engine_folder(engine, images.vocabulary, needs_text=enhance > 0, cleanup=cleanup)
        update = cleanup.enter_context(progress_bar("images", total=len(present), is_counted=True))
        manifest = evaluate(
            images,
            present,
            benchmark,
            folder,
            max_batch=batch,
            device=device or "auto",
            backend=backend,
            enhanced=enhance,
            note=print_note,
            progress=lambda count: update(advance=count),
        )
    results = benchmark.results()
    title = f"{images.name} {images.split}"
    for metrics in results:
        out.print(metrics.table(title))
    about = {
        "engine": {"name": manifest.name, "weights_sha256": manifest.weights_sha256, "precision": manifest.precision},
        "dataset": {"name": dataset, "split": split, "images": len(images), "evaluated": len(present)},
        "enhance": enhance,
        "zero_shot": zero_shot,
    }
    if output:
        about["results"] = [metrics.to_json() for metrics in results]
        write_json(output, about)
    if plot:
        plot_categories(results[0], plot, title)


def _present(images: "AnnotatedImages", *, is_strict: bool) -> list[int]:
    """List the images that exist, and note how many are missing."""
    present, first_missing = [], None
    for index in range(len(images)):
        try:
            images.image_path(index)
            present.append(index)
        except DatasetError as error:
            first_missing = first_missing or error
    if first_missing is not None:
        if is_strict or not present:
            raise DatasetError(f"{len(images) - len(present)} of {len(images)} images are missing. {first_missing}")
        print_note(
            f"{len(images) - len(present)} of {len(images)} images are missing; the metrics are of the others and do not "
            "compare with published ones (--strict refuses this)"
        )
    if images.name == "vcoco" and all(annotation.object_boxes.any(axis=1).all() for annotation in images.annotations):
        print_note(
            "these V-COCO annotations lack interactions without object, which the benchmark counts: the metrics do not compare with "
            "published ones; test_vcoco.json has them"
        )
    return present


def _correspondence(dataset: str, data: Path, vocabulary: "Vocabulary") -> Any:  # noqa: ANN401 -- an array or None
    """Read which verbs of V-COCO go with which objects, if the published recipe's file exists."""
    from edge_hoi.lab.datasets import read_correspondence

    paths = [data / "annotations" / "corre_vcoco.npy", data / "corre_vcoco.npy"] if dataset == "vcoco" else []
    return next((read_correspondence(path, vocabulary) for path in paths if path.is_file()), None)


def _engine_folder(engine: str, vocabulary: "Vocabulary", *, needs_text: bool, cleanup: ExitStack) -> Path:
    """Return the engine's folder; a checkpoint becomes a temporary PyTorch engine."""
    from edge_hoi.pipeline.engines import engine_folder

    path = Path(engine).expanduser()
    if path.suffix not in CHECKPOINT_SUFFIXES:
        return engine_folder(engine)
    return checkpoint_engine(path, cleanup, vocabulary, needs_text=needs_text)


def checkpoint_engine(path: Path, cleanup: ExitStack, vocabulary: "Vocabulary | None" = None, *, needs_text: bool = False) -> Path:
    """Build a temporary PyTorch engine from a checkpoint, and return its folder.

    Args:
        path: The checkpoint.
        cleanup: Removes the engine when it is closed.
        vocabulary: The one to use; None for the checkpoint's own.
        needs_text: Whether the text tower is needed in any case, not for another vocabulary only.

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
