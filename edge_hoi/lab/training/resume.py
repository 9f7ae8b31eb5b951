"""The state of a training run on disk: a resumed run continues exactly as an uninterrupted one.

One safetensors file, replaced atomically: tensors of the network, of AdamW and of the moving average of the weights, and numbers as JSON,
without code. What training does not change, such as HOICLIP's CLIP, is not in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from edge_hoi.errors import CheckpointError, TrainingError
from edge_hoi.lab.training.config import RunConfig
from edge_hoi.lab.training.ema import WeightEma
from edge_hoi.lab.training.network import TrainableNetwork
from edge_hoi.model.checkpoint_files import read_safetensors
from edge_hoi.unfinished import writing_file

FORMAT = "edge-hoi training state 2"
_FREE_TO_CHANGE = {"workers", "log_every_steps", "save_every_steps", "evaluate_every_epochs"}


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        step: Steps done.
        best: The best main metric of an evaluation so far, in percent; None before the first.
    """

    step: int = 0
    best: float | None = None


@dataclass(frozen=True)
class TrainingState:
    """All that training changes.

    Attributes:
        network: The network.
        optimizer: AdamW.
        scaler: Of fp16 gradients; disabled otherwise.
        ema: Moving average of the weights, if wanted.
        progress: Progress of the run.
    """

    network: TrainableNetwork
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler(enabled=False))
    ema: WeightEma | None = None
    progress: Progress = field(default_factory=Progress)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by name: `network.`, `ema.` or `optimizer.`, then the name within it; not copies."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.trainable_state().items()}
        if self.ema is not None:
            tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.tensors.items()}
        for name, parameter in self.network.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{name}/{key}": moments[key] for key in sorted(moments)}
        return tensors


def save_state(state: TrainingState, path: Path, *, config: RunConfig, num_images: int) -> None:
    """Write a run's state atomically."""
    numbers = {
        "progress": vars(state.progress),
        "scaler": state.scaler.state_dict(),
        "config": config.model_dump(mode="json"),
        "images": num_images,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    with writing_file(path) as unfinished:
        safetensors.torch.save_file(tensors, unfinished, {"format": FORMAT, "numbers": json.dumps(numbers)})


def load_state(state: TrainingState, path: Path, *, config: RunConfig, num_images: int) -> None:
    """Restore a run's state.

    Args:
        state: Of a run that was just set up as the first time; changed in place.
        path: File of `save_state`.
        config: Settings of this run; must be equal but for those without effect on the weights.
        num_images: Size of the training set; must be equal.

    Raises:
        TrainingError: The file is missing or of another run.
        CheckpointError: The file is damaged.
    """
    if not path.is_file():
        raise TrainingError(f"nothing to resume: {path} does not exist; start without resuming")
    metadata, tensors = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise TrainingError(f"{path}: expected '{FORMAT}', got '{metadata.get('format')}'; resume with the edge-hoi that wrote it")
    try:
        numbers = json.loads(metadata["numbers"])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its numbers are missing or damaged; start a new run from the model that it has saved") from error
    _refuse_changes(numbers, {"config": config.model_dump(mode="json"), "images": num_images}, path)
    _restore(state, tensors, path)
    state.scaler.load_state_dict(numbers["scaler"])
    state.progress.step, state.progress.best = numbers["progress"]["step"], numbers["progress"]["best"]


def _refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    if before["images"] != now["images"]:
        raise TrainingError(f"{path} is of a run on {before['images']} images, this is one on {now['images']}; start a new run")
    for name, value in now["config"].items():
        if name not in _FREE_TO_CHANGE and before["config"].get(name) != value:
            raise TrainingError(
                f"{path} is of a run with {name} {before['config'].get(name)}, this is one with {value}; resume with the same, "
                "or start a new run from the model that it has saved"
            )


def _restore(state: TrainingState, tensors: Mapping[str, Tensor], path: Path) -> None:
    parameters = dict(state.network.named_parameters())
    for name in tensors:
        owner, _, key = name.removeprefix("optimizer.").rpartition("/")
        if name.startswith("optimizer.") and owner in parameters:
            # AdamW counts steps on the CPU and keeps moments beside their parameters.
            device = "cpu" if key == "step" else parameters[owner].device
            state.optimizer.state[parameters[owner]][key] = tensors[name].to(device)
    found = state.tensors()
    if found.keys() != tensors.keys() or any(found[name].shape != tensor.shape for name, tensor in tensors.items()):
        raise TrainingError(f"{path} is of a run with another network; resume with the model that the run was started from")
    with torch.no_grad():
        for name, tensor in tensors.items():
            found[name].copy_(tensor)
