"""The paper's ablations in miniature: what each part of HOICLIP is worth in the rendered world, at an equal number of steps.

    python benchmarks/ablations.py FOLDER [--steps 1000] [--only NAME …] [--list]

FOLDER is that of `benchmarks/rendered_world.py`, with its data, its CLIP and its detector. Each run starts from these, sees as many
pictures as every other, and is judged on the test split; `FOLDER/ablations/NAME` keeps what it took and found, and a run that is there
already is passed over. The table is printed after each run.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from torch import Tensor

from edge_hoi.datasets import AnnotatedImages, fraction, open_dataset, without_unseen
from edge_hoi.datasets.augment import PictureSizes
from edge_hoi.datasets.custom import read_zero_shot
from edge_hoi.datasets.training_set import HoiTrainingSet
from edge_hoi.model import Checkpoint, load_checkpoint
from edge_hoi.model.decoders import InteractionDecoderLayer
from edge_hoi.training.config import TrainConfig
from edge_hoi.training.start import load_detector_weights
from edge_hoi.training.trainer import Trainer
from edge_hoi.training.validation import validate
from edge_hoi.training.verb_classifier import read_verb_rows
from edge_hoi.training.zero_shot import hide_unseen, seen_hoi_ids

BATCH = 32
TEST_PICTURES = 1000
SIZES = PictureSizes.for_longest(288, is_fixed=True)


class WithoutClip(InteractionDecoderLayer):
    """A layer of the interaction decoder that looks at the detector's memory only."""

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor) -> Tensor:
        """Refine `(B, Q, C)` content without CLIP's tokens."""
        del clip_tokens
        content = self.norm1(content + self.self_attention(content, content, content))
        content = self.norm2(content + self.cross_attention(content, memory, memory))
        result: Tensor = self.norm3(content + self.feed_forward(content))
        return result


def leave_clip_out(checkpoint: Checkpoint) -> None:
    """Take CLIP's tokens and the verb adapter away; the classifier keeps its text features as a start."""
    for layer in checkpoint.model.interaction_decoder.layers:
        layer.__class__ = WithoutClip
    leave_verbs_out(checkpoint)


def leave_verbs_out(checkpoint: Checkpoint) -> None:
    """Take the verb adapter away."""
    checkpoint.classifier.verb_share.zero_()


def nothing(_checkpoint: Checkpoint) -> None:
    """Leave everything."""


@dataclass(frozen=True)
class Ablation:
    """One run.

    Attributes:
        name: What is different.
        change: Changes the checkpoint before training.
        percent: Part of the pictures.
        split: A zero-shot split's name.
    """

    name: str
    change: Callable[[Checkpoint], None] = nothing
    percent: float = 100
    split: str | None = None


ABLATIONS = (
    Ablation("whole"),
    Ablation("without-clip-and-verbs", leave_clip_out),
    Ablation("without-verbs", leave_verbs_out),
    *(Ablation(f"{percent}-percent", percent=percent) for percent in (5, 15, 25, 50)),
    *(Ablation(split, split=split) for split in ("unseen_composition", "unseen_object", "unseen_verb")),
)


def train(ablation: Ablation, folder: Path, steps: int) -> dict[str, float]:
    """Train and judge one run.

    Args:
        ablation: The run.
        folder: With data and starting points.
        steps: How many steps.

    Returns:
        The benchmark's figures on the test split, and the seconds it took.
    """
    pictures = open_dataset("custom", folder / "data" / "train", "train")
    unseen = read_zero_shot(folder / "data" / "train", ablation.split, pictures.vocabulary) if ablation.split else ()
    checkpoint = start(folder, pictures)
    ablation.change(checkpoint)
    if unseen:
        pictures, checkpoint = without_unseen(pictures, unseen), hide_unseen(checkpoint, unseen)
    pictures = fraction(pictures, ablation.percent)
    samples = HoiTrainingSet(
        pictures,
        clip_size=checkpoint.model.clip.image_size,
        sizes=SIZES,
        seen_hoi_ids=seen_hoi_ids(len(pictures.vocabulary), unseen) if unseen else None,
    )
    config = TrainConfig(
        epochs=max(1, round(steps * BATCH / len(pictures))),
        batch_size=BATCH,
        learning_rate=6e-4,
        backbone_learning_rate=3e-4,
        schedule="cosine",
        warmup_steps=steps // 10,
        trains_whole_backbone=True,
        precision="bf16",
        ema_decay=0.99,
        workers=1,
    )
    # Epochs are whole numbers: what they leave over or lack of the steps is taken from the pictures.
    samples = Part(samples, steps * BATCH // config.epochs)
    began = time.monotonic()
    trainer = Trainer(checkpoint, samples, config, folder / "ablations" / ablation.name, report=tell)
    trained = trainer.run()
    test = open_dataset("custom", folder / "data" / "test", "test")
    test = replace(test, annotations=test.annotations[:TEST_PICTURES])
    return validate(trained, test, sizes=SIZES, unseen=unseen, workers=1) | {"seconds": time.monotonic() - began}


class Part:
    """The first pictures of a training set, or all of them.

    Args:
        samples: The training set.
        count: How many at most.
    """

    def __init__(self, samples: HoiTrainingSet, count: int) -> None:
        self._samples, self._count = samples, min(count, len(samples))

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int, rng: np.random.Generator) -> object:
        """Give a picture with its target."""
        return self._samples.sample(index, rng)


def start(folder: Path, pictures: AnnotatedImages) -> Checkpoint:
    """Put together what every run starts from: CLIP, detector, rows of verbs."""
    runs = folder / "runs"
    checkpoint = copy.deepcopy(load_checkpoint(runs / "clip" / "model.safetensors"))
    load_detector_weights(checkpoint.model, runs / "detector" / "model.safetensors")
    rows = read_verb_rows(runs / "verbs.safetensors", pictures.vocabulary, clip_sha256=checkpoint.clip_sha256())
    checkpoint.classifier.verb_weight.data.copy_(rows)
    return checkpoint


def tell(step: int, figures: dict[str, float]) -> None:
    """Show how far a run is."""
    if "loss" in figures:
        print(f"{step} steps: loss {figures['loss']:.3f}, {figures['pictures_per_second']:.0f} pictures/s", file=sys.stderr)


def table(folder: Path) -> str:
    """Lay out the runs that are done, as Markdown."""
    lines = ["| run | full | unseen | seen | minutes |", "|---|---|---|---|---|"]
    for ablation in ABLATIONS:
        path = folder / "ablations" / ablation.name / "figures.json"
        if path.exists():
            figures = json.loads(path.read_text())
            shown = [figures.get(f"default/{column}") for column in ("full", "unseen", "seen")]
            cells = ["" if value is None else f"{value:.2f}" for value in shown]
            lines.append(f"| {ablation.name} | {' | '.join(cells)} | {figures['seconds'] / 60:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=[ablation.name for ablation in ABLATIONS])
    parser.add_argument("--list", action="store_true", help="print the table of what is done")
    arguments = parser.parse_args()
    for ablation in () if arguments.list else ABLATIONS:
        path = arguments.folder / "ablations" / ablation.name / "figures.json"
        if path.exists() or (arguments.only and ablation.name not in arguments.only):
            continue
        torch.manual_seed(0)
        figures = train(ablation, arguments.folder, arguments.steps)
        path.write_text(json.dumps(figures | {"steps": arguments.steps}, indent=1) + "\n")
        print(table(arguments.folder), flush=True)
    print(describe_machine())
    print(table(arguments.folder))


if __name__ == "__main__":
    main()
