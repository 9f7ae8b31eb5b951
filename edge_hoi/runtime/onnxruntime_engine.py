"""ONNX Runtime: the fallback and the numeric reference; on CUDA where `onnxruntime-gpu` is installed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError
from edge_hoi.memory_limit import memory_limit, physical_memory
from edge_hoi.runtime.engine import Arrays, CheckedEngine, Device, PrecisionHint
from edge_hoi.runtime.int8_saturation import engine_saturates
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.network_file import input_shapes, network_file, read_network, reason_of
from edge_hoi.runtime.plan import MODEL_FILE

_ERRORS_ONLY = 3
_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


class OnnxRuntimeEngine(CheckedEngine):
    """An ONNX engine run by ONNX Runtime, in fp32 arithmetic; device `auto` uses CUDA if available."""

    backend = "onnxruntime"

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        device: Device = "auto",
        precision_hint: PrecisionHint | None = None,
        cache_folder: Path | None = None,  # noqa: ARG002 -- it caches nothing
    ) -> None:
        """Read the model and fix its input size; see `open_engine`.

        Raises:
            EngineError: CUDA was requested and is missing, `precision_hint` is `bf16`, or the model is refused or cannot be read.
            ManifestError: The model is missing or differs from the manifest.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError.of_extra("backend 'onnxruntime'", "ONNX Runtime", "onnxruntime") from error
        if precision_hint == "bf16":
            raise EngineError("ONNX Runtime runs this engine in f32 only, got precision_hint 'bf16'; omit it or use backend 'openvino'")
        super().__init__(manifest, input_size=input_size, max_batch=max_batch)
        path = folder / MODEL_FILE
        providers = _providers(device, onnxruntime.get_available_providers())
        is_simulated = providers == [_CPU] and engine_saturates(manifest)
        options = session_options(with_int8=not is_simulated)
        height, width = self.input_size
        for name, size in {"height": height, "width": width, **({"batch": 1} if max_batch == 1 else {})}.items():
            options.add_free_dimension_override_by_name(name, size)
        try:
            with network_file(folder, manifest) as copy:
                read_network(copy, path, input_shapes(self.inputs, max_batch), self.input_size)  # ONNX Runtime does not tell sizes
                with memory_limit(physical_memory() // 2):
                    session = onnxruntime.InferenceSession(copy, options, providers=providers)
        except EngineError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no other common base
            reason = str(error).strip().splitlines()[0]
            fix = "use backend 'openvino'" if manifest.precision == "bf16" else "build it again with `edge-hoi build`"
            raise EngineError(f"ONNX Runtime cannot open {path}: {reason}; {fix}") from error
        if device == "cuda" and _CUDA not in session.get_providers():
            raise EngineError("ONNX Runtime finds no CUDA device; use device 'cpu', or check the driver with nvidia-smi")
        if manifest.precision == "bf16" or is_simulated:
            self.precision = "fp32"
        threads = session.get_session_options().intra_op_num_threads
        self.flags = {"provider": session.get_providers()[0], "threads": str(threads) if threads else "automatic"}
        self._session: Any = session

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot run engine {self.manifest.name!r}: {reason_of(error)}") from error

    def _release(self) -> None:
        self._session = None


def session_options(*, with_int8: bool) -> Any:  # noqa: ANN401 -- ONNX Runtime has no type hints
    """Create session options that log errors only.

    Args:
        with_int8: Whether a Q/DQ network runs in INT8. If not, it is rounded as in INT8 and multiplied in float, which is slow and correct
            on every CPU; see `engine_saturates`. (`session.x64quantprecision` is meant for that, and fails where layers share weights.)
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")  # its own format is not checked
    if not with_int8:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _providers(device: Device, available: list[str]) -> list[Any]:
    if device == "cuda" and _CUDA not in available:
        raise EngineError("this ONNX Runtime has no CUDA; use device 'cpu', or install its GPU build instead: pip install onnxruntime-gpu")
    if device == "cpu" or _CUDA not in available:
        return [_CPU]
    return [(_CUDA, {"use_tf32": "0"}), _CPU]  # TF32 keeps 10 bits of each factor, which is not fp32
