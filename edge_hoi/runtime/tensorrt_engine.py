"""TensorRT and TensorRT-RTX on a CUDA GPU, without torch.

Inputs and outputs go through pinned memory that is allocated once. Each batch size has its own execution context and CUDA graph, because a
graph fixes its shapes; all of them share one workspace. So an engine's memory depends on its input size and largest batch, not on the
number of cameras.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError
from edge_hoi.masking import get_logger
from edge_hoi.runtime.engine import Arrays, Device, InOrderEngine, PrecisionHint
from edge_hoi.runtime.gpu import Gpu
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.plan import Plan, PlanBackend
from edge_hoi.runtime.tensorrt_library import MODULES, load_library, make_logger
from edge_hoi.runtime.tensorrt_plans import cached_plan_path, read_plan, replace_file

log = get_logger(__name__)


class TensorRtEngine(InOrderEngine):
    """An ONNX engine compiled and run by TensorRT in the network's own precision; `cache_folder` keeps plans compiled here."""

    backend = "tensorrt"

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        input_size: tuple[int, int] | None = None,
        max_batch: int = 1,
        device: Device = "auto",  # noqa: ARG002 -- `open_engine` checks it
        precision_hint: PrecisionHint | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Find or compile the plan, and allocate its memory; see `open_engine`.

        Raises:
            EngineError: There is no GPU, or TensorRT cannot compile or load the network.
            ManifestError: The engine has no network for this backend.
            MissingDependencyError: TensorRT or cuda-bindings are not installed.
        """
        self._library, self._version = self._import()
        super().__init__(manifest, input_size=input_size, max_batch=max_batch)
        # bf16 engines of other backends hold the fp32 network, which a CPU runs in bf16.
        self.precision = "fp32" if manifest.precision == "bf16" and manifest.backend not in MODULES else manifest.precision
        if precision_hint == "bf16" and self.precision != "bf16":
            raise EngineError(
                f"{self.backend} runs this engine in {self.precision}, got precision_hint 'bf16'; omit it, or build one in bf16"
            )
        self._gpu = Gpu(self.backend)
        try:
            self._load(folder, cache_folder)
        except BaseException:
            self._release()
            raise

    def _import(self) -> tuple[Any, str]:
        """Return the module that runs plans, and the version of the one that compiles them."""
        library = load_library(self.backend)
        return library, library.__version__

    def _load(self, folder: Path, cache_folder: Path | None) -> None:
        capability = self._gpu.compute_capability
        self.flags = {"device": self._gpu.name, "compute capability": capability, "version": self._version}
        self._errors: list[str] = []
        height, width = self.input_size
        wanted = Plan(
            backend=cast(PlanBackend, self.backend),
            version=self._version,
            compute_capabilities=(capability,),
            height=height,
            width=width,
            max_batch=self.max_batch,
        )
        find = partial(read_plan, folder, self.manifest, wanted, cache_folder=cache_folder, progress=log.warning)
        self._engine = self._deserialise(find())
        if self._engine is None:
            log.warning("the existing plan does not load (%s)", self._last_error())
            self._engine = self._deserialise(find(recompile=True))
        if self._engine is None:
            raise EngineError(
                f"{self.backend} does not load the plan that it compiled: {self._last_error()}; check the driver with nvidia-smi"
            )
        plan_cache = cached_plan_path(cache_folder, self.manifest, wanted) if cache_folder is not None else None
        self._prepare_contexts(plan_cache.with_suffix(".kernels") if plan_cache else None)
        self._allocate_buffers()
        self._save_kernels()

    def _deserialise(self, plan: bytes) -> Any:  # noqa: ANN401
        """Return a plan's engine; None, with the reason logged, if it does not load."""
        self._logger = make_logger(self._library, self._on_message)
        before = len(self._errors)
        runtime = self._library.Runtime(self._logger)
        if len(self._errors) > before:
            # Where CUDA does not start, TensorRT returns a runtime that ends the process when it is used or freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
            raise EngineError(
                f"{self.backend} does not start: {self._errors[before]}; its CUDA may be newer than the driver's: compare with nvidia-smi"
            )
        self._runtime = runtime
        return runtime.deserialize_cuda_engine(plan)

    def _allocate_buffers(self) -> None:
        size: int = self._engine.device_memory_size_v2
        self._workspace = self._gpu.memory(size), size
        self._runs: dict[int, Callable[[], None]] = {}
        self._contexts: list[Any] = []
        context = self._new_context(self.max_batch)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in names}
        wanted = {name: spec.dtype for name, spec in {**self.inputs, **self.outputs}.items()}
        types = {name: getattr(self._library, dtype.name) for name, dtype in wanted.items()}
        bad = [name for name in names if self._engine.get_tensor_dtype(name) != types.get(name)]
        if bad or set(names) != set(wanted):
            described = ", ".join(f"{dtype} {name}" for name, dtype in wanted.items())
            raise EngineError(
                f"{self.backend} expects a network with {described}, got {', '.join(bad or names)}; build it again with `edge-hoi build`"
            )
        self._host = {name: self._gpu.pinned(shape, wanted[name]) for name, shape in shapes.items()}
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
        """Create the context of one batch size, in the shared workspace."""
        context = self._create_context()
        if context is None:
            raise EngineError(f"{self.backend} cannot run the plan: {self._last_error()}; check with nvidia-smi what else uses the GPU")
        self._contexts.append(context)
        context.set_device_memory(*self._workspace)
        for name, spec in self.inputs.items():
            if not context.set_input_shape(name, (batch, *spec.shape[1:])):
                raise EngineError(f"{self.backend} does not take {name} of {(batch, *spec.shape[1:])}: {self._last_error()}")
        return context

    def _make_run(self, context: Any, batch: int) -> Callable[[], None]:  # noqa: ANN401
        """Return a function that queues a run of one batch size: a graph launch, or each step if it cannot be recorded."""
        for name, address in self._device.items():
            context.set_tensor_address(name, address)

        def queue() -> None:
            for name in self.inputs:
                self._gpu.upload(self._device[name], self._host[name][:batch])
            if not context.execute_async_v3(int(self._gpu.stream)):
                raise EngineError(f"{self.backend} cannot run the plan: {self._last_error()}")
            for name in self.outputs:
                self._gpu.download(self._host[name][:batch], self._device[name])

        queue()  # initializes what cannot be initialized while a graph is recorded
        self._gpu.wait()
        try:
            run, is_graph = self._gpu.record(queue), "yes"
        except EngineError as error:
            log.info("batches of %d run without a CUDA graph: %s", batch, error)
            run, is_graph = queue, "no"
        self.flags = {**self.flags, "CUDA graph": is_graph}
        return run

    def _on_message(self, severity: str, text: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            self._errors.append(" ".join(text.split()))

    def _last_error(self) -> str:
        return self._errors[-1] if self._errors else "no reason given"

    def _release(self) -> None:
        self._gpu.close()
        # Contexts must be freed before the engine, and the engine before the runtime.
        for name in ("_runs", "_host", "_device", "_contexts", "_kernels", "_config", "_engine", "_runtime"):
            self.__dict__.pop(name, None)

    def _prepare_contexts(self, kernels: Path | None) -> None:
        """Prepare for creating contexts; `kernels` is the cache file of kernels compiled for them."""

    def _create_context(self) -> Any:  # noqa: ANN401
        return self._engine.create_execution_context(self._library.ExecutionContextAllocationStrategy.USER_MANAGED)

    def _save_kernels(self) -> None:
        """Cache the kernels compiled for the first context."""


class TensorRtRtxEngine(TensorRtEngine):
    """The same by TensorRT-RTX, which compiles its kernels for this GPU when the engine is opened."""

    backend = "tensorrt-rtx"

    def _prepare_contexts(self, kernels: Path | None) -> None:
        library = self._library
        self._kernels_file = kernels
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(library.ExecutionContextAllocationStrategy.USER_MANAGED)
        # Eager: otherwise kernels are replaced while the first batches run, and a graph would keep the slow ones.
        self._config.dynamic_shapes_kernel_specialization_strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
        self._kernels = self._config.create_runtime_cache()
        if kernels is not None and kernels.exists():
            self._kernels.deserialize(kernels.read_bytes())  # stays empty for another GPU or driver
        self._config.set_runtime_cache(self._kernels)

    def _create_context(self) -> Any:  # noqa: ANN401
        return self._engine.create_execution_context(self._config)

    def _save_kernels(self) -> None:
        if self._kernels_file is not None:
            replace_file(self._kernels_file, bytes(memoryview(self._kernels.serialize())))
