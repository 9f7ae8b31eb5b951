"""The training loop: a batch, its losses, a step of AdamW; now and then a look at how good it is, and all that is needed to go on."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edge_hoi.datasets.batch import Batch
from edge_hoi.errors import TrainingError
from edge_hoi.model import Checkpoint, save_checkpoint
from edge_hoi.training import distributed
from edge_hoi.training.config import TrainConfig
from edge_hoi.training.ema import WeightMean
from edge_hoi.training.journal import Journal
from edge_hoi.training.network import LearningNetwork, TrainedNetwork
from edge_hoi.training.objective import Costs, HoiObjective, Objective
from edge_hoi.training.optimizer import build_optimizer, learning_rate_factor, set_learning_rate
from edge_hoi.training.resume import Progress, TrainingState, load_state, save_state
from edge_hoi.training.sampling import Batches, Samples, load_batches
from edge_hoi.training.zero_shot import share_what_was_learned

MODEL_FILE, BEST_FILE, STATE_FILE = "model.safetensors", "best.safetensors", "state.safetensors"

Evaluate = Callable[[Checkpoint], Mapping[str, float]]
"""Looks how good a checkpoint is: figures by name, in percent; the first decides which checkpoint is the best."""

Report = Callable[[int, Mapping[str, float]], None]
"""Is told figures by name, after how many steps."""

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Trains a checkpoint in place. The network must draw nothing random by itself: a run is a function of its configuration and data."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        samples: Samples,
        config: TrainConfig,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        network: LearningNetwork | None = None,
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
            evaluate: See `Evaluate`; runs in the first process, after `evaluate_every_epochs` epochs and at the end.
            report: Is told all figures, in the first process.
            resumes: Whether to go on from the state in the folder. The checkpoint and everything else must be as they were at the start.

        Raises:
            TrainingError: The data do not fill a batch, or what is to be resumed is missing or of another run.
        """
        self._checkpoint, self._samples, self._config, self._folder = checkpoint, samples, config, folder
        self._device = torch.device(device)
        self._objective = objective or HoiObjective(query_groups=config.query_groups)
        self._evaluate, self._report = evaluate, report
        checkpoint.model.to(self._device)
        classifier = (checkpoint.seen_classifier or checkpoint.classifier).to(self._device)
        checkpoint.classifier.to(self._device)
        if network is None:
            network = TrainedNetwork(
                checkpoint.model,
                classifier,
                trains_whole_backbone=config.trains_whole_backbone,
                query_groups=config.query_groups,
                seed=config.seed,
            )
        network.to(self._device).train()
        self._state = TrainingState(
            network=network,
            optimizer=build_optimizer(network, config),
            scaler=torch.amp.GradScaler(self._device.type, enabled=config.precision == "fp16"),
            mean=WeightMean(network.learned_state(), config.ema_decay) if config.ema_decay else None,
            progress=Progress(),
        )
        folder.mkdir(parents=True, exist_ok=True)
        if resumes:
            load_state(self._state, folder / STATE_FILE, config=config, pictures=len(samples))
        self._batches = Batches(
            len(samples),
            batch_size=config.batch_size,
            epochs=config.epochs,
            seed=config.seed,
            first_step=self._state.progress.step,
        )
        self._module: nn.Module = DistributedDataParallel(network) if distributed.is_distributed() else network
        self._recent: list[dict[str, Tensor]] = []

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self._config.epochs * self._batches.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Steps done so far."""
        return self._state.progress.step

    def run(self) -> Checkpoint:
        """Train to the end.

        Returns:
            The checkpoint, on the CPU, in evaluation mode; also in the folder.

        Raises:
            TrainingError: The numbers became infinite.
        """
        progress, config = self._state.progress, self._config
        loader = load_batches(
            self._samples, self._batches, seed=config.seed, workers=config.workers, pins_memory=self._device.type == "cuda"
        )
        journal = Journal(self._folder, first_step=progress.step) if distributed.rank() == 0 else None
        with contextlib.closing(journal) if journal else contextlib.nullcontext():
            began = time.monotonic()
            for batch in loader:
                self._step(batch.to(self._device))
                progress.step += 1
                if progress.step % config.log_every_steps == 0 or progress.step == self.total_steps:
                    pictures = len(self._recent) * config.batch_size
                    figures = self._recent_figures() | {"pictures_per_second": pictures / (time.monotonic() - began)}
                    self._tell(journal, figures)
                    began = time.monotonic()
                self._look_and_save(journal)
        if self._state.mean is not None:
            _overwrite(self._state.network.learned_state(), self._state.mean.tensors)
        share_what_was_learned(self._checkpoint)
        for module in (self._state.network, self._checkpoint.classifier):
            module.cpu().eval()
        return self._checkpoint

    def _step(self, batch: Batch) -> None:
        state, config = self._state, self._config
        factor = learning_rate_factor(state.progress.step, steps_per_epoch=self._batches.steps_per_epoch, config=config)
        set_learning_rate(state.optimizer, factor)
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
            state.mean.update(state.network.learned_state(), state.progress.step)
        self._recent.append(_figures(costs, norm))

    def _recent_figures(self) -> dict[str, float]:
        """Average over the steps since the last time, and over the processes."""
        rows = torch.stack([torch.stack(list(figures.values())) for figures in self._recent])
        means = distributed.sum_over_processes(rows.mean(dim=0)) / distributed.world_size()
        figures = dict(zip(self._recent[-1], means.tolist(), strict=True))
        self._recent.clear()
        return figures | {
            "learning_rate": self._state.optimizer.param_groups[0]["lr"],
            "epoch": self._state.progress.step / self._batches.steps_per_epoch,
        }

    def _tell(self, journal: Journal | None, figures: Mapping[str, float]) -> None:
        if journal is not None:
            journal.write(self._state.progress.step, figures)
            self._report(self._state.progress.step, figures)

    def _look_and_save(self, journal: Journal | None) -> None:
        """Evaluate and save where it is time for that, in the first process, while others wait at the next step."""
        progress, config = self._state.progress, self._config
        epoch, rest = divmod(progress.step, self._batches.steps_per_epoch)
        is_end = progress.step == self.total_steps
        is_saving = is_end or rest == 0 or progress.step % config.save_every_steps == 0
        if journal is None or not is_saving:
            return
        if is_end or rest == 0:
            with self._weights_to_keep():
                if self._evaluate is not None and (is_end or epoch % config.evaluate_every_epochs == 0):
                    self._look(journal, self._evaluate)
                save_checkpoint(self._checkpoint, self._folder / MODEL_FILE)
        save_state(self._state, self._folder / STATE_FILE, config=config, pictures=len(self._samples))

    def _look(self, journal: Journal, evaluate: Evaluate) -> None:
        self._state.network.eval()
        figures = dict(evaluate(self._checkpoint))
        self._state.network.train()
        self._tell(journal, {f"evaluation/{name}": value for name, value in figures.items()})
        main, best = next(iter(figures.values())), self._state.progress.best
        if best is None or main > best:
            self._state.progress.best = main
            save_checkpoint(self._checkpoint, self._folder / BEST_FILE)

    @contextlib.contextmanager
    def _weights_to_keep(self) -> Iterator[None]:
        """Put the mean of the weights into the network for a while, where there is one."""
        learned = self._state.network.learned_state()
        own = {name: tensor.clone() for name, tensor in learned.items()} if self._state.mean else {}
        _overwrite(learned, self._state.mean.tensors if self._state.mean else {})
        share_what_was_learned(self._checkpoint)
        try:
            yield
        finally:
            _overwrite(learned, own)


@torch.no_grad()
def _overwrite(tensors: Mapping[str, Tensor], by: Mapping[str, Tensor]) -> None:
    for name, tensor in by.items():
        tensors[name].copy_(tensor)


def _figures(costs: Costs, norm: Tensor) -> dict[str, Tensor]:
    """Put a step's figures together, without waiting for the device."""
    figures = {"loss": costs.total, **costs.figures, "gradient_norm": norm}
    return {name: figure.detach().to(costs.total.device, torch.float32) for name, figure in figures.items()}
