"""One CUDA GPU through `cuda-bindings`: a stream, device and pinned memory, and CUDA graphs."""

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.errors import EngineError, MissingDependencyError, install_command


class Gpu:
    """What one engine allocates on the first CUDA device; `close` frees all of it."""

    def __init__(self, backend: str) -> None:
        """Open the device and create a stream.

        Args:
            backend: For error messages.

        Raises:
            EngineError: There is no CUDA device.
            MissingDependencyError: `cuda-bindings` is not installed.
        """
        self._cuda = _bindings(backend)
        self._refuse_absence(backend)
        self._frees: list[Callable[[], None]] = []
        self.stream = self.call("cudaStreamCreateWithFlags", self._cuda.cudaStreamNonBlocking)
        self._frees.append(lambda: self.call("cudaStreamDestroy", self.stream))

    @property
    def compute_capability(self) -> str:
        """Compute capability of the device, such as `8.6`."""
        kinds = self._cuda.cudaDeviceAttr
        parts = (kinds.cudaDevAttrComputeCapabilityMajor, kinds.cudaDevAttrComputeCapabilityMinor)
        return ".".join(str(self.call("cudaDeviceGetAttribute", part, 0)) for part in parts)

    @property
    def name(self) -> str:
        """Product name of the device."""
        name: bytes = self.call("cudaGetDeviceProperties", 0).name
        return name.decode().rstrip("\0")

    def memory(self, size: int) -> int:
        """Allocate `size` bytes on the device and return their address.

        Raises:
            EngineError: Out of memory.
        """
        address = self.call("cudaMalloc", max(1, size))
        self._frees.append(lambda: self.call("cudaFree", address))
        return int(address)

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Allocate an array of zeros in page-locked host memory; not to be used after `close`.

        Raises:
            EngineError: Out of memory.
        """
        size = max(1, math.prod(shape)) * dtype.itemsize
        address = self.call("cudaMallocHost", size)
        self._frees.append(lambda: self.call("cudaFreeHost", address))
        array: NDArray[Any] = np.ndarray(shape, dtype, memoryview((ctypes.c_byte * size).from_address(int(address))))
        array[:] = 0
        return array

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queue the copy of a pinned array to the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self.stream)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queue the copy of device memory to a pinned array."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self.stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record queued work as a CUDA graph, which is launched in one call.

        Args:
            work: Queues it; it must have run once before, because initialization cannot be recorded.

        Returns:
            A function that queues the same work with the same addresses.

        Raises:
            EngineError: It cannot be recorded; the stream stays usable.
        """
        self.call("cudaStreamBeginCapture", self.stream, self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            work()
        except BaseException:
            self._cuda.cudaStreamEndCapture(self.stream)  # ends the failed capture; its error is expected
            raise
        graph = self.call("cudaStreamEndCapture", self.stream)
        try:
            executable = self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)
        self._frees.append(lambda: self.call("cudaGraphExecDestroy", executable))
        return lambda: self.call("cudaGraphLaunch", executable, self.stream)

    def wait(self) -> None:
        """Wait until all queued work is done."""
        self.call("cudaStreamSynchronize", self.stream)

    def close(self) -> None:
        """Free everything, in reverse order of allocation."""
        while self._frees:
            self._frees.pop()()

    def call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 -- whatever that function returns
        """Call a function of CUDA's runtime and return its result without the status.

        Raises:
            EngineError: The call fails.
        """
        status, *results = getattr(self._cuda, name)(*arguments)
        if status != self._cuda.cudaError_t.cudaSuccess:
            raise EngineError(f"CUDA's {name} fails: {self._explain(status)}; check with nvidia-smi what else uses the GPU")
        return results[0] if results else None

    def _explain(self, status: Any) -> str:  # noqa: ANN401
        text: bytes = self._cuda.cudaGetErrorString(status)[1]
        return text.decode()

    def _refuse_absence(self, backend: str) -> None:
        status, count = self._cuda.cudaGetDeviceCount()
        if status != self._cuda.cudaError_t.cudaSuccess or not count:
            reason = "no device found" if status == self._cuda.cudaError_t.cudaSuccess else self._explain(status)
            raise EngineError(
                f"backend {backend!r} needs an NVIDIA GPU with its driver, and CUDA reports: {reason}; use backend 'openvino', or on a "
                f"machine with a GPU run `nvidia-smi` and {install_command(backend)}"
            )


def _bindings(backend: str) -> Any:  # noqa: ANN401 -- the module
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise MissingDependencyError.of_extra(f"backend {backend!r}", "cuda-bindings", backend) from error
    return runtime
