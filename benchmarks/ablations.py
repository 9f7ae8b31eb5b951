"""The paper's ablations at small scale: each part's contribution in the rendered world, at an equal number of steps.

    python benchmarks/ablations.py FOLDER [--steps 350] [--longest 224] [--only NAME …] [--list]

FOLDER is that of `benchmarks/rendered_world.py`, with its data, its CLIP, and its detector of boxes and classes only. As the paper starts
from a DETR, all runs start from one network that detects pairs but no interactions (the run "pairs", which is first). Each takes the same
number of steps, on the images that the full run sees once, and is evaluated on the test split. `FOLDER/ablations/NAME` holds its settings
and results; existing runs are skipped. After "pairs", runs of different names can run in parallel, with OMP_NUM_THREADS=1 each.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from machine import describe_machine
from torch import Tensor

from edge_hoi.lab.datasets import AnnotatedImages, fraction, open_dataset, without_unseen
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.datasets.custom import read_zero_shot
from edge_hoi.lab.datasets.training_set import HoiTrainingSet
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.criterion import Criterion, HoiObjective
from edge_hoi.lab.training.initialization import load_detector_weights
from edge_hoi.lab.training.matcher import Matcher
from edge_hoi.lab.training.trainer import Trainer
from edge_hoi.lab.training.validation import validate
from edge_hoi.lab.training.verb_classifier import compute_verb_weights
from edge_hoi.lab.training.zero_shot import add_seen_classifier, seen_hoi_ids
from edge_hoi.model import Checkpoint, load_checkpoint
from edge_hoi.model.decoders import InteractionDecoderLayer

BATCH = 32
PAIRS_FACTOR = 3
"""Steps of the initial run, as a multiple of the others'."""

TEST_IMAGES = 1000
VERB_IMAGES = 1000


class WithoutClip(InteractionDecoderLayer):
    """A layer of the interaction decoder that attends to the detector's memory only."""

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int) -> Tensor:
        """Refine `(B, Q, C)` content without CLIP's tokens."""
        del clip_tokens
        content = self.norm1(content + self.self_attention.among(content, content, groups))
        content = self.norm2(content + self.cross_attention(content, memory, memory))
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


def remove_clip(checkpoint: Checkpoint) -> None:
    """Remove CLIP's tokens and the verb adapter; the classifier keeps its initial text features."""
    for layer in checkpoint.model.interaction_decoder.layers:
        layer.__class__ = WithoutClip
    remove_verbs(checkpoint)


def remove_verbs(checkpoint: Checkpoint) -> None:
    """Remove the verb adapter."""
    checkpoint.classifier.verb_share.zero_()


def nothing(_checkpoint: Checkpoint) -> None:
    """Remove nothing."""


@dataclass(frozen=True)
class Ablation:
    """One run.

    Attributes:
        name: Name of the ablation.
        change: Changes the checkpoint before training.
        percent: Percentage of the images.
        split: Name of a zero-shot split.
    """

    name: str
    change: Callable[[Checkpoint], None] = nothing
    percent: float = 100
    split: str | None = None


ABLATIONS = (
    Ablation("whole"),
    Ablation("without-clip-and-verbs", remove_clip),
    Ablation("without-verbs", remove_verbs),
    *(Ablation(f"{percent}-percent", percent=percent) for percent in (5, 15, 25, 50)),
    *(Ablation(split, split=split) for split in ("unseen_composition", "unseen_object", "unseen_verb")),
)


