"""Contrastive training of a checkpoint's CLIP on captioned images."""

import contextlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from edge_hoi.lab.training.caption_batches import CaptionBatches
from edge_hoi.lab.training.config import ContrastiveConfig
from edge_hoi.lab.training.contrastive import ContrastiveNetwork, build_contrastive_optimizer, contrastive_loss
from edge_hoi.lab.training.loop import RunOptions, TrainingLoop
from edge_hoi.lab.training.losses import LossOutput
from edge_hoi.lab.training.resume import TrainingState
from edge_hoi.lab.training.sampling import Batches, SampleKey
from edge_hoi.lab.training.text_classifier import classifier_from_text, with_classifier
from edge_hoi.model import Checkpoint, Clip
from edge_hoi.vocabulary import Vocabulary


class ContrastiveTrainer(TrainingLoop[list[SampleKey], ContrastiveConfig]):
    """Trains both CLIP towers of a checkpoint in place; the rest of its network stays as it is.

    The saved classifier's weights are the trained tower's text features of the vocabulary.

    Raises:
        TrainingError: There are fewer images than in a batch, or the state to resume is missing or of another run.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        vocabulary: Vocabulary,
        images: CaptionBatches,
        config: ContrastiveConfig,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        **options: Unpack[RunOptions],
    ) -> None:
        self._checkpoint, self._vocabulary, self._images = checkpoint, vocabulary, images
        self._network = ContrastiveNetwork(Clip(checkpoint.model.clip, checkpoint.text)).to(device).train()
        state = TrainingState(self._network, build_contrastive_optimizer(self._network, config))
        super().__init__(state, config, folder, num_images=len(images), device=device, **options)

    def _load_batches(self) -> Batches:
        return self._batches

    def _finish(self) -> Checkpoint:
        self._network.cpu().eval()
        with self._checkpoint_to_save() as checkpoint:
            self._network.requires_grad_(False)  # afterwards: without gradients torch computes text features with other bits
            return checkpoint

    def _step(self, batch: list[SampleKey]) -> dict[str, Tensor]:
        metrics = super()._step(batch)
        self._network.limit_scale()
        return metrics

    def _compute_loss(self, batch: list[SampleKey]) -> LossOutput:
        config, step = self.config, self.steps_done
        inputs = self._images.batch([key.image for key in batch], self._rng(step))
        image, token_ids, meaning_ids = (tensor.to(self.device) for tensor in inputs)
        dropped = config.patch_dropout if step < config.patch_dropout_until * self.total_steps else 0.0
        half = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")
        with half, self._network.dropping_patches(dropped, seed=int(self._rng(step).integers(1 << 62))):
            embeddings = self._network(image, token_ids)
        return LossOutput(contrastive_loss(embeddings, meaning_ids), {"scale": embeddings.scale})

    def _rng(self, step: int) -> np.random.Generator:
        """Return the generator of a step, so that a resumed run draws the same numbers."""
        return np.random.default_rng((self.config.seed, step))

    def _checkpoint_to_save(self) -> contextlib.AbstractContextManager[Checkpoint]:
        classifier = classifier_from_text(self._checkpoint.text, self._vocabulary).eval()
        return contextlib.nullcontext(with_classifier(self._checkpoint, classifier, self._vocabulary))
