"""ONNX Runtime: the fallback and the numeric reference; on other devices where a build of it has their execution providers."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError
from edge_hoi.memory_limit import memory_limit, physical_memory
from edge_hoi.runtime.engine import Arrays, Device, InOrderEngine, PrecisionHint
from edge_hoi.runtime.int8_saturation import engine_saturates
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.network_file import network_file, read_network, reason_of
from edge_hoi.runtime.plan import MODEL_FILE

_ERRORS_ONLY = 3
_CPU = "CPUExecutionProvider"
PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider", "openvino": "OpenVINOExecutionProvider"}
"""Execution providers beside the CPU's, by the device that chooses each."""
FIXES = {
    "cpu": "install ONNX Runtime again: pip install --force-reinstall onnxruntime",
    "cuda": "use device 'cpu', or check the driver with nvidia-smi and install the CUDA and cuDNN that this ONNX Runtime needs",
    "tensorrt": "use device 'cpu' or 'cuda', or check the driver with nvidia-smi and install the TensorRT that this ONNX Runtime needs",
    "openvino": "use device 'cpu', or backend 'openvino'",
}
"""What to do where a device's provider does not start."""
_PACKAGES = {"cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}


class OnnxRuntimeEngine(InOrderEngine):
    """An ONNX engine run by ONNX Runtime, in fp32 arithmetic; device `auto` uses CUDA if available.

    Its TensorRT provider multiplies fp32 networks in TF32, which no option forbids. `cache_folder` keeps what that provider compiles.
    """

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
        cache_folder: Path | None = None,
    ) -> None:
        """Read the model and fix its input size; see `open_engine`.

        Raises:
            EngineError: The execution provider is missing or cannot run the engine, `precision_hint` is `bf16`, or the model is refused or
                cannot be read.
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
        provider = choose_provider(device, onnxruntime.get_available_providers())
        saturates = engine_saturates(manifest)
        if device == "openvino" and saturates:
            raise EngineError(
                "INT8 overflows on this CPU, and ONNX Runtime's OpenVINO provider uses it; use device 'cpu', or backend 'openvino'"
            )
        providers = self._with_options(provider, cache_folder)
        options = session_options(with_int8=not saturates)  # also for CUDA: where it does not start, the CPU runs
        height, width = self.input_size
        largest = 1 if provider == _CPU else max_batch
        for name, size in {"height": height, "width": width, **({"batch": 1} if largest == 1 else {})}.items():
            options.add_free_dimension_override_by_name(name, size)
        try:
            with network_file(folder, manifest) as copy:
                # ONNX Runtime does not tell sizes.
                read_network(copy, path, {name: spec.shape[1:] for name, spec in self.inputs.items()}, largest)
                with memory_limit(physical_memory() // 2):
                    session = onnxruntime.InferenceSession(copy, options, providers=providers)
        except EngineError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no other common base
            reason = str(error).strip().splitlines()[0]
            fix = "use backend 'openvino'" if manifest.precision == "bf16" else "build it again with `edge-hoi build`"
            raise EngineError(f"ONNX Runtime cannot open {path}: {reason}; {fix}") from error
        started = session.get_providers()[0]  # where a provider does not start, ONNX Runtime takes the next
        self.runs_single_images = started == _CPU
        if device != "auto" and started != provider:
            raise EngineError(f"ONNX Runtime's {provider} does not start, so it finds no device; {FIXES[device]}")
        if manifest.precision == "bf16" or (started == _CPU and saturates):
            self.precision = "fp32"
        if started == PROVIDERS["tensorrt"] and self.precision == "fp32":
            self.precision = "tf32"
        threads = session.get_session_options().intra_op_num_threads
        self.flags = {"provider": started, "threads": str(threads) if threads else "automatic"}
        self._session: Any = session

    def _with_options(self, provider: str, cache_folder: Path | None) -> list[Any]:
        """Return a provider with its options, and those that may run what it does not."""
        cuda = (PROVIDERS["cuda"], {"use_tf32": "0"})  # TF32 keeps 10 bits of each factor, which is not fp32
        if provider == PROVIDERS["openvino"]:
            return [(provider, {"device_type": "CPU", "precision": "FP32"}), _CPU]
        if provider != PROVIDERS["tensorrt"]:
            return [cuda, _CPU] if provider == PROVIDERS["cuda"] else [_CPU]

        def batches_of(count: int) -> str:
            sizes = {name: [count, *spec.shape[1:]] for name, spec in self.inputs.items()}
            return ",".join(f"{name}:{'x'.join(map(str, size))}" for name, size in sizes.items())

        precision = self.manifest.precision
        options = {"trt_fp16_enable": str(precision == "fp16"), "trt_int8_enable": str(precision == "int8")}
        if self.max_batch > 1:  # otherwise it compiles again for each batch size that comes
            bounds = {"min": 1, "opt": self.max_batch, "max": self.max_batch}
            options |= {f"trt_profile_{name}_shapes": batches_of(count) for name, count in bounds.items()}
        if cache_folder is not None:
            folder = cache_folder / self.manifest.files[MODEL_FILE]
            folder.mkdir(parents=True, exist_ok=True)
            options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder), "trt_timing_cache_enable": "True"}
        return [(provider, options), cuda, _CPU]

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


def choose_provider(device: Device, available: list[str]) -> str:
    """Return the execution provider of a device; `auto` is CUDA where this ONNX Runtime has it, and else the CPU.

    Raises:
        EngineError: This ONNX Runtime has no such provider.
    """
    if device == "auto":
        return PROVIDERS["cuda"] if PROVIDERS["cuda"] in available else _CPU
    provider = PROVIDERS.get(device, _CPU)
    if provider not in available:
        raise EngineError(
            f"this ONNX Runtime has no {provider}; use device 'cpu', or install the build that has it instead: "
            f"pip uninstall -y onnxruntime; pip install {_PACKAGES[device]}"
        )
    return provider
