"""A fake GPU: CUDA's functions on host memory, and TensorRT's on ONNX Runtime.

It tests how the engine uses both and that everything is freed, not what a GPU computes. A plan is the ONNX file itself.
"""

import ctypes
import types
from enum import Enum, IntEnum

import numpy as np

Error = Enum("cudaError_t", ["cudaSuccess", "cudaErrorMemoryAllocation", "cudaErrorInvalidValue"])


class FakeCuda:
    """Replaces `cuda.bindings.runtime`; queued work runs at once, or is recorded."""

    cudaError_t = Error  # noqa: N815 -- CUDA's names
    cudaStreamNonBlocking = 1  # noqa: N815
    cudaMemcpyKind = Enum("cudaMemcpyKind", ["cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"])  # noqa: N815
    cudaStreamCaptureMode = Enum("cudaStreamCaptureMode", ["cudaStreamCaptureModeThreadLocal"])  # noqa: N815
    cudaDeviceAttr = Enum("cudaDeviceAttr", ["cudaDevAttrComputeCapabilityMajor", "cudaDevAttrComputeCapabilityMinor"])  # noqa: N815

    def __init__(self):
        self.held = {}
        self.devices = 1
        self.capability = (8, 6)
        self.can_record = True
        self.launches = 0
        self._recording = None
        self._graphs = {}

    def submit(self, work):
        (self._recording.append if self._recording is not None else lambda work: work())(work)

    def _hold(self, kind, value, address):
        self.held[kind, address] = value
        return Error.cudaSuccess, address

    def _free(self, kind, address):
        del self.held[kind, int(address)]
        return (Error.cudaSuccess,)

    def _buffer(self, kind, size):
        assert size > 0
        buffer = (ctypes.c_byte * size)()
        return self._hold(kind, buffer, ctypes.addressof(buffer))

    def device_bytes(self):
        return sum(len(buffer) for (kind, _), buffer in self.held.items() if kind == "device")

    def cudaGetDeviceCount(self):  # noqa: N802
        return Error.cudaSuccess, self.devices

    def cudaGetErrorString(self, status):  # noqa: N802
        return Error.cudaSuccess, status.name.encode()

    def cudaDeviceGetAttribute(self, kind, device):  # noqa: N802
        assert device == 0
        return Error.cudaSuccess, self.capability[kind.value - 1]

    def cudaGetDeviceProperties(self, device):  # noqa: N802
        assert device == 0
        return Error.cudaSuccess, types.SimpleNamespace(name=b"Fake GPU\0\0")

    def cudaStreamCreateWithFlags(self, flags):  # noqa: N802
        return self._hold("stream", None, 7)

    def cudaStreamDestroy(self, stream):  # noqa: N802
        return self._free("stream", stream)

    def cudaStreamSynchronize(self, stream):  # noqa: N802
        assert self._recording is None
        return (Error.cudaSuccess,)

    def cudaMalloc(self, size):  # noqa: N802
        return self._buffer("device", size)

    def cudaFree(self, address):  # noqa: N802
        return self._free("device", address)

    def cudaMallocHost(self, size):  # noqa: N802
        return self._buffer("pinned", size)

    def cudaFreeHost(self, address):  # noqa: N802
        return self._free("pinned", address)

    def cudaMemcpyAsync(self, to, source, count, kind, stream):  # noqa: N802
        assert ("stream", stream) in self.held
        self.submit(lambda: ctypes.memmove(to, source, count))
        return (Error.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream, mode):  # noqa: N802
        self._recording = []
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream):  # noqa: N802
        recorded, self._recording = self._recording, None
        return self._hold("graph", recorded, id(recorded)) if self.can_record else (Error.cudaErrorInvalidValue, 0)

    def cudaGraphInstantiate(self, graph, flags):  # noqa: N802
        recorded = self.held["graph", graph]
        return self._hold("executable", recorded, id(recorded))

    def cudaGraphDestroy(self, graph):  # noqa: N802
        return self._free("graph", graph)

    def cudaGraphExecDestroy(self, executable):  # noqa: N802
        return self._free("executable", executable)

    def cudaGraphLaunch(self, executable, stream):  # noqa: N802
        self.launches += 1
        for work in self.held["executable", executable]:
            work()
        return (Error.cudaSuccess,)


class ILogger:
    pass


class IRuntimeCache:
    def __init__(self):
        self.content = b""

    def deserialize(self, blob):
        self.content = bytes(blob)
        return True

    def serialize(self):
        return np.frombuffer(self.content + b"kernel", np.uint8)


class IRuntimeConfig:
    def __init__(self):
        self.dynamic_shapes_kernel_specialization_strategy = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return IRuntimeCache()

    def set_runtime_cache(self, cache):
        self.cache = cache
        return True


