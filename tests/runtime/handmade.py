"""A small hand-written model, as ONNX and as weights, and an engine's folder of it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_hoi.runtime import OUTPUT_NAMES, Manifest, fake_manifest, write_manifest

QUERIES, EMBEDDING = 8, 16  # of fake_manifest
WIDTHS = {"human_boxes": 4, "object_boxes": 4}


def handmade_weights():
    """Return a (6, columns) matrix per output, applied to the mean colours of `image` and `clip_image`."""
    generator = np.random.default_rng(3)
    queries = {name: 1 if name == "image_embedding" else QUERIES for name in OUTPUT_NAMES}
    return {name: generator.standard_normal((6, queries[name] * WIDTHS.get(name, EMBEDDING))).astype(np.float32) for name in OUTPUT_NAMES}


def handmade_onnx() -> bytes:
    onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, outputs = [], {"axes": np.array([2, 3], np.int64), "last": np.array([-1], np.int64)}, []
    nodes.append(helper.make_node("ReduceMean", ["image", "axes"], ["mean_image"], keepdims=0))
    nodes.append(helper.make_node("ReduceMean", ["clip_image", "axes"], ["mean_clip_image"], keepdims=0))
    nodes.append(helper.make_node("Concat", ["mean_image", "mean_clip_image"], ["colours"], axis=1))
    for name, weight in handmade_weights().items():
        shape = [EMBEDDING] if name == "image_embedding" else [QUERIES, WIDTHS.get(name, EMBEDDING)]
        constants |= {f"{name}_weight": weight, f"{name}_shape": np.array([0, *shape], np.int64)}
        nodes.append(helper.make_node("MatMul", ["colours", f"{name}_weight"], [f"{name}_flat"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [f"{name}_raw"]))
        if name in WIDTHS:
            nodes.append(helper.make_node("Sigmoid", [f"{name}_raw"], [name]))
        else:
            nodes.append(helper.make_node("ReduceL2", [f"{name}_raw", "last"], [f"{name}_length"]))
            nodes.append(helper.make_node("Div", [f"{name}_raw", f"{name}_length"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"]),
        helper.make_tensor_value_info("clip_image", TensorProto.FLOAT, ["batch", 3, 32, 32]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "handmade", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def write_engine_folder(folder: Path, model: bytes, **changes) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    manifest = fake_manifest(**{"backend": "openvino", "files": {"model.onnx": hashlib.sha256(model).hexdigest()}} | changes)
    write_manifest(folder, manifest)
    return manifest


def write_weights_folder(folder: Path, weights: bytes, manifest: Manifest | None = None) -> Path:
    """Write the folder of a torch-tensorrt engine; `manifest` describes its network."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(weights)
    only = {"files": {"weights.safetensors": hashlib.sha256(weights).hexdigest()}, "classifiers": {}, "default_vocabulary": None}
    manifest = manifest or fake_manifest()
    write_manifest(folder, manifest.model_copy(update={"backend": "torch-tensorrt", "text_tower": None, "plans": (), **only}))
    return folder
