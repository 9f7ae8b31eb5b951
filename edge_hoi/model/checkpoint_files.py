"""Reading weights from files without trusting them: nothing here can run code that a file holds."""

import argparse
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from edge_hoi.errors import CheckpointError


class TensorMismatchError(CheckpointError):
    """A checkpoint lacks tensors, or has some that are not known.

    Attributes:
        missing: Names of those that it lacks.
        unknown: Names of those that are not known.
    """

    def __init__(self, message: str, *, missing: tuple[str, ...], unknown: tuple[str, ...]) -> None:
        """Say what happened.

        Args:
            message: The line for a person.
            missing: Names of what is missing.
            unknown: Names of what is not known.
        """
        super().__init__(message)
        self.missing = missing
        self.unknown = unknown


_TELLTALES = {
    "transformer.instance_decoder.norm.weight": "a GEN-VLKT detector",
    "class_embed.weight": "a DETR detector",
    "obj_class_embed.weight": "a HOI detector of the DETR family",
    "visual.class_embedding": "a CLIP model",
    "fc.weight": "an image classifier",
}
"""Tensors that give away what a file is, where it is not HOICLIP."""


def is_safetensors(path: Path) -> bool:
    """Tell the project's own files from the published ones by their first bytes.

    Args:
        path: Any file.

    Raises:
        CheckpointError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}; check the path") from error


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read metadata and tensors of a safetensors file.

    Args:
        path: The file.

    Raises:
        CheckpointError: If it is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"checkpoint {path} is damaged or cut short ({error}); copy it again") from error


def read_published(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a published `.pth` file.

    Args:
        path: The file.

    Raises:
        CheckpointError: If it is damaged, holds Python objects that could run code, or holds no named tensors.
    """
    try:
        # The published files keep their training's command line beside the weights: a Namespace, which is plain data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: expected a file of tensors, got something else, or objects that could run code; use the checkpoint as published"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged, cut short or no checkpoint at all; copy it again") from error
    tensors = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in tensors.items()):
        raise CheckpointError(f"{path}: expected named tensors, got a {type(content).__name__}; use the checkpoint as published")
    # Distributed training saves a network inside of its wrapper.
    is_wrapped = bool(tensors) and all(name.startswith("module.") for name in tensors)
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()} if is_wrapped else tensors


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, source: str) -> None:
    """Compare names and shapes.

    Args:
        found: What a file holds.
        expected: What it should hold; only the shapes matter.
        source: The file's name, for messages.

    Raises:
        TensorMismatchError: If a tensor is missing or unknown.
        CheckpointError: If one is of another shape.
    """
    missing, unknown = (tuple(name for name in names if name not in others) for names, others in ((expected, found), (found, expected)))
    if missing or unknown:
        count = f"{len(missing)} of {len(expected)} tensors are missing{_first(missing)}, {len(unknown)} are unknown{_first(unknown)}"
        message = f"{source}: expected a HOICLIP checkpoint, got {_kind(found, expected)}: {count}; use it as it was published"
        raise TensorMismatchError(message, missing=missing, unknown=unknown)
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)}, got {tuple(found[name].shape)}"
            raise CheckpointError(f"{source}: expected '{name}' of shape {shapes}; it is of a HOICLIP of other measures: name its variant")


def _first(names: Collection[str]) -> str:
    return f" (first: '{next(iter(names))}')" if names else ""


def _kind(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    if len(expected.keys() & found.keys()) > len(expected) / 2 and "transformer.clip_interaction_decoder.norm.weight" in found:
        return "one that was changed"
    return next((kind for name, kind in _TELLTALES.items() if name in found), "something else")
