"""Space groups: spellings, settings, operations; fault 21."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from pymatgen.symmetry.groups import SpaceGroup as PymatgenGroup

from bondwright.structure.symmetry import (
    find_setting,
    find_space_group,
    lattice_system,
    parse_space_group,
    symmetry_operations,
)

SPELLINGS = {
    "P1": 1, "P 1": 1, " p  1 ": 1, "'P 1'": 1, "P-1": 2, "P −1": 2, "A-1": 2,
    "P21/c": 14, "P2_1/c": 14, "P 1 21/c 1": 14, "P 21/n": 14, "P2(1)/c": 14, "P121/a1": 14,
    "P 1 21/c 1 (No. 14)": 14, "I2/a": 15, "C2/c": 15, "B2_1": 4, "C 1 2 1": 5,
    "Cmca": 64, "Cmce": 64, "Abm2": 39, "Pnma": 62, "Pbnm": 62, "P n m a": 62,
    "P42/mnm": 136, "P4_2/mnm": 136, "P 42/m n m": 136, "P 4_2/m 2_1/n 2/m": 136,
    "[P4_2/mnm]": 136, "p42/MNM": 136, "I41/amd": 141, "I 41/a m d :2": 141,
    "R-3m": 166, "R -3 m :H": 166, "R-3m:R": 166, "R -3 m H": 166, "R -3 m R": 166, "R 3 2": 155,
    "Fm3m": 225, "Fm-3m": 225, "F m -3 m": 225, "Fd3m": 227, "F d -3 m :1": 227,
    "F d -3 m S": 227, "F d -3 m Z": 227, "F 4_1/d -3 2/m": 227, "Ia3d": 230, "I 41/a -3 2/d": 230,
    "-P 4 2n": 128, "-F 4vw 2vw 3": 227, "62": 62,
}  # fmt: skip


@pytest.mark.parametrize(("spelling", "number"), SPELLINGS.items())
def test_spellings(spelling, number):
    found = parse_space_group(spelling)
    assert found is not None
    assert found.number == number


@pytest.mark.parametrize(
    "nonsense", ["", "?", "Q 1", "banana", "P 43/q", 0, 231, -5, "1000", "P" * 99]
)
def test_nonsense_is_none(nonsense):
    assert parse_space_group(nonsense) is None


def operation_set(rotations, translations):
    return {
        (tuple(np.asarray(r).ravel().tolist()), tuple((np.rint(np.asarray(t) * 24) % 24).tolist()))
        for r, t in zip(rotations, translations, strict=True)
    }


def test_every_setting_of_spglib_is_understood():
    """All 530 settings, by short, full and long symbol, name the right type."""
    wrong = []
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        names = {kind.international_short}
        names |= set(kind.international_full.split("="))
        names |= set(kind.international.split("="))
        wrong += [n for n in names if getattr(parse_space_group(n), "number", None) != kind.number]
    assert wrong == []


def test_default_settings_are_those_of_spglib_and_pymatgen():
    """Origin 1 and hexagonal axes: what pymatgen writes and CrystaLLM was trained on."""
    first = {}
    for hall in range(1, 531):
        first.setdefault(spglib.get_spacegroup_type(hall).number, hall)
    for number, hall in first.items():
        table = spglib.get_symmetry_from_database(hall)
        ours = operation_set(*symmetry_operations(number))
        assert ours == operation_set(table["rotations"], table["translations"]), number
        theirs = PymatgenGroup.from_int_number(number).symmetry_ops
        assert ours == operation_set(
            [np.rint(o.rotation_matrix).astype(int) for o in theirs],
            [o.translation_vector for o in theirs],
        ), number
        symbol = spglib.get_spacegroup_type(hall).international_short
        assert parse_space_group(number).symbol == symbol


def test_suffixes_choose_origin_and_axes():
    assert find_setting("F d -3 m").ambiguous
    assert find_setting("F d -3 m :2").name == find_setting("Fd-3mZ").name == "F d -3 m:2"
    assert find_setting("-F 4vw 2vw 3").name == "F d -3 m:2"
    assert not find_setting("F d -3 m S").ambiguous
    assert len(find_setting("R -3 m").rotations) == 36
    assert len(find_setting("R -3 m", rhombohedral_axes=True).rotations) == 12
    assert len(find_setting("R -3 m R").rotations) == 12
    assert not find_setting("P n m a").ambiguous


def test_unknown_operations_raise():
    with pytest.raises(ValueError, match="banana"):
        symmetry_operations("banana")


def test_finding_space_groups():
    assert find_space_group(bulk("Si")).symbol == "Fd-3m"
    assert find_space_group(bulk("NaCl", "rocksalt", a=5.64)).number == 225
    assert find_space_group(bulk("Mg")).symbol == "P6_3/mmc"


def test_no_symmetry_is_none_not_an_error():
    """Fault 21: coincident atoms, degenerate cells, NaN and nothing at all."""
    coincident = Atoms("Ti2", positions=np.zeros((2, 3)), cell=[3, 3, 3], pbc=True)
    flat = Atoms("Ti", positions=[[0, 0, 0]], cell=[[3, 0, 0], [3, 0, 0], [0, 0, 3]], pbc=True)
    nan = Atoms("Ti", positions=[[0, np.nan, 0]], cell=[3, 3, 3], pbc=True)
    for atoms in (coincident, flat, nan, Atoms(), Atoms("Ti")):
        assert find_space_group(atoms) is None


def test_lattice_systems():
    names = {1: "triclinic", 2: "triclinic", 3: "monoclinic", 15: "monoclinic"}
    names |= {16: "orthorhombic", 74: "orthorhombic", 75: "tetragonal", 142: "tetragonal"}
    names |= {143: "hexagonal", 146: "rhombohedral", 167: "rhombohedral", 168: "hexagonal"}
    names |= {194: "hexagonal", 195: "cubic", 230: "cubic"}
    assert {number: lattice_system(number) for number in names} == names
    for number in (0, 231):
        with pytest.raises(ValueError):
            lattice_system(number)
