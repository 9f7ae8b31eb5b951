"""The published vocabularies, against the reference tables and, without them, against counts and hashes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from edge_hoi.errors import VocabularyError
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary, known_vocabularies, load_vocabulary, zero_shot_split


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _hois(vocabulary: Vocabulary) -> list[tuple[str, int, int, str]]:
    return [(vocabulary.verbs[hoi.verb_id], hoi.verb_id, hoi.object_id, hoi.prompt) for hoi in vocabulary.hois]


def test_hico_det_equals_the_reference_table(shared_data):
    vocabulary = load_vocabulary("hico_det")
    rows = _rows(shared_data / "vocab" / "hico_det.tsv")
    assert [int(row["hoi_id"]) for row in rows] == list(range(600))
    assert _hois(vocabulary) == [(row["verb"], int(row["verb_id"]), int(row["object_id"]), row["prompt"]) for row in rows]
    assert [hoi.is_rare for hoi in vocabulary.hois] == [row["rare_in_train"] == "1" for row in rows]
    for hoi, row in zip(vocabulary.hois, rows, strict=True):
        assert vocabulary.objects[hoi.object_id] == row["object"]
        assert vocabulary.coco_category_ids[hoi.object_id] == int(row["coco_category_id"])


def test_vcoco_equals_the_reference_table(shared_data):
    rows = _rows(shared_data / "vocab" / "vcoco.tsv")
    expected = [(row["verb_role"], int(row["verb_id"]), int(row["object_id"]), row["prompt"]) for row in rows]
    assert _hois(load_vocabulary("vcoco")) == expected


@pytest.mark.parametrize("name", ["hico_det", "vcoco"])
def test_object_prompts_equal_the_reference_table(shared_data, name):
    rows = _rows(shared_data / "vocab" / f"objects_{name}.tsv")
    assert load_vocabulary(name).object_prompts == tuple(row["prompt"] for row in rows)


def test_zero_shot_splits_equal_the_reference_lists(shared_data):
    splits = json.loads((shared_data / "vocab" / "hico_det_unseen_splits.json").read_text())
    assert {name: list(zero_shot_split(name)) for name in splits} == splits


@pytest.mark.parametrize(
    ("name", "counts", "content_hash"),
    [
        ("hico_det", (600, 117, 80), "debdaa912cff8e07839e487d9aa0e225d5ce35114dddf6656dbbb26b2a521b70"),
        ("vcoco", (263, 29, 81), "728a31f5c1ff1fde1bbfbd3c6ab9d5390cc3692705e767f5ec4076d2191a86cf"),
    ],
)
def test_published_vocabulary_has_its_known_content(name, counts, content_hash):
    vocabulary = load_vocabulary(name)
    assert name in known_vocabularies()
    assert (len(vocabulary), len(vocabulary.verbs), len(vocabulary.objects)) == counts
    assert vocabulary.content_hash == content_hash


def test_hico_det_has_138_rare_categories_and_vcoco_has_no_rarity():
    assert sum(hoi.is_rare is True for hoi in load_vocabulary("hico_det").hois) == 138
    assert all(hoi.is_rare is None for hoi in load_vocabulary("vcoco").hois)


def test_every_object_of_hico_det_has_its_no_interaction_category():
    vocabulary = load_vocabulary("hico_det")
    nothing = [hoi for hoi in vocabulary.hois if vocabulary.verbs[hoi.verb_id] == NO_INTERACTION]
    assert sorted(hoi.object_id for hoi in nothing) == list(range(80))
    assert nothing[0].text == "person and airplane"


def test_vcoco_keeps_its_quirks():
    vocabulary = load_vocabulary("vcoco")
    texts = {hoi.text: hoi.prompt for hoi in vocabulary.hois}
    assert vocabulary.no_object_id == 80
    assert vocabulary.objects[80] == "person only"
    assert texts["person skiing skis"] == "a photo of a person skiing a skis"
    assert texts["person looking at something"] == "a photo of a person looking at something"
    assert texts["person talking on phone cell phone"] == "a photo of a person talking on phone a cell phone"


def test_arrays_agree_with_the_categories():
    vocabulary = load_vocabulary("vcoco")
    assert vocabulary.object_ids.tolist() == [hoi.object_id for hoi in vocabulary.hois]
    assert vocabulary.verb_to_hoi.shape == (29, 263)
    assert np.argmax(vocabulary.verb_to_hoi, axis=0).tolist() == vocabulary.verb_ids.tolist()
    assert vocabulary.verb_to_hoi.sum(axis=0).tolist() == [1.0] * 263
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.object_ids[0] = 1


def test_zero_shot_splits_are_ascending_ids_of_known_number():
    counts = {"rare_first": 120, "non_rare_first": 120, "unseen_object": 100, "unseen_verb": 84}
    assert {name: len(zero_shot_split(name)) for name in counts} == counts
    assert all(list(zero_shot_split(name)) == sorted(set(zero_shot_split(name))) for name in [*counts, "uc0", "uc4"])


def test_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(VocabularyError, match="no zero-shot split is called 'rare'; there are rare_first, "):
        zero_shot_split("rare")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hico-det", "did you mean 'hico_det'"),
        ("vcocoo", "did you mean 'vcoco'"),
        ("kitchen.yaml", "No such file or directory.*give a YAML file, or one of hico_det, vcoco"),
        ("a\0b", "give a YAML file"),
    ],
)
def test_unknown_vocabulary_name_is_refused_with_the_nearest_known(name, message):
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(name)


def test_ids_out_of_range_are_refused():
    hoi = load_vocabulary("hico_det").hois[599]
    with pytest.raises(ValueError, match="out of range"):
        Vocabulary("x", ("dog",), ("a photo of a dog", "a photo of nothing"), ("pet",), (hoi,), coco_category_ids=(18,))
