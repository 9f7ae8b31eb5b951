"""Run the CLIP text tower of an engine's folder, without torch."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError, VocabularyError
from edge_hoi.runtime import TextTower


class OnnxTextEncoder:
    """Encodes prompts with OpenVINO, in fp32 on every CPU, so that features do not depend on the machine.

    It opens the tower on first use: with cached features neither the tower nor the tokenizer's package is needed.
    """

    def __init__(self, folder: Path, tower: TextTower) -> None:
        """Store the engine's folder and its manifest's `text_tower`."""
        self._folder = folder
        self._tower = tower

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Encode N prompts to `(N, E)` float32 text features, not normalised.

        Raises:
            VocabularyError: A prompt is longer than CLIP's context.
            MissingDependencyError: The tokenizer's package is not installed.
            EngineError: A file of the tower cannot be opened.
        """
        tokenizer, request = self._opened
        length = self._tower.context_length
        tokens = np.zeros((len(prompts), length), np.int64)
        for row, prompt, encoding in zip(tokens, prompts, tokenizer.encode_batch(list(prompts)), strict=True):
            if len(encoding.ids) > length:
                raise VocabularyError(f"the prompt {prompt!r} has {len(encoding.ids)} tokens and CLIP reads {length}; shorten it")
            row[: len(encoding.ids)] = encoding.ids
        features: NDArray[np.float32] = request.infer({"tokens": tokens})["text_features"]
        return features

    @cached_property
    def _opened(self) -> tuple[Any, Any]:
        """Open the tokenizer and the tower."""
        try:
            import tokenizers
        except ImportError as error:
            raise MissingDependencyError.of_extra("encoding prompts", "tokenizers", "text") from error
        from edge_hoi.runtime.openvino_core import openvino_core

        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(self._folder / self._tower.tokenizer))
            compiled = openvino_core().compile_model(self._folder / self._tower.path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # both packages raise bare Exception or RuntimeError
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"cannot open the text tower in {self._folder} ({reason}); build it again with `edge-hoi build`") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer, compiled.create_infer_request()
