"""A tiny network, exported once for all tests; and fast exports under pytest."""

import contextlib
import logging

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
def tiny_network(tiny_checkpoint, tmp_path_factory):
    """Return the file of the exported fp32 network."""
    from edge_hoi.export import export_network

    path = tmp_path_factory.mktemp("network") / "model.onnx"
    export_network(tiny_checkpoint, path)
    return path


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
