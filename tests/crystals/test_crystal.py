"""From atoms to space group and Wyckoff positions, and back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal as ase_crystal

from bondwright.crystals.crystal import (
    Crystal,
    Site,
    electronegativity_order,
    from_atoms,
    to_atoms,
)
from bondwright.errors import InputError
from bondwright.structure.cif import parse_cif
from bondwright.structure.symmetry import symmetry_dataset

RUTILE = Crystal(
    136,
    (4.594, 4.594, 2.959),
    (90.0, 90.0, 90.0),
    (Site("Ti", 2, "a", (0.0, 0.0, 0.0)), Site("O", 4, "f", (0.3053, 0.3053, 0.0))),
)


def test_rutile_is_what_the_books_say() -> None:
    atoms = ase_crystal(
        ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959]
    )
    atoms.rotate(40, (1, 2, 3), rotate_cell=True)
    found = from_atoms(atoms * (1, 1, 2))
    assert found.space_group == 136
    assert found.lengths == pytest.approx(RUTILE.lengths)
    assert found.angles == pytest.approx(RUTILE.angles)
    assert [(s.element, s.multiplicity) for s in found.sites] == [("Ti", 2), ("O", 4)]
    assert found.counts == {"Ti": 2, "O": 4}
    # The origin may be on either of the two Ti places; O is then on f or g.
    assert "".join(s.letter for s in found.sites) in ("af", "bg")


def test_rhombohedral_crystals_come_in_hexagonal_axes_and_spinels_in_origin_one() -> None:
    bismuth = from_atoms(bulk("Bi", "rhombohedral", a=4.75, alpha=57.2))
    assert (bismuth.space_group, bismuth.angles[2]) == (166, pytest.approx(120.0))
    diamond = from_atoms(bulk("C", "diamond", a=3.567))
    assert (diamond.space_group, diamond.counts) == (227, {"C": 8})
    # In origin choice 2 the atoms are at multiples of 1/8.
    assert diamond.sites[0].position in ((0, 0, 0), (0, 0, 0.5))


def test_sites_are_in_order() -> None:
    # Barium titanate's cubic parent: Ba 0.89, Ti 1.54, O 3.44 by Pauling.
    atoms = Atoms(
        "O3TiBa",
        scaled_positions=[(0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5), (0.5, 0.5, 0.5), (0, 0, 0)],
        cell=[4.0, 4.0, 4.0],
        pbc=True,
    )
    assert [site.element for site in from_atoms(atoms).sites] == ["Ba", "Ti", "O"]


def test_elements_are_ordered_by_paulings_values() -> None:
    order = electronegativity_order()
    assert len(order) == 103
    published = ["Cs", "K", "Li", "Mg", "Al", "Si", "P", "C", "S", "N", "O", "F", "Ar"]
    assert sorted(published, key=order.__getitem__) == published


def test_letters_are_not_needed_to_have_the_atoms() -> None:
    bare = Crystal(
        RUTILE.space_group,
        RUTILE.lengths,
        RUTILE.angles,
        tuple(Site(s.element, s.multiplicity, "", s.position) for s in RUTILE.sites),
    )
    with_letters, without = to_atoms(RUTILE), to_atoms(bare)
    apart = with_letters.get_scaled_positions()[:, None] - without.get_scaled_positions()[None]
    assert np.abs(apart - np.rint(apart)).max(axis=2).min(axis=1).max() < 1e-9


def test_a_third_written_with_four_decimals_is_a_third() -> None:
    # Magnesium: 1/3 and 2/3 are constants of position c.
    magnesium = Crystal(
        194, (3.21, 3.21, 5.21), (90.0, 90.0, 120.0), (Site("Mg", 2, "c", (0.3333, 0.6667, 0.25)),)
    )
    atoms = to_atoms(magnesium)
    assert atoms.get_scaled_positions()[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-12)
    assert from_atoms(atoms).space_group == 194


def test_what_is_no_crystal_is_told() -> None:
    with pytest.raises(InputError, match=r"no symmetry found in H2: atoms coincide within 0.1 Å"):
        from_atoms(Atoms("H2", positions=[(0, 0, 0), (0, 0, 0.01)], cell=[3, 3, 3], pbc=True))
    with pytest.raises(InputError, match=r"a structure without atoms"):
        from_atoms(Atoms(cell=[3, 3, 3], pbc=True))
    off = Crystal(136, *_cell(RUTILE), (Site("O", 4, "f", (0.3, 0.4, 0.0)),))
    with pytest.raises(InputError, match=r"O at \(0.3000, 0.4000, 0.0000\) is not on .* f"):
        to_atoms(off)
    count = Crystal(136, *_cell(RUTILE), (Site("O", 8, "", (0.3, 0.3, 0.0)),))
    with pytest.raises(InputError, match=r"has 4 images in space group 136, not 8"):
        to_atoms(count)
    with pytest.raises(InputError, match=r"close no volume"):
        to_atoms(Crystal(1, (4.0, 4.0, 4.0), (120.0, 120.0, 120.0), ()))


def _cell(
    crystal: Crystal,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return crystal.lengths, crystal.angles


@pytest.mark.data
def test_real_structures_come_back(data_dir) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz", usecols=["nsites", "cif"])
    frame = frame[frame["nsites"] <= 40].sample(150, random_state=3)
    # pymatgen's own search for a primitive cell is a tolerant one and may halve one of two cells.
    matcher = StructureMatcher(primitive_cell=False)
    other_group, unlike, other_letters = [], [], []
    for text in frame["cif"]:
        atoms = parse_cif(text)[0].atoms
        crystal = from_atoms(atoms)
        again = to_atoms(crystal)
        dataset = symmetry_dataset(again)
        if dataset.number != crystal.space_group:
            other_group.append(crystal)
        elif not np.abs(dataset.origin_shift).any() and np.array_equal(
            dataset.transformation_matrix, np.eye(3)
        ):
            mine = Counter(
                (s.element, s.letter) for s in crystal.sites for _ in range(s.multiplicity)
            )
            theirs = Counter(zip(again.get_chemical_symbols(), dataset.wyckoffs, strict=True))
            if mine != theirs:
                other_letters.append(crystal)
        if not matcher.fit(_primitive(atoms), _primitive(again)):
            unlike.append(crystal)
    assert unlike == []
    assert other_letters == []
    # spglib sees more symmetry in 5 of 2,015 idealised structures than in the structures as given.
    assert len(other_group) <= 2


def _primitive(atoms: Atoms):
    from pymatgen.core import Structure

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    lattice, positions, numbers = spglib.find_primitive(cell, symprec=0.1)
    return Structure(lattice, numbers, positions)
