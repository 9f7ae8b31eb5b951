import pytest

from edge_hoi.errors import ConfigError
from edge_hoi.hub import known_model, known_models, write_card
from edge_hoi.vocabulary import known_vocabularies, zero_shot_splits


def test_published_hoiclips_are_listed_with_their_figures():
    figures = {model.name: list(model.figures.values()) for model in known_models() if model.kind == "hoiclip"}
    assert figures == {
        "hoiclip-hico": [34.69, 31.12, 35.74, 37.61, 34.47, 38.54],
        "hoiclip-vcoco": [63.50, 64.81],
        "hoiclip-rf-uc": [25.53, 34.85, 32.99],
        "hoiclip-nf-uc": [26.39, 28.10, 27.75],
        "hoiclip-uo": [16.20, 30.99, 28.53],
        "hoiclip-uv": [24.30, 32.19, 31.09],
        "dp-hoi-hico": [36.56, 34.36, 37.22],
    }


def test_entries_name_known_vocabularies_and_splits():
    for model in known_models():
        assert model.page.startswith("https://github.com/"), model.name
        assert model.licence
        if model.kind == "hoiclip":
            assert model.dataset in known_vocabularies()
            assert model.split in (None, *zero_shot_splits())
            assert model.verb_share == {"hico_det": 0.5, "vcoco": 0.1}[model.dataset]
    detector = known_model("detr-r50")
    assert detector.sha256 in detector.file  # its authors put the hash's first digits into the name
    assert not detector.pin.is_full


def test_detectors_of_photo_are_pinned_by_commit_and_hash_the_most_accurate_first():
    detectors = [model for model in known_models() if model.kind == "photo"]
    assert [model.name for model in detectors] == ["photo-n", "photo-pico", "photo-femto"]
    accuracies = [model.figures["COCO box AP"] for model in detectors]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [model.gflops for model in detectors] == [6.8, 5.2, 1.7]
    for model in detectors:
        assert model.pin.is_full
        assert "/f88d4382abca74edb26ed4c7f46190ac40da0ea5/model/" in model.file


def test_the_pin_of_the_smallest_detector_is_of_its_file(shared_data):
    file = shared_data / "detector" / "deimv2_hgnetv2_femto_coco.onnx"
    if not file.is_file():
        pytest.skip(f"no detector: put {file.name} of its publisher into {file.parent}")
    with file.open("rb") as opened:
        assert known_model("photo-femto").pin.difference(opened) is None
        assert known_model("photo-n").pin.difference(opened).startswith("expected git blob facaa277")


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown model 'hoiclip-hica'; did you mean 'hoiclip-hico'"):
        known_model("hoiclip-hica")


def test_card_names_origin_licence_and_figures(tmp_path):
    model = known_model("hoiclip-vcoco")
    write_card(tmp_path / "a.md", title="mine", facts={"backbone": "ResNet-50"}, models=[model])
    card = (tmp_path / "a.md").read_text()
    assert card.startswith("# mine\n")
    for part in ("| backbone | ResNet-50 |", model.page, model.licence, "| scenario 1 | 63.50 |"):
        assert part in card
