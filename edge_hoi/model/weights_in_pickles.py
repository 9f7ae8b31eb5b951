"""Find the weights in what training programs save with `torch.save`: wrappers, averages and other content around them."""

import argparse
import os
import pathlib
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_hoi.errors import CheckpointError
from edge_hoi.regular_file import open_regular

_KEYS = ("model", "state_dict", "model_state_dict", "module", "model_ema", "ema", "ema_state_dict")
"""Names of the weights in a file, in order of preference: those that were trained before averages of them."""

_MAX_DEPTH = 4
_WRAPPERS = re.compile(r"(?:module\.|_orig_mod\.|model\.)*")
"""Prefixes that DistributedDataParallel, torch.compile and Lightning put before names."""

_NOT_WEIGHTS = ".num_batches_tracked"
_SCALAR_TYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


class Weights(NamedTuple):
    """The weights of a file.

    Attributes:
        tensors: By name, without the wrappers' prefixes.
        taken: What was taken and what was not, one line; empty for a file that holds nothing else.
    """

    tensors: dict[str, Tensor]
    taken: str


def load_pickle(path: Path) -> Any:  # noqa: ANN401 -- whatever was saved
    """Read a `.pth` file: tensors, plain data, command lines, paths and numbers of NumPy. No code in it runs.

    Raises:
        CheckpointError: It is damaged, is compressed, or holds an object of another class, which the message names.
        OSError: It cannot be opened.
    """
    try:
        with open_regular(path) as file, torch.serialization.safe_globals(_plain_classes()):
            _refuse_compression(path, file)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)|[Uu]nsupported class (\S+)", str(error))
        what = f"an object of class {found[1] or found[2]}, which" if found else "something else, or objects that"
        raise CheckpointError(
            f"{path}: expected a file of tensors, got {what} could run code; use the checkpoint as published, or save only the weights: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        if "allocate" in str(error):  # which is no damage
            raise
        raise CheckpointError(f"checkpoint {path} is damaged, truncated or no checkpoint; copy it again") from error


def _refuse_compression(path: Path, file: BinaryIO) -> None:
    """Refuse an archive whose files would be larger than it is: `torch.save` compresses nothing.

    Raises:
        CheckpointError: It is one.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            needed = sum(member.file_size for member in archive.infolist())
        if needed > os.fstat(file.fileno()).st_size:
            raise CheckpointError(
                f"{path} would take {needed / 1e6:.0f} MB unpacked, more than the file: torch.save compresses nothing; copy it again"
            )
    file.seek(0)


def find_weights(content: Any, *, source: str) -> Weights:  # noqa: ANN401 -- whatever was saved
    """Find the weights in what `load_pickle` read.

    Raises:
        CheckpointError: There are no named tensors; the message names `source`.
    """
    path: list[str] = []
    others: list[str] = []
    while isinstance(content, Mapping) and len(path) < _MAX_DEPTH:
        keys = [key for key in _KEYS if isinstance(content.get(key), Mapping) and content[key]]
        if not keys:
            break
        path.append(keys[0])
        others += [".".join([*path[:-1], key]) for key in keys[1:]]
        content = content[keys[0]]
    named = content if isinstance(content, Mapping) else {}
    tensors = {name: value.detach() for name, value in named.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{source}: expected named tensors, got a {type(content).__name__}; use the checkpoint as published")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided:
            raise CheckpointError(f"{source}: expected '{name}' as a dense tensor, got {tensor.layout}; convert it with `to_dense()`")
        if tensor.is_meta or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{source}: '{name}' {tuple(tensor.shape)} has more numbers than the file; copy it again")
    prefix, count = Counter(_prefix(name) for name in tensors).most_common(1)[0]
    if count <= len(tensors) / 2:
        prefix = ""
    wrapped = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    weights = {name: tensor for name, tensor in wrapped.items() if not name.endswith(_NOT_WEIGHTS)}
    facts = {
        "under '{}'": ".".join(path) if path not in ([], ["model"]) else "",
        "prefix '{}' removed": prefix,
        "not '{}'": "', '".join(others),
        "without {} tensors outside of the prefix": len(tensors) - len(wrapped),
        "without {} counters of batches": len(wrapped) - len(weights),
        "without {} entries that are no tensors": len(named) - len(tensors),
    }
    return Weights(weights, ", ".join(text.format(value) for text, value in facts.items() if value))


def _prefix(name: str) -> str:
    match = _WRAPPERS.match(name)
    return match[0] if match else ""


def _plain_classes() -> list[Any]:
    """List the classes that hold plain data only, under the names that they have had."""
    make_scalar = np.float64(0).__reduce__()[0]  # of its type and bytes
    return [
        argparse.Namespace,
        np.dtype,
        *(type(np.dtype(name)) for name in _SCALAR_TYPES),
        *((make_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *(
            (kind, f"{module}.{name}")
            for module in ("pathlib", "pathlib._local")  # Python 3.13 has the latter
            for kind, names in (
                (pathlib.PurePosixPath, ("PosixPath", "PurePosixPath")),
                (pathlib.PureWindowsPath, ("WindowsPath", "PureWindowsPath")),
            )
            for name in names
        ),
    ]
