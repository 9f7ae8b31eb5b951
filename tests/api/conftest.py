import pytest

from edge_hoi.demo import DEMO_CLIP
from edge_hoi.ingest import open_source


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(compiled_once):
    """Compile each engine once for all tests here."""


@pytest.fixture(scope="session")
def demo_frames():
    """The first 60 frames of the embedded clip, of 15 a second."""
    with open_source(str(DEMO_CLIP), source_id="demo") as source:
        return [frame for frame, _ in zip(source, range(60), strict=False)]
