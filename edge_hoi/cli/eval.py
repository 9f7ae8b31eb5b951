"""`edge-hoi eval`: how good an engine is, by the benchmarks' own measures."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from edge_hoi.cli.run import DeviceOption
from edge_hoi.cli.terminal import err, out, print_note
from edge_hoi.errors import ConfigError, DatasetError, EngineError

if TYPE_CHECKING:
    from edge_hoi.datasets import HoiDataset
    from edge_hoi.detection import Detector
    from edge_hoi.evaluation import Benchmark, Results
    from edge_hoi.pipeline.detectors import DetectorPool
    from edge_hoi.runtime import Manifest
    from edge_hoi.types import Frame
    from edge_hoi.vocabulary import Vocabulary

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")

app = typer.Typer(no_args_is_help=True, help="Measure how good an engine is, by the benchmarks' own rules.")


@app.callback()
def _group() -> None:
    """Keep `hoi` a command of its own."""


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
            "--zero-shot", help="Tell unseen from seen categories: rare_first, non_rare_first, unseen_object, unseen_verb, uc0..4."
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
    from edge_hoi.datasets import open_dataset
    from edge_hoi.evaluation import check_plot, open_benchmark
    from edge_hoi.vocabulary import zero_shot_split

    if plot:
        check_plot(plot)
    pictures = open_dataset(dataset, data, split)
    unseen = zero_shot_split(zero_shot) if zero_shot else ()
    if unseen and dataset != "hico_det":
        raise ConfigError(f"zero-shot splits are of hico_det, got --zero-shot {zero_shot} with --dataset {dataset}; leave it out")
    present = _present(pictures, is_strict=strict)[:limit]
    benchmark = open_benchmark(pictures.vocabulary, unseen_ids=unseen, allowed=_correspondence(dataset, data, pictures.vocabulary))
    with ExitStack() as cleanup:
        folder = _engine_folder(engine, needs_text=enhance > 0, cleanup=cleanup)
        _judge(pictures, present, benchmark, folder, batch=batch, device=device, enhance=enhance, data=data)
    results = benchmark.results()
    for table in results:
        out.print(table.table())
    if output:
        about = {"engine": engine, "dataset": dataset, "split": split, "enhance": enhance, "zero_shot": zero_shot}
        about |= {"missing": len(pictures) - len(present) if limit is None else None, "limit": limit}
        output.write_text(json.dumps(about | {"results": [table.to_json() for table in results]}, indent=1), encoding="utf-8")
    if plot:
        _plot(results, plot)


def _present(pictures: "HoiDataset", *, is_strict: bool) -> list[int]:
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
    return present


def _correspondence(dataset: str, data: Path, vocabulary: "Vocabulary") -> Any:  # noqa: ANN401 -- an array or None
    """Read which verbs of V-COCO go with which objects, where the published recipe's file is there."""
    from edge_hoi.datasets import read_correspondence

    paths = [data / "annotations" / "corre_vcoco.npy", data / "corre_vcoco.npy"] if dataset == "vcoco" else []
    return next((read_correspondence(path, vocabulary) for path in paths if path.is_file()), None)


def _engine_folder(engine: str, *, needs_text: bool, cleanup: ExitStack) -> Path:
    """Find the engine's folder; a checkpoint is made into an engine that PyTorch runs, for as long as this lasts."""
    from edge_hoi.pipeline.engines import engine_folder

    path = Path(engine).expanduser()
    if not (path.suffix in CHECKPOINT_SUFFIXES or path.is_file()):
        return engine_folder(engine)
    from edge_hoi.export import build_engine
    from edge_hoi.model import load_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    checkpoint = load_checkpoint(path)
    folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="edge-hoi-"))) / "engine"
    build_engine(
        checkpoint,
        load_vocabulary(checkpoint.vocabulary),
        folder,
        name=path.stem,
        description=f"HOICLIP from {path.name}",
        is_trained=True,
        backend="torch",
        input_size=(800, 1216),  # about the published evaluation's: shorter side 800, longer at most 1333
        with_text_tower=needs_text,
    )
    return folder


