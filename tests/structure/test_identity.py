"""Identity, composition and the records of structures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bondwright.errors import InputError
from bondwright.structure.identity import composition, content_hash, reduced_formula
from bondwright.structure.records import atoms_from_json, atoms_to_json

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def test_hash_sees_content_at_its_resolution():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    same = atoms.copy()
    same.positions += 1e-8
    assert content_hash(same) == content_hash(atoms)
    for change in ("moved", "strained", "swapped", "open"):
        other = atoms.copy()
        if change == "moved":
            other.positions[0, 0] += 2e-6
        elif change == "strained":
            other.set_cell(other.cell.array * 1.00001)
        elif change == "swapped":
            other.numbers = other.numbers[::-1]
        else:
            other.pbc = (True, True, False)
        assert content_hash(other) != content_hash(atoms), change


def test_hash_has_one_zero_and_no_nan():
    atoms = Atoms("H", positions=[[0.0, 0, 0]], cell=[3, 3, 3], pbc=True)
    minus = Atoms("H", positions=[[-0.0, -1e-9, 0]], cell=[3, 3, 3], pbc=True)
    assert content_hash(atoms) == content_hash(minus)
    atoms.positions[0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        content_hash(atoms)


def test_hash_is_stable():
    """The hash is stored in campaigns; changing it needs a migration."""
    atoms = Atoms("TiO2", positions=np.arange(9).reshape(3, 3), cell=[4, 5, 6], pbc=True)
    assert content_hash(atoms).startswith("3a6b7ff4786125c1")


@given(arrays(float, (4, 3), elements=FINITE), arrays(float, (3, 3), elements=FINITE))
def test_records_lose_nothing(positions, cell):
    atoms = Atoms("TiOHU", positions=positions, cell=cell, pbc=(True, False, True))
    back = atoms_from_json(json.loads(json.dumps(atoms_to_json(atoms))))
    assert (back.positions == atoms.positions).all()
    assert (back.cell.array == atoms.cell.array).all()
    assert (back.numbers == atoms.numbers).all()
    assert (back.pbc == atoms.pbc).all()


@pytest.mark.parametrize("damage", [{"numbers": [1]}, {"cell": [1, 2]}, {"positions": "x"}])
def test_damaged_records_say_so(damage):
    data = atoms_to_json(bulk("NaCl", "rocksalt", a=5.64)) | damage
    with pytest.raises(InputError, match="damaged"):
        atoms_from_json(data)


@pytest.mark.parametrize(
    ("symbols", "formula"),
    [("Ti2O4", "TiO2"), ("O8Fe2Li2P2", "LiFePO4"), ("Cu4", "Cu"), ("H2O", "H2O")],
)
def test_formulas(symbols, formula):
    assert reduced_formula(Atoms(symbols)) == formula


def test_composition():
    assert composition(Atoms("OTiO")) == {"O": 2, "Ti": 1}
    assert composition(Atoms()) == {}
