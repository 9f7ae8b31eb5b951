"""A small file system in memory, to fill up."""

import pytest
from small_disk import mounted


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 8 MB."""
    with mounted(tmp_path / "disk", "8m") as disk:
        yield disk
