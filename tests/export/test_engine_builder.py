import dataclasses
import json
from importlib.metadata import version

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

from edge_hoi.detection import OnnxTextEncoder, read_classifier
from edge_hoi.errors import EngineError
from edge_hoi.export import build_engine
from edge_hoi.model import VARIANTS, HoiclipConfig, LastLayer, LayerOutputs, load_checkpoint
from edge_hoi.model.reference_weights import untrained_checkpoint
from edge_hoi.runtime import open_engine, read_manifest
from edge_hoi.runtime.torch_engine import TorchEngine
from edge_hoi.vocabulary import load_vocabulary

OPTIONS = {"name": "tiny", "description": "for tests", "is_trained": False}
NO_EXPORT = OPTIONS | {"backend": "torch", "with_text_tower": False, "input_size": (96, 160)}


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary("hico_det")


@pytest.fixture(scope="module")
def checkpoint(vocabulary):
    return untrained_checkpoint(VARIANTS["tiny"], vocabulary)


@pytest.fixture(scope="module")
def built(tiny_engine):
    """Return the folder of a tiny engine and the steps of its build."""
    return tiny_engine


def inputs_for(engine, batch=1):
    generator = np.random.default_rng(7)
    return {name: generator.standard_normal((batch, *spec.shape[1:]), np.float32) for name, spec in engine.inputs.items()}


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_folder_holds_what_its_manifest_lists_and_nothing_else(built):
    folder, steps = built
    manifest = read_manifest(folder)
    assert files_of(folder).keys() == {"manifest.json", *manifest.files}
    assert set(manifest.files) == {"model.onnx", "text.onnx", "tokenizer.json", "classifiers/hico_det.safetensors"}
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    assert steps == ["exporting the text tower", "writing the classifier", "exporting the network", "comparing the engine with PyTorch"]


@pytest.mark.slow
def test_the_manifest_describes_the_engine(built, checkpoint):
    manifest = read_manifest(built[0])
    assert (manifest.name, manifest.backend, manifest.precision, manifest.is_trained) == ("tiny", "openvino", "fp32", False)
    assert HoiclipConfig.from_json(manifest.architecture).to_json() == checkpoint.model.config.to_json()
    assert (manifest.num_queries, manifest.embedding_size) == (16, 32)
    assert (manifest.input.height, manifest.input.width, manifest.input.stride, manifest.input.clip_size) == (96, 160, 32, 64)
    assert manifest.clip.weights_sha256 == checkpoint.clip_sha256()
    assert manifest.default_vocabulary == "hico_det"
    assert manifest.tools["torch"] == version("torch")


