"""The training loop: optimizer steps, logging, evaluation, saving, resuming."""

import abc
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import RunConfig
from edge_hoi.lab.training.losses import LossOutput
from edge_hoi.lab.training.optimizer import learning_rate_factor, set_learning_rate
from edge_hoi.lab.training.resume import TrainingState, load_state, save_state
from edge_hoi.lab.training.sampling import Batches
from edge_hoi.lab.training.training_log import TrainingLog
from edge_hoi.model import Checkpoint, save_checkpoint

MODEL_FILE, BEST_FILE, STATE_FILE = "model.safetensors", "best.safetensors", "state.safetensors"

Evaluate = Callable[[Checkpoint], Mapping[str, float]]
"""Evaluates a checkpoint: metrics by name, in percent; the first decides which checkpoint is the best."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called with the number of steps done and metrics by name."""

_Batch = TypeVar("_Batch")
_Config = TypeVar("_Config", bound=RunConfig)


class RunOptions(TypedDict, total=False):
    """Options of a training run.

    Attributes:
        evaluate: Called in the first process, after every `evaluate_every_epochs` epochs and at the end.
        report: Called with all metrics, in the first process.
        resumes: Whether to continue from the state in the folder. Everything else must be as it was at the start.
    """

    evaluate: Evaluate | None
    report: Report
    resumes: bool


class TrainingLoop(abc.ABC, Generic[_Batch, _Config]):
    """Optimizer steps over batches.

    Args:
        state: As at the first step; changed to that of the run if it is resumed.
        config: The settings.
        folder: Folder of the model, the state and the metrics; created if missing.
        num_images: Size of the training set.
        device: Device to compute on.
        evaluate: See `RunOptions`, as the others.
        report: See there.
        resumes: See there.

    Raises:
        TrainingError: There are fewer images than in a batch, or the state to resume is missing or of another run.
    """

    def __init__(
        self,
        state: TrainingState,
        config: _Config,
        folder: Path,
        *,
        num_images: int,
        device: torch.device | str,
        evaluate: Evaluate | None = None,
        report: Report = lambda _step, _metrics: None,
        resumes: bool = False,
    ) -> None:
        self.config, self.folder, self.num_images, self.device = config, folder, num_images, torch.device(device)
        self._state, self._evaluate, self._report = state, evaluate, report
        folder.mkdir(parents=True, exist_ok=True)
        if resumes:
            load_state(state, folder / STATE_FILE, config=config, num_images=num_images)
        self._batches = Batches(
            num_images, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed, first_step=state.progress.step
        )
        self._recent: list[Mapping[str, Tensor]] = []

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self._batches.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Steps done so far."""
        return self._state.progress.step

    def run(self) -> Checkpoint:
        """Train to the end.

        Returns:
            The trained checkpoint, on the CPU, in evaluation mode; also saved in the folder.

        Raises:
            TrainingError: Predictions or gradients are not finite.
        """
        progress, config = self._state.progress, self.config
        log = TrainingLog(self.folder, first_step=progress.step) if distributed.rank() == 0 else None
        with contextlib.closing(log) if log else contextlib.nullcontext():
            started = time.monotonic()
            for batch in self._load_batches():
                factor = learning_rate_factor(progress.step, steps_per_epoch=self._batches.steps_per_epoch, config=config)
                set_learning_rate(self._state.optimizer, factor)
                self._recent.append(self._step(batch))
                progress.step += 1
                if progress.step % config.log_every_steps == 0 or progress.step == self.total_steps:
                    images = len(self._recent) * config.batch_size
                    self._log(log, self._recent_metrics() | {"images_per_second": images / (time.monotonic() - started)})
                    started = time.monotonic()
                self._evaluate_and_save(log)
        return self._finish()

    @abc.abstractmethod
    def _load_batches(self) -> Iterable[_Batch]:
        """Load the batches of the steps that remain."""

    @abc.abstractmethod
    def _compute_loss(self, batch: _Batch) -> LossOutput:
        """Compute the loss of a batch."""

    @abc.abstractmethod
    def _checkpoint_to_save(self) -> contextlib.AbstractContextManager[Checkpoint]:
        """Return the checkpoint to evaluate and save, valid within the context."""

    @abc.abstractmethod
    def _finish(self) -> Checkpoint:
        """Return the trained checkpoint, as `run` does."""

    def _step(self, batch: _Batch) -> dict[str, Tensor]:
        """Take an optimizer step; return metrics by name, float32 scalars on one device, without waiting for it."""
        state = self._state
        loss = self._compute_loss(batch)
        torch.autograd.backward(state.scaler.scale(loss.total))
        state.scaler.unscale_(state.optimizer)
        parameters = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.config.gradient_norm)
        if not state.scaler.is_enabled() and not norm.isfinite():  # a scaler skips such steps and lowers its scale
            raise TrainingError(f"gradients are not finite at step {self.steps_done}; lower the learning rate")
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.optimizer.zero_grad()
        if state.ema is not None:
            state.ema.update(state.network.trainable_state(), self.steps_done)
        metrics = {"loss": loss.total, **loss.metrics, "gradient_norm": norm}
        return {name: metric.detach().to(loss.total.device, torch.float32) for name, metric in metrics.items()}

    def _recent_metrics(self) -> dict[str, float]:
        """Average over the steps since the last time, and over the processes."""
        rows = torch.stack([torch.stack(list(metrics.values())) for metrics in self._recent])
        means = distributed.sum_over_processes(rows.mean(dim=0)) / distributed.world_size()
        metrics = dict(zip(self._recent[-1], means.tolist(), strict=True))
        self._recent.clear()
        return metrics | {
            "learning_rate": self._state.optimizer.param_groups[0]["lr"],
            "epoch": self.steps_done / self._batches.steps_per_epoch,
        }

    def _log(self, log: TrainingLog | None, metrics: Mapping[str, float]) -> None:
        if log is not None:
            log.write(self.steps_done, metrics)
            self._report(self.steps_done, metrics)

    def _evaluate_and_save(self, log: TrainingLog | None) -> None:
        """Evaluate and save when due, in the first process, while others wait at the next step."""
        config = self.config
        epoch, rest = divmod(self.steps_done, self._batches.steps_per_epoch)
        if log is None or (rest and self.steps_done % config.save_every_steps):
            return
        if rest == 0:
            self._state.network.eval()
            with self._checkpoint_to_save() as checkpoint:
                if self._evaluate is not None and (self.steps_done == self.total_steps or epoch % config.evaluate_every_epochs == 0):
                    metrics = dict(self._evaluate(checkpoint))
                    self._log(log, {f"evaluation/{name}": value for name, value in metrics.items()})
                    main, best = next(iter(metrics.values())), self._state.progress.best
                    if best is None or main > best:
                        self._state.progress.best = main
                        save_checkpoint(checkpoint, self.folder / BEST_FILE)
                save_checkpoint(checkpoint, self.folder / MODEL_FILE)
            self._state.network.train()
        save_state(self._state, self.folder / STATE_FILE, config=config, num_images=self.num_images)
