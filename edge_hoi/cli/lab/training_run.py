"""Options and steps that the training commands share."""

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_hoi.cli.terminal import err, out
from edge_hoi.errors import ConfigError, MissingDependencyError, install_command

if TYPE_CHECKING:
    import torch

    from edge_hoi.lab.datasets import AnnotatedImages
    from edge_hoi.lab.training.loop import Report, TrainingLoop
    from edge_hoi.model import Checkpoint
    from edge_hoi.vocabulary import Vocabulary

UNTRAINED = "untrained:"
_PACKAGES = ("torch", "torchvision", "open_clip")
_SHOWN_METRICS = {
    "loss": "loss",
    "error/hoi_top5": "HOI error %",
    "error/object": "object error %",
    "images_per_second": "images/s",
}
_SHOWN_CATEGORIES = 5

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: model, best model, state, metrics.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Any other setting as NAME=VALUE, such as learning_rate=5e-5; --list-settings lists them."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume the run in --output; all other options must be the same.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Device to train on.")]
DataOption = Annotated[Path, typer.Option("--data", help="Folder of the data set: annotations and images; see docs/datasets.md.")]
DatasetOption = Annotated[Literal["hico_det", "vcoco", "custom"], typer.Option("--dataset", help="Name of the data set.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="Processes that read images.")]
ValidateOption = Annotated[
    Path | None,
    typer.Option(
        "--validate", help="Folder to evaluate on: a custom data set of other images; or HICO-DET, V-COCO, whose test split is used."
    ),
]
LongestOption = Annotated[int, typer.Option("--longest", min=32, help="Longest side of images in pixels; other sizes are scaled with it.")]
AugmentOption = Annotated[
    bool, typer.Option("--augment/--no-augment", help="Flip, crop, resize and jitter images at random, as published.")
]
FixedSizeOption = Annotated[
    bool, typer.Option("--fixed-size", help="No random sizes and crops: all images at the size of evaluation; faster for small images.")
]


def list_settings_option(kind: str) -> Any:  # noqa: ANN401 -- as typer.Option itself
    """Return the option `--list-settings` for a configuration class of `edge_hoi.lab.training.config`."""

    def list_settings(value: bool) -> None:
        if value:
            from edge_hoi.lab.training import config

            for line in config.describe_settings(getattr(config, kind)):
                out.print(line, soft_wrap=True)
            raise typer.Exit

    return typer.Option("--list-settings", callback=list_settings, is_eager=True, help="List the settings for --set, and exit.")


def check_packages() -> None:
    """Check that training's packages are installed.

    Raises:
        MissingDependencyError: One is not.
    """
    missing = [package for package in _PACKAGES if not importlib.util.find_spec(package)]
    if missing:
        raise MissingDependencyError(f"training needs {', '.join(missing)}; install with {install_command('train')}")


def open_validation_set(dataset: str, data: Path, folder: Path | None, vocabulary: "Vocabulary") -> "AnnotatedImages | None":
    """Open the data set to evaluate on.

    Args:
        dataset: Name of the data set.
        data: Folder of the training set.
        folder: Folder to evaluate on; None for no evaluation.
        vocabulary: The training set's.

    Raises:
        ConfigError: The vocabularies differ.
    """
    from edge_hoi.lab.datasets import open_dataset

    if folder is None:
        return None
    images = open_dataset(dataset, folder, "test")
    if images.vocabulary.content_hash != vocabulary.content_hash:
        difference = _vocabulary_difference((folder, images.vocabulary), (data, vocabulary))
        raise ConfigError(f"{difference}; use the same vocabulary.yaml in both folders (`edge-hoi datasets vocabulary` writes one)")
    return images


def _vocabulary_difference(*sides: "tuple[Path, Vocabulary]") -> str:
    """Describe how the vocabularies of two custom data sets differ."""
    from edge_hoi.lab.datasets.custom import vocabulary_file

    prompts = [{hoi.text: hoi.prompt for hoi in vocabulary.hois} for _, vocabulary in sides]
    lines = []
    for ours, theirs in ((0, 1), (1, 0)):
        if missing := [repr(text) for text in prompts[ours] if text not in prompts[theirs]]:
            more = f" and {len(missing) - _SHOWN_CATEGORIES} more" if len(missing) > _SHOWN_CATEGORIES else ""
            names = [sides[side][0].resolve().name for side in (ours, theirs)]
            if names[0] == names[1]:
                names = [str(sides[side][0]) for side in (ours, theirs)]
            file = vocabulary_file(sides[theirs][0])
            lines.append(f"{names[0]} has {', '.join(missing[:_SHOWN_CATEGORIES])}{more}, {names[1]} has not (in {file})")
    if lines:
        return "; ".join(lines)
    files = " and ".join(str(vocabulary_file(folder)) for folder, _ in sides)
    if changed := [repr(text) for text, prompt in prompts[0].items() if prompts[1][text] != prompt]:
        return f"{files} have different prompts for {', '.join(changed[:_SHOWN_CATEGORIES])}"
    return f"{files} have the same categories in different order or with different object prompts"


def open_checkpoint(model: str, vocabulary: "Vocabulary", *, seed: int, clip: str | None = None) -> "Checkpoint":
    """Open or build the checkpoint to train, with a classifier for a vocabulary.

    Args:
        model: A checkpoint's path, or `untrained:` and a variant.
        vocabulary: The classifier's vocabulary.
        seed: Of an untrained model's weights.
        clip: open_clip's name of pre-trained weights of an untrained model's CLIP.

    Raises:
        ConfigError: There is no such variant.
        CheckpointError: The file is missing or invalid.
    """
    from edge_hoi.lab.training.initialization import untrained_checkpoint
    from edge_hoi.lab.training.text_classifier import with_vocabulary
    from edge_hoi.model import VARIANTS, load_checkpoint
    from edge_hoi.model.checkpoint_vocabulary import vocabulary_of

    if model.startswith(UNTRAINED):
        variant = model.removeprefix(UNTRAINED)
        if variant not in VARIANTS:
            raise ConfigError(f"no model variant {variant!r}; known are {', '.join(VARIANTS)}")
        return untrained_checkpoint(VARIANTS[variant], vocabulary, clip_weights=clip, seed=seed)
    checkpoint = load_checkpoint(Path(model))
    if checkpoint.vocabulary_sha256 == vocabulary.content_hash:
        return checkpoint
    return with_vocabulary(checkpoint, vocabulary_of(checkpoint, Path(model)), vocabulary)


def choose_device(name: str) -> "torch.device":
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: There is no GPU for `cuda`.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError("--device cuda: torch finds no CUDA GPU here; omit the option, or install torch for CUDA")
    if name == "cpu" or not has_gpu:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def run_training(make_trainer: "Callable[[Report], TrainingLoop[Any, Any]]", vocabulary: "Vocabulary", options: Mapping[str, Any]) -> bool:
    """Train to the end, showing progress; the first process writes `settings.json` and the vocabulary to the run's folder.

    Args:
        make_trainer: Builds the trainer, given its `report`.
        vocabulary: The trained classifier's vocabulary.
        options: Options of the command, for `settings.json`.

    Returns:
        Whether this is the first process.
    """
    from edge_hoi.lab.training import distributed
    from edge_hoi.model.checkpoint_vocabulary import save_vocabulary

    is_first = distributed.rank() == 0
    with show_progress(is_shown=is_first) as show:
        trainer = make_trainer(lambda step, metrics: show(step, trainer.total_steps, metrics))
        if is_first:
            given = {name: value for name, value in options.items() if not name.startswith("_")}
            settings = {**given, **trainer.config.model_dump(mode="json")}
            (trainer.folder / "settings.json").write_text(json.dumps(settings, indent=1, default=str) + "\n", encoding="utf-8")
            save_vocabulary(vocabulary, trainer.folder)
            err.print(f"{trainer.num_images} images, {trainer.steps_done} of {trainer.total_steps} steps done, on {trainer.device}")
        trainer.run()
    return is_first


@contextmanager
def show_progress(*, is_shown: bool) -> "Iterator[Callable[[int, int, Mapping[str, float]], None]]":
    """Show progress: a bar on a terminal, plain lines elsewhere.

    Args:
        is_shown: Whether to show anything at all.

    Yields:
        A function of the number of steps done, of all steps, and of metrics by name.
    """
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[metrics]}"))
    with Progress(*columns, console=err, transient=True, disable=not (is_shown and err.is_terminal)) as bar:
        task = bar.add_task("", total=None, metrics="")

        def show(done: int, of: int, metrics: Mapping[str, float]) -> None:
            text = _format_metrics(metrics)
            bar.update(task, completed=done, total=of)
            if "loss" in metrics:
                bar.update(task, metrics=text)
            if is_shown and metrics and (not err.is_terminal or "loss" not in metrics):
                bar.console.print(f"{done}/{of}  {text}", soft_wrap=True)

        yield show


def _format_metrics(metrics: Mapping[str, float]) -> str:
    if "loss" in metrics:
        return "  ".join(f"{label} {metrics[name]:.4g}" for name, label in _SHOWN_METRICS.items() if name in metrics)
    return "  ".join(f"{name.removeprefix('evaluation/')} {value:.2f}" for name, value in metrics.items())
