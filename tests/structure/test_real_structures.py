"""Real files against pymatgen's reader and against what is known of the data."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from bondwright.structure.cif import parse_cif
from bondwright.structure.identity import composition
from bondwright.structure.neighbours import neighbour_pairs, shortest_contact
from bondwright.structure.read import ReadLimits, expand_paths, read_candidates
from bondwright.structure.symmetry import find_space_group

pytestmark = pytest.mark.data

# What is not read, why, and what pymatgen makes of it.
NOT_READ = {
    "Cod_2100513.cif": "disordered",
    "bad_occu.cif": "disordered",  # pymatgen refuses it: occupancies of one place exceed 1
    "site_type_symbol_test.cif": "disordered",
    "PF_sd_1011081.cif": "disordered",  # a mixture is written in the type symbol
    "PF_sd_1615854.cif": "disordered",
    "PF_sd_1811457.cif": "disordered",
    "PF_sd_1928405.cif": "disordered",
    "PF_sd_1002871.cif": "unknown-element",  # NH3 groups, which pymatgen takes for nihonium
    "PF_sd_1601634.cif": "unknown-element",  # OH2 groups, which pymatgen takes for oxygen
    "ICSD59959.cif": "bad-site",  # coordinates "?", which pymatgen takes for 0
    "srycoo.cif": "syntax",  # a quoted value over several lines, which CIF does not allow
}


def same_crystal(atoms: Atoms, structure: Structure) -> str:
    """Return how a structure differs from pymatgen's in the same cell; empty when it does not.

    The tolerance is 0.02 Å: we put rounded coordinates back onto special positions by averaging,
    pymatgen keeps one of the images, which is that much off for coordinates of three decimals.
    """
    ours = composition(atoms)
    theirs = {e: int(n) for e, n in structure.composition.get_el_amt_dict().items()}
    if ours != theirs:
        return f"composition {ours} is not {theirs}"
    if not np.allclose(atoms.cell.cellpar(), structure.lattice.parameters, atol=1e-4):
        return f"cell {atoms.cell.cellpar()} is not {structure.lattice.parameters}"
    apart = atoms.get_scaled_positions()[:, None] - structure.frac_coords[None]
    apart -= np.rint(apart)
    distance = np.linalg.norm(apart @ atoms.cell.array, axis=-1)
    distance[atoms.numbers[:, None] != np.array(structure.atomic_numbers)[None]] = np.inf
    # Sites closer than this would be merged, so nearest partners pair one to one.
    far = max(distance.min(axis=0).max(), distance.min(axis=1).max())
    return f"an atom is {far:.3f} Å off" if far > 0.02 else ""


def pymatgen_structures(text: str) -> list[Structure]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CifParser.from_str(text).parse_structures(primitive=False, on_error="ignore")


def test_odd_files(data_dir):
    """All files of pymatgen's own tests: the same crystal, or a known reason."""
    files = sorted((data_dir / "crystals" / "pymatgen-cifs").glob("*.cif"))
    assert len(files) > 60
    differ, reasons = {}, {}
    for file in files:
        candidates = list(read_candidates(file))
        problems = {c.problem.code for c in candidates if c.problem}
        if problems:
            assert all(c.atoms is None for c in candidates)
            reasons[file.name] = " ".join(sorted(problems))
            continue
        theirs = pymatgen_structures(file.read_text(encoding="utf-8", errors="replace"))
        assert len(candidates) <= len(theirs), file.name
        # pymatgen also lists blocks that hold no atoms of their own, at the end.
        for candidate, structure in zip(candidates, theirs, strict=False):
            if difference := same_crystal(candidate.atoms, structure):
                differ[candidate.name] = difference
    assert differ == {}
    assert reasons == NOT_READ


def test_thousand_random_structures_equal_pymatgen(data_dir):
    frame = pd.read_csv(
        data_dir / "crystals" / "structures.csv.gz", usecols=["id", "nsites", "spacegroup", "cif"]
    ).sample(1000, random_state=7)
    differ = {}
    for identifier, sites, text in zip(frame["id"], frame["nsites"], frame["cif"], strict=True):
        [parsed] = parse_cif(text)
        if parsed.problem:
            differ[identifier] = parsed.problem.message
            continue
        assert len(parsed.atoms) == sites
        if difference := same_crystal(parsed.atoms, pymatgen_structures(text)[0]):
            differ[identifier] = difference
    assert differ == {}


