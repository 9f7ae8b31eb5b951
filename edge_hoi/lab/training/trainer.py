"""Training of HOICLIP, or of another network with another objective."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from typing_extensions import Unpack

from edge_hoi.lab.datasets.batch import Batch
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.criterion import HoiObjective, Objective
from edge_hoi.lab.training.ema import WeightEma
from edge_hoi.lab.training.loop import RunOptions, TrainingLoop
from edge_hoi.lab.training.losses import LossOutput
from edge_hoi.lab.training.network import HoiclipWithClassifier, TrainableNetwork
from edge_hoi.lab.training.optimizer import build_optimizer
from edge_hoi.lab.training.resume import TrainingState
from edge_hoi.lab.training.sampling import Samples, load_batches
from edge_hoi.lab.training.zero_shot import copy_shared_weights
from edge_hoi.model import Checkpoint

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer(TrainingLoop[Batch, TrainConfig]):
    """Trains a checkpoint in place. The network must not use randomness of its own: a run is a function of its configuration and data.

    Args:
        checkpoint: The checkpoint to train and save. Its seen classifier is trained, where it has one.
        samples: The training set.
        config: The settings.
        folder: Folder of the run, created if missing.
        device: Device to compute on.
        network: The network to train, around the checkpoint's; by default that with its classifier.
        objective: The loss; HOICLIP's by default.
        options: See `RunOptions`.

    Raises:
        TrainingError: There are fewer images than in a batch, or the state to resume is missing or of another run.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        samples: Samples,
        config: TrainConfig,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        network: TrainableNetwork | None = None,
        objective: Objective | None = None,
        **options: Unpack[RunOptions],
    ) -> None:
        self._checkpoint, self._samples = checkpoint, samples
        self._objective = objective or HoiObjective(query_groups=config.query_groups)
        checkpoint.model.to(device)
        classifier = (checkpoint.seen_classifier or checkpoint.classifier).to(device)
        checkpoint.classifier.to(device)
        if network is None:
            network = HoiclipWithClassifier(
                checkpoint.model,
                classifier,
                trains_whole_backbone=config.trains_whole_backbone,
                query_groups=config.query_groups,
                seed=config.seed,
            )
        network.to(device).train()
        state = TrainingState(
            network,
            build_optimizer(network, config),
            torch.amp.GradScaler(torch.device(device).type, enabled=config.precision == "fp16"),
            WeightEma(network.trainable_state(), config.ema_decay) if config.ema_decay else None,
        )
        super().__init__(state, config, folder, num_images=len(samples), device=device, **options)
        self._module: nn.Module = DistributedDataParallel(network) if distributed.is_distributed() else network

    def _load_batches(self) -> DataLoader[Batch]:
        config, is_on_gpu = self.config, self.device.type == "cuda"
        return load_batches(self._samples, self._batches, seed=config.seed, workers=config.workers, pins_memory=is_on_gpu)

    def _finish(self) -> Checkpoint:
        if self._state.ema is not None:
            _overwrite(self._state.network.trainable_state(), self._state.ema.tensors)
        copy_shared_weights(self._checkpoint)
        for module in (self._state.network, self._checkpoint.classifier):
            module.cpu().eval()
        return self._checkpoint

    def _compute_loss(self, batch: Batch) -> LossOutput:
        batch = batch.to(self.device)
        half = _HALF.get(self.config.precision)
        with torch.autocast(self.device.type, dtype=half, enabled=half is not None):
            image = batch.image.contiguous(memory_format=torch.channels_last)  # as the backbone's weights are
            predictions = self._module(image, batch.clip_image, batch.padding_mask)
        return self._objective(predictions, batch.targets)

    @contextlib.contextmanager
    def _checkpoint_to_save(self) -> Iterator[Checkpoint]:
        """Load the moving average, if any, into the network within the context."""
        ema, weights = self._state.ema, self._state.network.trainable_state()
        own = {name: tensor.clone() for name, tensor in weights.items()} if ema else {}
        _overwrite(weights, ema.tensors if ema else {})
        copy_shared_weights(self._checkpoint)
        try:
            yield self._checkpoint
        finally:
            _overwrite(weights, own)


@torch.no_grad()
def _overwrite(tensors: Mapping[str, Tensor], by: Mapping[str, Tensor]) -> None:
    for name, tensor in by.items():
        tensors[name].copy_(tensor)
