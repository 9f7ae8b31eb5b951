"""HOICLIP's training: a batch, its losses, a step of AdamW."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edge_hoi.errors import TrainingError
from edge_hoi.lab.datasets.batch import Batch
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import TrainConfig
from edge_hoi.lab.training.ema import WeightEma
from edge_hoi.lab.training.loop import Evaluate, Report, TrainingLoop
from edge_hoi.lab.training.network import HoiclipWithClassifier, TrainableNetwork
from edge_hoi.lab.training.objective import HoiObjective, LossOutput, Objective
from edge_hoi.lab.training.optimizer import build_optimizer
from edge_hoi.lab.training.resume import Progress, TrainingState
from edge_hoi.lab.training.sampling import Samples, load_batches
from edge_hoi.lab.training.zero_shot import copy_shared_weights
from edge_hoi.model import Checkpoint

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer(TrainingLoop[Batch, TrainConfig]):
    """Trains a checkpoint in place. The network must draw nothing random by itself: a run is a function of its configuration and data."""

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
        evaluate: Evaluate | None = None,
        report: Report = lambda _step, _figures: None,
        resumes: bool = False,
    ) -> None:
        """Set up.

        Args:
            checkpoint: What to start from, and what is saved. Its seen classifier is trained, where it has one.
            samples: The training set.
            config: How to train.
            folder: Where the model, the state and the figures are written; made if need be.
            device: Where to compute.
            network: What learns, around the checkpoint's network; if not given, that with its classifier.
            objective: What it learns; HOICLIP's losses if not given.
            evaluate: See `loop.Evaluate`; runs in the first process, after `evaluate_every_epochs` epochs and at the end.
            report: Is told all figures, in the first process.
            resumes: Whether to go on from the state in the folder. The checkpoint and everything else must be as they were at the start.

        Raises:
            TrainingError: The data do not fill a batch, or what is to be resumed is missing or of another run.
        """
        self._checkpoint, self._samples = checkpoint, samples
        self._device = torch.device(device)
        self._objective = objective or HoiObjective(query_groups=config.query_groups)
        checkpoint.model.to(self._device)
        classifier = (checkpoint.seen_classifier or checkpoint.classifier).to(self._device)
        checkpoint.classifier.to(self._device)
        if network is None:
            network = HoiclipWithClassifier(
                checkpoint.model,
                classifier,
                trains_whole_backbone=config.trains_whole_backbone,
                query_groups=config.query_groups,
                seed=config.seed,
            )
        network.to(self._device).train()
        state = TrainingState(
            network=network,
            optimizer=build_optimizer(network, config),
            scaler=torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16"),
            mean=WeightEma(network.trainable_state(), config.ema_decay) if config.ema_decay else None,
            progress=Progress(),
        )
        super().__init__(state, config, folder, pictures=len(samples), evaluate=evaluate, report=report, resumes=resumes)
        self._module: nn.Module = DistributedDataParallel(network) if distributed.is_distributed() else network

    def run(self) -> Checkpoint:
        """Train to the end.

        Returns:
            The checkpoint, on the CPU, in evaluation mode; also in the folder.

        Raises:
            TrainingError: The numbers became infinite.
        """
        self._take_all_steps(
            load_batches(
                self._samples,
                self._batches,
                seed=self._config.seed,
                workers=self._config.workers,
                pins_memory=self._device.type == "cuda",
            )
        )
        if self._state.mean is not None:
            _overwrite(self._state.network.trainable_state(), self._state.mean.tensors)
        copy_shared_weights(self._checkpoint)
        for module in (self._state.network, self._checkpoint.classifier):
            module.cpu().eval()
        return self._checkpoint

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        state, config = self._state, self._config
        batch = batch.to(self._device)
        half = _HALF.get(config.precision)
        with torch.autocast(self._device.type, dtype=half, enabled=half is not None):
            image = batch.image.contiguous(memory_format=torch.channels_last)  # as the backbone's weights are
            predictions = self._module(image, batch.clip_image, batch.padding_mask)
        costs = self._objective(predictions, batch.targets)
        torch.autograd.backward(state.scaler.scale(costs.total))
        state.scaler.unscale_(state.optimizer)
        trained = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, config.gradient_norm)
        if not state.scaler.is_enabled() and not norm.isfinite():  # a scaler skips such steps and scales less
            raise TrainingError(f"gradients are no finite numbers any more at step {state.progress.step}; lower the learning rate")
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad()
        if state.mean is not None:
            state.mean.update(state.network.trainable_state(), state.progress.step)
        return _figures(costs, norm)

    @contextlib.contextmanager
    def _as_it_would_be_kept(self) -> Iterator[Checkpoint]:
        """Put the mean of the weights into the network for a while, where there is one."""
        learned = self._state.network.trainable_state()
        own = {name: tensor.clone() for name, tensor in learned.items()} if self._state.mean else {}
        _overwrite(learned, self._state.mean.tensors if self._state.mean else {})
        copy_shared_weights(self._checkpoint)
        try:
            yield self._checkpoint
        finally:
            _overwrite(learned, own)


@torch.no_grad()
def _overwrite(tensors: Mapping[str, Tensor], by: Mapping[str, Tensor]) -> None:
    for name, tensor in by.items():
        tensors[name].copy_(tensor)


def _figures(costs: LossOutput, norm: Tensor) -> dict[str, Tensor]:
    """Put a step's figures together, without waiting for the device."""
    figures = {"loss": costs.total, **costs.figures, "gradient_norm": norm}
    return {name: figure.detach().to(costs.total.device, torch.float32) for name, figure in figures.items()}
