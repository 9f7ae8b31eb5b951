"""Plans that torch-tensorrt compiles from an engine's weights, run by the TensorRT or TensorRT-RTX that it is installed with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.runtime.engine import Arrays
from edge_hoi.runtime.plan import MIN_DYNAMIC_BATCH
from edge_hoi.runtime.tensorrt_engine import TensorRtEngine, TensorRtRtxEngine
from edge_hoi.runtime.tensorrt_library import load_library

_NAME = "torch-tensorrt"


class TorchTensorRtEngine(TensorRtEngine):
    """An engine's weights compiled by torch-tensorrt and run by TensorRT."""

    backend = _NAME

    def _import(self) -> tuple[Any, str]:
        return load_library("tensorrt-rtx" if _is_rtx() else "tensorrt"), load_library(_NAME).__version__

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        batch = len(inputs["image"])
        if batch >= min(MIN_DYNAMIC_BATCH, self.max_batch):
            return super()._infer(inputs)
        outputs = super()._infer({name: np.repeat(array, MIN_DYNAMIC_BATCH, axis=0) for name, array in inputs.items()})
        return {name: array[:batch] for name, array in outputs.items()}


class _OnTensorRtRtx(TorchTensorRtEngine, TensorRtRtxEngine):
    """The same by TensorRT-RTX."""


def open_torch_tensorrt(*arguments: Any, **options: Any) -> TorchTensorRtEngine:  # noqa: ANN401
    """Open an engine with the installed variant of torch-tensorrt; see `TensorRtEngine`."""
    return (_OnTensorRtRtx if _is_rtx() else TorchTensorRtEngine)(*arguments, **options)


def _is_rtx() -> bool:
    """Return whether the installed torch-tensorrt is its variant for TensorRT-RTX."""
    return bool(load_library(_NAME).ENABLED_FEATURES.tensorrt_rtx)
