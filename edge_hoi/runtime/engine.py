"""What an engine is: named arrays in, named arrays out.

B batch, H and W input size in pixels, S side of CLIP's image, Q queries, E embedding size.

Inputs: `image` (B, 3, H, W) and `clip_image` (B, 3, S, S), normalised as the manifest says; or `image` alone in uint8, which the network
normalises. Outputs: `human_boxes` and `object_boxes` (B, Q, 4) cxcywh in [0, 1]; `object_embeddings`, `interaction_embeddings` and
`verb_embeddings` (B, Q, E) and `image_embedding` (B, E), each of length 1. All else is float32. The manifest says which of them an engine
has: without CLIP it has no `clip_image`, `verb_embeddings` and `image_embedding`, and embeddings may be longer than 1, or all 0 for a query
without a pair.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Literal, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from edge_hoi.errors import EngineError
from edge_hoi.runtime.manifest import Manifest

Arrays = Mapping[str, NDArray[np.float32 | np.uint8]]
FLOAT32: np.dtype[Any] = np.dtype(np.float32)
Device = Literal["auto", "cpu", "gpu", "npu", "cuda", "tensorrt", "openvino"]
PrecisionHint = Literal["f32", "bf16"]
BACKENDS_OF_DEVICE: Mapping[str, tuple[str, ...]] = {
    "cpu": ("openvino", "onnxruntime", "torch"),
    "gpu": ("openvino",),
    "npu": ("openvino",),
    "cuda": ("onnxruntime", "tensorrt", "tensorrt-rtx", "torch-tensorrt", "torch"),
    "tensorrt": ("onnxruntime",),
    "openvino": ("onnxruntime",),
}
"""Which backends have a device. `gpu` and `npu` are Intel's; `tensorrt` and `openvino` are ONNX Runtime's execution providers."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and type of a named array; the batch, the first size, is -1 where it is dynamic."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = FLOAT32


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A submitted run.

    Attributes:
        batch: B.
        wait: Returns its outputs once they are there, or raises its error; may be called again.
    """

    batch: int
    wait: Callable[[], dict[str, NDArray[np.float32]]]


class Engine(Protocol):
    """A model ready to run at one input size. A context manager. Threads may share it."""

    @property
    def manifest(self) -> Manifest:
        """The engine's manifest."""

    @property
    def backend(self) -> str:
        """Name of the backend that runs it."""

    @property
    def precision(self) -> str:
        """Precision that it really runs in on this device, such as `fp32` or `bf16`."""

    @property
    def flags(self) -> Mapping[str, str]:
        """Backend settings, such as `device` or `provider`, and `threads`, as far as the backend reports them."""

    @property
    def max_batch(self) -> int:
        """Largest batch."""

    @property
    def max_requests(self) -> int:
        """How many runs it computes at the same time; further ones wait for their turn."""

    @property
    def input_size(self) -> tuple[int, int]:
        """`(H, W)` of `image` in pixels."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Specification of each input."""

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Specification of each output."""

    def submit(self, inputs: Arrays) -> Ticket:
        """Start a run, after waiting for the oldest one where `max_requests` are in flight.

        Args:
            inputs: As of `run`; they must not change until the result is there.

        Raises:
            EngineError: The inputs are invalid, or the engine is closed.
        """

    def result(self, ticket: Ticket) -> dict[str, NDArray[np.float32]]:
        """Wait for a run and return its outputs, as `run` does; raise `EngineError` if it failed."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run the model on a batch: `submit`, then `result`.

        Args:
            inputs: One array for each of `inputs`, all with the same B from 1 to `max_batch`.

        Returns:
            One array for each of `outputs`, C-contiguous and owned by the caller.

        Raises:
            EngineError: The inputs are invalid, or the engine is closed.
        """

    def close(self) -> None:
        """Free the engine's memory; closing again does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None: ...


