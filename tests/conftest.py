"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def _shared_data_folder() -> Path:
    named = os.environ.get("EDGE_HOI_SHARED_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of reference data, which is not part of this repository."""
    folder = _shared_data_folder()
    if not folder.is_dir():
        pytest.skip("no reference data: put it in shared/data beside the checkout or name its folder in EDGE_HOI_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Give the root of the checkout."""
    return REPOSITORY
