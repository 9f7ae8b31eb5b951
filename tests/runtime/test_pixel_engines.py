"""Engines whose network takes uint8 pixels: the same outputs as on normalised images, for a quarter of the bytes."""

import numpy as np
import pytest
from fake_gpu import install
from handmade import handmade_onnx, write_engine_folder

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[build]'")
pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

from edge_hoi.detection import Preprocessor
from edge_hoi.errors import EngineError
from edge_hoi.export.pixel_input import with_input
from edge_hoi.runtime import FakeEngine, fake_manifest, open_engine, random_inputs

PIXELS = fake_manifest().input.model_copy(update={"image_type": "uint8"})


@pytest.fixture(scope="module")
def pixel_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines") / "pixels"
    network = with_input(onnx.load_from_string(handmade_onnx()), PIXELS)
    write_engine_folder(folder, network.SerializeToString(), input=PIXELS)
    return folder


@pytest.fixture(params=["openvino", "onnxruntime", "tensorrt", "tensorrt-rtx"])
def opened(request, pixel_folder, monkeypatch):
    """Return a function that opens the engine, on a fake GPU where it needs one."""
    if request.param.startswith("tensorrt"):
        install(monkeypatch)
        return lambda **options: open_engine(pixel_folder, backend=request.param, **options)
    return lambda **options: open_engine(pixel_folder, backend=request.param, device="cpu", **options)


def preprocessed(engine, images):
    height, width = engine.input_size
    return Preprocessor(engine.manifest.input, height=height, width=width)(images)


@pytest.mark.parametrize("size", [(96, 160), (160, 96), (224, 128)])
def test_pixels_give_the_outputs_of_normalised_images(opened, handmade_folder, size):
    images = list(np.random.default_rng(4).integers(0, 256, (3, *size, 3), np.uint8))
    with (
        opened(input_size=size, max_batch=3) as engine,
        open_engine(handmade_folder, backend="onnxruntime", device="cpu", input_size=size, max_batch=3) as reference,
    ):
        for batch in (images, images[:1]):
            expected, got = (each.run(preprocessed(each, batch)) for each in (reference, engine))
            for name, array in expected.items():
                np.testing.assert_allclose(got[name], array, atol=2e-5, err_msg=name)


def test_an_engine_on_pixels_takes_nothing_else(opened):
    with opened() as engine:
        assert {name: (spec.shape, spec.dtype) for name, spec in engine.inputs.items()} == {"image": ((1, 3, 96, 160), np.uint8)}
        image = np.zeros((1, 3, 96, 160), np.float32)
        with pytest.raises(EngineError, match=r"expects image \(1, 3, 96, 160\) uint8, got .* float32; convert it with .*numpy\.uint8"):
            engine.run({"image": image})
        with pytest.raises(EngineError, match="expects inputs image, got clip_image, image; "):
            engine.run({"image": image.astype(np.uint8), "clip_image": np.zeros((1, 3, 32, 32), np.float32)})


@pytest.mark.parametrize(("image_type", "bytes_taken"), [("uint8", 3 * 96 * 160), ("float32", 4 * 3 * (96 * 160 + 32 * 32))])
def test_a_gpu_gets_what_the_network_takes(pixel_folder, handmade_folder, monkeypatch, image_type, bytes_taken):
    gpu = install(monkeypatch)
    copies = []
    monkeypatch.setattr(
        gpu, "cudaMemcpyAsync", lambda to, source, count, kind, stream: copies.append((kind.name, count)) or (gpu.cudaError_t.cudaSuccess,)
    )
    with open_engine(pixel_folder if image_type == "uint8" else handmade_folder, backend="tensorrt"):
        uploads = [count for kind, count in copies if kind == "cudaMemcpyHostToDevice"]
    assert sum(uploads) == 2 * bytes_taken  # once run, once recorded


def test_a_plan_of_another_input_type_is_refused(handmade_folder, tmp_path, monkeypatch):
    install(monkeypatch)
    network = (handmade_folder / "model.onnx").read_bytes()
    write_engine_folder(tmp_path / "engine", network, input=PIXELS)
    with pytest.raises(EngineError, match=r"expects a network with uint8 image, float32 human_boxes, .*, got image, clip_image; build"):
        open_engine(tmp_path / "engine", backend="tensorrt")


def test_a_module_takes_normalised_images_whatever_the_engine_takes(handmade_module):
    from edge_hoi.runtime.torch_engine import TorchEngine

    with TorchEngine(handmade_module, fake_manifest(input=PIXELS), device="cpu") as engine:
        assert engine.manifest.input == fake_manifest().input
        assert set(engine.run(random_inputs(engine.inputs))) == set(engine.outputs)


def test_random_pixels_are_of_all_values_and_always_the_same():
    with FakeEngine(fake_manifest(input=PIXELS), max_batch=2) as engine:
        inputs = random_inputs(engine.inputs, 2)
        assert inputs["image"].dtype == np.uint8
        assert (inputs["image"].min(), inputs["image"].max()) == (0, 255)
        np.testing.assert_array_equal(inputs["image"], random_inputs(engine.inputs, 2)["image"])
        assert len(engine.run(inputs)["human_boxes"]) == 2
