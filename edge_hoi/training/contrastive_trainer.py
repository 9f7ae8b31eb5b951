"""The loop of contrastive training: pictures with captions in, a checkpoint with a trained CLIP out, to train HOICLIP from."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_hoi.errors import TrainingError
from edge_hoi.model import Checkpoint, Clip, save_checkpoint
from edge_hoi.training.caption_batches import CaptionBatches
from edge_hoi.training.config import ContrastiveConfig
from edge_hoi.training.contrastive import ContrastiveNetwork, build_contrastive_optimizer, contrastive_loss
from edge_hoi.training.journal import Journal
from edge_hoi.training.optimizer import learning_rate_factor, set_learning_rate
from edge_hoi.training.resume import Progress, TrainingState, load_state, save_state
from edge_hoi.training.sampling import Batches
from edge_hoi.training.text_rows import classifier_from_text
from edge_hoi.training.trainer import BEST_FILE, MODEL_FILE, STATE_FILE, Evaluate, Report
from edge_hoi.vocabulary import Vocabulary

_FIGURES = ("loss", "gradient_norm", "scale")


class ContrastiveTrainer:
    """Trains both CLIP towers of a checkpoint in place; its network stays as it is."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        vocabulary: Vocabulary,
        pictures: CaptionBatches,
        config: ContrastiveConfig,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        evaluate: Evaluate | None = None,
        report: Report = lambda _step, _figures: None,
        resumes: bool = False,
    ) -> None:
        """Set up.

        Args:
            checkpoint: What to start from.
            vocabulary: What its classifier is to have rows for: they are made anew from the trained text tower.
            pictures: The training set.
            config: How to train.
            folder: Where the model, the state and the figures are written; made if need be.
            device: Where to compute.
            evaluate: See `trainer.Evaluate`; runs after `evaluate_every_epochs` epochs and at the end.
            report: Is told all figures.
            resumes: Whether to go on from the state in the folder. The checkpoint and everything else must be as they were at the start.

        Raises:
            TrainingError: The pictures do not fill a batch, or what is to be resumed is missing or of another run.
        """
        self._checkpoint, self._vocabulary, self._pictures, self._config, self._folder = checkpoint, vocabulary, pictures, config, folder
        self._device = torch.device(device)
        self._evaluate, self._report = evaluate, report
        self._network = ContrastiveNetwork(Clip(checkpoint.model.clip, checkpoint.text)).to(self._device).train()
        self._state = TrainingState(
            network=self._network,
            optimizer=build_contrastive_optimizer(self._network, config),
            scaler=torch.amp.GradScaler(self._device.type, enabled=False),
            mean=None,
            progress=Progress(),
        )
        folder.mkdir(parents=True, exist_ok=True)
        if resumes:
            load_state(self._state, folder / STATE_FILE, config=config, pictures=len(pictures))
        self._checkpoint = self._with_rows()
        self._batches = Batches(
            len(pictures), batch_size=config.batch_size, epochs=config.epochs, seed=config.seed, first_step=self.steps_done
        )
        self._recent: list[Tensor] = []

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
            The checkpoint with its trained CLIP and a classifier of its text features, on the CPU, in evaluation mode; also in the folder.

        Raises:
            TrainingError: The numbers became infinite.
        """
        progress, config = self._state.progress, self._config
        with contextlib.closing(Journal(self._folder, first_step=progress.step)) as journal:
            began = time.monotonic()
            for places in self._batches:
                self._step([place.picture for place in places])
                progress.step += 1
                if progress.step % config.log_every_steps == 0 or progress.step == self.total_steps:
                    pictures = len(self._recent) * config.batch_size
                    self._tell(journal, self._recent_figures() | {"pictures_per_second": pictures / (time.monotonic() - began)})
                    began = time.monotonic()
                self._look_and_save(journal)
        self._network.cpu().eval().requires_grad_(False)
        return self._checkpoint

    def _step(self, numbers: list[int]) -> None:
        state, config = self._state, self._config
        step = state.progress.step
        set_learning_rate(state.optimizer, learning_rate_factor(step, steps_per_epoch=self._batches.steps_per_epoch, config=config))
        image, token_ids, meaning_ids = (part.to(self._device) for part in self._pictures.batch(numbers, self._chance(step)))
        hidden = config.hidden_patches if step < config.whole_from * self.total_steps else 0.0
        half = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
        with half, self._network.hiding_patches(hidden, seed=int(self._chance(step).integers(1 << 62))):
            embeddings = self._network(image, token_ids)
        loss = contrastive_loss(embeddings, meaning_ids)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), config.gradient_norm)
        if not norm.isfinite():
            raise TrainingError(f"gradients are no finite numbers any more at step {step}; lower the learning rate")
        state.optimizer.step()
        state.optimizer.zero_grad()
        self._network.limit_scale()
        self._recent.append(torch.stack([loss.detach(), norm, embeddings.scale.detach()]))

    def _chance(self, step: int) -> np.random.Generator:
        """Give the chance that belongs to a step, so that a resumed run draws what it would have drawn."""
        return np.random.default_rng((self._config.seed, step))

    def _recent_figures(self) -> dict[str, float]:
        means = torch.stack(self._recent).mean(dim=0)
        self._recent.clear()
        rate = self._state.optimizer.param_groups[0]["lr"]
        epoch = self.steps_done / self._batches.steps_per_epoch
        return dict(zip(_FIGURES, means.tolist(), strict=True)) | {"learning_rate": rate, "epoch": epoch}

    def _tell(self, journal: Journal, figures: Mapping[str, float]) -> None:
        journal.write(self.steps_done, figures)
        self._report(self.steps_done, figures)

    def _look_and_save(self, journal: Journal) -> None:
        """Evaluate and save where it is time for that."""
        config = self._config
        epoch, rest = divmod(self.steps_done, self._batches.steps_per_epoch)
        is_end = self.steps_done == self.total_steps
        if rest == 0:
            self._network.eval()
            self._checkpoint = self._with_rows()
            if self._evaluate is not None and (is_end or epoch % config.evaluate_every_epochs == 0):
                self._look(journal, self._evaluate)
            save_checkpoint(self._checkpoint, self._folder / MODEL_FILE)
            self._network.train()
        if rest == 0 or self.steps_done % config.save_every_steps == 0:
            save_state(self._state, self._folder / STATE_FILE, config=config, pictures=len(self._pictures))

    def _look(self, journal: Journal, evaluate: Evaluate) -> None:
        figures = dict(evaluate(self._checkpoint))
        self._tell(journal, {f"evaluation/{name}": value for name, value in figures.items()})
        main, best = next(iter(figures.values())), self._state.progress.best
        if best is None or main > best:
            self._state.progress.best = main
            save_checkpoint(self._checkpoint, self._folder / BEST_FILE)

    def _with_rows(self) -> Checkpoint:
        """Give the checkpoint with a classifier that its text tower makes now."""
        return replace(
            self._checkpoint,
            classifier=classifier_from_text(self._checkpoint.text, self._vocabulary).eval(),
            seen_classifier=None,
            vocabulary=self._vocabulary.name,
            vocabulary_sha256=self._vocabulary.content_hash,
        )
