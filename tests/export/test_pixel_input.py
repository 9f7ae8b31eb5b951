"""Preprocessing in the network gives the same images as on the CPU."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from onnx import TensorProto, helper

from edge_hoi.detection import Preprocessor
from edge_hoi.errors import EngineError
from edge_hoi.export import LIMITS, Reduction, describe_input
from edge_hoi.export.onnx import open_session
from edge_hoi.export.pixel_input import with_input
from edge_hoi.runtime import open_engine, read_manifest
from edge_hoi.runtime.openvino_core import openvino_core

SIZE = (96, 160)


@pytest.fixture(scope="module")
def copying_network():
    """Return a network whose outputs are its normalised inputs."""
    names = ("image", "clip_image")
    inputs, outputs = (
        [helper.make_tensor_value_info(prefix + name, TensorProto.FLOAT, ["batch", 3, None, None]) for name in names]
        for prefix in ("", "same_")
    )
    nodes = [helper.make_node("Identity", [name], [f"same_{name}"]) for name in names]
    graph = helper.make_graph(nodes, "copying", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def described(checkpoint, image_type="uint8", clip_size=32):
    return describe_input(checkpoint, SIZE, image_type).model_copy(update={"clip_size": clip_size})


def run_session(path, pixels):
    session = open_session(path)
    return dict(zip(("image", "clip_image"), session.run(["same_image", "same_clip_image"], {"image": pixels}), strict=True))


def run_openvino(path, pixels):
    model = openvino_core().read_model(path)
    model.reshape({"image": list(pixels.shape)})
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled({"image": pixels})
    return {name: results[f"same_{name}"] for name in ("image", "clip_image")}


@pytest.mark.parametrize("run", [run_session, run_openvino])
@pytest.mark.parametrize(
    ("size", "clip_size"),
    [
        (SIZE, 32),  # both sides are multiples of the square's
        ((160, 96), 32),
        ((96, 160), 224),  # enlarged
        ((416, 608), 224),  # the longer side ends in a half, and the crop begins at a half
        ((224, 224), 224),  # nothing to resize
    ],
)
def test_images_equal_those_of_the_cpu(copying_network, tiny_checkpoint, tmp_path, run, size, clip_size):
    description = described(tiny_checkpoint, clip_size=clip_size)
    onnx.save(with_input(copying_network, description), tmp_path / "model.onnx")
    images = list(np.random.default_rng(1).integers(0, 256, (2, *size, 3), np.uint8))
    images[1][: size[0] // 2] = 255  # an edge, at which bicubic resampling overshoots
    images[1][size[0] // 2 :] = 0
    expected = Preprocessor(description.normalised, height=size[0], width=size[1])(images)
    pixels = Preprocessor(description, height=size[0], width=size[1])(images)
    assert set(pixels) == {"image"}
    np.testing.assert_array_equal(pixels["image"], np.stack(images).transpose(0, 3, 1, 2))
    got = run(tmp_path / "model.onnx", pixels["image"])
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=1e-4, err_msg=name)  # a grey level is 0.015


def test_a_network_on_normalised_images_stays_as_it_is(copying_network, tiny_checkpoint):
    assert with_input(copying_network, described(tiny_checkpoint, "float32")) is copying_network


def test_a_network_without_clip_is_normalised_alike(copying_network, tiny_checkpoint, tmp_path):
    without = onnx.ModelProto()
    without.CopyFrom(copying_network)
    for field in (without.graph.input, without.graph.output, without.graph.node):
        field.pop()
    description = described(tiny_checkpoint).model_copy(update=dict.fromkeys(("clip_size", "clip_mean", "clip_std")))
    extended = with_input(without, description)
    onnx.save(extended, tmp_path / "model.onnx")
    assert [node.op_type for node in extended.graph.node] == ["Cast", "Mul", "Add", "Identity"]
    image = np.random.default_rng(2).integers(0, 256, (*SIZE, 3), np.uint8)
    expected = Preprocessor(description.normalised, height=SIZE[0], width=SIZE[1])([image])
    [got] = open_session(tmp_path / "model.onnx").run(None, {"image": image.transpose(2, 0, 1)[None]})
    np.testing.assert_allclose(got, expected["image"], atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_on_pixels_passes_the_gate_against_normalised_images(build_tiny, demo_frames, tmp_path, precision):
    calibration = {"calibration": demo_frames, "limits": dict.fromkeys(LIMITS, 9.0)} if precision == "int8" else {}
    reduction = None if precision == "fp32" else Reduction(precision, demo_frames, **calibration)
    manifest = build_tiny(tmp_path / "pixels", reduction, image_type="uint8")
    assert read_manifest(tmp_path / "pixels") == manifest
    assert manifest.input.image_type == "uint8"
    assert manifest.built_from["image type"] == '"uint8"'
    float_engine = build_tiny(tmp_path / "floats", reduction)
    assert "image type" not in float_engine.built_from
    frame = demo_frames.frames[0].image
    height, width = frame.shape[:2]
    outputs = []
    for name in ("pixels", "floats"):
        with open_engine(tmp_path / name, backend="onnxruntime", device="cpu", input_size=(height, width)) as engine:
            outputs.append(engine.run(Preprocessor(engine.manifest.input, height=height, width=width)([frame])))
    for name, array in outputs[1].items():
        np.testing.assert_allclose(outputs[0][name], array, atol=2e-3 if precision == "fp16" else 2e-2 if precision == "int8" else 1e-5)


def test_pytorch_takes_no_pixels(build_tiny, tmp_path):
    for backend in ("torch", "torch-tensorrt"):
        with pytest.raises(EngineError, match=f"input uint8 run on openvino, .*, got backend '{backend}'; build it with input float32"):
            build_tiny(tmp_path / "engine", backend=backend, image_type="uint8")
