"""A tiny network, exported once for all processes that run tests; and fast exports under pytest."""

import contextlib
import fcntl
import json
import logging
import os

import pytest

with contextlib.suppress(ImportError):
    import torch  # noqa: F401 - it creates its loggers on import

    # pytest adds a handler to each logger that does not propagate; with a handler on this one, PyTorch logs every step of an export with
    # its stack, and takes three times as long.
    logging.getLogger("torch.__trace").propagate = True

SIZE = (96, 160)


@pytest.fixture(scope="session")
def tiny_checkpoint():
    from edge_hoi.model import VARIANTS
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    return untrained_checkpoint(VARIANTS["tiny"], load_vocabulary("vcoco"))


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory):
    """Return the folder of an engine with HICO-DET's classifier and its text tower, and the steps of its build."""
    from edge_hoi.export import build_engine
    from edge_hoi.model import VARIANTS
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.runtime import read_manifest
    from edge_hoi.vocabulary import load_vocabulary

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, record = shared / "tiny_engines" / "tiny", shared / "tiny_engine.json"
    with (shared / "tiny_engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            vocabulary, steps = load_vocabulary("hico_det"), []
            folder.parent.mkdir(exist_ok=True)
            options = {"name": "tiny", "description": "for tests", "is_trained": False, "input_size": SIZE}
            checkpoint = untrained_checkpoint(VARIANTS["tiny"], vocabulary)
            assert build_engine(checkpoint, vocabulary, folder, progress=steps.append, **options) == read_manifest(folder)
            record.write_text(json.dumps(steps))
    return folder, json.loads(record.read_text())


@pytest.fixture(scope="session")
def tiny_network(tiny_engine):
    """Return the file of the exported fp32 network; weights do not depend on the vocabulary."""
    return tiny_engine[0] / "model.onnx"


@pytest.fixture(scope="session")
def demo_frames(tiny_checkpoint):
    from edge_hoi.demo import DEMO_CLIP
    from edge_hoi.export import collect_frames, describe_input

    return collect_frames([str(DEMO_CLIP)], 8, describe_input(tiny_checkpoint, SIZE))


@pytest.fixture(scope="session")
def build_tiny(tiny_checkpoint, tiny_network):
    """Return a function that builds the tiny engine into a folder, in any precision."""
    from edge_hoi.export import build_engine
    from edge_hoi.vocabulary import load_vocabulary

    def build(folder, reduction=None, **options):
        fixed = {"name": "tiny", "description": "for tests", "is_trained": False, "with_text_tower": False, "input_size": SIZE}
        return build_engine(
            tiny_checkpoint, load_vocabulary("vcoco"), folder, reduction=reduction, **fixed | {"network": tiny_network} | options
        )

    return build
