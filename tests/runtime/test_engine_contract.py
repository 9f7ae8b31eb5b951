"""The contract of engines, tested on every backend.

Without the [build] extra, which writes ONNX, the checkout's default engine replaces the hand-written model.
"""

from collections.abc import Callable

import numpy as np
import pytest
from fake_gpu import install
from gpu_presence import need_gpu
from handmade import write_weights_folder
from int8_presence import int8_runs_in

from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine, fake_manifest, open_engine, read_manifest

ON_A_GPU = ("tensorrt", "tensorrt-rtx", "torch-tensorrt")
BACKENDS = ("fake", "openvino", "onnxruntime", "torch", *ON_A_GPU)
ON_A_FAKE_GPU = tuple(f"{backend} on a fake GPU" for backend in ON_A_GPU)


@pytest.fixture(
    scope="module",
    params=[*(pytest.param(name, marks=pytest.mark.gpu) if name in ON_A_GPU else name for name in BACKENDS), *ON_A_FAKE_GPU],
)
def make(request, repository) -> Callable:
    """Return a function that opens an engine of the backend: make(max_batch=…, input_size=…)."""
    backend = request.param
    if backend in ON_A_GPU:
        return request.getfixturevalue("open_on_gpu")(backend)
    if backend in ON_A_FAKE_GPU:
        return request.getfixturevalue("open_on_fake_gpu")(backend.partition(" ")[0])
    if backend == "fake":
        return FakeEngine
    if backend == "torch":
        module = request.getfixturevalue("handmade_module")
        from edge_hoi.runtime.torch_engine import TorchEngine

        return lambda **options: TorchEngine(module, fake_manifest(), device="cpu", **options)
    pytest.importorskip(backend, reason=f"needs the extra: pip install '.[{backend}]'")
    folder = request.getfixturevalue("handmade_or_default_folder")
    return lambda **options: open_engine(folder, backend=backend, device="cpu", **options)


@pytest.fixture(scope="module")
def handmade_or_default_folder(request, repository):
    try:
        return request.getfixturevalue("handmade_folder")
    except pytest.skip.Exception:
        folder = repository / "engines" / "default"
        if not folder.is_dir():
            pytest.skip("needs the [build] extra, or the checkout's engines/default")
        return folder


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory):
    """Write the weights of a small network, which torch-tensorrt compiles."""
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.export import build_engine
    from edge_hoi.model import VARIANTS
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    folder, vocabulary = tmp_path_factory.mktemp("engines") / "weights", load_vocabulary("vcoco")
    options = {"name": "tiny", "description": "for tests", "is_trained": False, "input_size": (96, 160), "with_text_tower": False}
    build_engine(untrained_checkpoint(VARIANTS["tiny"], vocabulary), vocabulary, folder, backend="torch", **options)
    return folder


@pytest.fixture(scope="module")
def open_on_gpu(request, tmp_path_factory):
    def choose(backend):
        need_gpu(backend)
        name = "weights_folder" if backend == "torch-tensorrt" else "handmade_or_default_folder"
        folder, cache = request.getfixturevalue(name), tmp_path_factory.mktemp("plans")
        return lambda **options: open_engine(folder, backend=backend, cache_folder=cache, **options)

    return choose


@pytest.fixture(scope="module")
def open_on_fake_gpu(handmade_or_default_folder, tmp_path_factory):
    """Open engines on a fake GPU: ONNX Runtime computes the outputs, all other code is the engine's own."""
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")

    def choose(backend):
        folder = handmade_or_default_folder
        if backend == "torch-tensorrt":  # whose fake compiler copies the weights
            network, manifest = (folder / "model.onnx").read_bytes(), read_manifest(folder)
            folder = write_weights_folder(tmp_path_factory.mktemp("engines"), network, manifest)
        return lambda **options: open_engine(folder, backend=backend, **options)

    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        yield choose


