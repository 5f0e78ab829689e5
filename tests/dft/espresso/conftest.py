"""What the tests of Quantum ESPRESSO share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bondwright.dft.espresso.ld1 import generate_pseudopotential


@pytest.fixture(scope="session")
def potentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with potentials for Si and Al that ld1.x has just made."""
    for program in ("pw.x", "ld1.x"):
        if shutil.which(program) is None:
            pytest.skip(f"QUANTUM ESPRESSO ABSENT: no {program} on the PATH")
    folder = tmp_path_factory.mktemp("pseudo")
    for element in ("Si", "Al"):
        generate_pseudopotential(element, folder)
    return folder


@pytest.fixture(scope="session")
def samples(data_dir: Path) -> Path:
    """Real outputs of pw.x that ended in every way."""
    return data_dir / "crystals" / "qe-output-samples"


@pytest.fixture(scope="session")
def cells(data_dir: Path) -> Path:
    """Outputs of a 100-atom glass and its strained copies."""
    return data_dir / "glass-zrcual" / "cells"
