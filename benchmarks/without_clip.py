"""Train a HOICLIP without CLIP's tokens and without its verb adapter, to measure their contribution.

    python benchmarks/without_clip.py --data DATA --model START --output RUN --validate IMAGES …

Has the options of `edge-hoi train`; in several processes with `torchrun --nproc-per-node 2`. Evaluate with --validate: other commands
load the checkpoint as a whole HOICLIP, which uses CLIP's tokens.
"""

import sys

from ablations import remove_clip

from edge_hoi.cli import main
from edge_hoi.lab.training import trainer
from edge_hoi.model import Checkpoint


class TrainerWithoutClip(trainer.Trainer):
    """Removes CLIP from the checkpoint before training and evaluation."""

    def __init__(self, checkpoint: Checkpoint, *arguments: object, **named: object) -> None:
        remove_clip(checkpoint)
        super().__init__(checkpoint, *arguments, **named)  # type: ignore[arg-type]


if __name__ == "__main__":
    trainer.Trainer = TrainerWithoutClip  # type: ignore[misc]  # the command imports it when called
    main(["train", *sys.argv[1:]])
