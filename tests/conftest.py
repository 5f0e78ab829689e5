"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before torch is imported: several threads on a busy machine wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it are skipped loudly where it is absent."""
    folder = Path(os.environ.get("BONDWRIGHT_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not (folder / "crystals" / "structures.csv.gz").is_file():
        pytest.skip(
            f"REAL DATA ABSENT: no crystals/structures.csv.gz below {folder}; set BONDWRIGHT_DATA"
        )
    return folder
