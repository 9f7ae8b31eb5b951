"""Show that training learns: drawn pictures, a small network from scratch, and how well it does on the very pictures it was shown.

    python benchmarks/overfit.py [--pictures 12] [--epochs 240] [--seed 0] [--threads 1]
    python benchmarks/overfit.py --draw FOLDER

Draws people with a ball, a box or a chair in five interactions, trains the `tiny` variant on them with HOICLIP's matcher and losses, and
evaluates by HICO-DET's protocol. Exits with 1 if the mean average precision stays below 95. The second form only draws the pictures, as a
custom data set, to try `edge-hoi train` with.
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

WIDTH, HEIGHT = 160, 128  # multiples of 32: an engine takes them as they are
LONGEST = 213  # whose evaluation size, 800 / 1333 of it, is that height
WANTED = 95.0
PHRASES = ("holding ball", "kicking ball", "carrying box", "pushing box", "sitting on chair")
_COLOURS = {"ball": (40, 60, 230), "box": (200, 150, 40), "chair": (60, 180, 60)}


def draw_images(folder: Path, count: int, *, seed: int = 0) -> None:
    """Draw a custom data set: in each picture one or two people, each with an object of its own.

    Args:
        folder: Where to.
        count: Pictures.
        seed: Names them.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), rng.integers(190, 250, 3), np.uint8)
        people = 1 + number % 2
        interactions = []
        for place in range(people):
            phrase = PHRASES[(number + place * 2) % len(PHRASES)]
            left = rng.integers(16, 34) + place * WIDTH // 2 + (WIDTH // 4 if people == 1 else 0)
            human, thing = _draw_pair(picture, phrase, int(left), int(rng.integers(10, 25)), float(rng.uniform(0.7, 0.9)))
            interactions.append({"human": human, "object": thing, "text": f"person {phrase}"})
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)
        images.append({"file": f"{number:03}.png", "interactions": interactions})
    (folder / "annotations.json").write_text(json.dumps({"images": images}))


def _draw_pair(picture: np.ndarray, phrase: str, left: int, top: int, scale: float) -> tuple[list[int], list[int]]:
    """Draw one person and an object where the interaction wants it; gives both boxes."""
    height, width = int(95 * scale), int(34 * scale)
    middle = left + width // 2
    head = height // 7
    cv2.circle(picture, (middle, top + head), head, (120, 150, 210), -1)
    cv2.rectangle(picture, (middle - width // 3, top + 2 * head), (middle + width // 3, top + 4 * head), (150, 60, 90), -1)
    for side in (-1, 1):
        cv2.line(picture, (middle, top + 4 * head), (middle + side * width // 3, top + height), (60, 50, 40), 5)
    thing, size = phrase.split()[-1], int(26 * scale)
    reach = {"holding": (0.35, 0.35), "carrying": (0.35, 0.3), "kicking": (0.6, 0.85), "pushing": (0.7, 0.55), "sitting": (-0.3, 0.7)}
    across, down = reach[phrase.split()[0]]
    centre = (middle + int(across * width * 1.3), top + int(down * height))
    cv2.line(picture, (middle, top + 3 * head), centre, (120, 150, 210), 4)
    corners = (centre[0] - size // 2, centre[1] - size // 2), (centre[0] + size // 2, centre[1] + size // 2)
    if thing == "ball":
        cv2.circle(picture, centre, size // 2, _COLOURS[thing], -1)
    else:
        cv2.rectangle(picture, *corners, _COLOURS[thing], -1 if thing == "box" else 5)
    boxes = np.array([[left, top, left + width, top + height], [*corners[0], *corners[1]]])
    human, seen = np.clip(boxes, 0, [WIDTH, HEIGHT] * 2).tolist()  # what leaves the picture cannot be seen
    return human, seen


def train_on(folder: Path, output: Path, *, epochs: int, batch_size: int = 4, seed: int = 0) -> dict[str, list[float]]:
    """Train the tiny variant from scratch.

    Args:
        folder: Of `draw_images`.
        output: Where the run is kept.
        epochs: Passes over the pictures.
        batch_size: Pictures of a step.
        seed: Names the first weights and the order of pictures.

    Returns:
        Each figure's course.
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
    course: dict[str, list[float]] = {}

    def note(step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            course.setdefault(name, []).append(value)
        if "evaluation/default/full" in figures:
            print(f"step {step:5}  loss {course['loss'][-1]:7.3f}  mAP {figures['evaluation/default/full']:6.2f}", flush=True)

    Trainer(checkpoint, samples, config, output, evaluate=lambda found: validate(found, dataset, sizes=sizes), report=note).run()
    return course


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0, help="names the drawings, the first weights and the order of pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.draw:
        draw_images(arguments.draw, arguments.pictures, seed=arguments.seed)
        return 0
    import torch
    from machine import describe_machine

    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        draw_images(Path(folder) / "pictures", arguments.pictures, seed=arguments.seed)
        course = train_on(Path(folder) / "pictures", Path(folder) / "run", epochs=arguments.epochs, seed=arguments.seed)
    reached = course["evaluation/default/full"][-1]
    verdict = "PASS" if reached >= WANTED else "FAIL"
    print(f"{arguments.pictures} pictures, {arguments.epochs} epochs, seed {arguments.seed}, {arguments.threads} threads,", end=" ")
    print(f"{time.monotonic() - began:.0f} s:")
    print(f"loss {course['loss'][0]:.2f} -> {course['loss'][-1]:.2f}, mAP on its own pictures {reached:.2f}, wanted {WANTED}: {verdict}")
    return 0 if verdict == "PASS" else 1


if __name__ == "__main__":
    sys.exit(main())
