"""`edge-hoi train` and `edge-hoi verb-classifier`: from annotated images to a checkpoint."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from edge_hoi.cli.lab import training_run
from edge_hoi.cli.lab.train_pairs import pairs
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.model import Checkpoint, ClipImageTower
    from edge_hoi.vocabulary import Vocabulary


class _HoiclipByDefault(TyperGroup):
    """`edge-hoi train OPTIONS` is `edge-hoi train hoiclip OPTIONS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- Click's context, or Typer's own, by Typer's version
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["hoiclip", *args])


app = typer.Typer(cls=_HoiclipByDefault, help="Train or fine-tune HOICLIP, or the head of a two-stage detector instead.")
app.command("pairs")(pairs)


@app.command("hoiclip")
def train(
    context: typer.Context,
    data: training_run.DataOption,
    output: training_run.OutputOption,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Initial model: a checkpoint (.safetensors, .pth), or untrained:r50-vitb32, untrained:tiny."),
    ],
    dataset: training_run.DatasetOption = "custom",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the images; published: 90.")] = 90,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images per step, over all processes; published: 16.")] = 16,
    settings: training_run.SettingsOption = None,
    _list: Annotated[bool, training_run.list_settings_option("TrainConfig")] = False,
    validate_on: training_run.ValidateOption = None,
    longest: training_run.LongestOption = 1333,
    detr: Annotated[Path | None, typer.Option("--detr", help="DETR-R50 checkpoint with initial weights of an untrained model.")] = None,
    detector: Annotated[
        Path | None, typer.Option("--detector", help="Checkpoint of `edge-hoi pretrain detector` with initial weights of the detector.")
    ] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="open_clip's weights for an untrained model's CLIP, such as openai.")] = None,
    verbs: Annotated[
        Path | None, typer.Option("--verbs", help="Verb weights of `edge-hoi verb-classifier` from the same data and CLIP.")
    ] = None,
    zero_shot: Annotated[
        str | None,
        typer.Option(
            "--zero-shot", help="Exclude the unseen categories of this split: rare_first, …; or of zero_shot.yaml of custom data."
        ),
    ] = None,
    percent: Annotated[float, typer.Option("--percent", help="Percentage of the images to train on; published: 5, 15, 25, 50.")] = 100.0,
    augment: training_run.AugmentOption = True,
    fixed_size: training_run.FixedSizeOption = False,
    resume: training_run.ResumeOption = False,
    device: training_run.DeviceOption = "auto",
    workers: training_run.WorkersOption = 2,
) -> None:
    """Train or fine-tune HOICLIP, on HICO-DET, V-COCO or your own annotated images.

    `edge-hoi train pairs` trains the head of a two-stage detector instead.
    On several GPUs: `torchrun --nproc-per-node 4 --no-python edge-hoi train …`. Needs `pip install '.[train]'` in a checkout of edge-hoi.

        edge-hoi train --data yard --model hoiclip.safetensors --output runs/yard --epochs 20 --set backbone_learning_rate=0
    """
    training_run.check_packages()
    from edge_hoi.lab.datasets import fraction, open_dataset, unseen_hoi_ids, without_unseen
    from edge_hoi.lab.datasets.augment import ImageSizes
    from edge_hoi.lab.datasets.training_set import HoiTrainingSet
    from edge_hoi.lab.training import distributed
    from edge_hoi.lab.training.config import TrainConfig, parse_settings
    from edge_hoi.lab.training.loop import MODEL_FILE
    from edge_hoi.lab.training.trainer import Trainer
    from edge_hoi.lab.training.validation import validate
    from edge_hoi.lab.training.zero_shot import add_seen_classifier, seen_hoi_ids

    config = parse_settings(TrainConfig, settings or [], {"epochs": epochs, "batch_size": batch, "workers": workers})
    images = open_dataset(dataset, data, "train")
    vocabulary = images.vocabulary
    if unseen := unseen_hoi_ids(dataset, data, vocabulary, zero_shot):
        images = without_unseen(images, unseen)
    images, sizes = fraction(images, percent), ImageSizes.for_longest(longest, is_fixed=fixed_size)
    validation = training_run.open_validation_set(dataset, data, validate_on, vocabulary)
    with distributed.joined(training_run.choose_device(device)) as chosen:
        checkpoint = _initial_checkpoint(model, vocabulary, seed=config.seed, detr=detr, detector=detector, clip=clip, verbs=verbs)
        checkpoint = add_seen_classifier(checkpoint, unseen) if unseen else replace(checkpoint, seen_classifier=None)
        samples = HoiTrainingSet(
            images,
            clip_size=checkpoint.model.clip.image_size,
            sizes=sizes,
            seen_hoi_ids=seen_hoi_ids(len(vocabulary), unseen) if unseen else None,
            is_augmented=augment,
        )
        evaluate = None
        if validation is not None:
            evaluate = partial(validate, dataset=validation, device=chosen, sizes=sizes, unseen=unseen, workers=workers)
        is_first = training_run.run_training(
            lambda report: Trainer(checkpoint, samples, config, output, device=chosen, evaluate=evaluate, report=report, resumes=resume),
            vocabulary,
            context.params,
        )
    if is_first:
        out.print(f"{output / MODEL_FILE}: trained; build an engine with", soft_wrap=True)
        out.print(f"    edge-hoi build {output / MODEL_FILE} --output engines/{output.name}", soft_wrap=True)


def verb_classifier(
    data: training_run.DataOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, such as verbs.safetensors.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="A checkpoint whose CLIP to use; or name a CLIP with --clip.")] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="open_clip's MODEL:WEIGHTS, such as ViT-B-32-quickgelu:openai.")] = None,
    dataset: training_run.DatasetOption = "hico_det",
    device: training_run.DeviceOption = "auto",
    workers: training_run.WorkersOption = 2,
) -> None:
    """Compute verb weights by visual semantic arithmetic: CLIP embeddings of interactions less those of their objects.

    Encodes every pair of a training set once with CLIP's image tower. `edge-hoi train --verbs` starts from the result.

        edge-hoi verb-classifier --data hico_20160224_det --clip ViT-B-32-quickgelu:openai --output verbs.safetensors
    """
    training_run.check_packages()
    from edge_hoi.lab.datasets import open_dataset
    from edge_hoi.lab.training.verb_classifier import compute_verb_weights, write_verb_weights

    images = open_dataset(dataset, data, "train")
    tower, clip_sha256 = _open_clip(model, clip)
    tower.to(training_run.choose_device(device))
    with training_run.show_progress(is_shown=True) as show:
        weights = compute_verb_weights(images, tower, workers=workers, progress=lambda done, of: show(done, of, {}))
    write_verb_weights(output, weights, images.vocabulary, clip_sha256=clip_sha256)
    if missing := [verb for verb, row in zip(images.vocabulary.verbs, weights, strict=True) if not row.any()]:
        print_note(f"no image shows {', '.join(missing)}: their weights are zero and have no effect")
    out.print(f"{output}: {weights.shape[0]} verbs, {weights.shape[1]} numbers each", soft_wrap=True)


def _initial_checkpoint(
    model: str,
    vocabulary: "Vocabulary",
    *,
    seed: int,
    detr: Path | None,
    detector: Path | None,
    clip: str | None,
    verbs: Path | None,
) -> "Checkpoint":
    """Open or build the checkpoint to train, with a classifier for the data's vocabulary."""
    from edge_hoi.lab.training.initialization import load_detector_weights, load_detr_weights
    from edge_hoi.lab.training.verb_classifier import read_verb_weights

    checkpoint = training_run.open_checkpoint(model, vocabulary, seed=seed, clip=clip)
    if not model.startswith(training_run.UNTRAINED) and (detr or clip):
        raise ConfigError("--detr and --clip set the initial weights of untrained models only; a checkpoint has its own: omit them")
    for path, load in ((detr, load_detr_weights), (detector, load_detector_weights)):
        if path:
            print_note(f"{load(checkpoint.model, path)} tensors copied from {path}")
    if verbs:
        weights = read_verb_weights(verbs, vocabulary, clip_sha256=checkpoint.clip_sha256())
        if weights.shape != checkpoint.classifier.verb_weight.shape:
            expected = tuple(checkpoint.classifier.verb_weight.shape)
            raise ConfigError(f"{verbs} has weights of shape {tuple(weights.shape)}, the checkpoint {expected}")
        checkpoint.classifier.verb_weight.data.copy_(weights)
    return checkpoint


def _open_clip(model: str | None, clip: str | None) -> "tuple[ClipImageTower, str]":
    """Open a CLIP image tower, and return its CLIP's hash."""
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
