"""torch-tensorrt: the exported program compiled by TensorRT and run within PyTorch, for those who stay there."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.runtime.engine import OUTPUT_NAMES, Arrays
from edge_hoi.runtime.tensorrt_engine import TensorRtEngine

DEVICE = "cuda"
MIN_DYNAMIC_BATCH = 2
"""PyTorch takes a dimension of 1 for a fixed one, whatever is asked of it, and torch-tensorrt 2.14 compiles from 2 on."""


class TorchTensorRtEngine(TensorRtEngine):
    """An exported program compiled by torch-tensorrt, which takes its memory from PyTorch."""

    backend = "torch-tensorrt"

    def _deserialise(self, plan: bytes) -> Any:  # noqa: ANN401
        import torch

        try:
            return torch.export.load(io.BytesIO(plan)).module()
        except Exception as error:  # of archives, of pickles, or TensorRT's own
            self._hear("ERROR", str(error) or type(error).__name__)
            return None

    def _make_ready(self, kept: Path | None) -> None:
        """Take nothing: each run has PyTorch give and take back what it needs."""

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        import torch

        batch = len(inputs["image"])
        copies = MIN_DYNAMIC_BATCH if batch < min(MIN_DYNAMIC_BATCH, self.max_batch) else 1
        with torch.inference_mode():
            results = self._engine(*(torch.tensor(inputs[name], device=DEVICE).repeat(copies, 1, 1, 1) for name in self.inputs))
            return {name: np.array(tensor[:batch].cpu().numpy(), order="C") for name, tensor in zip(OUTPUT_NAMES, results, strict=True)}
