"""Overfit a small network from scratch on a few drawn images, as a check of training.

    python benchmarks/overfit.py [--images 12] [--epochs 240] [--seed 0] [--threads 1]
    python benchmarks/overfit.py --draw FOLDER

Draws people with a ball, a box or a chair in five interactions, trains the `tiny` variant on them with HOICLIP's matcher and losses, and
evaluates on the same images by HICO-DET's protocol. Exits with 1 if the mean average precision is below 95. The second form only draws the
images, as a custom data set for `edge-hoi train`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

WIDTH, HEIGHT = 160, 128  # multiples of 32: an engine needs no padding
LONGEST = 213  # whose evaluation size, 800 / 1333 of it, is that height
REQUIRED = 95.0
PHRASES = ("holding ball", "kicking ball", "carrying box", "pushing box", "sitting on chair")
_COLOURS = {"ball": (40, 60, 230), "box": (200, 150, 40), "chair": (60, 180, 60)}


def draw_images(folder: Path, count: int, *, seed: int = 0) -> None:
    """Draw a custom data set: in each image one or two people, each with an object of their own.

    Args:
        folder: Folder of the data set.
        count: Number of images.
        seed: Of the drawings.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(count):
        image = np.full((HEIGHT, WIDTH, 3), rng.integers(190, 250, 3), np.uint8)
        people = 1 + number % 2
        interactions = []
        for place in range(people):
            phrase = PHRASES[(number + place * 2) % len(PHRASES)]
            left = rng.integers(16, 34) + place * WIDTH // 2 + (WIDTH // 4 if people == 1 else 0)
            human, box = _draw_pair(image, phrase, int(left), int(rng.integers(10, 25)), float(rng.uniform(0.7, 0.9)))
            interactions.append({"human": human, "object": box, "text": f"person {phrase}"})
        cv2.imwrite(str(folder / f"{number:03}.png"), image)
        images.append({"file": f"{number:03}.png", "interactions": interactions})
    (folder / "annotations.json").write_text(json.dumps({"images": images}))


def _draw_pair(image: np.ndarray, phrase: str, left: int, top: int, scale: float) -> tuple[list[int], list[int]]:
    """Draw one person and an object placed as in the interaction; return both boxes."""
    height, width = int(95 * scale), int(34 * scale)
    middle = left + width // 2
    head = height // 7
    cv2.circle(image, (middle, top + head), head, (120, 150, 210), -1)
    cv2.rectangle(image, (middle - width // 3, top + 2 * head), (middle + width // 3, top + 4 * head), (150, 60, 90), -1)
    for side in (-1, 1):
        cv2.line(image, (middle, top + 4 * head), (middle + side * width // 3, top + height), (60, 50, 40), 5)
    category, size = phrase.split()[-1], int(26 * scale)
    reach = {"holding": (0.35, 0.35), "carrying": (0.35, 0.3), "kicking": (0.6, 0.85), "pushing": (0.7, 0.55), "sitting": (-0.3, 0.7)}
    across, down = reach[phrase.split()[0]]
    centre = (middle + int(across * width * 1.3), top + int(down * height))
    cv2.line(image, (middle, top + 3 * head), centre, (120, 150, 210), 4)
    corners = (centre[0] - size // 2, centre[1] - size // 2), (centre[0] + size // 2, centre[1] + size // 2)
    if category == "ball":
        cv2.circle(image, centre, size // 2, _COLOURS[category], -1)
    else:
        cv2.rectangle(image, *corners, _COLOURS[category], -1 if category == "box" else 5)
    boxes = np.array([[left, top, left + width, top + height], [*corners[0], *corners[1]]])
    human, visible = np.clip(boxes, 0, [WIDTH, HEIGHT] * 2).tolist()  # clipped to the image
    return human, visible


def train_on(folder: Path, output: Path, *, epochs: int, batch_size: int = 4, seed: int = 0) -> dict[str, list[float]]:
    """Train the tiny variant from scratch.

    Args:
        folder: Of `draw_images`.
        output: Folder of the run.
        epochs: Passes over the images.
        batch_size: Images per step.
        seed: Of the initial weights and the order of images.

    Returns:
        All values of each metric.
    """
    from edge_hoi.lab.datasets import open_dataset
    from edge_hoi.lab.datasets.augment import ImageSizes
    from edge_hoi.lab.datasets.training_set import HoiTrainingSet
    from edge_hoi.lab.training.config import TrainConfig
    from edge_hoi.lab.training.initialization import untrained_checkpoint
    from edge_hoi.lab.training.trainer import Trainer
    from edge_hoi.lab.training.validation import validate
    from edge_hoi.model import VARIANTS

    dataset, sizes = open_dataset("custom", folder, "train"), ImageSizes.for_longest(LONGEST)
    checkpoint = untrained_checkpoint(VARIANTS["tiny"], dataset.vocabulary, seed=seed)
    samples = HoiTrainingSet(dataset, clip_size=checkpoint.model.clip.image_size, sizes=sizes, is_augmented=False)
    config = TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=1e-3,
        backbone_learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=20,
        trains_whole_backbone=True,
        seed=seed,
        workers=0,
        log_every_steps=1,
        evaluate_every_epochs=max(1, epochs // 10),
    )
    history: dict[str, list[float]] = {}

    def note(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        if "evaluation/default/full" in metrics:
            print(f"step {step:5}  loss {history['loss'][-1]:7.3f}  mAP {metrics['evaluation/default/full']:6.2f}", flush=True)

    Trainer(checkpoint, samples, config, output, evaluate=lambda current: validate(current, dataset, sizes=sizes), report=note).run()
    return history


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0, help="of the drawings, the initial weights and the order of images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.draw:
        draw_images(arguments.draw, arguments.images, seed=arguments.seed)
        return 0
    import torch
    from machine import describe_machine

    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        draw_images(Path(folder) / "images", arguments.images, seed=arguments.seed)
        history = train_on(Path(folder) / "images", Path(folder) / "run", epochs=arguments.epochs, seed=arguments.seed)
    reached = history["evaluation/default/full"][-1]
    verdict = "PASS" if reached >= REQUIRED else "FAIL"
    print(f"{arguments.images} images, {arguments.epochs} epochs, seed {arguments.seed}, {arguments.threads} threads,", end=" ")
    print(f"{time.monotonic() - began:.0f} s:")
    print(
        f"loss {history['loss'][0]:.2f} -> {history['loss'][-1]:.2f}, mAP on its own images {reached:.2f}, required {REQUIRED}: {verdict}"
    )
    return 0 if verdict == "PASS" else 1


if __name__ == "__main__":
    sys.exit(main())
