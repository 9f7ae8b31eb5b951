"""Adopting exported detectors: what has the form of the DETR family is taken, all else is refused with what was expected."""

import os

import numpy as np
import onnx
import pytest
from handmade_two_stage import BOXES, HEIGHT, LABELS, WIDTH, write_detector
from onnx import helper, numpy_helper

from edge_hoi.errors import EngineError
from edge_hoi.photo.detector_graph import read_detector
from edge_hoi.runtime.openvino_core import openvino_core


def _run(model, images):
    results = openvino_core().compile_model(openvino_core().read_model(model.SerializeToString()), "CPU")({"image": images})
    return {name: array for output, array in results.items() for name in output.names}


@pytest.mark.parametrize("image", ["images", "image", "pixel_values"])
def test_an_adopted_detector_takes_images_alone_and_returns_boxes_in_the_unit_square(tmp_path, image):
    adopted = read_detector(write_detector(tmp_path / "detector.onnx", image=image))
    assert (adopted.height, adopted.width) == (HEIGHT, WIDTH)
    assert [value.name for value in adopted.model.graph.input] == ["image"]
    found = _run(adopted.model, np.random.default_rng(1).random((3, 3, HEIGHT, WIDTH), np.float32))
    assert found["labels"].shape == (3, len(LABELS))
    assert (np.diff(found["scores"]) <= 0).all()
    for labels, boxes in zip(found["labels"], found["boxes"], strict=True):
        assert sorted(labels) == sorted(LABELS)
        np.testing.assert_allclose(np.sort(boxes, axis=0), np.sort(BOXES, axis=0), rtol=1e-6)


def test_constant_nodes_become_initializers_where_quantisation_looks_for_weights(tmp_path):
    graph = read_detector(write_detector(tmp_path / "detector.onnx")).model.graph
    assert "Constant" not in {node.op_type for node in graph.node}
    assert "axis" in {weight.name for weight in graph.initializer}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": ["labels", "boxes"]}, r"its outputs labels, boxes\): expected .*DEIM, D-FINE and RT-DETR"),
        ({"size": ("height", "width")}, "takes images of any size; export the detector for one size"),
        ({"labels": LABELS + 30}, "labels from 30 to 86; expected COCO's 80 classes"),
        ({"sizes_are_used": False}, r"returns boxes \(2, 6, 4\) from .* for images of 1x1"),
    ],
)
def test_another_form_is_refused_with_what_was_expected(tmp_path, changes, message):
    with pytest.raises(EngineError, match=message):
        read_detector(write_detector(tmp_path / "detector.onnx", **changes))


def test_a_detector_whose_batch_is_fixed_is_refused(tmp_path):
    path = write_detector(tmp_path / "detector.onnx")
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.op_type == "MatMul")
    node.input[0] = "row"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3]), "shape"))
    model.graph.node.insert(1, helper.make_node("Reshape", ["mean", "shape"], ["row"]))
    onnx.save(model, path)
    with pytest.raises(EngineError, match="export the detector with a dynamic batch"):
        read_detector(path)


def _loop(graph):
    body = helper.make_graph([], "body", [], [])
    graph.node.append(helper.make_node("Loop", ["many"], ["extra"], body=body))


def _weights_elsewhere(graph):
    onnx.external_data_helper.set_external_data(graph.initializer[0], "other")


def _large_tensor(graph):
    graph.initializer.append(numpy_helper.from_array(np.array([10**12]), "many"))
    [top] = [node for node in graph.node if node.op_type == "TopK"]
    wide = [("ReduceMean", [top.input[0]], "mean_score"), ("Expand", ["mean_score", "many"], "wide"), ("Sin", ["wide"], "sine")]
    nodes = [helper.make_node(kind, given, [name]) for kind, given, name in (*wide, ("ReduceMax", ["sine"], "least"))]
    nodes.append(helper.make_node("Add", [top.input[0], "least"], ["moved"]))
    place = list(graph.node).index(top)
    top.input[0] = "moved"
    for node in reversed(nodes):
        graph.node.insert(place, node)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_loop, "is refused: it has a graph within a node"),
        (_weights_elsewhere, "is refused: it has weights in another file"),
        (_large_tensor, r"needs 8\d{3}\.\d GB for its tensors"),
    ],
)
def test_a_hostile_detector_is_refused_before_it_runs(tmp_path, change, reason):
    path = write_detector(tmp_path / "detector.onnx")
    model = onnx.load(path)
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=reason):
        read_detector(path)


def test_a_pipe_is_no_detector(tmp_path):
    os.mkfifo(tmp_path / "detector.onnx")
    with pytest.raises(EngineError, match="no regular file, but a pipe"):
        read_detector(tmp_path / "detector.onnx")


@pytest.mark.parametrize("content", [None, b"", b"no network at all"])
def test_a_file_that_is_no_network_is_refused(tmp_path, content):
    path = tmp_path / "detector.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"detector\.onnx is not a detector that can be adopted"):
        read_detector(path)
