"""Adopt a detector of the DETR family, as DEIM, D-FINE and RT-DETR export it.

Such a file takes RGB images in [0, 1], resized to one size without keeping the aspect ratio, and the images' own sizes, and returns the
labels, boxes and scores of D detections: COCO's 80 classes, xyxy in pixels of the images' own sizes. B batch.
"""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_hoi.errors import EngineError
from edge_hoi.memory_limit import memory_limit, physical_memory
from edge_hoi.regular_file import open_regular
from edge_hoi.runtime.network_file import read_network, reason_of
from edge_hoi.runtime.onnx_scan import check_onnx
from edge_hoi.runtime.openvino_core import openvino_core, read_onnx

OUTPUTS = ("labels", "boxes", "scores")
NUM_CLASSES = 80
_FORM = (
    "expected the input of images (batch, 3, height, width) float32, the input of sizes (batch, 2) int64, and outputs labels, boxes, "
    "scores, as DEIM, D-FINE and RT-DETR export them"
)
_TOLERANCE = 1e-3
_OUTSIDE = 0.5  # of the image's side: how far a box may reach beyond it


class DetectorGraph(NamedTuple):
    """A detector with one input, `image` (B, 3, height, width), and boxes in [0, 1].

    Attributes:
        model: Its network, with a dynamic batch and the outputs `OUTPUTS`.
        height: Of its input in pixels.
        width: Of its input in pixels.
    """

    model: onnx.ModelProto
    height: int
    width: int


def read_detector(path: Path) -> DetectorGraph:
    """Read a detector and check it on two images.

    Raises:
        EngineError: The file cannot be read, has another form, or cannot take batches.
    """
    try:
        with open_regular(path):
            check_onnx(path, path)
        model = onnx.load(path, load_external_data=False)
        graph = model.graph
        image, sizes = _inputs(graph)
    except Exception as error:  # protobuf's errors have no other common base
        raise EngineError(f"{path} is not a detector that can be adopted ({error}): {_FORM}") from error
    shape = image.type.tensor_type.shape.dim
    height, width = shape[2].dim_value, shape[3].dim_value
    if min(height, width) < 1:
        raise EngineError(f"{path} takes images of any size; export the detector for one size")
    # Boxes of an image of size 1x1 lie in [0, 1].
    graph.initializer.append(numpy_helper.from_array(np.ones((1, 2), np.int64), sizes.name))
    graph.input.remove(sizes)
    _rename(graph, image.name, "image")
    shape[0].dim_param = "batch"
    _constants_as_initializers(graph)
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    _check(model, path, (height, width))
    return DetectorGraph(model, height, width)


def _inputs(graph: Any) -> tuple[Any, Any]:  # noqa: ANN401 -- ONNX has no type hints for its messages
    """Find the inputs of images and sizes, and check the outputs; raise ValueError for another form."""
    constants = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    images = [value for value in inputs if _is(value, TensorProto.FLOAT, 4) and value.type.tensor_type.shape.dim[1].dim_value == 3]
    sizes = [value for value in inputs if _is(value, TensorProto.INT64, 2)]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 2 or not images or not sizes or sorted(outputs) != sorted(OUTPUTS):
        raise ValueError(f"its inputs are {', '.join(value.name for value in inputs)}, its outputs {', '.join(outputs)}")
    return images[0], sizes[0]


def _is(value: Any, kind: int, rank: int) -> bool:  # noqa: ANN401
    tensor = value.type.tensor_type
    return bool(tensor.elem_type == kind and len(tensor.shape.dim) == rank)


def _rename(graph: Any, old: str, new: str) -> None:  # noqa: ANN401
    for value in graph.input:
        value.name = new if value.name == old else value.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _constants_as_initializers(graph: Any) -> None:  # noqa: ANN401
    """Turn constant nodes into initializers, where quantisation looks for weights."""
    for node in [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        constant = helper.get_attribute_value(node.attribute[0])
        constant.name = node.output[0]
        graph.initializer.append(constant)
        graph.node.remove(node)


def _check(model: onnx.ModelProto, path: Path, size: tuple[int, int]) -> None:
    """Refuse a detector of other classes or boxes, and one whose batches differ from single images."""
    images = np.random.default_rng(0).random((2, 3, *size), np.float32)
    try:
        with NamedTemporaryFile() as file:
            file.write(model.SerializeToString())
            file.flush()
            read_network(Path(file.name), path, {"image": (3, *size)}, max_batch=2)  # for its checks: it repairs fixed batches
            network = read_onnx(Path(file.name))
        with memory_limit(physical_memory() // 2):
            run = openvino_core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            together, *alone = [_named(run({"image": images[rows]})) for rows in (slice(0, 2), slice(0, 1), slice(1, 2))]
    except (RuntimeError, MemoryError) as error:
        reason = reason_of(error)
        raise EngineError(f"{path} does not run for a batch of two images ({reason}); export the detector with a dynamic batch") from error
    boxes, labels = together["boxes"], together["labels"]
    if boxes.ndim != 3 or labels.ndim != 2 or not (boxes.min() > -_OUTSIDE and boxes.max() < 1 + _OUTSIDE):
        raise EngineError(f"{path} returns boxes {boxes.shape} from {boxes.min():.3g} to {boxes.max():.3g} for images of 1x1: {_FORM}")
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise EngineError(f"{path} returns labels from {labels.min()} to {labels.max()}; expected COCO's {NUM_CLASSES} classes from 0")
    # Scores are sorted, so they hardly change where two detections of almost the same score change places.
    difference = max(float(np.abs(together["scores"][row] - alone[row]["scores"][0]).max()) for row in range(2))
    if not difference <= _TOLERANCE:
        raise EngineError(f"{path} scores a batch otherwise than single images (by {difference:.3g}); export it with a dynamic batch")


def _named(results: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    return {name: array for output, array in results.items() for name in output.names}
