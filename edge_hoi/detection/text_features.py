"""CLIP text features of prompts, cached on disk, so that a vocabulary is encoded once and no text tower is needed at run time.

A file's name and metadata identify its features: the name and weights hash of the CLIP, and the prompts. A file that does not match is
not used.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.masking import get_logger
from edge_hoi.unfinished import writing_file

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

PROMPTS_PER_BATCH = 32
_LOGGER = get_logger(__name__)


class TextEncoder(Protocol):
    """CLIP's text tower."""

    def encode(self, prompts: Sequence[str]) -> Floats:
        """Encode N prompts to `(N, E)` float32 text features, of any length."""


def cached_text_features(
    prompts: Sequence[str],
    *,
    clip_model: str,
    clip_sha256: str,
    cache_folder: Path,
    encoder: TextEncoder | None,
    progress: Progress | None = None,
) -> dict[str, Floats]:
    """Read prompts' text features from the cache, or encode and cache them.

    A damaged file, or one of another CLIP, is logged as a warning and replaced. So is a cache that cannot be written.

    Args:
        prompts: The prompts.
        clip_model: Name of the CLIP.
        clip_sha256: Hash of its weights.
        cache_folder: Folder of the files; created if needed.
        encoder: The text tower of that CLIP; None where there is none.
        progress: Called after each batch with the number of encoded prompts and of all.

    Returns:
        The `(E,)` float32 text feature of each prompt.

    Raises:
        EngineError: They are not cached and there is no encoder, or its features are invalid.
    """
    if not prompts:
        return {}
    key = {"clip_model": clip_model, "clip_sha256": clip_sha256, "prompts": json.dumps(list(prompts))}
    path = cache_folder / f"text-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.safetensors"
    features, problem = _read(path, key, len(prompts))
    if problem:
        _LOGGER.warning("%s is not used: it %s", path, problem)
    if features is None:
        if encoder is None:
            raise EngineError(
                f"{path} {problem or 'does not exist'}, and there is no text tower to encode {len(prompts)} prompts such as "
                f"{prompts[0]!r}; use an engine built with its text tower, or copy the file from a machine that has it"
            )
        features = _encode(prompts, encoder, progress)
        _write(path, key, features)
    return dict(zip(prompts, features, strict=True))


def _encode(prompts: Sequence[str], encoder: TextEncoder, progress: Progress | None) -> Floats:
    batches = []
    for begin in range(0, len(prompts), PROMPTS_PER_BATCH):
        batches.append(np.asarray(encoder.encode(prompts[begin : begin + PROMPTS_PER_BATCH]), np.float32))
        if progress is not None:
            progress(min(begin + PROMPTS_PER_BATCH, len(prompts)), len(prompts))
    features = np.concatenate(batches)
    problem = _find_problem(features, len(prompts))
    if problem:
        raise EngineError(f"the text tower returned text features that {problem}; build the engine again")
    return features


def _find_problem(features: Floats, count: int) -> str | None:
    if features.ndim != 2 or len(features) != count or features.dtype != np.float32:
        return f"are {features.shape} {features.dtype}, not ({count}, E) float32"
    lengths = np.linalg.norm(features, axis=1)
    return None if np.isfinite(lengths).all() and (lengths > 0).all() else "are not finite or all zero"


def _read(path: Path, key: dict[str, str], count: int) -> tuple[Floats | None, str | None]:
    """Return the features of a file or its problem; neither for a file that does not exist."""
    if not path.exists():
        return None, None
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata, features = file.metadata() or {}, file.get_tensor("features")
    except (OSError, safetensors.SafetensorError) as error:
        return None, f"cannot be read ({error})"
    for name, expected in (key | {"sha256": _sha256(features)}).items():
        if metadata.get(name) != expected:
            return None, f"has another {name} than expected"
    problem = _find_problem(features, count)
    return (None, f"contains features that {problem}") if problem else (features, None)


def _write(path: Path, key: dict[str, str], features: Floats) -> None:
    """Write atomically, because other processes may write the same file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing_file(path, is_shared=True) as unfinished, unfinished.open("wb") as file:
            file.write(safetensors.numpy.save({"features": features}, key | {"sha256": _sha256(features)}))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _LOGGER.warning("text features are not cached: cannot write %s (%s)", path, error.strerror)


def _sha256(features: Floats) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()
