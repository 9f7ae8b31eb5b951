"""Training of a pair head on scenes as a simulated detector sees them."""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training.ema import WeightEma
from edge_hoi.lab.training.pairs.calibration import calibrate
from edge_hoi.lab.training.pairs.pair_loss import TrainablePairHead, pair_loss
from edge_hoi.lab.training.pairs.pair_precision import average_precisions, log_loss, mean_precisions, score_pairs
from edge_hoi.lab.training.pairs.scenes import Scenes, join_scenes, pair_frequencies, split_scenes
from edge_hoi.lab.training.pairs.simulated_detector import Detections, SimulatedDetector, SimulationConfig, exact_detections
from edge_hoi.lab.training.training_log import TrainingLog
from edge_hoi.model.pair_head import VOCABULARIES, PairHead, PairHeadConfig, save_pair_head
from edge_hoi.vocabulary import load_vocabulary

HEAD_FILE = "head.safetensors"
_TRAINING_PEOPLE, _TRAINING_OBJECTS = 6, 10
"""Fewer than a head takes later, to save time: more are rare in the training images."""
_DETECTOR_SEED = 1_000_003
_CLASSES = load_vocabulary(VOCABULARIES[0])

Report = Callable[[int, int, Mapping[str, float]], None]
"""Called with the number of steps done, of all steps, and metrics by name."""


