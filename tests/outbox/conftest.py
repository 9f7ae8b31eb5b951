"""Small file systems in memory, to fill up."""

import pytest
from small_disk import mounted


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 8 MB."""
    with mounted(tmp_path / "disk", "8m") as disk:
        yield disk


@pytest.fixture
def tiny_disk(tmp_path):
    """Mount a file system of 200 kB."""
    with mounted(tmp_path / "disk", "200k") as disk:
        yield disk
