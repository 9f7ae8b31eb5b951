"""OpenVINO: the default on CPUs, with one thread per physical core; also Intel's GPUs and NPUs."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino.properties.device import Type

from edge_hoi.errors import EngineError
from edge_hoi.memory_limit import memory_limit, physical_memory
from edge_hoi.runtime.engine import Arrays, CheckedEngine, Device, PrecisionHint
from edge_hoi.runtime.int8_saturation import engine_saturates, remove_activation_quantisers
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.network_file import network_file, read_network, reason_of
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.plan import MODEL_FILE

_PRODUCTS = ("Convolution", "FullyConnected", "MatMul")
_CPU = "CPU"
_CAPABILITY = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


class OpenVinoEngine(CheckedEngine):
    """An ONNX engine run by OpenVINO; `precision` reports what it runs in.

    Without bf16 arithmetic a device runs f32, and without f32, as NPUs, what it has. Where a CPU's INT8 accumulators saturate, an INT8
    engine runs in fp32. `cache_folder` saves 1.5 of 4 s when the published network is opened again, for a file as large as the model per
    input size.
    """

    backend = "openvino"
    runs_single_images = True

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        max_requests: int = 1,
        device: Device = "auto",
        precision_hint: PrecisionHint | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Read the model, fix its input size and compile it; see `open_engine`.

        Raises:
            EngineError: The device is missing, the model is refused, or OpenVINO cannot read it or compile it for the device.
            ManifestError: The model is missing or differs from the manifest.
        """
        target = choose_device(device)
        super().__init__(manifest, input_size=input_size, max_batch=max_batch, max_requests=max_requests)
        path = folder / MODEL_FILE
        with network_file(folder, manifest) as copy:
            model = read_network(copy, path, {name: spec.shape[1:] for name, spec in self.inputs.items()})
        # A few cores for each request: more images a second than all cores for one.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT" if max_requests > 1 else "LATENCY"}
        if target == _CPU and max_requests > 1:
            config["NUM_STREAMS"] = str(max_requests)
        config |= _precision_config(target, precision_hint, manifest.precision)
        if cache_folder is not None:
            # One folder per model, because OpenVINO's own key is a short hash.
            config["CACHE_DIR"] = str(cache_folder / manifest.files[MODEL_FILE])
        try:
            with memory_limit(physical_memory() // 2):
                if target == _CPU and engine_saturates(manifest):
                    remove_activation_quantisers(model)
                compiled = openvino_core().compile_model(model, target, config)
        except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
            raise EngineError(
                f"OpenVINO cannot open {path} at {self.input_size} on {target}: {reason_of(error)}; "
                + ("" if target == _CPU else "use device 'cpu', or ")
                + "build it again with `edge-hoi build`"
            ) from error
        self.precision = _precision(compiled) if target == _CPU else _reported_precision(compiled, target, manifest.precision)
        self.flags = {"device": target, "hint": config["PERFORMANCE_HINT"].lower(), "requests": str(max_requests)}
        if target == _CPU:
            self.flags["threads"] = str(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._free: list[Any] = [compiled.create_infer_request() for _ in range(max_requests)]
        self._running: list[_Run] = []

    def _start(self, inputs: Arrays) -> Callable[[], dict[str, NDArray[np.float32]]]:
        self._running = [run for run in self._running if run.is_running]
        if len(self._running) == self.max_requests:
            self._running.pop(0).wait()
        run = _Run(self._free.pop(), inputs, self._free, self.manifest.name)
        self._running.append(run)
        return run.outputs

    def _release(self) -> None:
        for run in self._running:
            run.wait()
        self._running, self._free = [], []


class _Run:
    """A run on one of OpenVINO's requests, to which it returns it at its end."""

    def __init__(self, request: Any, inputs: Arrays, free: list[Any], name: str) -> None:  # noqa: ANN401
        self._request, self._free, self._name = request, free, name
        self._inputs: Arrays | None = inputs  # OpenVINO reads them without a copy
        self._ending = threading.Lock()
        self._outputs: dict[str, NDArray[np.float32]] = {}
        self._error: Exception | None = None
        try:
            request.start_async(dict(inputs), share_inputs=True)
        except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
            self._error, self._request = error, None
            free.append(request)

    @property
    def is_running(self) -> bool:
        return self._request is not None

    def wait(self) -> None:
        """Wait for the end, keep the outputs, and free the request."""
        with self._ending:
            if self._request is None:
                return
            try:
                self._request.wait()
                # All names: where an fp16 network ends in a cast, the result has the cast's names as well.
                results = self._request.results.items()
                self._outputs = {name: array for output, values in results for array in (values.copy(),) for name in output.names}
            except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
                self._error = error
            self._free.append(self._request)
            self._request = self._inputs = None

    def outputs(self) -> dict[str, NDArray[np.float32]]:
        self.wait()
        if self._error is not None:
            raise EngineError(f"OpenVINO cannot run engine {self._name!r}: {reason_of(self._error)}") from self._error
        return self._outputs


def layer_precisions(compiled: Any) -> Counter[tuple[str, str]]:  # noqa: ANN401 -- OpenVINO has no type hints for it
    """Count the layers of a compiled model by kind, such as `Convolution`, and executed element type, such as `f32`, `i8` or `u8`."""
    notes = (layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops())
    return Counter((note["layerType"].astype(str), note["runtimePrecision"].astype(str)) for note in notes)


def choose_device(device: Device) -> str:
    """Return OpenVINO's name of a device; `auto` is the first discrete GPU, which is faster than a CPU, or else the CPU.

    Raises:
        EngineError: OpenVINO finds no such device here.
    """
    core = openvino_core()
    found = core.available_devices  # several GPUs are GPU.0, GPU.1, ..., and GPU is the first
    if device == "auto":
        gpus = (name for name in found if name.startswith("GPU"))
        return next((name for name in gpus if core.get_property(name, "DEVICE_TYPE") == Type.DISCRETE), _CPU)
    name = device.upper()
    if name not in {each.partition(".")[0] for each in found}:
        raise EngineError(
            f"OpenVINO finds no {name} here, only {', '.join(found)}; use device 'cpu', or install the driver of the {name} and give this "
            "user access to it, until `edge-hoi doctor` lists it"
        )
    return name


def _precision_config(target: str, hint: str | None, built_in: str) -> dict[str, str]:
    """Return what makes OpenVINO compute in a precision; explicit, because bf16 on CPUs and f16 on GPUs are its defaults."""
    if target == _CPU:
        return {"INFERENCE_PRECISION_HINT": hint or ("bf16" if built_in == "bf16" else "f32")}
    wanted = hint or {"bf16": "bf16", "fp16": "f16"}.get(built_in, "f32")
    capabilities = openvino_core().get_property(target, "OPTIMIZATION_CAPABILITIES")
    known = [each for each in (wanted, "f32") if _CAPABILITY[each] in capabilities]
    return {"INFERENCE_PRECISION_HINT": known[0]} if known else {}


def _reported_precision(compiled: Any, target: str, built_in: str) -> str:  # noqa: ANN401
    """Return what a device other than a CPU says that it runs in; not all of them list their layers."""
    if built_in == "int8" and "INT8" in openvino_core().get_property(target, "OPTIMIZATION_CAPABILITIES"):
        return "int8"
    floats = {openvino.Type.f32: "fp32", openvino.Type.bf16: "bf16"}
    return floats.get(compiled.get_property("INFERENCE_PRECISION_HINT"), "fp16")


def _precision(compiled: Any) -> str:  # noqa: ANN401
    if any(kind in _PRODUCTS and element in ("i8", "u8") for kind, element in layer_precisions(compiled)):
        return "int8"
    return "bf16" if compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16 else "fp32"
