"""The head that comes with this package: what was exported is what was trained, and finds what people do in photographs."""

import numpy as np
import pytest

from edge_hoi.detection import read_classifier
from edge_hoi.hashing import sha256_of_file
from edge_hoi.photo import EPISODES, PHOTO_HEAD
from edge_hoi.photo.build import CLASSIFIER_FILE, MORE_CLASSIFIERS
from edge_hoi.vocabulary import NO_INTERACTION, load_vocabulary


def _classifiers():
    files, identity = {"hico_det": CLASSIFIER_FILE, **MORE_CLASSIFIERS}, sha256_of_file(PHOTO_HEAD / "head.onnx")
    return {name: read_classifier(PHOTO_HEAD / file, load_vocabulary(name), clip_sha256=identity) for name, file in files.items()}


def test_the_exported_head_is_the_trained_one():
    torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    from edge_hoi.export.pair_head import random_detections
    from edge_hoi.model.pair_head import load_pair_head

    head = load_pair_head(PHOTO_HEAD.parent / "photo_head.safetensors")
    for vocabulary, classifier in _classifiers().items():
        for name, array in head.classifier_arrays(vocabulary).items():
            np.testing.assert_array_equal(getattr(classifier, name), array, err_msg=f"{vocabulary}: {name}")
    session = onnxruntime.InferenceSession(PHOTO_HEAD / "head.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        detections = random_detections(batch)
        with torch.inference_mode():
            expected = head(*map(torch.from_numpy, detections.values()))
        for name, got in zip(expected._fields, session.run(list(expected._fields), detections), strict=True):
            np.testing.assert_allclose(got, getattr(expected, name).numpy(), atol=1e-4, err_msg=f"{name}: export it again, see its card")


@pytest.mark.slow
@pytest.mark.parametrize("has_vcoco", [False, True])
def test_a_head_that_was_not_trained_on_vcoco_is_exported_without_its_classifier(has_vcoco, tmp_path):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnxruntime]'")
    from edge_hoi.export.pair_head import export_pair_head
    from edge_hoi.model.pair_head import PairHead, PairHeadConfig

    sizes = PairHeadConfig(people=2, objects=3, width=16, heads=2, hidden=24, pair_width=12, has_vcoco=has_vcoco)
    export_pair_head(PairHead(sizes).eval(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classifier.safetensors", "head.onnx", *["vcoco.safetensors"] * has_vcoco]


def test_the_thresholds_name_what_the_head_knows():
    vocabulary = load_vocabulary("hico_det")
    interactions = {f"{vocabulary.verbs[hoi.verb_id]} {vocabulary.objects[hoi.object_id]}" for hoi in vocabulary.hois}
    assert set(EPISODES.verbs) <= {*vocabulary.verbs, *load_vocabulary("vcoco").verbs} - {NO_INTERACTION}
    assert set(EPISODES.interactions) <= interactions
    assert not any(EPISODES.of_interaction(verb).enabled for verb in ("throw", "catch", "kick", "point"))
    assert EPISODES.of_interaction("ride", "bicycle").enabled


@pytest.mark.slow
def test_it_finds_what_people_do_in_photographs(shared_data, tmp_path):
    detector, images = shared_data / "detector" / "deimv2_hgnetv2_femto_coco.onnx", shared_data / "vcoco" / "images"
    if not detector.is_file() or not images.is_dir():
        pytest.skip("no detector or photographs in the reference data")
    import edge_hoi as hoi
    from edge_hoi.photo import PhotoOptions, build_photo_engine

    build_photo_engine(PhotoOptions(detector), tmp_path / "photo")
    numbers = ("000000000436", "000000007977", "000000000165")
    with hoi.Detector(tmp_path / "photo", max_batch=3, threshold=0.4) as found_in:
        together = found_in([str(images / f"{number}.jpg") for number in numbers])
        texts = [{one.text for one in found if one.is_interaction} for found in together]
        alone = found_in(str(images / f"{numbers[0]}.jpg"))
    assert texts == [
        {"person holding sandwich", "person eating sandwich"},
        {"person riding skateboard", "person standing on skateboard"},
        {"person wearing tie"},
    ]
    np.testing.assert_allclose(alone.scores, together[0].scores, atol=1e-4)