@pytest.mark.slow
def test_no_file_contains_paths_of_the_build(built, repository):
    for name, content in files_of(built[0]).items():
        for trace in (str(repository), "site-packages", str(built[0].parent)):
            assert trace.encode() not in content, name


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("input_size", "max_batch"), [(None, 1), (None, 3), ((160, 128), 1), ((64, 256), 2)])
@pytest.mark.slow
def test_backends_agree_with_torch_at_any_size_and_batch(built, checkpoint, backend, input_size, max_batch):
    folder = built[0]
    options = {"input_size": input_size, "max_batch": max_batch, "device": "cpu"}
    with (
        open_engine(folder, backend=backend, **options) as engine,
        TorchEngine(LastLayer(checkpoint.model), read_manifest(folder), **options) as reference,
    ):
        inputs = inputs_for(engine, max_batch)
        outputs, expected = engine.run(inputs), reference.run(inputs)
        for name in expected:
            np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, err_msg=name)
        for row in range(max_batch):
            alone = engine.run({name: array[row : row + 1] for name, array in inputs.items()})
            for name in alone:
                np.testing.assert_allclose(alone[name][0], outputs[name][row], atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_the_classifier_scores_equal_the_checkpoint_s(built, checkpoint, vocabulary):
    manifest = read_manifest(built[0])
    classifier = read_classifier(built[0] / manifest.classifiers["hico_det"], vocabulary, clip_sha256=checkpoint.clip_sha256())
    shapes = {field: (1, 16, 4 if field.endswith("boxes") else 32) for field in LayerOutputs._fields}
    outputs = {field: np.random.default_rng(1).standard_normal(shape, np.float32) for field, shape in shapes.items()}
    hoi_logits, object_logits = classifier.logits(outputs)
    with torch.inference_mode():
        expected = checkpoint.classifier(LayerOutputs(**{field: torch.from_numpy(array) for field, array in outputs.items()}))
    np.testing.assert_allclose(hoi_logits, expected.hoi.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(object_logits, expected.object.numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_the_text_tower_encodes_prompts_as_the_checkpoint_s(built, checkpoint):
    import open_clip

    prompts = ["a photo of a person riding a bicycle", "a photo of a dog"]
    features = OnnxTextEncoder(built[0], read_manifest(built[0])).encode(prompts)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(checkpoint.text(open_clip.SimpleTokenizer()(prompts)), dim=-1).numpy()
    np.testing.assert_allclose(features, expected, atol=1e-5)


@pytest.mark.slow
def test_building_again_gives_the_same_bytes(built, checkpoint, vocabulary, tmp_path):
    build_engine(checkpoint, vocabulary, tmp_path / "again", input_size=(96, 160), **OPTIONS)
    assert files_of(tmp_path / "again") == files_of(built[0])


def test_a_torch_engine_contains_its_checkpoint(checkpoint, vocabulary, tmp_path):
    manifest = build_engine(checkpoint, vocabulary, tmp_path / "torch", **NO_EXPORT)
    assert set(manifest.files) == {"weights.safetensors", "classifiers/hico_det.safetensors"}
    assert manifest.text_tower is None
    loaded = load_checkpoint(tmp_path / "torch" / "weights.safetensors")
    with (
        TorchEngine(LastLayer(loaded.model), manifest, device="cpu") as engine,
        TorchEngine(LastLayer(checkpoint.model), manifest, device="cpu") as reference,
    ):
        inputs = inputs_for(engine)
        np.testing.assert_array_equal(engine.run(inputs)["verb_embeddings"], reference.run(inputs)["verb_embeddings"])


def test_torch_engines_are_deterministic(checkpoint, vocabulary, tmp_path):
    build_engine(checkpoint, vocabulary, tmp_path / "a", **NO_EXPORT)
    build_engine(checkpoint, vocabulary, tmp_path / "b", **NO_EXPORT)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_an_existing_engine_is_replaced(checkpoint, vocabulary, tmp_path):
    build_engine(checkpoint, vocabulary, tmp_path / "engine", **NO_EXPORT)
    build_engine(checkpoint, vocabulary, tmp_path / "engine", **NO_EXPORT | {"name": "newer"})
    assert read_manifest(tmp_path / "engine").name == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {"manifest.json": json.dumps({"name": "a web page", "icons": []})}])
def test_a_folder_that_is_no_engine_is_left_alone(checkpoint, vocabulary, tmp_path, content):
    folder = tmp_path / "engine"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    with pytest.raises(EngineError, match="exists and is not an engine's folder; name another one, or remove it"):
        build_engine(checkpoint, vocabulary, folder, **NO_EXPORT)
    assert files_of(folder) == {name: text.encode() for name, text in content.items()}


def test_a_file_is_not_overwritten_by_a_folder(checkpoint, vocabulary, tmp_path):
    (tmp_path / "engine").write_text("a file")
    with pytest.raises(EngineError, match="is not an engine's folder"):
        build_engine(checkpoint, vocabulary, tmp_path / "engine", **NO_EXPORT)
    assert (tmp_path / "engine").read_text() == "a file"


def test_other_files_in_the_folder_are_not_deleted(checkpoint, vocabulary, tmp_path):
    folder = tmp_path / "engine"
    build_engine(checkpoint, vocabulary, folder, **NO_EXPORT)
    (folder / "classifiers" / "mine.safetensors").write_text("mine")
    with pytest.raises(EngineError, match=r"classifiers/mine\.safetensors does not belong to the existing engine and would be lost"):
        build_engine(checkpoint, vocabulary, folder, **NO_EXPORT)
    assert (folder / "classifiers" / "mine.safetensors").read_text() == "mine"


@pytest.mark.parametrize("step", ["exporting the network", "writing the classifier", "comparing the engine with PyTorch"])
def test_an_interrupted_build_leaves_the_existing_engine(checkpoint, vocabulary, tmp_path, step):
    folder = tmp_path / "engine"
    build_engine(checkpoint, vocabulary, folder, **NO_EXPORT)
    before = files_of(folder)

    def interrupt(begun):
        if begun == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(checkpoint, vocabulary, folder, **NO_EXPORT | {"name": "newer"}, progress=interrupt)
    assert files_of(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "opnvino"}, "got 'opnvino'; did you mean 'openvino'"),
        ({"input_size": (380, 672)}, "multiples of 32, got 380x672; use 384x672"),
        ({"input_size": (0, 5)}, "got 0x5; use 32x32"),
    ],
)
def test_invalid_arguments_are_refused_before_any_work(checkpoint, vocabulary, tmp_path, changes, message):
    with pytest.raises(EngineError, match=message):
        build_engine(checkpoint, vocabulary, tmp_path / "engine", **NO_EXPORT | changes)
    assert list(tmp_path.iterdir()) == []


def test_another_vocabulary_than_the_checkpoint_s_is_refused(checkpoint, tmp_path):
    with pytest.raises(EngineError, match="classifier is for vocabulary 'hico_det', got 'vcoco'"):
        build_engine(checkpoint, load_vocabulary("vcoco"), tmp_path / "engine", **NO_EXPORT)


@pytest.mark.slow
def test_a_network_of_stride_16_agrees_with_torch_at_multiples_of_16(vocabulary, tmp_path):
    fine = untrained_checkpoint(dataclasses.replace(VARIANTS["tiny"], backbone_stride=16), vocabulary)
    with pytest.raises(EngineError, match="multiples of 16, got 90x160; use 96x160"):
        build_engine(fine, vocabulary, tmp_path / "fine", **OPTIONS | {"input_size": (90, 160), "with_text_tower": False})
    manifest = build_engine(fine, vocabulary, tmp_path / "fine", **OPTIONS | {"input_size": (112, 144), "with_text_tower": False})
    assert (manifest.input.stride, manifest.architecture["backbone_stride"]) == (16, 16)
    options = {"input_size": (80, 176), "device": "cpu"}
    with (
        open_engine(tmp_path / "fine", **options) as engine,
        TorchEngine(LastLayer(fine.model), manifest, **options) as reference,
    ):
        inputs = inputs_for(engine)
        outputs, expected = engine.run(inputs), reference.run(inputs)
        for name in expected:
            np.testing.assert_allclose(outputs[name], expected[name], atol=1e-4, err_msg=name)
