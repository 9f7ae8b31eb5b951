"""Run the CLIP text tower of an engine's folder, without torch."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.clip_tokenizer import MAX_BYTES, read_tokenizer
from edge_hoi.detection.text_features import PROMPTS_PER_BATCH
from edge_hoi.errors import EngineError, MissingDependencyError, VocabularyError
from edge_hoi.memory_limit import memory_limit, physical_memory
from edge_hoi.runtime import Manifest
from edge_hoi.runtime.verified_file import verified_file


class OnnxTextEncoder:
    """Encodes prompts with OpenVINO, in fp32 on every CPU, so that features do not depend on the machine.

    It opens the tower on first use: with cached features neither the tower nor the tokenizer's package is needed.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Store the engine's folder and its manifest, which has a `text_tower`."""
        assert manifest.text_tower is not None
        self._folder = folder
        self._manifest = manifest
        self._tower = manifest.text_tower

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Encode N prompts, up to `PROMPTS_PER_BATCH`, to `(N, E)` float32 text features, not normalised.

        Raises:
            VocabularyError: A prompt is longer than CLIP's context.
            MissingDependencyError: The tokenizer's package is not installed.
            EngineError: A file of the tower is refused or cannot be opened.
        """
        tokenizer, request = self._opened
        length = self._tower.context_length
        tokens = np.zeros((len(prompts), length), np.int64)
        for row, prompt, encoding in zip(tokens, prompts, tokenizer.encode_batch(list(prompts)), strict=True):
            if len(encoding.ids) > length:
                raise VocabularyError(f"the prompt {prompt!r} has {len(encoding.ids)} tokens and CLIP reads {length}; shorten it")
            row[: len(encoding.ids)] = encoding.ids
        from edge_hoi.runtime.network_file import reason_of

        try:
            features: NDArray[np.float32] = request.infer({"tokens": tokens})["text_features"]
        except (RuntimeError, MemoryError, KeyError, UnicodeDecodeError) as error:
            raise EngineError(f"cannot run {self._folder / self._tower.path} ({reason_of(error)}); build the engine again") from error
        return features

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        """Open the tokenizer and the tower."""
        try:
            import tokenizers  # noqa: F401 -- only whether it is installed
        except ImportError as error:
            raise MissingDependencyError.of_extra("encoding prompts", "tokenizers", "text") from error
        from edge_hoi.runtime.network_file import network_file, read_network, reason_of
        from edge_hoi.runtime.openvino_core import openvino_core

        folder, tower = self._folder, self._tower
        with verified_file(folder, self._manifest, tower.tokenizer, max_bytes=MAX_BYTES) as copy:
            tokenizer = read_tokenizer(copy, folder / tower.tokenizer)
        with network_file(folder, self._manifest, tower.path) as copy:
            model = read_network(copy, folder / tower.path, {"tokens": [tower.context_length]}, PROMPTS_PER_BATCH)
        try:
            with memory_limit(physical_memory() // 2):
                compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
            raise EngineError(
                f"OpenVINO cannot open {folder / tower.path} ({reason_of(error)}); build the engine again with `edge-hoi build`"
            ) from error
        return tokenizer, compiled.create_infer_request()