def train(ablation: Ablation, folder: Path, steps: int, sizes: ImageSizes) -> dict[str, float]:
    """Train and evaluate one run.

    Args:
        ablation: The run.
        folder: With data and initial checkpoints.
        steps: Number of steps.
        sizes: Sizes of images.

    Returns:
        The benchmark's metrics on the test split, and the duration in seconds.
    """
    images = first(open_dataset("custom", folder / "data" / "train", "train"), steps * BATCH)
    unseen = read_zero_shot(folder / "data" / "train", ablation.split, images.vocabulary) if ablation.split else ()
    images = fraction(without_unseen(images, unseen), ablation.percent)
    checkpoint = initial_checkpoint(folder, images)
    ablation.change(checkpoint)
    if unseen:
        checkpoint = add_seen_classifier(checkpoint, unseen)
    samples = HoiTrainingSet(
        images,
        clip_size=checkpoint.model.clip.image_size,
        sizes=sizes,
        seen_hoi_ids=seen_hoi_ids(len(images.vocabulary), unseen) if unseen else None,
    )
    config = settings(max(1, round(steps * BATCH / len(images))), warmup_steps=steps // 10)
    began = time.monotonic()
    trained = Trainer(checkpoint, samples, config, folder / "ablations" / ablation.name, report=show).run()
    test = first(open_dataset("custom", folder / "data" / "test", "test"), TEST_IMAGES)
    metrics = validate(trained, test, sizes=sizes, unseen=unseen, workers=1)
    return metrics | {"seconds": time.monotonic() - began, "images": len(images)}


def settings(epochs: int, *, warmup_steps: int) -> TrainConfig:
    """Return the settings of every run."""
    return TrainConfig(
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=6e-4,
        backbone_learning_rate=3e-4,
        schedule="cosine",
        warmup_steps=warmup_steps,
        trains_whole_backbone=True,
        query_groups=3,
        precision="bf16",
        ema_decay=0.99,
        workers=1,
    )


def train_pairs(folder: Path, steps: int, sizes: ImageSizes) -> None:
    """Train the initial network of all runs on other images than theirs: it detects humans, objects and their pairs."""
    images = open_dataset("custom", folder / "data" / "train", "train")
    images = replace(images, annotations=images.annotations[-steps * BATCH :])
    checkpoint = load_checkpoint(folder / "runs" / "clip" / "model.safetensors")
    load_detector_weights(checkpoint.model, folder / "runs" / "detector-boxes" / "model.safetensors")
    samples = HoiTrainingSet(images, clip_size=checkpoint.model.clip.image_size, sizes=sizes)
    config = settings(1, warmup_steps=steps // 10)
    objective = HoiObjective(Criterion(Matcher(hoi=0.0), hoi=0.0), query_groups=config.query_groups)
    with distributed.joined(torch.device("cpu")):
        Trainer(checkpoint, samples, config, folder / "ablations" / "pairs", objective=objective, report=show).run()


def first(dataset: AnnotatedImages, count: int) -> AnnotatedImages:
    """Keep a data set's first images."""
    return replace(dataset, annotations=dataset.annotations[:count])


def initial_checkpoint(folder: Path, images: AnnotatedImages) -> Checkpoint:
    """Load the network of "pairs", with verb weights computed from the run's own images."""
    checkpoint = load_checkpoint(folder / "ablations" / "pairs" / "model.safetensors")
    weights = compute_verb_weights(first(images, VERB_IMAGES), checkpoint.model.clip, workers=1)
    checkpoint.classifier.verb_weight.data.copy_(weights)
    return checkpoint


def show(step: int, metrics: Mapping[str, float]) -> None:
    """Show the progress of a run."""
    if "loss" in metrics:
        print(f"{step} steps: loss {metrics['loss']:.3f}, {metrics['images_per_second']:.0f} images/s", file=sys.stderr)


def table(folder: Path) -> str:
    """Format the finished runs as a Markdown table."""
    lines = ["| run | full | unseen | seen | images | minutes |", "|---|---:|---:|---:|---:|---:|"]
    for ablation in ABLATIONS:
        path = folder / "ablations" / ablation.name / "metrics.json"
        if path.exists():
            metrics = json.loads(path.read_text())
            shown = [metrics.get(f"default/{column}") for column in ("full", "unseen", "seen")]
            cells = ["" if value is None else f"{value:.2f}" for value in shown]
            lines.append(f"| {ablation.name} | {' | '.join(cells)} | {metrics['images']} | {metrics['seconds'] / 60:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--longest", type=int, default=224, help="longer side of the images, in pixels")
    parser.add_argument("--only", nargs="+", choices=["pairs", *(ablation.name for ablation in ABLATIONS)])
    parser.add_argument("--list", action="store_true", help="print the table of finished runs")
    arguments = parser.parse_args()
    sizes = ImageSizes.for_longest(arguments.longest, is_fixed=True)
    if not arguments.list and not (arguments.folder / "ablations" / "pairs" / "model.safetensors").exists():
        train_pairs(arguments.folder, PAIRS_FACTOR * arguments.steps, sizes)
    for ablation in () if arguments.list else ABLATIONS:
        path = arguments.folder / "ablations" / ablation.name / "metrics.json"
        if path.exists() or (arguments.only and ablation.name not in arguments.only):
            continue
        torch.manual_seed(0)
        metrics = train(ablation, arguments.folder, arguments.steps, sizes)
        path.write_text(json.dumps(metrics | {"steps": arguments.steps, "longest": arguments.longest}, indent=1) + "\n")
        print(table(arguments.folder), flush=True)
    shown = f"{table(arguments.folder)}\n\n{describe_machine()}\n"
    print(shown)
    if not arguments.only and not arguments.list:
        (arguments.folder / "ablations" / "table.md").write_text(shown)


if __name__ == "__main__":
    main()
