"""Contrastive training: pictures with captions in, a checkpoint with a trained CLIP out, to train HOICLIP from."""

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training.caption_batches import CaptionBatches
from edge_hoi.lab.training.config import ContrastiveConfig
from edge_hoi.lab.training.contrastive import ContrastiveNetwork, build_contrastive_optimizer, contrastive_loss
from edge_hoi.lab.training.loop import Evaluate, Report, TrainingLoop
from edge_hoi.lab.training.resume import Progress, TrainingState
from edge_hoi.lab.training.sampling import SampleKey
from edge_hoi.lab.training.text_classifier import classifier_from_text
from edge_hoi.model import Checkpoint, Clip
from edge_hoi.vocabulary import Vocabulary


class ContrastiveTrainer(TrainingLoop[list[SampleKey], ContrastiveConfig]):
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
            evaluate: See `loop.Evaluate`; runs after `evaluate_every_epochs` epochs and at the end.
            report: Is told all figures.
            resumes: Whether to go on from the state in the folder. The checkpoint and everything else must be as they were at the start.

        Raises:
            TrainingError: The pictures do not fill a batch, or what is to be resumed is missing or of another run.
        """
        self._checkpoint, self._vocabulary, self._pictures = checkpoint, vocabulary, pictures
        self._device = torch.device(device)
        self._network = ContrastiveNetwork(Clip(checkpoint.model.clip, checkpoint.text)).to(self._device).train()
        state = TrainingState(
            network=self._network,
            optimizer=build_contrastive_optimizer(self._network, config),
            scaler=torch.amp.GradScaler(self._device.type, enabled=False),
            mean=None,
            progress=Progress(),
        )
        super().__init__(state, config, folder, pictures=len(pictures), evaluate=evaluate, report=report, resumes=resumes)

    def run(self) -> Checkpoint:
        """Train to the end.

        Returns:
            The checkpoint with its trained CLIP and a classifier of its text features, on the CPU, in evaluation mode; also in the folder.

        Raises:
            TrainingError: The numbers became infinite.
        """
        self._take_all_steps(self._batches)
        self._network.cpu().eval()
        with self._as_it_would_be_kept() as checkpoint:
            self._network.requires_grad_(False)  # afterwards: without gradients torch computes the rows to other bits
            return checkpoint

    def _step(self, batch: list[SampleKey]) -> dict[str, Tensor]:
        state, config = self._state, self._config
        step, numbers = state.progress.step, [place.picture for place in batch]
        image, token_ids, meaning_ids = (part.to(self._device) for part in self._pictures.batch(numbers, self._chance(step)))
        hidden = config.patch_dropout if step < config.patch_dropout_until * self.total_steps else 0.0
        half = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
        with half, self._network.dropping_patches(hidden, seed=int(self._chance(step).integers(1 << 62))):
            embeddings = self._network(image, token_ids)
        loss = contrastive_loss(embeddings, meaning_ids)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), config.gradient_norm)
        if not norm.isfinite():
            raise TrainingError(f"gradients are no finite numbers any more at step {step}; lower the learning rate")
        state.optimizer.step()
        state.optimizer.zero_grad()
        self._network.limit_scale()
        return {"loss": loss.detach(), "gradient_norm": norm, "scale": embeddings.scale.detach()}

    def _chance(self, step: int) -> np.random.Generator:
        """Give the chance that belongs to a step, so that a resumed run draws what it would have drawn."""
        return np.random.default_rng((self._config.seed, step))

    def _as_it_would_be_kept(self) -> contextlib.AbstractContextManager[Checkpoint]:
        """Give the checkpoint with a classifier that its text tower makes now."""
        return contextlib.nullcontext(
            replace(
                self._checkpoint,
                classifier=classifier_from_text(self._checkpoint.text, self._vocabulary).eval(),
                seen_classifier=None,
                vocabulary=self._vocabulary.name,
                vocabulary_sha256=self._vocabulary.content_hash,
            )
        )
