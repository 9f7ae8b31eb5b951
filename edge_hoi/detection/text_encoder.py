"""The CLIP text tower that an engine's folder carries, run without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError, VocabularyError
from edge_hoi.runtime import TextTower


class OnnxTextEncoder:
    """Encodes prompts with OpenVINO, in fp32 on every CPU, so that features do not depend on the machine that made them."""

    def __init__(self, folder: Path, tower: TextTower) -> None:
        """Open the tower.

        Args:
            folder: The engine's folder.
            tower: Its manifest's `text_tower`.

        Raises:
            MissingDependencyError: The tokenizer's package is not installed.
            EngineError: A file cannot be opened.
        """
        try:
            import tokenizers
        except ImportError as error:
            raise MissingDependencyError("encoding prompts needs the package tokenizers; pip install 'edge-hoi[text]'") from error
        import openvino

        self._context_length = tower.context_length
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / tower.tokenizer))
            compiled = openvino.Core().compile_model(folder / tower.path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # both packages raise bare Exception or RuntimeError
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"cannot open the text tower in {folder} ({reason}); build the engine again with `edge-hoi build`") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._request: Any = compiled.create_infer_request()

    def encode(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Encode prompts.

        Args:
            prompts: N texts.

        Returns:
            `(N, E)` float32 text features, as the tower gives them.

        Raises:
            VocabularyError: A prompt is longer than CLIP can read.
        """
        tokens = np.zeros((len(prompts), self._context_length), np.int64)
        for row, (prompt, encoding) in enumerate(zip(prompts, self._tokenizer.encode_batch(list(prompts)), strict=True)):
            if len(encoding.ids) > self._context_length:
                raise VocabularyError(
                    f"the prompt {prompt!r} has {len(encoding.ids)} tokens and CLIP reads {self._context_length}; shorten it"
                )
            tokens[row, : len(encoding.ids)] = encoding.ids
        features: NDArray[np.float32] = self._request.infer({"tokens": tokens})["text_features"]
        return features
