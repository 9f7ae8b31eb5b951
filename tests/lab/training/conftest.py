"""A small checkpoint to train: a copy for each test, since training changes it."""

from copy import deepcopy

import pytest


@pytest.fixture(scope="session")
def untrained():
    """Return a function that gives equal untrained checkpoints of the tiny variant: `untrained(vocabulary=hico_det)`."""
    pytest.importorskip("torch", reason="needs the extra: pip install '.[build]'")
    from edge_hoi.lab.training.initialization import untrained_checkpoint
    from edge_hoi.model import VARIANTS
    from edge_hoi.vocabulary import load_vocabulary

    built = {}

    def make(vocabulary="hico_det"):
        if vocabulary not in built:  # a name, or a vocabulary of one's own
            known = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
            built[vocabulary] = untrained_checkpoint(VARIANTS["tiny"], known)
        return deepcopy(built[vocabulary])

    return make
