"""Read weights from untrusted files without running code from them."""

from collections.abc import Collection, Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from edge_hoi.errors import CheckpointError
from edge_hoi.model.weights_in_pickles import Weights, find_weights, load_pickle
from edge_hoi.regular_file import open_regular


class TensorMismatchError(CheckpointError):
    """A checkpoint has `missing` or `unknown` tensors, listed by name."""

    def __init__(self, message: str, *, missing: tuple[str, ...], unknown: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missing = missing
        self.unknown = unknown


_MARKER_TENSORS = {
    "transformer.instance_decoder.norm.weight": "a GEN-VLKT detector",
    "class_embed.weight": "a DETR detector",
    "obj_class_embed.weight": "a HOI detector of the DETR family",
    "visual.class_embedding": "a CLIP model",
    "fc.weight": "an image classifier",
}
"""Tensors that identify models other than HOICLIP."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file is in safetensors format, as the project's own are, by its first bytes.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror}; check the path") from error


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read metadata and tensors of a safetensors file.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"checkpoint {path} is damaged or truncated ({error}); copy it again") from error


def read_published(path: Path) -> Weights:
    """Read the weights of a `.pth` file, as published or as training programs save it.

    Raises:
        CheckpointError: It is damaged, holds Python objects that could run code, or holds no named tensors.
    """
    return find_weights(load_pickle(path), source=str(path))


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, source: str) -> None:
    """Compare names, shapes and types of tensors, and check that every number is finite; `source` is their file, for messages.

    Raises:
        TensorMismatchError: A tensor is missing or unknown.
        CheckpointError: A tensor has another shape, is not of real numbers, or has a number that is not finite.
    """
    missing, unknown = (tuple(name for name in names if name not in others) for names, others in ((expected, found), (found, expected)))
    if missing or unknown:
        count = f"{len(missing)} of {len(expected)} tensors are missing{_first(missing)}, {len(unknown)} are unknown{_first(unknown)}"
        message = f"{source}: expected a HOICLIP checkpoint, got {_kind(found, expected)}: {count}; use it as it was published"
        raise TensorMismatchError(message, missing=missing, unknown=unknown)
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)}, got {tuple(found[name].shape)}"
            raise CheckpointError(
                f"{source}: expected '{name}' of shape {shapes}; it is a HOICLIP of another configuration: name its variant"
            )
        check_numbers(name, found[name], source)


def check_numbers(name: str, tensor: Tensor, source: str) -> None:
    """Check that a tensor has finite floating-point numbers only; `source` is its file, for messages.

    Raises:
        CheckpointError: It does not.
    """
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"{source}: expected '{name}' as floating-point numbers, got {tensor.dtype}; use weights that are not quantised"
        )
    if not tensor.is_meta and (count := int((~torch.isfinite(tensor.float())).sum())):
        raise CheckpointError(
            f"{source}: '{name}' has {count} numbers that are not finite (NaN or infinite), of {tensor.numel()}: the training diverged, or "
            "the file is damaged; use an earlier checkpoint"
        )


def _first(names: Collection[str]) -> str:
    return f" (first: '{next(iter(names))}')" if names else ""


def _kind(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    if len(expected.keys() & found.keys()) > len(expected) / 2 and "transformer.clip_interaction_decoder.norm.weight" in found:
        return "a modified one"
    return next((kind for name, kind in _MARKER_TENSORS.items() if name in found), "something else")
