"""`edge-hoi train` and `edge-hoi verb-classifier`: from annotated pictures to a checkpoint."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_hoi.cli.lab.training_run import (
    UNTRAINED,
    AugmentOption,
    DataOption,
    DatasetOption,
    DeviceOption,
    FixedSizeOption,
    LongestOption,
    OutputOption,
    ResumeOption,
    SettingsOption,
    ValidateOption,
    WorkersOption,
    choose_device,
    list_settings_option,
    need_packages,
    open_checkpoint,
    run_training,
    show_progress,
    validation_set,
)
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.lab.datasets import AnnotatedImages
    from edge_hoi.model import Checkpoint, ClipImageTower
    from edge_hoi.vocabulary import Vocabulary


def train(
    data: DataOption,
    output: OutputOption,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="What to start from: a checkpoint (.safetensors, .pth), or untrained:r50-vitb32, untrained:tiny."
        ),
    ],
    dataset: DatasetOption = "custom",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the pictures; published: 90.")] = 90,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pictures of a step, over all processes; published: 16.")] = 16,
    settings: SettingsOption = None,
    _list: Annotated[bool, list_settings_option("TrainConfig")] = False,
    validate_on: ValidateOption = None,
    longest: LongestOption = 1333,
    detr: Annotated[Path | None, typer.Option("--detr", help="A DETR-R50 checkpoint to start an untrained model from.")] = None,
    detector: Annotated[
        Path | None, typer.Option("--detector", help="A checkpoint of `edge-hoi pretrain detector` to take the detector's part from.")
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="open_clip's weights for an untrained model's CLIP, such as openai.")] = None,
    verbs: Annotated[
        Path | None, typer.Option("--verbs", help="Rows of verbs made by `edge-hoi verb-classifier` from the same data and CLIP.")
    ] = None,
    zero_shot: Annotated[
        str | None,
        typer.Option(
            "--zero-shot", help="Keep a split's unseen categories from training: rare_first, …; one of zero_shot.yaml of custom data."
        ),
    ] = None,
    percent: Annotated[float, typer.Option("--percent", help="Train on this part of the pictures; published: 5, 15, 25, 50.")] = 100.0,
    is_augmented: AugmentOption = True,
    has_fixed_size: FixedSizeOption = False,
    resume: ResumeOption = False,
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Train or fine-tune HOICLIP, on HICO-DET, V-COCO or your own annotated pictures.

    On several GPUs: `torchrun --nproc-per-node 4 --no-python edge-hoi train …`. Needs the extra `train`.

        edge-hoi train --data yard --model hoiclip.safetensors --output runs/yard --epochs 20 --set backbone_learning_rate=0
    """
    need_packages()
    from edge_hoi.lab.datasets.augment import ImageSizes
    from edge_hoi.lab.datasets.training_set import HoiTrainingSet
    from edge_hoi.lab.training import distributed
    from edge_hoi.lab.training.config import TrainConfig, parse_settings
    from edge_hoi.lab.training.loop import MODEL_FILE
    from edge_hoi.lab.training.trainer import Trainer
    from edge_hoi.lab.training.validation import validate
    from edge_hoi.lab.training.zero_shot import add_seen_classifier, seen_hoi_ids

    config = parse_settings(TrainConfig, settings or [], {"epochs": epochs, "batch_size": batch, "workers": workers})
    pictures, unseen = _pictures(dataset, data, zero_shot, percent)
    vocabulary, sizes = pictures.vocabulary, ImageSizes.for_longest(longest, is_fixed=has_fixed_size)
    judged = validation_set(dataset, data, validate_on, vocabulary)
    with distributed.joined(choose_device(device)) as chosen:
        checkpoint = _start(model, vocabulary, seed=config.seed, detr=detr, detector=detector, clip=clip, verbs=verbs)
        checkpoint = add_seen_classifier(checkpoint, unseen) if unseen else replace(checkpoint, seen_classifier=None)
        samples = HoiTrainingSet(
            pictures,
            clip_size=checkpoint.model.clip.image_size,
            sizes=sizes,
            seen_hoi_ids=seen_hoi_ids(len(vocabulary), unseen) if unseen else None,
            is_augmented=is_augmented,
        )
        evaluate = None
        if judged is not None:
            evaluate = partial(validate, dataset=judged, device=chosen, sizes=sizes, unseen=unseen, workers=workers)
        given = {
            "model": model,
            "dataset": dataset,
            "data": str(data),
            "longest": longest,
            "augment": is_augmented,
            "fixed_size": has_fixed_size,
        }
        is_first = run_training(
            lambda report: Trainer(checkpoint, samples, config, output, device=chosen, evaluate=evaluate, report=report, resumes=resume),
            output,
            config,
            vocabulary,
            pictures=len(pictures),
            device=chosen,
            given=given,
        )
    if is_first:
        out.print(f"{output / MODEL_FILE}: trained; make an engine of it with", soft_wrap=True)
        out.print(f"    edge-hoi build {output / MODEL_FILE} --output engines/{output.name}", soft_wrap=True, markup=False)