class CheckedEngine(ABC):
    """Base of every backend: the specifications, the checks around a run, and closing.

    Attributes:
        runs_single_images: Whether the images of a batch are run one by one. A network compiled for any batch size may use other kernels
            than one for single images: in INT8 on CPUs, scores would depend on `max_batch`. Several requests gain more than batches there.
    """

    backend: ClassVar[str]
    runs_single_images = False

    def __init__(self, manifest: Manifest, *, input_size: tuple[int, int] | None, max_batch: int, max_requests: int = 1) -> None:
        """Derive and check the specifications.

        Args:
            manifest: The engine's manifest.
            input_size: `(H, W)` in pixels; None for the nominal size.
            max_batch: Largest batch.
            max_requests: How many runs it computes at the same time.

        Raises:
            EngineError: The size is no multiple of the stride, or `max_batch` or `max_requests` is below 1.
        """
        nominal = manifest.input
        height, width = input_size or (nominal.height, nominal.width)
        if nominal.stride is None and (height, width) != (nominal.height, nominal.width):
            raise EngineError(f"Engine expects input size {nominal.height}x{nominal.width}, got {height}x{width}; use choose_input_size")
        stride = nominal.stride or 1
        if min(height, width) < 1 or height % stride or width % stride:
            raise EngineError(f"Engine expects an input size in multiples of {stride}, got {height}x{width}; use choose_input_size")
        for name, number in (("max_batch", max_batch), ("max_requests", max_requests)):
            if number < 1:
                raise EngineError(f"Engine expects {name} of at least 1, got {number}; omit it for 1")
        batch = 1 if max_batch == 1 else -1
        queries, embedding = manifest.num_queries, manifest.embedding_size
        self.manifest = manifest
        self.precision = manifest.precision
        self.flags: Mapping[str, str] = {}
        self.max_batch = max_batch
        self.max_requests = max_requests
        self.input_size = (height, width)
        self.inputs: Mapping[str, TensorSpec] = {"image": TensorSpec((batch, 3, height, width), np.dtype(nominal.image_type))}
        if nominal.clip_size is not None and nominal.image_type == "float32":
            self.inputs = {**self.inputs, "clip_image": TensorSpec((batch, 3, nominal.clip_size, nominal.clip_size))}
        shapes = {"human_boxes": (queries, 4), "object_boxes": (queries, 4), "image_embedding": (embedding,)}
        self.outputs: Mapping[str, TensorSpec] = {
            name: TensorSpec((batch, *shapes.get(name, (queries, embedding)))) for name in manifest.outputs
        }
        self._is_closed = False
        self._turn = threading.Lock()

    def submit(self, inputs: Arrays) -> Ticket:
        """Start a run; see `Engine.submit`."""
        batch = check_inputs(inputs, self.inputs, self.max_batch)
        with self._turn:
            if self._is_closed:
                raise EngineError("Engine expects to be open, got a run after close(); open it again with open_engine")
            arrays = {name: np.ascontiguousarray(inputs[name]) for name in self.inputs}
            if batch == 1 or not self.runs_single_images:
                return Ticket(batch, self._start(arrays))
            waits = [self._start({name: array[row : row + 1] for name, array in arrays.items()}) for row in range(batch)]
            return Ticket(batch, partial(_joined, waits))

    def result(self, ticket: Ticket) -> dict[str, NDArray[np.float32]]:
        """Wait for a run and return its outputs; see `Engine.result`."""
        outputs = ticket.wait()
        for name, spec in self.outputs.items():
            expected = (ticket.batch, *spec.shape[1:])
            if name not in outputs or outputs[name].shape != expected or outputs[name].dtype != spec.dtype:
                got = _describe(outputs[name]) if name in outputs else "nothing"
                raise EngineError(
                    f"Engine expects {name} {expected} {spec.dtype} of its model, got {got}; build it again with `edge-hoi build`"
                )
        return {name: outputs[name] for name in self.outputs}

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run the model on a batch; see `Engine.run`."""
        return self.result(self.submit(inputs))

    def close(self) -> None:
        """Free the engine's memory, after the runs in flight, whose results stay available; closing again does nothing."""
        with self._turn:
            if not self._is_closed:
                self._is_closed = True
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _start(self, inputs: Arrays) -> Callable[[], dict[str, NDArray[np.float32]]]:
        """Start a run of checked, contiguous inputs, and return what waits for its outputs; called by one thread at a time."""

    @abstractmethod
    def _release(self) -> None:
        """Free the backend's objects."""