def inputs_for(engine, batch: int, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    inputs = {}
    for name, spec in engine.inputs.items():
        offsets = generator.standard_normal((batch, 3, 1, 1))  # so that images differ in their mean colours too
        inputs[name] = (generator.standard_normal((batch, *spec.shape[1:])) + offsets).astype(np.float32)
    return inputs


@pytest.mark.parametrize("max_batch", [1, 3])
def test_outputs_have_the_specified_names_shapes_and_types(make, max_batch):
    with make(max_batch=max_batch) as engine:
        outputs = engine.run(inputs_for(engine, max_batch))
        queries, embedding = engine.manifest.num_queries, engine.manifest.embedding_size
        assert list(outputs) == list(engine.outputs)
        for name, array in outputs.items():
            batch, *rest = engine.outputs[name].shape
            assert batch == (1 if max_batch == 1 else -1)
            assert array.shape == (max_batch, *rest)
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
        assert outputs["human_boxes"].shape == (max_batch, queries, 4)
        assert outputs["verb_embeddings"].shape == (max_batch, queries, embedding)
        assert outputs["image_embedding"].shape == (max_batch, embedding)


def test_boxes_lie_in_the_image_and_embeddings_have_length_one(make):
    with make() as engine:
        outputs = engine.run(inputs_for(engine, 1))
    for name, array in outputs.items():
        if name.endswith("_boxes"):
            assert (array >= 0).all()
            assert (array <= 1).all()
        else:
            np.testing.assert_allclose(np.linalg.norm(array, axis=-1), 1, atol=1e-5)


def test_batch_equals_singles(make):
    with make(max_batch=3) as engine:
        inputs = inputs_for(engine, 3)
        together = engine.run(inputs)
        for row in range(3):
            alone = engine.run({name: array[row : row + 1] for name, array in inputs.items()})
            for name in alone:
                np.testing.assert_allclose(alone[name][0], together[name][row], atol=2e-5, err_msg=name)
        assert not np.allclose(together["image_embedding"][0], together["image_embedding"][1], atol=1e-3)


def test_equal_inputs_give_equal_outputs_whatever_ran_between(make):
    with make() as engine:
        first = engine.run(inputs_for(engine, 1))
        kept = {name: array.copy() for name, array in first.items()}
        engine.run(inputs_for(engine, 1, seed=1))
        again = engine.run(inputs_for(engine, 1))
        for name in kept:
            np.testing.assert_array_equal(first[name], kept[name], err_msg=f"{name} of an earlier run was overwritten")
            np.testing.assert_array_equal(again[name], kept[name])


def test_inputs_may_be_read_only_and_of_any_memory_order_and_stay_untouched(make):
    with make() as engine:
        inputs = inputs_for(engine, 1)
        expected = engine.run(inputs)
        for order in ("C", "F"):
            other = {name: np.array(array, order=order) for name, array in inputs.items()}
            for array in other.values():
                array.flags.writeable = False
            outputs = engine.run(other)
            for name in outputs:
                np.testing.assert_array_equal(outputs[name], expected[name])
        for name, array in inputs_for(engine, 1).items():
            np.testing.assert_array_equal(inputs[name], array)


def test_engine_opens_at_another_input_size(make):
    with make() as nominal:
        height, width = nominal.input_size
        stride = nominal.manifest.input.stride
        assert nominal.input_size == (nominal.manifest.input.height, nominal.manifest.input.width)
    with make(input_size=(width, height + stride)) as engine:
        assert engine.input_size == (width, height + stride)
        assert engine.inputs["image"].shape == (1, 3, width, height + stride)
        assert np.isfinite(engine.run(inputs_for(engine, 1))["human_boxes"]).all()


@pytest.mark.parametrize(
    ("size", "max_batch", "message"), [((101, 160), 1, r"multiples of \d+"), ((0, 0), 1, "got 0x0"), (None, 0, "max_batch")]
)
def test_invalid_sizes_are_refused_at_opening(make, size, max_batch, message):
    with pytest.raises(EngineError, match=message):
        make(input_size=size, max_batch=max_batch)


def test_wrong_names_are_refused(make):
    with make() as engine:
        inputs = inputs_for(engine, 1)
        with pytest.raises(EngineError, match="expects inputs clip_image, image, got image; "):
            engine.run({"image": inputs["image"]})
        with pytest.raises(EngineError, match="got clip_image, image, padding_mask; "):
            engine.run({**inputs, "padding_mask": inputs["image"]})


def damage_size(image):
    return image[:, :, :-32]


def damage_layout(image):
    return image.transpose(0, 2, 3, 1)


def damage_rank(image):
    return image[0]


def damage_type(image):
    return image.astype(np.float64)


def damage_container(image):
    return [list(row) for row in image]


def damage_to_nothing(image):
    return image[:0]


def damage_by_repeating(image):
    return np.repeat(image, 9, 0)


@pytest.mark.parametrize(
    ("damage", "fix"),
    [
        (damage_size, "resize the images"),
        (damage_layout, "order the axes as batch, channel, height, width"),
        (damage_rank, "order the axes as batch, channel, height, width"),
        (damage_type, r"float64; convert it with numpy\.asarray"),
        (damage_container, r"list; convert it with numpy\.asarray"),
        (damage_to_nothing, "pass at least one image"),
        (damage_by_repeating, "open the engine with max_batch=9"),
    ],
)
def test_wrong_arrays_are_refused_with_what_was_expected_and_the_fix(make, damage, fix):
    with make(max_batch=4) as engine:
        height, width = engine.input_size
        inputs = inputs_for(engine, 1)
        inputs["image"] = damage(inputs["image"])
        with pytest.raises(EngineError, match=rf"^Engine expects image \(1\.\.4, 3, {height}, {width}\) float32, got .*{fix}"):
            engine.run(inputs)


def test_a_batch_beyond_a_static_one_is_refused(make):
    with make() as engine, pytest.raises(EngineError, match=r"image \(1, 3, .*max_batch=2"):
        engine.run(inputs_for(engine, 2))


def test_unequal_batches_are_refused(make):
    with make(max_batch=3) as engine:
        inputs = {**inputs_for(engine, 3), "image": inputs_for(engine, 2)["image"]}
        with pytest.raises(EngineError, match="got 2 of image and 3 of clip_image"):
            engine.run(inputs)


def test_engine_runs_again_after_a_refusal(make):
    with make() as engine:
        expected = engine.run(inputs_for(engine, 1))
        with pytest.raises(EngineError):
            engine.run({})
        np.testing.assert_array_equal(engine.run(inputs_for(engine, 1))["human_boxes"], expected["human_boxes"])


def test_closing_twice_is_harmless_and_a_closed_engine_refuses_to_run(make):
    engine = make()
    inputs = inputs_for(engine, 1)
    with engine as entered:
        assert entered is engine
    engine.close()
    with pytest.raises(EngineError, match="after close"):
        engine.run(inputs)


def test_engine_reports_its_backend_and_precision(make):
    with make() as engine:
        assert engine.backend in BACKENDS
        built_in = engine.manifest.precision
        assert engine.precision == (int8_runs_in() if built_in == "int8" else built_in)
        assert engine.max_batch == 1
        assert engine.backend == "fake" or engine.flags.get("device") or engine.flags.get("provider")
        assert all(isinstance(text, str) and text for text in engine.flags.values())