class IExecutionContext:
    def __init__(self, engine):
        self._engine, self._shapes, self._addresses, self._has_memory = engine, {}, {}, False

    def set_device_memory(self, memory, size):
        self._has_memory = ("device", memory) in self._engine.cuda.held and size == self._engine.device_memory_size_v2

    def set_input_shape(self, name, shape):
        self._shapes[name] = shape
        return True

    def set_tensor_address(self, name, memory):
        self._addresses[name] = memory
        return True

    def get_tensor_shape(self, name):
        batch = self._shapes["image"][0]
        return self._shapes.get(name) or (batch, *self._engine.tensors[name].shape[1:])

    def execute_async_v3(self, stream_handle):
        assert self._has_memory
        self._engine.cuda.submit(self._run)
        return True

    def _array(self, name, shape):
        kind = np.ctypeslib.as_ctypes_type(self._engine.get_tensor_dtype(name))
        return np.ctypeslib.as_array(ctypes.cast(self._addresses[name], ctypes.POINTER(kind)), shape)

    def _run(self):
        inputs = {name: self._array(name, shape) for name, shape in self._shapes.items()}
        for name, array in zip(self._engine.outputs, self._engine.session.run(self._engine.outputs, inputs), strict=True):
            self._array(name, array.shape)[:] = array


class ICudaEngine:
    device_memory_size_v2 = 4096

    def __init__(self, cuda, session):
        self.cuda, self.session = cuda, session
        self.outputs = [output.name for output in session.get_outputs()]
        self.tensors = {tensor.name: tensor for tensor in (*session.get_inputs(), *session.get_outputs())}
        self._names = list(self.tensors)
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index):
        return self._names[index]

    def get_tensor_dtype(self, name):
        return {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}[self.tensors[name].type]

    def create_runtime_config(self):
        return IRuntimeConfig()

    def create_execution_context(self, how):
        assert getattr(how, "strategy", how) == Allocation.USER_MANAGED
        return IExecutionContext(self)


Allocation = IntEnum("ExecutionContextAllocationStrategy", ["STATIC", "USER_MANAGED"])
Specialization = IntEnum("DynamicShapesKernelSpecializationStrategy", ["LAZY", "EAGER"])


def fake_library(cuda):
    """Return a replacement for the module `tensorrt` or `tensorrt_rtx` on a fake GPU."""
    import onnxruntime

    class Runtime:
        def __init__(self, logger):
            self._logger = logger
            if not cuda.starts:
                self._logger.log(types.SimpleNamespace(name="ERROR"), "CUDA initialization failure\nwith error: 35")

        def __del__(self):
            cuda.freed_runtimes += 1

        def deserialize_cuda_engine(self, serialized_engine):
            try:
                return ICudaEngine(cuda, onnxruntime.InferenceSession(serialized_engine))
            except Exception:  # onnxruntime's errors have no other common base
                self._logger.log(types.SimpleNamespace(name="ERROR"), "the version\ntag does not match")
                return None

    return types.SimpleNamespace(
        __version__="11.4.0",
        float32=np.float32,
        uint8=np.uint8,
        ILogger=ILogger,
        Runtime=Runtime,
        ExecutionContextAllocationStrategy=Allocation,
        DynamicShapesKernelSpecializationStrategy=Specialization,
    )


def install(monkeypatch, *, is_rtx=False):
    """Replace the real GPU by a fake one, and compilation by a copy; return the GPU. `is_rtx`: the variant of torch-tensorrt."""
    from edge_hoi.runtime import gpu, tensorrt_engine, tensorrt_plans, torch_tensorrt_engine

    cuda = FakeCuda()
    cuda.compiled, cuda.starts, cuda.freed_runtimes = [], True, 0

    def compile_plan(model, plan, output, **_):
        cuda.compiled.append(plan)
        output.write_bytes(model.read_bytes())
        return tensorrt_plans.Compiled(1.5, [])

    def torch_tensorrt_or_its_tensorrt(backend):
        library = fake_library(cuda)
        if backend == "torch-tensorrt":
            library.ENABLED_FEATURES = types.SimpleNamespace(tensorrt_rtx=is_rtx)
        return library

    monkeypatch.setattr(gpu, "_bindings", lambda backend: cuda)
    monkeypatch.setattr(tensorrt_engine, "load_library", lambda backend: fake_library(cuda))
    monkeypatch.setattr(tensorrt_plans, "compile_plan", compile_plan)
    monkeypatch.setattr(torch_tensorrt_engine, "load_library", torch_tensorrt_or_its_tensorrt)
    return cuda
