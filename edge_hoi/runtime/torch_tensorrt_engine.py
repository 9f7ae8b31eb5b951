"""torch-tensorrt: the exported program compiled by TensorRT and run within PyTorch."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.runtime.engine import Arrays
from edge_hoi.runtime.manifest_sections import OUTPUT_NAMES
from edge_hoi.runtime.tensorrt_engine import TensorRtEngine

DEVICE = "cuda"
MIN_DYNAMIC_BATCH = 2
"""PyTorch always treats a dimension of 1 as fixed, so torch-tensorrt 2.14 compiles dynamic batches from 2 on."""


class TorchTensorRtEngine(TensorRtEngine):
    """An exported program compiled by torch-tensorrt; PyTorch allocates its memory in each run."""

    backend = "torch-tensorrt"

    def _deserialise(self, plan: bytes) -> Any:  # noqa: ANN401
        import torch

        try:
            return torch.export.load(io.BytesIO(plan)).module()
        except Exception as error:  # from archives, pickles or TensorRT
            self._on_message("ERROR", str(error) or type(error).__name__)
            return None

    def _allocate(self, plan_cache: Path | None) -> None:
        pass

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        import torch

        batch = len(inputs["image"])
        copies = MIN_DYNAMIC_BATCH if batch < min(MIN_DYNAMIC_BATCH, self.max_batch) else 1
        with torch.inference_mode():
            results = self._engine(*(torch.tensor(inputs[name], device=DEVICE).repeat(copies, 1, 1, 1) for name in self.inputs))
            return {name: np.array(tensor[:batch].cpu().numpy(), order="C") for name, tensor in zip(OUTPUT_NAMES, results, strict=True)}
