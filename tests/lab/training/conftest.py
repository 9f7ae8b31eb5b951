"""A small checkpoint to train, built anew for each test since training changes it."""

import pytest


@pytest.fixture
def untrained():
    """Return a function that builds equal untrained checkpoints of the tiny variant: `untrained(vocabulary=hico_det)`."""
    pytest.importorskip("torch", reason="needs the [build] extra")
    from edge_hoi.lab.training.initialization import untrained_checkpoint
    from edge_hoi.model import VARIANTS
    from edge_hoi.vocabulary import load_vocabulary

    def make(vocabulary="hico_det"):
        return untrained_checkpoint(VARIANTS["tiny"], load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary)

    return make
