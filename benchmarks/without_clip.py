"""Train a HOICLIP without CLIP's tokens and without its verb adapter: what both are worth, at any budget.

    python benchmarks/without_clip.py --data DATA --model START --output RUN --validate PICTURES …

Takes what `edge-hoi train` takes; in several processes with `torchrun --nproc-per-node 2`. Name with --validate the pictures that it is to
be judged by: for any other command the checkpoint that it leaves is one of a whole HOICLIP, which would look at CLIP's tokens again.
"""

import sys

from ablations import leave_clip_out

from edge_hoi.cli import main
from edge_hoi.lab.training import trainer
from edge_hoi.model import Checkpoint


class TrainerWithoutClip(trainer.Trainer):
    """Takes away from the checkpoint, before anything is trained or judged."""

    def __init__(self, checkpoint: Checkpoint, *arguments: object, **named: object) -> None:
        leave_clip_out(checkpoint)
        super().__init__(checkpoint, *arguments, **named)  # type: ignore[arg-type]


if __name__ == "__main__":
    trainer.Trainer = TrainerWithoutClip  # type: ignore[misc]  # the command imports it when it is called
    main(["train", *sys.argv[1:]])