class InOrderEngine(CheckedEngine):
    """Base of backends that compute one run after the other."""

    def _start(self, inputs: Arrays) -> Callable[[], dict[str, NDArray[np.float32]]]:
        try:
            outputs = self._infer(inputs)
        except EngineError as error:
            return partial(_raise, error)
        return lambda: outputs

    @abstractmethod
    def _infer(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run checked, contiguous inputs; return C-contiguous arrays that no later run writes to."""


def _joined(waits: Sequence[Callable[[], dict[str, NDArray[np.float32]]]]) -> dict[str, NDArray[np.float32]]:
    """Wait for the runs of a batch's images, and return their outputs as one batch."""
    outputs = [wait() for wait in waits]
    return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}


def _raise(error: EngineError) -> NoReturn:
    raise error


def check_device(backend: str, device: Device) -> None:
    """Check that one of this package's backends has a device, wherever it is.

    Raises:
        EngineError: It has not.
    """
    if device != "auto" and backend not in BACKENDS_OF_DEVICE[device]:
        own = " or ".join(repr(name) for name, backends in BACKENDS_OF_DEVICE.items() if backend in backends)
        others = " or ".join(map(repr, BACKENDS_OF_DEVICE[device]))
        raise EngineError(f"backend {backend!r} runs on device {own}, got {device!r}; use one of those, or backend {others}")


def random_inputs(specs: Mapping[str, TensorSpec], batch: int = 1) -> dict[str, NDArray[np.float32 | np.uint8]]:
    """Generate inputs for a batch, always the same: normally distributed, and pixels uniformly."""
    generator = np.random.default_rng(0)
    return {
        name: generator.standard_normal(shape, np.float32) if spec.dtype == FLOAT32 else generator.integers(0, 256, shape, np.uint8)
        for name, spec in specs.items()
        for shape in ((batch, *spec.shape[1:]),)
    }


def check_inputs(inputs: Arrays, specs: Mapping[str, TensorSpec], max_batch: int) -> int:
    """Check a batch against an engine's input specifications and return its size.

    Raises:
        EngineError: A name, shape, type or batch size is invalid.
    """
    if set(inputs) != set(specs):
        raise EngineError(f"Engine expects inputs {_names(specs)}, got {_names(inputs)}; pass exactly those")
    for name, spec in specs.items():
        array = inputs[name]
        fix = _fix(array, spec, max_batch)
        if fix:
            batch = f"1..{max_batch}" if max_batch > 1 else "1"
            shape = ", ".join([batch, *map(str, spec.shape[1:])])
            raise EngineError(f"Engine expects {name} ({shape}) {spec.dtype}, got {_describe(array)}; {fix}")
    batches = {name: len(inputs[name]) for name in specs}
    if len(set(batches.values())) > 1:
        got = " and ".join(f"{count} of {name}" for name, count in batches.items())
        raise EngineError(f"Engine expects the same number of every input, got {got}; pass each image in both forms")
    return next(iter(batches.values()))


def _fix(array: NDArray[Any], spec: TensorSpec, max_batch: int) -> str | None:
    if not isinstance(array, np.ndarray) or array.dtype != spec.dtype:
        return f"convert it with numpy.asarray(…, numpy.{spec.dtype})"
    if array.ndim != len(spec.shape) or array.shape[1] != spec.shape[1]:
        return "order the axes as batch, channel, height, width"
    if array.shape[1:] != spec.shape[1:]:
        return "resize the images, or open the engine with another input_size"
    if len(array) > max_batch:
        return f"open the engine with max_batch={len(array)}"
    return None if len(array) else "pass at least one image"


def _describe(value: object) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _names(mapping: Mapping[str, object]) -> str:
    return ", ".join(sorted(mapping)) or "none"
