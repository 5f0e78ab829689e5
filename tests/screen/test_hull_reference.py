"""Building a reference: passes that stop and go on anywhere, and the hull table they lead to."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from bondwright.errors import InputError
from bondwright.screen import reference_chunks, reference_energies, reference_relaxed
from bondwright.screen.hull_tables import read_hull
from bondwright.screen.reference_energies import (
    STATIC_SCHEMA,
    Progress,
    Row,
    read_element_rows,
    read_rows,
    static_pass,
    structure_atoms,
)
from bondwright.screen.reference_relaxed import (
    RELAXED_SCHEMA,
    relaxation_order,
    relaxed_pass,
    write_hull_table,
)
from bondwright.screen.stability import StabilitySettings, relax_and_place
from bondwright.screen.verdict import Outcome
from bondwright.structure.write import cif_text

EMT_POTENTIAL = ("emt", None)


def ordered_alloy(first: str, second: str, a: float) -> Atoms:
    """Return the L1_2 crystal first3 second."""
    atoms = bulk(first, "fcc", a=a, cubic=True)
    atoms.symbols[0] = second
    return atoms


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Copper, gold and their ordered alloys, slightly off their EMT lattice constants."""
    crystals = {
        "cu": bulk("Cu", a=3.65),
        "cu-bcc": bulk("Cu", "bcc", a=2.9),
        "au": bulk("Au", a=4.1),
        "cu3au": ordered_alloy("Cu", "Au", 3.8),
        "cuau3": ordered_alloy("Au", "Cu", 4.0),
    }
    rows = {"id": [*crystals, "broken"], "cif": [*map(cif_text, crystals.values()), "data_x\n"]}
    pd.DataFrame(rows).to_csv(tmp_path / "crystals.csv.gz", index=False)
    return tmp_path / "crystals.csv.gz"


def everything(rows: list[Row], out: Path, processes: int = 1) -> Path:
    static_pass(rows, out, EMT_POTENTIAL, processes=processes)
    order = relaxation_order(out, margin=0.5)
    relaxed_pass(rows, order, out, EMT_POTENTIAL, processes=processes)
    write_hull_table(out, out / "hull.parquet", EMT_POTENTIAL)
    return out / "hull.parquet"


def test_a_reference_of_another_potential_from_table_to_verdict(
    table: Path, tmp_path: Path
) -> None:
    path = everything(read_rows(table), tmp_path / "out")
    hull = read_hull(path)
    assert {p.formula for p in hull.phases} == {"Cu", "Au", "AuCu3", "Au3Cu"}
    assert all(p.relaxed for p in hull.phases)
    settings = StabilitySettings(potential="emt", hull=str(path), fmax_eV_per_A=0.01)
    verdict = relax_and_place(ordered_alloy("Cu", "Au", 3.7), settings).verdict
    assert verdict.outcome is Outcome.PASSED
    assert verdict.value == pytest.approx(0, abs=1e-3)  # it is in the table itself
    assert verdict.details["hull"]["references_relaxed"] is True


def test_static_energies_are_those_of_the_calculator(table: Path, tmp_path: Path) -> None:
    rows = read_rows(table)
    static_pass(rows, tmp_path, EMT_POTENTIAL)
    found = reference_chunks.load(tmp_path / "static", STATIC_SCHEMA).to_pylist()
    by_id = {row.id: row for row in rows}
    for result in found:
        if result["id"] == "broken":
            assert result["energy_eV_per_atom"] is None
            assert result["problem"]
            continue
        atoms = structure_atoms(by_id[result["id"]].cif)
        atoms.calc = EMT()
        assert result["energy_eV_per_atom"] == pytest.approx(
            atoms.get_potential_energy() / len(atoms), abs=1e-9
        )
    assert len(found) == len(rows)


