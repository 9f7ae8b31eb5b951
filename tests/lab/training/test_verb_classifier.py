"""Visual semantic arithmetic against a plain recomputation, loop by loop."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")

import PIL.Image

from edge_hoi.errors import CheckpointError
from edge_hoi.lab.datasets import AnnotatedImages, HoiAnnotation, open_dataset
from edge_hoi.lab.datasets.augment import clip_square
from edge_hoi.lab.training.verb_classifier import compute_verb_weights, crop_for_clip, read_verb_weights, write_verb_weights
from edge_hoi.vocabulary import load_vocabulary

BOXES = {
    "a.png": [
        ([5, 5, 40, 80], [30, 40, 90, 79], "person riding bicycle"),
        ([5, 5, 40, 80], [30, 40, 90, 79], "person holding bicycle"),
        ([5, 5, 40, 80], [60, 2, 95, 30], "person riding horse"),
    ],
    "b.png": [([50, 10.5, 80.2, 70], [10, 10, 60, 60], "person riding horse"), ([50, 10.5, 80.2, 70], None, "person holding bicycle")],
    "c.png": [],
}


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    for name in BOXES:
        PIL.Image.fromarray(rng.integers(0, 255, (80, 100, 3), np.uint8)).save(tmp_path / name)
    interactions = {name: [{"human": human, "object": other, "text": text} for human, other, text in rows] for name, rows in BOXES.items()}
    images = [{"file": name, "interactions": rows} for name, rows in interactions.items()]
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images}))
    (tmp_path / "vocabulary.yaml").write_text(
        "- person riding bicycle\n- person riding horse\n- person holding bicycle\n- person feeding horse\n"
    )
    return open_dataset("custom", tmp_path, "train")


def plain_rows(dataset, tower, folder):
    """Recompute, for the four categories (ride bicycle, ride horse, hold bicycle, feed horse) of three verbs."""

    def embed(name, box):
        image = PIL.Image.open(folder / name).convert("RGB")
        left, top, right, bottom = np.floor(box[0]), np.floor(box[1]), np.ceil(box[2]), np.ceil(box[3])
        crop = clip_square(image.crop((int(left), int(top), int(right), int(bottom))), 64)
        pixels = (np.asarray(crop, np.float32) / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
        with torch.inference_mode():
            return tower(torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32))).embedding[0].double().numpy()

    def unit(vectors):
        mean = np.mean(vectors, axis=0)
        return mean / np.linalg.norm(mean)

    bike, horse, woman, horse_2 = [30, 40, 90, 79], [60, 2, 95, 30], [50, 10.5, 80.2, 70], [10, 10, 60, 60]
    bicycle, horses = unit([embed("a.png", bike)]), unit([embed("a.png", horse), embed("b.png", horse_2)])
    ride_bicycle = unit([embed("a.png", [5, 5, 90, 80])]) - bicycle
    ride_horse = unit([embed("a.png", [5, 2, 95, 80]), embed("b.png", [10, 10, 80.2, 70])]) - horses
    hold_bicycle = unit([embed("a.png", [5, 5, 90, 80]), embed("b.png", woman)]) - bicycle
    rows = {"ride": unit([ride_bicycle, ride_horse]), "hold": unit([hold_bicycle]), "feed": np.zeros(32)}
    return np.array([rows[verb] for verb in dataset.vocabulary.verbs])


@pytest.mark.parametrize("workers", [0, 1])
def test_verb_weights_are_those_of_a_plain_recomputation(dataset, untrained, tmp_path, workers):
    tower, seen = untrained().model.clip, []
    rows = compute_verb_weights(dataset, tower, workers=workers, progress=lambda done, of: seen.append((done, of)))
    np.testing.assert_allclose(rows.numpy(), plain_rows(dataset, tower, tmp_path), atol=1e-5)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert dict(zip(dataset.vocabulary.verbs, rows.any(dim=1).tolist(), strict=True)) == {"ride": True, "hold": True, "feed": False}


def test_a_category_without_object_uses_humans_as_its_object(tmp_path, untrained):
    vocabulary, tower = load_vocabulary("vcoco"), untrained("vcoco").model.clip
    pixels = np.random.default_rng(1).integers(0, 255, (80, 100, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    names = [(vocabulary.verbs[hoi.verb_id], hoi.object_id) for hoi in vocabulary.hois]
    hoi_ids = np.array([names.index((verb, vocabulary.no_object_id)) for verb in ("stand", "smile")])
    people = np.array([[5, 5, 45, 75], [50, 10, 95, 70]], np.float32)
    annotation = HoiAnnotation(
        "a.png", people, np.zeros((2, 4), np.float32), hoi_ids, vocabulary.object_ids[hoi_ids], vocabulary.verb_ids[hoi_ids]
    )
    rows = compute_verb_weights(AnnotatedImages("noise", "train", vocabulary, (annotation,), (tmp_path,)), tower)

    crops = torch.stack([crop_for_clip(PIL.Image.fromarray(pixels), tuple(box), 64) for box in people.tolist()])
    with torch.inference_mode():
        embeddings = tower(crops).embedding.double()
    unit = torch.nn.functional.normalize
    expected = unit(unit(embeddings, dim=-1) - unit(embeddings.sum(0), dim=-1), dim=-1).float()
    torch.testing.assert_close(rows[[vocabulary.verbs.index("stand"), vocabulary.verbs.index("smile")]], expected, atol=1e-5, rtol=0)
    assert rows.any(dim=1).sum() == 2


def test_a_crop_outside_of_the_image_is_dropped():
    image = PIL.Image.new("RGB", (20, 10))
    assert crop_for_clip(image, (30, 2, 40, 8), 64) is None
    assert crop_for_clip(image, (15, -5, 40, 8), 64).shape == (3, 64, 64)


def test_verb_weights_round_trip(tmp_path):
    vocabulary, rows = load_vocabulary("hico_det"), torch.randn(117, 32)
    write_verb_weights(tmp_path / "verbs.safetensors", rows, vocabulary, clip_sha256="abc")
    assert torch.equal(read_verb_weights(tmp_path / "verbs.safetensors", vocabulary, clip_sha256="abc"), rows)


def test_verb_weights_of_another_clip_or_vocabulary_are_refused(tmp_path):
    path = tmp_path / "verbs.safetensors"
    write_verb_weights(path, torch.randn(117, 32), load_vocabulary("hico_det"), clip_sha256="abc")
    with pytest.raises(CheckpointError, match="has clip_sha256 'abc', expected 'def'"):
        read_verb_weights(path, load_vocabulary("hico_det"), clip_sha256="def")
    with pytest.raises(CheckpointError, match="has vocabulary 'hico_det', expected 'vcoco'"):
        read_verb_weights(path, load_vocabulary("vcoco"), clip_sha256="abc")
    with pytest.raises(CheckpointError, match="cannot read verb classifier"):
        read_verb_weights(tmp_path / "none.safetensors", load_vocabulary("vcoco"), clip_sha256="abc")
