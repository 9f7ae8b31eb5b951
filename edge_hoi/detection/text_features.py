"""CLIP text features of prompts, kept on disk by content, so that a vocabulary is encoded once and no text tower is needed at run time.

A file's name and metadata hold what its features are of: the CLIP by name and weights hash, and the prompts. What does not match is
never used.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from edge_hoi.errors import EngineError

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

_BATCH = 32
_LOGGER = logging.getLogger(__name__)


class TextEncoder(Protocol):
    """CLIP's text tower."""

    def encode(self, prompts: Sequence[str]) -> Floats:
        """Encode prompts.

        Args:
            prompts: N texts.

        Returns:
            `(N, E)` float32 text features, of any length.
        """


def cached_text_features(
    prompts: Sequence[str],
    *,
    clip_model: str,
    clip_sha256: str,
    cache_folder: Path,
    encoder: TextEncoder | None,
    progress: Progress | None = None,
) -> dict[str, Floats]:
    """Look prompts' text features up in the cache, or encode and cache them.

    A damaged or foreign file is named in a warning and made again. A cache that cannot be written to is a warning as well.

    Args:
        prompts: Texts.
        clip_model: Name of the CLIP that the features must come from.
        clip_sha256: Hash of its weights.
        cache_folder: Where the files are; made if need be.
        encoder: That CLIP's text tower; None where there is none.
        progress: Told how many prompts are done, and of how many, after each batch.

    Returns:
        The `(E,)` float32 text feature of each prompt.

    Raises:
        EngineError: They are not cached and there is no encoder, or it gives numbers that are not usable.
    """
    if not prompts:
        return {}
    key = {"clip_model": clip_model, "clip_sha256": clip_sha256, "prompts": json.dumps(list(prompts))}
    path = cache_folder / f"text-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.safetensors"
    features, refusal = _read(path, key, len(prompts))
    if refusal:
        _LOGGER.warning("%s is not used: it %s", path, refusal)
    if features is None:
        if encoder is None:
            raise EngineError(
                f"{path} {refusal or 'does not exist'}, and there is no text tower to encode {len(prompts)} prompts such as "
                f"{prompts[0]!r}; use an engine built with its text tower, or copy the file from where it was made"
            )
        features = _encode(prompts, encoder, progress)
        _write(path, key, features)
    return dict(zip(prompts, features, strict=True))


def _encode(prompts: Sequence[str], encoder: TextEncoder, progress: Progress | None) -> Floats:
    batches = []
    for begin in range(0, len(prompts), _BATCH):
        batches.append(np.asarray(encoder.encode(prompts[begin : begin + _BATCH]), np.float32))
        if progress is not None:
            progress(min(begin + _BATCH, len(prompts)), len(prompts))
    features = np.concatenate(batches)
    fault = _fault(features, len(prompts))
    if fault:
        raise EngineError(f"the text tower gave text features that {fault}; build the engine again")
    return features


def _fault(features: Floats, count: int) -> str | None:
    if features.ndim != 2 or len(features) != count or features.dtype != np.float32:
        return f"are {features.shape} {features.dtype}, not ({count}, E) float32"
    lengths = np.linalg.norm(features, axis=1)
    return None if np.isfinite(lengths).all() and (lengths > 0).all() else "are not finite or all zero"


def _read(path: Path, key: dict[str, str], count: int) -> tuple[Floats | None, str | None]:
    """Read a file, or say why not; nothing is to be said of one that does not exist."""
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
    fault = _fault(features, count)
    return (None, f"holds features that {fault}") if fault else (features, None)


def _write(path: Path, key: dict[str, str], features: Floats) -> None:
    """Write whole or not at all, also beside another process that does the same."""
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".partial", delete=False) as file:
            partial = Path(file.name)
            file.write(safetensors.numpy.save({"features": features}, key | {"sha256": _sha256(features)}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        _LOGGER.warning("text features are not kept for the next start: cannot write %s (%s)", path, error.strerror)
        if partial is not None:
            partial.unlink(missing_ok=True)


def _sha256(features: Floats) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()