def test_stopping_and_going_on_gives_the_same_table(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_rows(table)
    undisturbed = everything(rows, tmp_path / "a").read_bytes()
    monkeypatch.setattr(reference_energies, "_CHUNK_ATOMS", 1)
    monkeypatch.setattr(reference_relaxed, "_CHUNK_ATOMS", 1)
    out = tmp_path / "b"
    seen: list[Progress] = []
    for _ in range(len(rows)):  # one chunk per run
        count = len(seen)
        static_pass(
            rows,
            out,
            EMT_POTENTIAL,
            stop=lambda count=count: len(seen) > count,
            progress=seen.append,
        )
    assert [p.done for p in seen] == list(range(1, len(rows) + 1))
    order = relaxation_order(out, margin=0.5)
    for _ in order:
        count = len(seen)
        relaxed_pass(
            rows,
            order,
            out,
            EMT_POTENTIAL,
            stop=lambda count=count: len(seen) > count,
            progress=seen.append,
        )
    assert seen[-1].done == len(order)
    write_hull_table(out, out / "hull.parquet", EMT_POTENTIAL)
    assert (out / "hull.parquet").read_bytes() == undisturbed
    static_pass(rows, out, EMT_POTENTIAL, progress=seen.append)
    assert len(seen) == len(rows) + len(order)  # nothing was left to do


def test_a_half_written_chunk_is_not_read(table: Path, tmp_path: Path) -> None:
    rows = read_rows(table)
    static_pass(rows, tmp_path, EMT_POTENTIAL)
    whole = next((tmp_path / "static").glob("*.parquet"))
    (tmp_path / "static" / f".{whole.name}.0.part").write_bytes(whole.read_bytes()[:100])
    found = reference_chunks.load(tmp_path / "static", STATIC_SCHEMA)
    assert found.num_rows == len(rows)


def test_two_processes_give_what_one_gives(table: Path, tmp_path: Path) -> None:
    rows = read_rows(table)
    one = read_hull(everything(rows, tmp_path / "one"))
    two = read_hull(everything(rows, tmp_path / "two", processes=2))
    assert one.phases == two.phases


def test_elements_come_first_then_what_was_asked_for(tmp_path: Path) -> None:
    energies = {"Ti": -7.8, "O": -4.9, "Mg": -1.6, "MgO": -6.3, "TiO2": -9.3, "MgTi": -4.6}
    rows = [
        {
            "key": formula,
            "id": formula,
            "formula": formula,
            "atoms": 1,
            "energy_eV_per_atom": energy,
            "feature": None,
            "problem": "",
        }
        for formula, energy in energies.items()
    ]
    rows.append({**rows[0], "key": "Ti-high", "id": "Ti-high", "energy_eV_per_atom": -6.0})
    reference_chunks.land(tmp_path / "static", rows, STATIC_SCHEMA)
    order = relaxation_order(tmp_path, margin=0.1, first=("Ti-O",))
    assert set(order[:3]) == {"Ti", "O", "Mg"}
    assert order[3:] == ["TiO2", "MgO"]  # MgTi is 0.1 above its elements, Ti-high 1.8


def test_only_converged_relaxations_count(tmp_path: Path) -> None:
    static = {
        "key": "a",
        "id": "a",
        "formula": "Cu",
        "atoms": 1,
        "energy_eV_per_atom": -1.0,
        "feature": None,
        "problem": "",
    }
    relaxed = {
        "key": "a",
        "id": "a",
        "formula": "Cu",
        "atoms": 1,
        "energy_eV_per_atom": -9.0,
        "static_eV_per_atom": -1.0,
        "status": "not-converged",
        "steps": 300,
        "volume_ratio": 1.0,
        "max_stress_GPa": 9.0,
    }
    reference_chunks.land(tmp_path / "static", [static], STATIC_SCHEMA)
    reference_chunks.land(tmp_path / "relaxed", [relaxed], RELAXED_SCHEMA)
    write_hull_table(tmp_path, tmp_path / "hull.parquet", EMT_POTENTIAL)
    phase = pq.read_table(tmp_path / "hull.parquet").to_pylist()[0]
    assert phase["energy_eV_per_atom"] == -1.0
    assert phase["relaxed"] is False


def test_a_table_without_structures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,ciff\n1,x\n")
    with pytest.raises(InputError, match="Did you mean 'ciff'"):
        read_rows(tmp_path / "t.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "t.parquet")
    (tmp_path / "e.json.gz").write_bytes(b"{}")
    with pytest.raises(InputError, match="elemental structures"):
        read_element_rows(tmp_path / "e.json.gz")
    with pytest.raises(InputError, match="no static energies"):
        relaxation_order(tmp_path)


@pytest.mark.data
def test_real_elemental_structures_are_read(data_dir: Path) -> None:
    rows = read_element_rows(data_dir / "crystals/MP-PBE-Element-Refs.json.gz")
    assert len(rows) == 789
    atoms = structure_atoms(next(r.cif for r in rows if r.id == "element-Fe-8"))
    assert atoms.get_chemical_formula() == "Fe"
