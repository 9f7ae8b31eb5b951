"""Small networks with random weights, built once."""

import pytest


@pytest.fixture(scope="session")
def hico_det():
    """A tiny network with HICO-DET's classifier."""
    return _untrained("hico_det")


@pytest.fixture(scope="session")
def vcoco():
    """A tiny network with V-COCO's classifier."""
    return _untrained("vcoco")


@pytest.fixture(scope="session")
def rare_first():
    """A tiny network as if trained without HICO-DET's rare-first unseen categories."""
    from edge_hoi.vocabulary import zero_shot_split

    return _untrained("hico_det", zero_shot_split("rare_first"))


def _untrained(vocabulary, unseen=()):
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.model import VARIANTS
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    return untrained_checkpoint(VARIANTS["tiny"], load_vocabulary(vocabulary), unseen)
