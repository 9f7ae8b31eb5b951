"""Join a detector and the head in one network."""

from pathlib import PurePosixPath

import onnx
from onnx import compose, version_converter

from edge_hoi.photo.detector_graph import OUTPUTS

_HEAD = "head."


def join(detector: onnx.ModelProto, head: onnx.ModelProto) -> onnx.ModelProto:
    """Feed a detector's outputs to a head.

    Layers are named as in other engines, such as `detector.model.backbone.stem/Conv` and `head.layers.0.query/MatMul`.

    Args:
        detector: Of `read_detector`.
        head: Takes `labels`, `boxes`, `scores`; its outputs are those of the engine.
    """
    opset = max(_opset(detector), _opset(head))
    detector, head = (_converted(model, opset) for model in (detector, head))
    detector.ir_version = head.ir_version = max(detector.ir_version, head.ir_version)
    _name_nodes(detector, "detector.")
    _name_nodes(head, _HEAD)
    head = compose.add_prefix(head, _HEAD, rename_nodes=False, rename_outputs=False)
    joined: onnx.ModelProto = compose.merge_models(detector, head, io_map=[(name, _HEAD + name) for name in OUTPUTS])
    for part in (joined, joined.graph, *joined.graph.node, *joined.graph.initializer, *joined.graph.input, *joined.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del joined.graph.value_info[:]
    del joined.opset_import[1:]  # the same once more
    joined.graph.name = "photo"
    joined.producer_name, joined.producer_version = "edge-hoi", ""
    return joined


def _opset(model: onnx.ModelProto) -> int:
    return int(next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx")))


def _converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    if _opset(model) == opset:
        return model
    converted: onnx.ModelProto = version_converter.convert_version(model, opset)
    return converted


def _name_nodes(model: onnx.ModelProto, prefix: str) -> None:
    """Name each node after the module that it belongs to, with a number where that is not unique."""
    used: dict[str, int] = {}
    for node in model.graph.node:
        scopes = PurePosixPath(node.name.strip("/")).parts[:-1]
        name = f"{prefix}{'.'.join(scopes)}/{node.op_type}" if scopes else f"{prefix.rstrip('.')}/{node.op_type}"
        used[name] = used.get(name, 0) + 1
        node.name = name if used[name] == 1 else f"{name}.{used[name]}"