def test_a_large_table_is_read_by_the_children(data_dir, tmp_path):
    """Two thousand rows of the reference, through the sandbox, all with their known atoms."""
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz", nrows=2000)
    frame.to_csv(tmp_path / "part.csv", index=False)
    candidates = list(read_candidates(tmp_path / "part.csv"))
    assert [c.name for c in candidates] == frame["id"].tolist()
    assert all(c.problem is None for c in candidates)
    assert [len(c.atoms) for c in candidates] == frame["nsites"].tolist()
    volumes = [c.atoms.cell.volume / len(c.atoms) for c in candidates]
    np.testing.assert_allclose(volumes, frame["volume_per_atom"], rtol=1e-3)
    nearest = [shortest_contact(c.atoms).distance for c in candidates[:300]]
    np.testing.assert_allclose(nearest, frame["min_distance"][:300], atol=2e-3)


@pytest.fixture(scope="module")
def titania(data_dir):
    folder = data_dir / "tio2-candidates"
    paths = [p for p in expand_paths([folder]) if p.suffix == ".parquet"]
    return [candidate for path in paths for candidate in read_candidates(path)]


def test_titania_candidates(titania):
    """652 rows of a language model: all are read, 46 are not TiO2 once they are expanded."""
    assert len(titania) == 652
    assert all(c.problem is None for c in titania)
    assert len({c.key for c in titania}) == 652
    counts = [composition(c.atoms) for c in titania]
    assert all(set(n) == {"Ti", "O"} for n in counts)
    assert sum(n["O"] != 2 * n["Ti"] for n in counts) == 46
    contacts = np.array([shortest_contact(c.atoms).distance for c in titania])
    assert (contacts < 1.0).sum() == 21
    assert contacts.min() > 0.1  # the worst overlap is still two atoms, for validity to reject
    assert all(c.declared.expanded_from in ("operations", "none") for c in titania)
    assert all(isinstance(c.extra["ALIGNN_bg (eV)"], float) for c in titania)


def test_titania_needs_no_operation_list(titania):
    """The symbol alone fills the same cell: our default settings are the model's."""
    for candidate in titania[::5]:
        head, _, tail = candidate.text.partition("loop_\n _symmetry_equiv_pos_site_id")
        for loop in ("", "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n"):
            [parsed] = parse_cif(head + loop + tail[tail.index("loop_") :])
            assert len(parsed.atoms) == len(candidate.atoms), candidate.name
            assert shortest_contact(parsed.atoms).distance == pytest.approx(
                shortest_contact(candidate.atoms).distance, abs=1e-6
            )


def test_titania_equals_pymatgen(titania):
    differ = {}
    for candidate in titania[::10]:
        [structure] = pymatgen_structures(candidate.text)
        if difference := same_crystal(candidate.atoms, structure):
            differ[candidate.name] = difference
    assert differ == {}


def test_polymorphs(data_dir):
    found = {}
    for path in expand_paths([data_dir / "tio2-candidates" / "polymorphs"]):
        [candidate] = read_candidates(path, control=True)
        found[path.stem] = (find_space_group(candidate.atoms).symbol, len(candidate.atoms))
        assert 1.9 < shortest_contact(candidate.atoms).distance < 2.0
    assert {symbol for symbol, _ in found.values()} == {"P4_2/mnm", "I4_1/amd"}


def test_glass_files(data_dir):
    """Extended XYZ with atoms outside the cell, and a LAMMPS data file with 10,000 atoms."""
    folder = data_dir / "glass-zrcual"
    [cell] = read_candidates(folder / "cells" / "21-0" / "Zr49Cu49Al2.xyz")
    assert composition(cell.atoms) == {"Al": 2, "Cu": 49, "Zr": 49}
    # LOBSTER lists every pair of 1.80 to 4.20 Å of this very file.
    listed = icohp_lengths(folder / "cells" / "21-0" / "ICOHPLIST.lobster")
    pairs = neighbour_pairs(cell.atoms, 4.2)
    ours = np.sort(pairs.distance[pairs.distance >= 1.8])
    assert len(ours) == len(listed)
    np.testing.assert_allclose(ours, np.sort(listed), atol=2e-4)

    path = folder / "ultimate" / "Zr49Cu49Al2-10000-1-1-1.data"
    [capped] = read_candidates(path)
    assert capped.problem.code == "too-many-atoms"
    [glass] = read_candidates(path, limits=ReadLimits(atoms=10_000))
    assert Counter(glass.atoms.get_chemical_symbols()) == {"Zr": 4900, "Cu": 4900, "Al": 200}
    assert glass.atoms.cell.lengths() == pytest.approx([55.969] * 3)
    assert 2.0 < shortest_contact(glass.atoms).distance < 2.6


def icohp_lengths(path: Path) -> list[float]:
    """Bond lengths (Å) of an ICOHPLIST file of LOBSTER 3: number, two atoms, length, ..."""
    rows = (line.split() for line in path.read_text().splitlines())
    return [float(row[3]) for row in rows if row and row[0].isdigit()]
