"""The state of a training run on disk: from it, a run goes on as if it had never been interrupted.

One safetensors file, replaced as a whole: tensors of the network, of AdamW and of the mean of the weights, and numbers as JSON. It holds no
code. What does not change is not in it, such as the CLIP of a network that is trained with one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from edge_hoi.errors import TrainingError
from edge_hoi.lab.training.config import RunConfig
from edge_hoi.lab.training.ema import WeightEma
from edge_hoi.lab.training.network import TrainableNetwork
from edge_hoi.model.checkpoint_files import read_safetensors

FORMAT = "edge-hoi training state 1"
_FREE_TO_CHANGE = {"workers", "log_every_steps", "save_every_steps", "evaluate_every_epochs"}


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: Steps done.
        best: The best figure of an evaluation so far, in percent; None before the first.
    """

    step: int = 0
    best: float | None = None


@dataclass(frozen=True)
class TrainingState:
    """All that changes while training.

    Attributes:
        network: What is trained.
        optimizer: AdamW.
        scaler: Of fp16 gradients; disabled otherwise.
        mean: Of the weights, if wanted.
        progress: How far the run is.
    """

    network: TrainableNetwork
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    mean: WeightEma | None
    progress: Progress

    def tensors(self) -> dict[str, Tensor]:
        """Give every tensor by name: `network.`, `mean.` or `optimizer.`, then the name within it; not copies."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.trainable_state().items()}
        if self.mean is not None:
            tensors |= {f"mean.{name}": tensor for name, tensor in self.mean.tensors.items()}
        for name, parameter in self.network.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{name}/{key}": moments[key] for key in sorted(moments)}
        return tensors


def save_state(state: TrainingState, path: Path, *, config: RunConfig, pictures: int) -> None:
    """Write a run's state; a reader sees the whole file or the one before.

    Args:
        state: What to keep.
        path: Where to.
        config: What the run was told.
        pictures: How many there are to train on.
    """
    numbers = {
        "progress": vars(state.progress),
        "scaler": state.scaler.state_dict(),
        "config": config.model_dump(mode="json"),
        "pictures": pictures,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    unfinished = path.with_name(path.name + ".unfinished")
    safetensors.torch.save_file(tensors, unfinished, {"format": FORMAT, "numbers": json.dumps(numbers)})
    unfinished.replace(path)


def load_state(state: TrainingState, path: Path, *, config: RunConfig, pictures: int) -> None:
    """Put a run back to where it was.

    Args:
        state: Of a run that has just been set up as the first time; changed in place.
        path: What `save_state` wrote.
        config: What this run is told; it must be the same but for what changes no weights.
        pictures: How many there are to train on.

    Raises:
        TrainingError: It is of another run.
        CheckpointError: It is damaged.
    """
    if not path.is_file():
        raise TrainingError(f"nothing to resume: {path} does not exist; start without resuming")
    metadata, tensors = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise TrainingError(f"{path}: expected '{FORMAT}', got '{metadata.get('format')}'; resume with the edge-hoi that wrote it")
    numbers = json.loads(metadata["numbers"])
    _refuse_changes(numbers, {"config": config.model_dump(mode="json"), "pictures": pictures}, path)
    _restore(state, tensors, path)
    state.scaler.load_state_dict(numbers["scaler"])
    state.progress.step, state.progress.best = numbers["progress"]["step"], numbers["progress"]["best"]


def _refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    if before["pictures"] != now["pictures"]:
        raise TrainingError(f"{path} is of a run on {before['pictures']} pictures, this is one on {now['pictures']}; start a new run")
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
        raise TrainingError(f"{path} is of a run on another network; resume with the model that the run was started from")
    with torch.no_grad():
        for name, tensor in tensors.items():
            found[name].copy_(tensor)
