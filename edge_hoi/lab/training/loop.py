"""What every training run does around its steps: tell figures, evaluate and save when it is time for that, go on where it was."""

import abc
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from edge_hoi.lab.training import distributed
from edge_hoi.lab.training.config import RunConfig
from edge_hoi.lab.training.optimizer import learning_rate_factor, set_learning_rate
from edge_hoi.lab.training.resume import TrainingState, load_state, save_state
from edge_hoi.lab.training.sampling import Batches
from edge_hoi.lab.training.training_log import TrainingLog
from edge_hoi.model import Checkpoint, save_checkpoint

MODEL_FILE, BEST_FILE, STATE_FILE = "model.safetensors", "best.safetensors", "state.safetensors"

Evaluate = Callable[[Checkpoint], Mapping[str, float]]
"""Looks how good a checkpoint is: figures by name, in percent; the first decides which checkpoint is the best."""

Report = Callable[[int, Mapping[str, float]], None]
"""Is told figures by name, after how many steps."""

_Batch = TypeVar("_Batch")
_Config = TypeVar("_Config", bound=RunConfig)


class TrainingLoop(abc.ABC, Generic[_Batch, _Config]):
    """Steps one after the other, and what goes with them."""

    def __init__(
        self,
        state: TrainingState,
        config: _Config,
        folder: Path,
        *,
        pictures: int,
        evaluate: Evaluate | None,
        report: Report,
        resumes: bool,
    ) -> None:
        """Set up.

        Args:
            state: As at the first step; brought to where the run was if that is to be resumed.
            config: How to train.
            folder: Where the model, the state and the figures are written; made if need be.
            pictures: How many there are to train on.
            evaluate: See `Evaluate`; runs in the first process, after `evaluate_every_epochs` epochs and at the end.
            report: Is told all figures, in the first process.
            resumes: Whether to go on from the state in the folder. Everything else must be as it was at the start.

        Raises:
            TrainingError: The pictures do not fill a batch, or what is to be resumed is missing or of another run.
        """
        self._state, self._folder, self._pictures_count = state, folder, pictures
        self._config, self._evaluate, self._report = config, evaluate, report
        folder.mkdir(parents=True, exist_ok=True)
        if resumes:
            load_state(state, folder / STATE_FILE, config=config, pictures=pictures)
        self._batches = Batches(
            pictures, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed, first_step=state.progress.step
        )
        self._recent: list[Mapping[str, Tensor]] = []

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self._config.epochs * self._batches.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Steps done so far."""
        return self._state.progress.step

    @abc.abstractmethod
    def run(self) -> Checkpoint:
        """Train to the end, and give the checkpoint that is also in the folder."""

    @abc.abstractmethod
    def _step(self, batch: _Batch) -> Mapping[str, Tensor]:
        """Learn from a batch, and give figures of it by name, each a float32 scalar on one device."""

    @abc.abstractmethod
    def _as_it_would_be_kept(self) -> contextlib.AbstractContextManager[Checkpoint]:
        """Give for a while the checkpoint that is evaluated and saved."""

    def _take_all_steps(self, batches: Iterable[_Batch]) -> None:
        """Train to the end, on the batches that are left of the run."""
        progress, config = self._state.progress, self._config
        journal = TrainingLog(self._folder, first_step=progress.step) if distributed.rank() == 0 else None
        with contextlib.closing(journal) if journal else contextlib.nullcontext():
            began = time.monotonic()
            for batch in batches:
                factor = learning_rate_factor(progress.step, steps_per_epoch=self._batches.steps_per_epoch, config=config)
                set_learning_rate(self._state.optimizer, factor)
                self._recent.append(self._step(batch))
                progress.step += 1
                if progress.step % config.log_every_steps == 0 or progress.step == self.total_steps:
                    pictures = len(self._recent) * config.batch_size
                    self._tell(journal, self._recent_figures() | {"images_per_second": pictures / (time.monotonic() - began)})
                    began = time.monotonic()
                self._look_and_save(journal)

    def _recent_figures(self) -> dict[str, float]:
        """Average over the steps since the last time, and over the processes."""
        rows = torch.stack([torch.stack(list(figures.values())) for figures in self._recent])
        means = distributed.sum_over_processes(rows.mean(dim=0)) / distributed.world_size()
        figures = dict(zip(self._recent[-1], means.tolist(), strict=True))
        self._recent.clear()
        return figures | {
            "learning_rate": self._state.optimizer.param_groups[0]["lr"],
            "epoch": self.steps_done / self._batches.steps_per_epoch,
        }

    def _tell(self, journal: TrainingLog | None, figures: Mapping[str, float]) -> None:
        if journal is not None:
            journal.write(self.steps_done, figures)
            self._report(self.steps_done, figures)

    def _look_and_save(self, journal: TrainingLog | None) -> None:
        """Evaluate and save where it is time for that, in the first process, while others wait at the next step."""
        config = self._config
        epoch, rest = divmod(self.steps_done, self._batches.steps_per_epoch)
        if journal is None or (rest and self.steps_done % config.save_every_steps):
            return
        if rest == 0:
            self._state.network.eval()
            with self._as_it_would_be_kept() as checkpoint:
                if self._evaluate is not None and (self.steps_done == self.total_steps or epoch % config.evaluate_every_epochs == 0):
                    self._look(journal, self._evaluate, checkpoint)
                save_checkpoint(checkpoint, self._folder / MODEL_FILE)
            self._state.network.train()
        save_state(self._state, self._folder / STATE_FILE, config=config, pictures=self._pictures_count)

    def _look(self, journal: TrainingLog, evaluate: Evaluate, checkpoint: Checkpoint) -> None:
        figures = dict(evaluate(checkpoint))
        self._tell(journal, {f"evaluation/{name}": value for name, value in figures.items()})
        main, best = next(iter(figures.values())), self._state.progress.best
        if best is None or main > best:
            self._state.progress.best = main
            save_checkpoint(checkpoint, self._folder / BEST_FILE)
