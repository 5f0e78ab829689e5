"""The example campaign: its files are what its script writes, its crystals are real."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.io import read
from ase.neighborlist import neighbor_list

from bondwright.screen.validity import check_validity
from bondwright.screen.verdict import Outcome
from bondwright.structure.read import read_candidates

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CONTROLS = EXAMPLES / "tio2" / "controls"
TEXTS = EXAMPLES / "tio2-texts"

# space group, measured density in g/cm3 (Deer, Howie & Zussman, Rock-Forming Minerals: 4.23-4.25,
# 3.89-3.90 and 4.12-4.14), and the mean of the six Ti-O bonds in Å (Meagher & Lager 1979; Horn et
# al. 1972).
MINERALS = {
    "rutile": (136, 4.25, 1.959),
    "anatase": (141, 3.90, 1.949),
    "brookite": (61, 4.13, 1.959),
}


def rows() -> list[dict[str, str]]:
    with (TEXTS / "candidates.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def atoms_of(text: str) -> Atoms:
    return read(io.StringIO(text), format="cif")


def bonds_per_metal(atoms: Atoms) -> tuple[float, float]:
    """Mean Ti-O distance (Å) below 2.4 Å, and the number of such bonds per Ti."""
    i, j, distance = neighbor_list("ijd", atoms, 2.4)
    bonds = distance[(atoms.numbers[i] == 22) & (atoms.numbers[j] == 8)]
    return float(bonds.mean()), len(bonds) / int((atoms.numbers == 22).sum())


def test_committed_files_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, TEXTS / "make_candidates.py", tmp_path], check=True)
    written = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert [str(p) for p in written] == [
        *(f"tio2/controls/{name}.cif" for name in sorted(MINERALS)),
        "tio2-texts/candidates.csv",
    ]
    for name in written:
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name


def test_the_known_crystals_are_what_the_script_writes(tmp_path: Path) -> None:
    file = tmp_path / "known.csv"
    subprocess.run([sys.executable, EXAMPLES / "tio2" / "make_known.py", file], check=True)
    assert file.read_bytes() == (EXAMPLES / "tio2" / "known.csv").read_bytes()
    assert "TiO2" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MINERALS)
def test_controls_are_the_minerals(name: str) -> None:
    number, density, bond = MINERALS[name]
    text = (CONTROLS / f"{name}.cif").read_text(encoding="utf-8")
    atoms = atoms_of(text)
    found = spglib.get_symmetry_dataset(
        (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers), symprec=1e-3
    )
    assert found.number == number
    assert f"_symmetry_Int_Tables_number   {number}\n" in text
    mean, count = bonds_per_metal(atoms)
    assert count == 6
    assert mean == pytest.approx(bond, abs=0.002)
    grams = atoms.get_masses().sum() / atoms.get_volume() * 1.66053907
    assert grams == pytest.approx(density, rel=0.01)  # natural minerals: impurities, voids


def test_frameworks_are_titanium_oxides_with_plausible_bonds() -> None:
    frameworks = [row for row in rows() if row["kind"].startswith("framework")]
    assert len(frameworks) == 16
    for row in frameworks:
        atoms = atoms_of(row["cif"])
        assert len(atoms) <= 24
        assert (atoms.numbers == 8).sum() == 2 * (atoms.numbers == 22).sum(), row["name"]
        mean, count = bonds_per_metal(atoms)
        # Shannon radii of Ti4+ with 4 to 9 neighbours give 1.8 to 2.15 Å.
        assert 1.78 < mean < 2.2, row["name"]
        assert 4 <= count <= 9, row["name"]
        declared = next(x for x in row["cif"].splitlines() if "Int_Tables" in x).split()[1]
        found = spglib.get_symmetry_dataset(
            (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers), symprec=0.01
        )
        assert found.number == int(declared), row["name"]


def test_arms_are_dealt_out_evenly_and_by_lot() -> None:
    asked = np.array([float(row["asked_band_gap"]) for row in rows()])
    assert set(asked) == {1.5, 4.5}
    assert abs((asked == 1.5).sum() - (asked == 4.5).sum()) <= 1
    assert (np.diff(asked) != 0).mean() < 0.9  # not one after the other


@pytest.mark.parametrize("name", ["tio2", "tio2-texts"])
def test_campaign_files_name_files_that_exist(name: str) -> None:
    campaign = tomllib.loads((EXAMPLES / name / "campaign.toml").read_text(encoding="utf-8"))
    header = rows()[0].keys()
    for entry in campaign.get("generate", []):
        assert entry.get("method") != "ion-exchange" or (EXAMPLES / name / entry["known"]).is_file()
    for entry in campaign["input"]:
        assert all((EXAMPLES / name / file).is_file() for file in entry["files"])
        assert set(entry.get("asked_columns", {}).values()) <= header


REASONS = {
    "wrong-multiplicity-o": "multiplicity",
    "wrong-multiplicity-ti": "multiplicity",
    "wrong-composition-o": "wrong-composition",
    "wrong-composition-ti": "wrong-composition",
    "wrong-composition-formula": "wrong-composition",
    "overlap-oxygens": "short-contact",
    "overlap-metal-oxygen": "short-contact",
    "overlap-by-symmetry": "short-contact",
    "unknown-element": "unknown-element",
    "truncated-in-loop": "truncated",
    "truncated-in-number": "truncated",
    "nan-cell": "bad-cell",
    "negative-cell": "bad-cell",
    "impossible-angles": "bad-cell",
    "no-text": "empty",
    "half-occupied": "disordered",
    "contradicting-space-group": "space-group",
    "cubic-with-unequal-axes": "space-group",
    "far-too-loose": "volume",
    "far-too-dense": "short-contact",
}


def test_each_fault_is_found_and_nothing_else_is_called_faulty() -> None:
    """Faults 1, 4, 6-8, 12-14 and 16-18, on the way every candidate takes."""
    found: dict[str, str] = {}
    for candidate in read_candidates(TEXTS / "candidates.csv", column="cif"):
        verdict = None if candidate.problem else check_validity(candidate)
        reason = candidate.problem.code if verdict is None else verdict.reason
        if reason:
            found[candidate.extra["name"]] = reason
    # A random displacement of 0.25 Å leaves atoms overlapping.
    moved = {name: found.pop(name) for name in list(found) if "-moved-0.25" in name}
    assert moved == {f"{name}-moved-0.25": "short-contact" for name in MINERALS}
    assert found == REASONS


@pytest.mark.parametrize("name", MINERALS)
def test_controls_pass_validity(name: str) -> None:
    (candidate,) = read_candidates(CONTROLS / f"{name}.cif", control=True)
    verdict = check_validity(candidate)
    assert verdict.outcome is Outcome.PASSED
    assert verdict.details["published"]["valid"]
