"""Ion exchange against pymatgen's substitution model and against crystals that are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal as make_crystal

from bondwright.crystals.crystal import from_atoms, to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_known import Known, read_known, reduced
from bondwright.crystals.ion_exchange import (
    ExchangeSettings,
    SubstitutionModel,
    check,
    exchange,
    exchanged,
    likeliest_ions,
    log_probability,
)
from bondwright.errors import InputError
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.structure.write import cif_text


def rutile(metal: str, a: float, c: float) -> Atoms:
    return make_crystal(
        [metal, "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[a, a, c, 90, 90, 90]
    )


def fluorite(metal: str, a: float) -> Atoms:
    return make_crystal(
        [metal, "O"],
        [(0, 0, 0), (0.25, 0.25, 0.25)],
        spacegroup=225,
        cellpar=[a, a, a, 90, 90, 90],
    )


@pytest.fixture
def known(tmp_path: Path) -> Known:
    crystals = {
        "cassiterite": (rutile("Sn", 4.737, 3.186), 0.0),
        "pyrolusite": (rutile("Mn", 4.399, 2.874), 0.0),
        "plattnerite": (rutile("Pb", 4.955, 3.383), 0.0),
        "cerianite": (fluorite("Ce", 5.411), 0.0),
        "rutile": (rutile("Ti", 4.594, 2.959), 0.03),
        "cubic TiO2": (fluorite("Ti", 4.87), 0.9),
        "silver": (
            make_crystal(["Ag"], [(0, 0, 0)], spacegroup=225, cellpar=[4.09] * 3 + [90] * 3),
            0.0,
        ),
    }
    path = tmp_path / "known.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "cif", "e_above_hull", "source"])
        for name, (atoms, energy) in crystals.items():
            writer.writerow([name, cif_text(atoms), energy, "metal" if name == "silver" else "o"])
    return read_known([path])


def test_probabilities_are_pymatgens() -> None:
    from pymatgen.core import Species, structure_prediction
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    path = Path(structure_prediction.__path__[0]) / "data" / "lambda.json"
    rows = [row for row in json.loads(path.read_text()) if "D1+" not in row]
    some = [row for row in rows if {row[0][:2], row[1][:2]} <= {"Na", "K1", "Ti", "O2", "F1", "Fe"}]
    assert len(some) > 15
    theirs = SubstitutionProbability(lambda_table=some)
    ours = SubstitutionModel({(a, b): float(w) for a, b, w in some})
    assert len(ours.ions) == len(theirs.species)
    for new in ours.ions:
        for old in ours.ions:
            expected = theirs.cond_prob(Species.from_str(new), Species.from_str(old))
            # The same sums in another order.
            assert np.exp(ours.between_ions(new, old)) == pytest.approx(expected, rel=1e-10)
    # Of an element: the sum over its ions, which is a probability again.
    elements = sorted({Species.from_str(ion).symbol for ion in ours.ions})
    total = sum(np.exp(ours.between_elements(new, "Fe")) for new in elements)
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("counts", "ions"),
    [
        ({"Ti": 1, "O": 2}, {"Ti": "Ti4+", "O": "O2-"}),
        ({"Ca": 1, "Ti": 1, "O": 3}, {"Ca": "Ca2+", "Ti": "Ti4+", "O": "O2-"}),
        ({"Li": 1, "Fe": 1, "P": 1, "O": 4}, {"Fe": "Fe2+", "P": "P5+"}),
        ({"Fe": 2, "O": 3}, {"Fe": "Fe3+"}),
    ],
)
def test_charges_are_those_of_chemistry(counts: dict, ions: dict) -> None:
    found = likeliest_ions(reduced(counts))
    assert found is not None
    assert {element: found[element] for element in ions} == ions


def test_alloys_and_mixed_valence_have_no_charges_but_probabilities() -> None:
    assert likeliest_ions(reduced({"Cu": 1, "Zr": 2})) is None
    assert likeliest_ions(reduced({"Fe": 3, "O": 4})) is None
    parent = reduced({"Cu": 1, "Hf": 2})
    near = log_probability(parent, {"Cu": "Cu", "Hf": "Zr"})
    far = log_probability(parent, {"Cu": "Cl", "Hf": "Cs"})
    assert far < near < 0


def test_tin_oxide_becomes_titanium_oxide(known: Known) -> None:
    found = exchange(Request(formula={"Ti": 1, "O": 2}), known, 10)
    # Three rutile-type parents give one crystal; TiO2 itself and its polymorph are left out.
    assert [made.crystal.space_group for made in found] == [136, 225]
    assert found[0].parent in ("cassiterite", "pyrolusite", "plattnerite")
    assert found[1].parent == "cerianite"
    assert found[0].score >= found[1].score
    assert found[0].crystal.counts == {"Ti": 2, "O": 4}
    a, _, c = found[0].crystal.lengths
    # Lengths by the volumes of atoms: 5 % of the volume on average is under 2 % of an edge.
    assert (a, c) == (pytest.approx(4.594, rel=0.04), pytest.approx(2.959, rel=0.06))


def test_the_very_formula_only_when_asked(known: Known) -> None:
    settings = ExchangeSettings(same_formula=True)
    found = exchange(Request(formula={"Ti": 1, "O": 2}), known, 1, settings=settings)
    assert (found[0].parent, found[0].replaced) == ("rutile", {})
    assert same_crystal(
        reduce_cell(to_atoms(found[0].crystal)),
        reduce_cell(rutile("Ti", 4.594, 2.959)),
        Tolerances(),
    )


def test_units_group_and_size_of_the_cell_are_kept(known: Known) -> None:
    formula = {"Hf": 1, "O": 2}
    one = exchange(Request(formula=formula, space_group=225), known, 10)
    assert [made.crystal.space_group for made in one] == [225]
    two = exchange(Request(formula=formula, formula_units=2), known, 10)
    assert [sum(made.crystal.counts.values()) for made in two] == [6]
    small = exchange(Request(formula=formula, max_atoms=6), known, 10)
    assert [made.crystal.space_group for made in small] == [136]
    assert exchange(Request(formula={"Al": 2, "O": 3}), known, 10) == []


def test_a_chemical_system(known: Known) -> None:
    found = exchange(Request(elements=("Zr", "O")), known, 3)
    assert all(set(made.crystal.counts) == {"Zr", "O"} for made in found)
    assert found[0].crystal.counts["O"] == 2 * found[0].crystal.counts["Zr"]


def test_nearest_goes_by_mendeleev_order_and_seed_by_seed(known: Known) -> None:
    request = Request(formula={"Ge": 1, "O": 2})
    nearest = exchange(request, known, 1, settings=ExchangeSettings(rank="nearest"))
    assert nearest[0].parent == "cassiterite"  # Sn and Pb stand next to Ge in the order
    assert exchange(request, known, 3, seed=7) == exchange(request, known, 3, seed=7)


def test_only_the_elements_and_the_volume_change() -> None:
    before = from_atoms(rutile("Sn", 4.737, 3.186))
    after = exchanged(before, {"Sn": "Ti", "O": "O"})
    assert after.space_group == 136
    assert after.lengths[2] / after.lengths[0] == pytest.approx(3.186 / 4.737, rel=1e-6)
    assert {site.letter for site in after.sites} == {site.letter for site in before.sites}


def test_tables_are_read_by_source_and_bad_ones_refused(known: Known, tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    assert [row.name for row in read_known([path], source="metal").rows] == ["silver"]
    with pytest.raises(InputError, match="no structure of source 'x'"):
        read_known([path], source="x")
    with pytest.raises(InputError, match="no table"):
        read_known([tmp_path / "known.cif"])
    with pytest.raises(InputError, match="formula or a chemical system"):
        check(Request())


@pytest.mark.data
def test_rutile_is_found_without_having_been_seen(data_dir: Path) -> None:
    known = read_known([data_dir / "crystals" / "structures.csv.gz"])
    assert known.unreadable == 0
    assert len(known.rows) == 46_345
    found = exchange(Request(formula={"Ti": 1, "O": 2}), known, 6)
    assert all("Ti" not in made.replaced for made in found)
    cells = [made.crystal for made in found if made.crystal.space_group == 136]
    # Rutile: a = 4.594, c = 2.959 Å (Abrahams and Bernstein, J. Chem. Phys. 55, 3206 (1971)).
    assert cells
    assert cells[0].lengths[0] == pytest.approx(4.594, rel=0.02)
    assert cells[0].lengths[2] == pytest.approx(2.959, rel=0.03)