def verb_classifier(
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, such as verbs.safetensors.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A checkpoint whose CLIP is to look; else name one with --clip.")
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="open_clip's MODEL:WEIGHTS, such as ViT-B-32-quickgelu:openai.")] = None,
    dataset: DatasetOption = "hico_det",
    device: DeviceOption = "auto",
    workers: WorkersOption = 2,
) -> None:
    """Make rows of verbs by visual semantic arithmetic: what pictures of an interaction show beyond pictures of its object.

    Looks at every pair of a training set once, with CLIP's image tower. `edge-hoi train --verbs` starts from the result.

        edge-hoi verb-classifier --data hico_20160224_det --clip ViT-B-32-quickgelu:openai --output verbs.safetensors
    """
    need_packages()
    from edge_hoi.lab.datasets import open_dataset
    from edge_hoi.lab.training.verb_classifier import compute_verb_weights, write_verb_weights

    pictures = open_dataset(dataset, data, "train")
    tower, clip_sha256 = _open_clip(model, clip)
    tower.to(choose_device(device))
    with show_progress(is_shown=True) as show:
        rows = compute_verb_weights(pictures, tower, workers=workers, progress=lambda done, of: show(done, of, {}))
    write_verb_weights(output, rows, pictures.vocabulary, clip_sha256=clip_sha256)
    if missing := [verb for verb, row in zip(pictures.vocabulary.verbs, rows, strict=True) if not row.any()]:
        print_note(f"no picture shows {', '.join(missing)}: their rows are zero and say nothing")
    out.print(f"{output}: {rows.shape[0]} verbs, {rows.shape[1]} numbers each", soft_wrap=True)


def _pictures(dataset: str, data: Path, zero_shot: str | None, percent: float) -> "tuple[AnnotatedImages, tuple[int, ...]]":
    """Open what is trained on, and say which categories it must not show."""
    from edge_hoi.lab.datasets import fraction, open_dataset, unseen_hoi_ids, without_unseen

    pictures = open_dataset(dataset, data, "train")
    unseen = unseen_hoi_ids(dataset, data, pictures.vocabulary, zero_shot)
    if unseen:
        pictures = without_unseen(pictures, unseen)
    return fraction(pictures, percent), unseen


def _start(
    model: str,
    vocabulary: "Vocabulary",
    *,
    seed: int,
    detr: Path | None,
    detector: Path | None,
    clip: str | None,
    verbs: Path | None,
) -> "Checkpoint":
    """Open or make the checkpoint that training starts from, with a classifier for the data's vocabulary."""
    from edge_hoi.lab.training.initialization import load_detector_weights, load_detr_weights
    from edge_hoi.lab.training.verb_classifier import read_verb_weights

    checkpoint = open_checkpoint(model, vocabulary, seed=seed, clip=clip)
    if not model.startswith(UNTRAINED) and (detr or clip):
        raise ConfigError("--detr and --clip give an untrained model its first weights; a checkpoint brings its own: leave them out")
    if detr:
        print_note(f"{load_detr_weights(checkpoint.model, detr)} tensors taken over from {detr}")
    if detector:
        print_note(f"{load_detector_weights(checkpoint.model, detector)} tensors taken over from {detector}")
    if verbs:
        rows = read_verb_weights(verbs, vocabulary, clip_sha256=checkpoint.clip_sha256())
        if rows.shape != checkpoint.classifier.verb_weight.shape:
            raise ConfigError(f"{verbs} has rows {tuple(rows.shape)}, the checkpoint {tuple(checkpoint.classifier.verb_weight.shape)}")
        checkpoint.classifier.verb_weight.data.copy_(rows)
    return checkpoint


def _open_clip(model: str | None, clip: str | None) -> "tuple[ClipImageTower, str]":
    """Open a CLIP image tower, and give the hash of the CLIP that it is of."""
    from edge_hoi.model import build_clip, clip_weights_sha256, load_checkpoint

    if (model is None) == (clip is None):
        raise ConfigError("name one CLIP: --model CHECKPOINT, or --clip MODEL:WEIGHTS such as ViT-B-32-quickgelu:openai")
    if model is not None:
        checkpoint = load_checkpoint(Path(model))
        return checkpoint.model.clip, checkpoint.clip_sha256()
    architecture, _, weights = str(clip).partition(":")
    if not weights:
        raise ConfigError(f"--clip is MODEL:WEIGHTS, such as ViT-B-32-quickgelu:openai; got {clip!r}")
    towers = build_clip(architecture, weights)
    return towers.image, clip_weights_sha256(towers)
