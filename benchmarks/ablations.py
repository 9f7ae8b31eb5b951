"""The paper's ablations in miniature: what each part of HOICLIP is worth in the rendered world, at an equal number of steps.

    python benchmarks/ablations.py FOLDER [--steps 350] [--longest 224] [--only NAME …] [--list]

FOLDER is that of `benchmarks/rendered_world.py`, with its data, its CLIP, and its detector that learned boxes and classes only. As the
paper starts from a DETR, all runs start from one network that learned to find pairs, but nothing of what they do (the run "pairs", first
of all). Each takes as many steps as every other, from the pictures that the one without less of them sees once, and is judged on the
test split. `FOLDER/ablations/NAME` keeps what it took and found, and a run that is there already is passed over. Once "pairs" is there,
runs with different names can go on side by side, with OMP_NUM_THREADS=1 each.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from edge_hoi.lab.training.objective import HoiObjective
from machine import describe_machine
from torch import Tensor

from edge_hoi.lab.datasets import AnnotatedImages, fraction, open_dataset, without_unseen
from edge_hoi.lab.datasets.augment import ImageSizes
from edge_hoi.lab.datasets.custom import read_zero_shot
from edge_hoi.lab.datasets.training_set import HoiTrainingSet
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.criterion import Criterion
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
"""So many times the steps of a run teach what all start from."""

TEST_PICTURES = 1000
VERB_PICTURES = 1000


class WithoutClip(InteractionDecoderLayer):
    """A layer of the interaction decoder that looks at the detector's memory only."""

    def forward(self, content: Tensor, clip_tokens: Tensor, memory: Tensor, groups: int) -> Tensor:
        """Refine `(B, Q, C)` content without CLIP's tokens."""
        del clip_tokens
        content = self.norm1(content + self.self_attention.among(content, content, groups))
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


def train(ablation: Ablation, folder: Path, steps: int, sizes: ImageSizes) -> dict[str, float]:
    """Train and judge one run.

    Args:
        ablation: The run.
        folder: With data and starting points.
        steps: How many steps.
        sizes: Of the pictures.

    Returns:
        The benchmark's figures on the test split, and the seconds it took.
    """
    pictures = first(open_dataset("custom", folder / "data" / "train", "train"), steps * BATCH)
    unseen = read_zero_shot(folder / "data" / "train", ablation.split, pictures.vocabulary) if ablation.split else ()
    pictures = fraction(without_unseen(pictures, unseen), ablation.percent)
    checkpoint = start(folder, pictures)
    ablation.change(checkpoint)
    if unseen:
        checkpoint = add_seen_classifier(checkpoint, unseen)
    samples = HoiTrainingSet(
        pictures,
        clip_size=checkpoint.model.clip.image_size,
        sizes=sizes,
        seen_hoi_ids=seen_hoi_ids(len(pictures.vocabulary), unseen) if unseen else None,
    )
    config = settings(max(1, round(steps * BATCH / len(pictures))), warmup_steps=steps // 10)
    began = time.monotonic()
    trained = Trainer(checkpoint, samples, config, folder / "ablations" / ablation.name, report=tell).run()
    test = first(open_dataset("custom", folder / "data" / "test", "test"), TEST_PICTURES)
    figures = validate(trained, test, sizes=sizes, unseen=unseen, workers=1)
    return figures | {"seconds": time.monotonic() - began, "pictures": len(pictures)}


def settings(epochs: int, *, warmup_steps: int) -> TrainConfig:
    """Say how every run is trained."""
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


def learn_pairs(folder: Path, steps: int, sizes: ImageSizes) -> None:
    """Train what all runs start from, on other pictures than theirs: it finds people, objects and who belongs to what."""
    pictures = open_dataset("custom", folder / "data" / "train", "train")
    pictures = replace(pictures, annotations=pictures.annotations[-steps * BATCH :])
    checkpoint = load_checkpoint(folder / "runs" / "clip" / "model.safetensors")
    load_detector_weights(checkpoint.model, folder / "runs" / "detector-boxes" / "model.safetensors")
    samples = HoiTrainingSet(pictures, clip_size=checkpoint.model.clip.image_size, sizes=sizes)
    config = settings(1, warmup_steps=steps // 10)
    objective = HoiObjective(Criterion(Matcher(hoi=0.0), hoi=0.0), query_groups=config.query_groups)
    with distributed.joined(torch.device("cpu")):
        Trainer(checkpoint, samples, config, folder / "ablations" / "pairs", objective=objective, report=tell).run()


def first(dataset: AnnotatedImages, count: int) -> AnnotatedImages:
    """Keep a data set's first pictures."""
    return replace(dataset, annotations=dataset.annotations[:count])


def start(folder: Path, pictures: AnnotatedImages) -> Checkpoint:
    """Put together what a run starts from: what knows pairs, and rows of verbs from no other pictures than the run's own."""
    checkpoint = load_checkpoint(folder / "ablations" / "pairs" / "model.safetensors")
    rows = compute_verb_weights(first(pictures, VERB_PICTURES), checkpoint.model.clip, workers=1)
    checkpoint.classifier.verb_weight.data.copy_(rows)
    return checkpoint


def tell(step: int, figures: Mapping[str, float]) -> None:
    """Show how far a run is."""
    if "loss" in figures:
        print(f"{step} steps: loss {figures['loss']:.3f}, {figures['images_per_second']:.0f} pictures/s", file=sys.stderr)


def table(folder: Path) -> str:
    """Lay out the runs that are done, as Markdown."""
    lines = ["| run | full | unseen | seen | pictures | minutes |", "|---|---:|---:|---:|---:|---:|"]
    for ablation in ABLATIONS:
        path = folder / "ablations" / ablation.name / "figures.json"
        if path.exists():
            figures = json.loads(path.read_text())
            shown = [figures.get(f"default/{column}") for column in ("full", "unseen", "seen")]
            cells = ["" if value is None else f"{value:.2f}" for value in shown]
            lines.append(f"| {ablation.name} | {' | '.join(cells)} | {figures['pictures']} | {figures['seconds'] / 60:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--longest", type=int, default=224, help="longer side of the pictures, in pixels")
    parser.add_argument("--only", nargs="+", choices=["pairs", *(ablation.name for ablation in ABLATIONS)])
    parser.add_argument("--list", action="store_true", help="print the table of what is done")
    arguments = parser.parse_args()
    sizes = ImageSizes.for_longest(arguments.longest, is_fixed=True)
    if not arguments.list and not (arguments.folder / "ablations" / "pairs" / "model.safetensors").exists():
        learn_pairs(arguments.folder, PAIRS_FACTOR * arguments.steps, sizes)
    for ablation in () if arguments.list else ABLATIONS:
        path = arguments.folder / "ablations" / ablation.name / "figures.json"
        if path.exists() or (arguments.only and ablation.name not in arguments.only):
            continue
        torch.manual_seed(0)
        figures = train(ablation, arguments.folder, arguments.steps, sizes)
        path.write_text(json.dumps(figures | {"steps": arguments.steps, "longest": arguments.longest}, indent=1) + "\n")
        print(table(arguments.folder), flush=True)
    shown = f"{table(arguments.folder)}\n\n{describe_machine()}\n"
    print(shown)
    if not arguments.only and not arguments.list:
        (arguments.folder / "ablations" / "table.md").write_text(shown)


if __name__ == "__main__":
    main()
