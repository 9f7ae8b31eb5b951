"""An engine without CLIP, of one input size: its inputs and outputs are what its manifest says."""

import numpy as np
import pytest

from edge_hoi.errors import EngineError
from edge_hoi.runtime import FakeEngine, fake_manifest, random_inputs

OUTPUTS = ("human_boxes", "object_boxes", "object_embeddings", "interaction_embeddings")
WITHOUT_CLIP = {"clip_size": None, "clip_mean": None, "clip_std": None}


def _manifest(**changes):
    one_size = fake_manifest().input.model_copy(update={"stride": None, **WITHOUT_CLIP})
    return fake_manifest(**{"input": one_size, "outputs": OUTPUTS, "clip": None, "scoring": "product"} | changes)


def test_it_takes_the_image_alone_and_returns_the_listed_outputs():
    with FakeEngine(_manifest(), max_batch=2) as engine:
        assert list(engine.inputs) == ["image"]
        found = engine.run(random_inputs(engine.inputs, 2))
    assert {name: array.shape for name, array in found.items()} == {
        "human_boxes": (2, 8, 4),
        "object_boxes": (2, 8, 4),
        "object_embeddings": (2, 8, 16),
        "interaction_embeddings": (2, 8, 16),
    }


def test_it_refuses_the_input_that_it_does_not_have():
    inputs = {"image": np.zeros((1, 3, 96, 160), np.float32), "clip_image": np.zeros((1, 3, 32, 32), np.float32)}
    with FakeEngine(_manifest()) as engine, pytest.raises(EngineError, match=r"expects inputs image, got clip_image, image"):
        engine.run(inputs)


def test_it_refuses_another_size():
    with pytest.raises(EngineError, match=r"expects input size 96x160, got 96x192"):
        FakeEngine(_manifest(), input_size=(96, 192))


def test_its_vocabularies_belong_to_the_network_instead_of_clip():
    assert _manifest(weights_sha256="1" * 64).embeddings_sha256 == "1" * 64
    assert fake_manifest(weights_sha256="1" * 64).embeddings_sha256 == "0" * 64


@pytest.mark.parametrize("outputs", [OUTPUTS[1:], (*OUTPUTS, "human_boxes"), (*OUTPUTS, "masks")])
def test_a_manifest_lists_known_outputs_once_and_those_that_detection_needs(outputs):
    with pytest.raises(ValueError, match="outputs"):
        _manifest(outputs=outputs)


def test_the_description_of_the_clip_image_is_complete_or_missing():
    description = fake_manifest().input.model_dump() | {"clip_size": None}
    with pytest.raises(ValueError, match="set all of them, or none"):
        fake_manifest(input=description)
