"""OpenVINO: the default on CPUs, with one thread per physical core."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.runtime.engine import Arrays, CheckedEngine, Device, PrecisionHint
from edge_hoi.runtime.int8_saturation import engine_saturates, remove_activation_quantisers
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.memory_limit import memory_limit, physical_memory
from edge_hoi.runtime.network_file import input_shapes, network_file, read_network, reason_of
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.plan import MODEL_FILE

_PRODUCTS = ("Convolution", "FullyConnected", "MatMul")


class OpenVinoEngine(CheckedEngine):
    """An ONNX engine run by OpenVINO on the CPU; `precision` reports what it runs in.

    Without bf16 arithmetic a CPU runs f32. Where INT8 accumulators saturate, an INT8 engine runs in fp32. `cache_folder` saves 1.5 of 4 s
    when the published network is opened again, for a file as large as the model per input size.
    """

    backend = "openvino"

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        device: Device = "auto",
        precision_hint: PrecisionHint | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Read the model, fix its input size and compile it; see `open_engine`.

        Raises:
            EngineError: The device is not a CPU, the model is refused, or OpenVINO cannot read or compile it.
            ManifestError: The model is missing or differs from the manifest.
        """
        if device == "cuda":
            raise EngineError("OpenVINO runs on the CPU, got device 'cuda'; use device 'cpu', or backend 'onnxruntime' or 'torch'")
        super().__init__(manifest, input_size=input_size, max_batch=max_batch)
        path = folder / MODEL_FILE
        with network_file(folder, manifest) as copy:
            model = read_network(copy, path, input_shapes(self.inputs, max_batch), self.input_size)
        hint = precision_hint or ("bf16" if manifest.precision == "bf16" else "f32")
        # Explicit, because on a CPU with bf16 OpenVINO would use it by default.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if cache_folder is not None:
            # One folder per model, because OpenVINO's own key is a short hash.
            config["CACHE_DIR"] = str(cache_folder / manifest.files[MODEL_FILE])
        try:
            with memory_limit(physical_memory() // 2):
                if engine_saturates(manifest):
                    remove_activation_quantisers(model)
                compiled = openvino_core().compile_model(model, "CPU", config)
        except (RuntimeError, MemoryError) as error:
            raise EngineError(
                f"OpenVINO cannot open {path} at {self.input_size}: {reason_of(error)}; build it again with `edge-hoi build`"
            ) from error
        self.precision = _precision(compiled)
        self.flags = {"device": "CPU", "threads": str(compiled.get_property("INFERENCE_NUM_THREADS")), "hint": "latency"}
        self._request: Any = compiled.create_infer_request()

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        try:
            results = self._request.infer(dict(inputs), share_inputs=True)  # outputs are copies unless `share_outputs` is set
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"OpenVINO cannot run engine {self.manifest.name!r}: {reason_of(error)}") from error
        # All names: where an fp16 network ends in a cast, the result has the cast's names as well.
        return {name: array for output, array in results.items() for name in output.names}

    def _release(self) -> None:
        self._request = None


def layer_precisions(compiled: Any) -> Counter[tuple[str, str]]:  # noqa: ANN401 -- OpenVINO has no type hints for it
    """Count the layers of a compiled model by kind, such as `Convolution`, and executed element type, such as `f32`, `i8` or `u8`."""
    notes = (layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops())
    return Counter((note["layerType"].astype(str), note["runtimePrecision"].astype(str)) for note in notes)


def _precision(compiled: Any) -> str:  # noqa: ANN401
    if any(kind in _PRODUCTS and element in ("i8", "u8") for kind, element in layer_precisions(compiled)):
        return "int8"
    return "bf16" if compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16 else "fp32"
