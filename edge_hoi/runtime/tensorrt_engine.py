"""TensorRT and TensorRT-RTX on a CUDA GPU, without torch.

Inputs and outputs go through pinned memory that is taken once. Each batch size has an execution context and a CUDA graph of its own, for a
graph holds on to the shapes of its context; all of them work in one piece of device memory. So what an engine takes depends on its input
size and largest batch, and not on how many cameras it looks for.
"""

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.runtime.engine import Arrays, CheckedEngine, Device, PrecisionHint
from edge_hoi.runtime.gpu import Gpu
from edge_hoi.runtime.manifest import Manifest, Plan, PlanBackend
from edge_hoi.runtime.tensorrt_library import MODULES, load_library, make_logger
from edge_hoi.runtime.tensorrt_plans import cached_plan_path, read_plan, replace_file

log = logging.getLogger(__name__)


class TensorRtEngine(CheckedEngine):
    """An ONNX engine compiled and run by TensorRT."""

    backend = "tensorrt"

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
        """Find or compile the plan, and take the memory that it runs in.

        Args:
            folder: The engine's folder.
            manifest: Its manifest, verified.
            input_size: `(H, W)` in pixels; None for the nominal one.
            max_batch: Most pictures in one run.
            device: `auto` and `cuda` are the same.
            precision_hint: `f32`, of an fp32 engine; the precision is the network's.
            cache_folder: Where plans compiled here are kept; None to compile each time that the engine's folder has none that serves.

        Raises:
            EngineError: There is no GPU, or TensorRT cannot compile or load the network.
            ManifestError: The engine has not the network that it runs.
            MissingDependencyError: TensorRT or cuda-bindings are not installed.
        """
        self._library = load_library(self.backend)
        if device == "cpu":
            raise EngineError(f"{self.backend} runs on NVIDIA GPUs, got device 'cpu'; use device 'cuda', or backend 'openvino'")
        super().__init__(manifest, input_size=input_size, max_batch=max_batch)
        # bf16 engines of other backends are fp32's network, which a CPU runs in bf16.
        self.precision = "fp32" if manifest.precision == "bf16" and manifest.backend not in MODULES else manifest.precision
        if precision_hint == "bf16" and self.precision != "bf16":
            raise EngineError(
                f"{self.backend} runs this engine in {self.precision}, got precision_hint 'bf16'; leave it out, or build one in bf16"
            )
        self._gpu = Gpu(self.backend)
        try:
            self._load(folder, cache_folder)
        except BaseException:
            self._release()
            raise

    def _load(self, folder: Path, cache_folder: Path | None) -> None:
        capability, version = self._gpu.compute_capability, self._library.__version__
        self.flags = {"device": self._gpu.name, "compute capability": capability, "version": version}
        self._complaints: list[str] = []
        height, width = self.input_size
        wanted = Plan(
            backend=cast(PlanBackend, self.backend),
            version=version,
            compute_capabilities=(capability,),
            height=height,
            width=width,
            max_batch=self.max_batch,
        )
        self._engine = self._deserialise(read_plan(folder, self.manifest, wanted, cache_folder=cache_folder, note=log.warning))
        if self._engine is None:
            log.warning("the plan that is there does not load (%s)", self._complaint())
            self._engine = self._deserialise(
                read_plan(folder, self.manifest, wanted, cache_folder=cache_folder, note=log.warning, anew=True)
            )
        if self._engine is None:
            raise EngineError(
                f"{self.backend} does not load the plan that it compiled: {self._complaint()}; check the driver with nvidia-smi"
            )
        self._make_ready(cached_plan_path(cache_folder, self.manifest, wanted) if cache_folder is not None else None)

    def _deserialise(self, plan: bytes) -> Any:  # noqa: ANN401
        """Make a plan's engine; None if it does not load, and the complaint is heard."""
        self._logger = make_logger(self._library, self._hear)
        before = len(self._complaints)
        runtime = self._library.Runtime(self._logger)
        if len(self._complaints) > before:
            # Where CUDA does not start for it, TensorRT gives one back that ends the process when it is used, and when it is freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
            raise EngineError(
                f"{self.backend} does not start: {self._complaints[before]}; its CUDA may be newer than the driver: compare nvidia-smi's"
            )
        self._runtime = runtime
        return runtime.deserialize_cuda_engine(plan)

    def _make_ready(self, kept: Path | None) -> None:
        """Take what runs need; `kept` is where the plan would be kept."""
        self._prepare_contexts(kept.with_suffix(".kernels") if kept else None)
        self._take_memory()
        self._keep_kernels()

    def _take_memory(self) -> None:
        size: int = self._engine.device_memory_size_v2
        self._workspace = self._gpu.memory(size), size
        self._runs: dict[int, Callable[[], None]] = {}
        self._contexts: list[Any] = []
        context = self._new_context(self.max_batch)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in names}
        odd = [name for name in names if self._engine.get_tensor_dtype(name) != self._library.float32]
        if odd or set(names) != {*self.inputs, *self.outputs}:
            raise EngineError(
                f"{self.backend} expects a network with float32 {', '.join([*self.inputs, *self.outputs])}, got {', '.join(odd or names)}; "
                "build it again with `edge-hoi build`"
            )
        self._host = {name: self._gpu.pinned(shape) for name, shape in shapes.items()}
        self._device = {name: self._gpu.memory(array.nbytes) for name, array in self._host.items()}
        self._runs[self.max_batch] = self._make_run(context, self.max_batch)

    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        batch = len(inputs["image"])
        if batch not in self._runs:
            self._runs[batch] = self._make_run(self._new_context(batch), batch)
        for name, array in inputs.items():
            self._host[name][:batch] = array
        self._runs[batch]()
        self._gpu.wait()
        return {name: self._host[name][:batch].copy() for name in self.outputs}

    def _new_context(self, batch: int) -> Any:  # noqa: ANN401
        """Make what runs batches of one size, in the memory that all share."""
        context = self._create_context()
        if context is None:
            raise EngineError(f"{self.backend} cannot run the plan: {self._complaint()}; see what else uses the GPU with nvidia-smi")
        self._contexts.append(context)
        context.set_device_memory(*self._workspace)
        for name, spec in self.inputs.items():
            if not context.set_input_shape(name, (batch, *spec.shape[1:])):
                raise EngineError(f"{self.backend} does not take {name} of {(batch, *spec.shape[1:])}: {self._complaint()}")
        return context

    def _make_run(self, context: Any, batch: int) -> Callable[[], None]:  # noqa: ANN401
        """Give what queues a run of a batch size: one launch of a graph, or where it cannot be recorded, each step."""
        for name, address in self._device.items():
            context.set_tensor_address(name, address)

        def queue() -> None:
            for name in self.inputs:
                self._gpu.upload(self._device[name], self._host[name][:batch])
            if not context.execute_async_v3(int(self._gpu.stream)):
                raise EngineError(f"{self.backend} cannot run the plan: {self._complaint()}")
            for name in self.outputs:
                self._gpu.download(self._host[name][:batch], self._device[name])

        queue()  # sets up what cannot be set up while a graph is recorded
        self._gpu.wait()
        try:
            run, is_graph = self._gpu.record(queue), "yes"
        except EngineError as error:
            log.info("batches of %d run without a CUDA graph: %s", batch, error)
            run, is_graph = queue, "no"
        self.flags = {**self.flags, "CUDA graph": is_graph}
        return run

    def _hear(self, severity: str, text: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            self._complaints.append(" ".join(text.split()))

    def _complaint(self) -> str:
        return self._complaints[-1] if self._complaints else "it does not say why"

    def _release(self) -> None:
        self._gpu.close()
        # Contexts go before the engine, and that before the runtime.
        for name in ("_runs", "_host", "_device", "_contexts", "_kernels", "_config", "_engine", "_runtime"):
            self.__dict__.pop(name, None)

    def _prepare_contexts(self, kernels: Path | None) -> None:
        """Get ready to make contexts.

        Args:
            kernels: Where kernels that are compiled for them are kept, if any are.
        """

    def _create_context(self) -> Any:  # noqa: ANN401
        return self._engine.create_execution_context(self._library.ExecutionContextAllocationStrategy.USER_MANAGED)

    def _keep_kernels(self) -> None:
        """Keep the kernels that the first context had compiled."""


class TensorRtRtxEngine(TensorRtEngine):
    """The same by TensorRT-RTX, which compiles its kernels for the GPU at hand when the engine is opened."""

    backend = "tensorrt-rtx"

    def _prepare_contexts(self, kernels: Path | None) -> None:
        library = self._library
        self._kernels_file = kernels
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(library.ExecutionContextAllocationStrategy.USER_MANAGED)
        # At once, where it would otherwise replace kernels while the first batches run, and a graph would hold on to the slow ones.
        self._config.dynamic_shapes_kernel_specialization_strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
        self._kernels = self._config.create_runtime_cache()
        if kernels is not None and kernels.exists():
            self._kernels.deserialize(kernels.read_bytes())  # which leaves it empty where they are of another GPU or driver
        self._config.set_runtime_cache(self._kernels)

    def _create_context(self) -> Any:  # noqa: ANN401
        return self._engine.create_execution_context(self._config)

    def _keep_kernels(self) -> None:
        if self._kernels_file is not None:
            replace_file(self._kernels_file, bytes(memoryview(self._kernels.serialize())))
