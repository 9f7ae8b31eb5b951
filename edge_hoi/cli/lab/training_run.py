"""What the commands that train have in common: what a run starts from, where it computes, and what is seen of it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge_hoi.cli.terminal import err, out
from edge_hoi.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import torch

    from edge_hoi.lab.datasets import AnnotatedImages
    from edge_hoi.lab.training.config import RunConfig
    from edge_hoi.lab.training.loop import Report, TrainingLoop
    from edge_hoi.model import Checkpoint
    from edge_hoi.vocabulary import Vocabulary

UNTRAINED = "untrained:"
_NEEDED = ("torch", "torchvision", "open_clip")
_WATCHED = {
    "loss": "loss",
    "error/hoi_top5": "HOI error %",
    "error/object": "object error %",
    "images_per_second": "pictures/s",
}

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The run's folder: model, best model, state, figures.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Any other setting as NAME=VALUE, such as learning_rate=5e-5; --list-settings names them."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the state in --output; everything else must be as before.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]


DataOption = Annotated[Path, typer.Option("--data", help="The data set's folder: annotations and pictures; docs/datasets.md.")]
DatasetOption = Annotated[Literal["hico_det", "vcoco", "custom"], typer.Option("--dataset", help="Which data set it is.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=0, help="Processes that read pictures.")]
ValidateOption = Annotated[
    Path | None, typer.Option("--validate", help="Folder to evaluate on: of custom data, other pictures; the test split else.")
]
LongestOption = Annotated[int, typer.Option("--longest", min=32, help="Longest side of pictures in pixels; the others follow.")]
AugmentOption = Annotated[
    bool, typer.Option("--augment/--no-augment", help="Flip, crop, resize and recolour pictures at random, as published.")
]
FixedSizeOption = Annotated[
    bool,
    typer.Option(
        "--fixed-size", help="Leave random sizes and crops out: all pictures at the size of tests, which trains small ones faster."
    ),
]


def list_settings_option(kind: str) -> Any:  # noqa: ANN401 -- as typer.Option itself
    """Make the option `--list-settings`.

    Args:
        kind: Name of the run's class in `edge_hoi.lab.training.config`.
    """

    def list_settings(value: bool) -> None:
        if value:
            from edge_hoi.lab.training import config

            for line in config.describe_settings(getattr(config, kind)):
                out.print(line, markup=False, soft_wrap=True)
            raise typer.Exit

    return typer.Option("--list-settings", callback=list_settings, is_eager=True, help="List the settings for --set, and exit.")


def need_packages() -> None:
    """Refuse to train without torch.

    Raises:
        MissingDependencyError: A package is not installed.
    """
    MissingDependencyError.unless_installed("training", _NEEDED, "train")


def validation_set(dataset: str, data: Path, folder: Path | None, vocabulary: "Vocabulary") -> "AnnotatedImages | None":
    """Open what a run is judged by.

    Args:
        dataset: Which data set it is.
        data: The folder that is trained on.
        folder: The folder to evaluate on; None for no evaluation.
        vocabulary: Of the folder that is trained on.

    Raises:
        ConfigError: The folders' vocabularies differ.
    """
    from edge_hoi.lab.datasets import open_dataset

    if folder is None:
        return None
    judged = open_dataset(dataset, folder, "test")
    if judged.vocabulary.content_hash != vocabulary.content_hash:
        raise ConfigError(f"{folder} and {data} have different vocabularies; put the same vocabulary.yaml into both")
    return judged


def open_checkpoint(model: str, vocabulary: "Vocabulary", *, seed: int, clip: str | None = None) -> "Checkpoint":
    """Open or make the checkpoint that training starts from, with a classifier for a vocabulary.

    Args:
        model: A checkpoint's path, or `untrained:` and a variant.
        vocabulary: What its classifier is to have rows for.
        seed: Names an untrained model's weights.
        clip: open_clip's weights for an untrained model's CLIP.

    Raises:
        ConfigError: There is no such variant.
        CheckpointError: The file is missing or not usable.
    """
    return _untrained(model, vocabulary, seed, clip) if model.startswith(UNTRAINED) else _trained(Path(model), vocabulary)


def _untrained(model: str, vocabulary: "Vocabulary", seed: int, clip: str | None) -> "Checkpoint":
    from edge_hoi.lab.training.initialization import untrained_checkpoint
    from edge_hoi.model import VARIANTS

    variant = model.removeprefix(UNTRAINED)
    if variant not in VARIANTS:
        raise ConfigError(f"no model variant {variant!r}; known are {', '.join(VARIANTS)}")
    return untrained_checkpoint(VARIANTS[variant], vocabulary, clip_weights=clip, seed=seed)


def _trained(path: Path, vocabulary: "Vocabulary") -> "Checkpoint":
    from edge_hoi.lab.training.text_classifier import with_vocabulary
    from edge_hoi.model import load_checkpoint
    from edge_hoi.model.checkpoint_vocabulary import vocabulary_of

    checkpoint = load_checkpoint(path)
    if checkpoint.vocabulary_sha256 == vocabulary.content_hash:
        return checkpoint
    return with_vocabulary(checkpoint, vocabulary_of(checkpoint, path), vocabulary)


def choose_device(name: str) -> "torch.device":
    """Say where to compute.

    Args:
        name: `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: There is no GPU for `cuda`.
    """
    import torch

    is_there = torch.cuda.is_available()
    if name == "cuda" and not is_there:
        raise ConfigError("--device cuda: torch finds no CUDA GPU here; leave it out, or install torch for CUDA")
    if name == "cpu" or not is_there:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def run_training(
    make_trainer: "Callable[[Report], TrainingLoop[Any, Any]]",
    folder: Path,
    config: "RunConfig",
    vocabulary: "Vocabulary",
    *,
    pictures: int,
    device: "torch.device",
    given: Mapping[str, Any],
) -> bool:
    """Train to the end, and let a person see how far it is; the first process writes down what the run was told.

    Args:
        make_trainer: Makes what trains, given what it is to report to.
        folder: The run's.
        config: Its settings.
        vocabulary: What it learns to look for.
        pictures: How many it learns from.
        device: Where it computes.
        given: More that the run was told, by name, for `settings.json`.

    Returns:
        Whether this is the first process, which says what came of it.
    """
    from edge_hoi.lab.training import distributed
    from edge_hoi.model.checkpoint_vocabulary import save_vocabulary

    is_first = distributed.rank() == 0
    with show_progress(is_shown=is_first) as show:
        trainer = make_trainer(lambda step, figures: show(step, trainer.total_steps, figures))
        if is_first:
            told = json.dumps({**given, **config.model_dump(mode="json")}, indent=1)
            (folder / "settings.json").write_text(told + "\n", encoding="utf-8")
            save_vocabulary(vocabulary, folder)
            err.print(f"{pictures} pictures, {trainer.steps_done} of {trainer.total_steps} steps done, on {device}")
        trainer.run()
    return is_first


@contextmanager
def show_progress(*, is_shown: bool) -> "Iterator[Callable[[int, int, Mapping[str, float]], None]]":
    """Show how far things are: a bar on a terminal, plain lines elsewhere.

    Args:
        is_shown: Whether to show anything at all.

    Yields:
        A function that is told how many steps are done, of how many, and figures by name.
    """
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, console=err, transient=True, disable=not (is_shown and err.is_terminal)) as bar:
        task = bar.add_task("", total=None, figures="")

        def show(done: int, of: int, figures: Mapping[str, float]) -> None:
            text = _line(figures)
            bar.update(task, completed=done, total=of)
            if "loss" in figures:
                bar.update(task, figures=text)
            if is_shown and figures and (not err.is_terminal or "loss" not in figures):
                bar.console.print(f"{done}/{of}  {text}", soft_wrap=True, markup=False)

        yield show


def _line(figures: Mapping[str, float]) -> str:
    """Write the figures that a person watches."""
    if "loss" in figures:
        return "  ".join(f"{label} {figures[name]:.4g}" for name, label in _WATCHED.items() if name in figures)
    return "  ".join(f"{name.removeprefix('evaluation/')} {value:.2f}" for name, value in figures.items())
