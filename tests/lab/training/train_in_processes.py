"""Train on random images, alone or under torchrun: `train_in_processes.py FOLDER`."""

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from training_samples import RandomSamples

from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.initialization import untrained_checkpoint
from edge_hoi.lab.training.trainer import Trainer
from edge_hoi.model import VARIANTS
from edge_hoi.vocabulary import load_vocabulary


def main() -> None:
    torch.set_num_threads(1)
    checkpoint = untrained_checkpoint(VARIANTS["tiny"], load_vocabulary("hico_det"))
    config = TrainConfig(epochs=2, batch_size=4, workers=0, log_every_steps=1)
    with distributed.joined(torch.device("cpu")) as device:
        Trainer(checkpoint, RandomSamples(), config, Path(sys.argv[1]), device=device, evaluate=lambda _: {"mAP": 1.0}).run()


if __name__ == "__main__":
    main()