def _judge(
    pictures: "HoiDataset",
    present: list[int],
    benchmark: "Benchmark",
    folder: Path,
    *,
    batch: int,
    device: str | None,
    enhance: int,
    data: Path,
) -> None:
    """Run the engine over the pictures, one input size after the other, so that no more than one engine is open."""
    from edge_hoi.config import parse_config
    from edge_hoi.pipeline import open_detectors
    from edge_hoi.runtime import read_manifest

    chosen = {"path": str(folder), "max_batch": batch} | ({"device": device} if device else {})
    vocabulary = pictures.vocabulary.name
    if vocabulary not in ("hico_det", "vcoco"):
        vocabulary = str(data / "vocabulary.yaml")
    settings = parse_config({"engine": chosen, "vocabulary": vocabulary}, origin="command line")
    manifest = read_manifest(folder, verify=False)
    detectors = open_detectors(settings, note=print_note)
    if detectors.vocabulary.content_hash != pictures.vocabulary.content_hash:
        raise EngineError(f"{vocabulary} is not the vocabulary of the annotations; both must list the same categories in the same order")
    features = _text_features(pictures.vocabulary, folder, manifest) if enhance else None
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with ExitStack() as cleanup:
        cleanup.callback(detectors.close)
        progress = cleanup.enter_context(Progress(*columns, console=err, transient=True, disable=not err.is_terminal))
        task = progress.add_task("pictures", total=len(present))
        for indices in _batches(pictures, present, manifest, batch, detectors):
            _judge_batch(pictures, indices, benchmark, detectors, features, enhance)
            progress.advance(task, len(indices))


def _batches(
    pictures: "HoiDataset", present: list[int], manifest: "Manifest", batch: int, detectors: "DetectorPool"
) -> Iterator[list[int]]:
    """Put pictures together whose best input size is the same; between sizes, close the engine."""
    from edge_hoi.datasets.pictures import picture_size
    from edge_hoi.runtime import choose_input_size

    by_size: dict[tuple[int, int], list[int]] = {}
    for index in present:
        by_size.setdefault(choose_input_size(*picture_size(pictures.image_path(index)), manifest.input), []).append(index)
    for indices in by_size.values():
        yield from (indices[begin : begin + batch] for begin in range(0, len(indices), batch))
        detectors.close()


def _judge_batch(
    pictures: "HoiDataset",
    indices: list[int],
    benchmark: "Benchmark",
    detectors: "DetectorPool",
    features: Any,  # noqa: ANN401 -- an array or None
    enhance: int,
) -> None:
    from edge_hoi.detection import enhancement
    from edge_hoi.evaluation import Sight

    frames = [_frame(pictures, index) for index in indices]
    detector: Detector = detectors.detector_for(frames[0])
    outputs = detector.embed(frames)
    hoi_logits, object_logits = detector.classifier.logits(outputs)
    lifts = enhancement(outputs["image_embedding"], features, top=enhance) if enhance else [None] * len(frames)
    for row, (index, frame) in enumerate(zip(indices, frames, strict=True)):
        sight = Sight.from_logits(
            outputs["human_boxes"][row],
            outputs["object_boxes"][row],
            hoi_logits[row],
            object_logits[row],
            pictures.vocabulary.object_ids,
            width=frame.width,
            height=frame.height,
            enhancement=lifts[row],
        )
        benchmark.update(sight, pictures.annotation(index))


def _frame(pictures: "HoiDataset", index: int) -> "Frame":
    from edge_hoi.datasets.pictures import read_picture
    from edge_hoi.types import Clock, Frame

    return Frame(read_picture(pictures.image_path(index)), 0.0, None, Clock("media", "relative"), 0.0, index, pictures.name)


def _text_features(vocabulary: "Vocabulary", folder: Path, manifest: "Manifest") -> Any:  # noqa: ANN401 -- an array
    """Give the `(N, E)` text features of the categories, of length 1."""
    import numpy as np

    from edge_hoi.config import cache_folder
    from edge_hoi.detection import OnnxTextEncoder, cached_text_features

    prompts = [hoi.prompt for hoi in vocabulary.hois]
    features = cached_text_features(
        list(dict.fromkeys(prompts)),
        clip_model=manifest.clip.model,
        clip_sha256=manifest.clip.weights_sha256,
        cache_folder=cache_folder() / "text",
        encoder=OnnxTextEncoder(folder, manifest.text_tower) if manifest.text_tower else None,
    )
    rows = np.stack([features[prompt] for prompt in prompts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _plot(results: "tuple[Results, ...]", path: Path) -> None:
    """Draw HICO-DET's categories; of V-COCO the roles, and the verbs are in the JSON."""
    from edge_hoi.evaluation import plot_categories

    try:
        plot_categories(results[0], path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place with --plot") from error