class PairTrainingConfig(BaseModel):
    """Settings of a training run of a pair head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(12, ge=1, le=1000, description="Passes over the images")
    batch_size: int = Field(256, ge=2, le=4096, description="Images per step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Of AdamW, at the start of the cosine decay to zero")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Of matrices")
    warmup_steps: int = Field(100, ge=0, description="Steps over which the learning rate rises from zero")
    gradient_norm: float = Field(5.0, gt=0, description="Largest gradient norm; larger gradients are clipped")
    ema_decay: float = Field(0.998, gt=0, lt=1, description="Of the moving average of the weights, which is the result")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of hidden units dropped")
    share_kept: float = Field(0.2, gt=0, le=1, description="Share of the pairs that are not annotated which a step sees; they weigh as all")
    held_out: int = Field(2000, ge=2, description="Images kept from training: half to calibrate scores, half to measure")
    more_repeats: int = Field(2, ge=1, description="How often an epoch has the images of the second vocabulary, which are few")
    evaluate_every_epochs: int = Field(4, ge=1)
    log_every_steps: int = Field(20, ge=1)
    seed: int = Field(0, ge=0, description="Seed of weights, image order and the simulated detector")


class PairTrainer:
    """Trains a pair head.

    Args:
        scenes: All training images of the first vocabulary; some are held out.
        config: The settings.
        folder: Folder of the head and the metrics; created if missing.
        more: Those of the second; a quarter as many are held out.
        head_config: The head's sizes, of an untrained one.
        start: A trained head to train further, instead.
        simulation: The simulated detector's rates.
        report: See `Report`.

    Raises:
        TrainingError: There are too few images.
    """

    def __init__(
        self,
        scenes: Scenes,
        config: PairTrainingConfig,
        folder: Path,
        *,
        more: Scenes | None = None,
        head_config: PairHeadConfig | None = None,
        start: PairHead | None = None,
        simulation: SimulationConfig | None = None,
        report: Report = lambda _done, _of, _metrics: None,
    ) -> None:
        if len(scenes) < config.batch_size + config.held_out:
            raise TrainingError(
                f"training on pairs needs at least {config.batch_size + config.held_out} images with interactions (a batch of "
                f"{config.batch_size}, and {config.held_out} held out), got {len(scenes)}; lower the batch or the number held out"
            )
        held_out_of_more = max(2, config.held_out // 4)
        if more is not None and len(more) <= held_out_of_more:
            raise TrainingError(
                f"training on V-COCO's pairs too needs more than {held_out_of_more} of its images with interactions, which are held out, "
                f"got {len(more)}; lower the number held out"
            )
        self.config, self.folder = config, folder
        self._report = report
        self._random = torch.Generator().manual_seed(config.seed)
        parts = [split_scenes(scenes, config.held_out), *([split_scenes(more, held_out_of_more)] if more is not None else [])]
        self._to_calibrate, self.held_out, to_train = zip(*parts, strict=True)
        self.scenes = join_scenes(*to_train)
        first, rows = len(to_train[0]), torch.arange(len(self.scenes))
        self._rows = torch.cat([rows[:first], rows[first:].repeat(config.more_repeats)])
        self._head_config = replace(start.config if start else head_config or PairHeadConfig(), has_vcoco=more is not None)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            head = PairHead(replace(self._head_config, people=_TRAINING_PEOPLE, objects=_TRAINING_OBJECTS), dropout=config.dropout)
            if start:
                head.load_state_dict(start.state_dict())
            self._network = TrainablePairHead(head, None if start else pair_frequencies(self.scenes) / 2)
        self._simulation = simulation or SimulationConfig()
        self._detector = SimulatedDetector(_CLASSES, self._simulation, seed=config.seed)
        self._ema = WeightEma(self._network.state_dict(), config.ema_decay)
        self._optimizer = _build_optimizer(self._network, config)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * (len(self._rows) // self.config.batch_size)

    def run(self) -> PairHead:
        """Train to the end, calibrate the scores, and save the head in the folder.

        Raises:
            TrainingError: Gradients are not finite.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        step = 0
        with contextlib.closing(TrainingLog(self.folder, first_step=0)) as log:
            size = self.config.batch_size
            for epoch in range(1, self.config.epochs + 1):
                order, losses = self._rows[torch.randperm(len(self._rows), generator=self._random)], []
                for first in range(0, len(order) - size + 1, size):
                    losses.append(self._step(self.scenes.pick(order[first : first + size]), step))
                    step += 1
                    if step % self.config.log_every_steps == 0:
                        self._log(log, step, {"loss": sum(losses) / len(losses)})
                        losses = []
                if epoch % self.config.evaluate_every_epochs == 0 or epoch == self.config.epochs:
                    self._log(log, step, self._evaluate())
        self._network.load_state_dict(self._ema.tensors)
        head = self._network.eval().store_rows()
        head.config = self._head_config
        for scenes in self._to_calibrate:
            calibrate(head, self.detections(scenes), scenes)
        save_pair_head(head, self.folder / HEAD_FILE, seed=self.config.seed)
        return head

    def detections(self, scenes: Scenes) -> Detections:
        """Detect the objects of scenes as in training, but without images that have exactly the annotated boxes."""
        return SimulatedDetector(_CLASSES, replace(self._simulation, clean_share=0.0), seed=_DETECTOR_SEED).detect(scenes)

    def _step(self, scenes: Scenes, step: int) -> float:
        config = self.config
        warmup = min(1.0, (step + 1) / max(1, config.warmup_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_lr"] * warmup * (1 + math.cos(math.pi * step / self.total_steps)) / 2
        loss = self._loss(scenes)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), config.gradient_norm)
        if not norm.isfinite():
            raise TrainingError(f"gradients are not finite at step {step}; lower the learning rate")
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.update(self._network.state_dict(), step)
        return loss.item()

    def _loss(self, scenes: Scenes) -> Tensor:
        self._network.train()
        shape = (len(scenes), _TRAINING_PEOPLE, _TRAINING_PEOPLE + _TRAINING_OBJECTS)
        kept = torch.rand(shape, generator=self._random) < self.config.share_kept
        return pair_loss(self._network(self._detector.detect(scenes), scenes, is_kept=kept), share_kept=self.config.share_kept)

    def _evaluate(self) -> dict[str, float]:
        """Measure the averaged weights on the held-out images, in percent."""
        current = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self._ema.tensors)
        metrics: dict[str, float] = {}
        head = self._network.store_rows()
        for scenes, vocabulary in zip(self.held_out, map(load_vocabulary, VOCABULARIES), strict=False):
            for boxes, detections in (("exact", exact_detections(scenes)), ("detected", self.detections(scenes))):
                scores = score_pairs(head, detections, scenes)
                values = mean_precisions(average_precisions(scores, vocabulary), vocabulary)
                name = f"evaluation/{vocabulary.name} {boxes}"
                metrics |= {f"{name}/{key}": 100 * value for key, value in values.items() if not math.isnan(value)}
                metrics[f"{name}/log loss"] = log_loss(scores)
        self._network.load_state_dict(current)
        return metrics

    def _log(self, log: TrainingLog, step: int, metrics: Mapping[str, float]) -> None:
        log.write(step, metrics)
        self._report(step, self.total_steps, metrics)


def _build_optimizer(network: TrainablePairHead, config: PairTrainingConfig) -> torch.optim.AdamW:
    """Build AdamW. Weights of a category alone learn slower and decay faster, so that rare ones lean on their verb and object."""
    own = [network.own_rows]
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1 and parameter is not network.own_rows]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    rate = config.learning_rate
    groups = [
        {"params": matrices, "full_lr": rate, "weight_decay": config.weight_decay},
        {"params": vectors, "full_lr": rate, "weight_decay": 0.0},
        {"params": own, "full_lr": rate / 3, "weight_decay": 4 * config.weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
