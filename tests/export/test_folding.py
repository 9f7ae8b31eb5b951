"""An exported network computes nothing that is independent of the image, and nothing that is unused."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import onnx
import onnxruntime
import openvino

from edge_hoi.export.onnx import TOLERANCE, largest_difference
from edge_hoi.runtime import TensorSpec, random_inputs
from edge_hoi.runtime.openvino_core import openvino_core

POSITIONS = {"CumSum", "Sin", "Cos"}  # nothing else in the network has these
SIZE, CLIP_SIZE = (96, 160), 64


@pytest.fixture(scope="module")
def graph(tiny_network):
    return onnx.load(tiny_network).graph


def depending_on(graph, names, passing=lambda node: True):
    """Return all tensors that depend on the named ones, through nodes that satisfy `passing`."""
    reached = set(names)
    for node in graph.node:  # topologically sorted
        if reached.intersection(node.input) and passing(node):
            reached.update(node.output)
    return reached


def layers_of(graph, module):
    return [node for node in graph.node if node.name.startswith((f"{module}.", f"{module}/")) and node.op_type in ("MatMul", "Gemm")]


def specs(max_batch):
    sides = {"image": SIZE, "clip_image": (CLIP_SIZE, CLIP_SIZE)}
    return {name: TensorSpec((1 if max_batch == 1 else -1, 3, *side)) for name, side in sides.items()}


def test_everything_independent_of_the_image_is_folded(graph):
    inputs = [value.name for value in graph.input]
    assert inputs == ["image", "clip_image"]
    assert [node.name for node in graph.node if not depending_on(graph, inputs).issuperset(node.output)] == []


def test_the_first_decoder_layer_begins_with_its_cross_attention(graph):
    first = "model.instance_decoder.layers.0"
    assert [node.name for node in graph.node if node.name.startswith((f"{first}.self_attention", f"{first}.norm1"))] == []
    assert layers_of(graph, f"{first}.cross_attention.query") == []
    assert len(layers_of(graph, f"{first}.cross_attention.key")) == 1
    assert len(layers_of(graph, "model.instance_decoder.layers.1.self_attention.query")) == 1


def test_batch_norms_are_folded_into_convolutions(graph):
    operators = [node.op_type for node in graph.node]
    assert operators.count("Conv") > 0
    assert "BatchNormalization" not in operators


def test_heads_are_those_of_the_last_layer_alone(graph):
    heads = {"human_box_head": 3, "object_box_head": 3, "object_embedding_head": 1, "verb_head": 3}
    assert {head: len(layers_of(graph, f"model.{head}")) for head in heads} == heads
    assert len(layers_of(graph, "model.instance_decoder")) > 0
    norms = [node.name for node in graph.node if node.op_type == "LayerNormalization"]
    for decoder in ("instance_decoder", "interaction_decoder"):
        assert norms.count(f"model.{decoder}.norm/LayerNormalization") == 1
        assert f"model.{decoder}.norm/LayerNormalization.2" not in norms


def test_no_branch_and_no_weight_is_unused(graph):
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    assert [node.name for node in graph.node if not read.intersection(node.output)] == []
    assert [weight.name for weight in graph.initializer if weight.name not in read] == []


def test_positions_depend_on_the_size_of_the_image_only(graph):
    pixels = depending_on(graph, ["image", "clip_image"], lambda node: node.op_type != "Shape")
    positions = [node for node in graph.node if node.op_type in POSITIONS]
    assert {node.op_type for node in positions} == POSITIONS
    assert [node.name for node in positions if pixels.intersection(node.output)] == []


@pytest.mark.parametrize("max_batch", [1, 4])
def test_openvino_folds_positions_when_an_engine_is_opened_and_agrees(tiny_network, max_batch):
    wanted = specs(max_batch)
    core = openvino_core()
    model = core.read_model(tiny_network)
    batch = openvino.Dimension(1, max_batch)
    model.reshape({name: openvino.PartialShape([batch, *spec.shape[1:]]) for name, spec in wanted.items()})
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    executed = {
        name
        for layer in compiled.get_runtime_model().get_ops()
        if layer.get_rt_info()["layerType"].astype(str) != "Const"
        for name in layer.get_rt_info()["originalLayersNames"].astype(str).split(",")
    }
    assert "human_boxes" in executed
    assert [name for name in executed if any(name.startswith(f"model/{kind}") for kind in POSITIONS)] == []

    inputs = random_inputs(wanted)
    session = onnxruntime.InferenceSession(tiny_network, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, inputs), strict=True))
    results = compiled(inputs)
    assert largest_difference(expected, {name: np.asarray(results[name]) for name in names}) < TOLERANCE


def test_onnx_runtime_folds_positions_when_an_engine_for_single_images_is_opened(tiny_network, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    for name, size in {"batch": 1, "height": SIZE[0], "width": SIZE[1]}.items():
        options.add_free_dimension_override_by_name(name, size)
    onnxruntime.InferenceSession(tiny_network, options, providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "Softmax" in operators
    assert not operators & POSITIONS
