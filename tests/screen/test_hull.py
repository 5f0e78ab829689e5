"""The hull: distances equal to pymatgen's, tables refused when they are not what they should be.

Covers faults 30 (element missing), 31 (pointer or wrong file) and 38 (elements only, one entry).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from bondwright.errors import InputError
from bondwright.screen.chgnet_engine import weights_sha256
from bondwright.screen.hull import Hull, Phase, parse_formula
from bondwright.screen.hull_tables import load_hull, read_dft_hull, read_hull, write_hull
from bondwright.screen.potentials import EnergyKind

HEADER = {"potential": "emt 1", "energies": "own"}


def random_phases(elements: str, number: int, seed: int) -> list[Phase]:
    """Return elemental phases at random energies and random compounds around and below them."""
    rng = np.random.default_rng(seed)
    symbols = elements.split("-")
    phases = [Phase(s, float(rng.uniform(-5, -1))) for s in symbols]
    for _ in range(number):
        chosen = rng.choice(symbols, size=rng.integers(2, len(symbols) + 1), replace=False)
        counts = rng.integers(1, 6, size=len(chosen))
        formula = "".join(f"{s}{n}" for s, n in sorted(zip(chosen, counts, strict=True)))
        phases.append(Phase(formula, float(rng.uniform(-6, -1))))
    return phases


@pytest.mark.parametrize(
    ("elements", "number", "seed"),
    [("Ti-O", 30, 1), ("Ba-Ti-O", 60, 2), ("Li-Fe-P-O", 120, 3), ("Na-Mg-Al-Si-O", 150, 4)],
)
def test_distances_equal_the_phase_diagram(elements: str, number: int, seed: int) -> None:
    phases = random_phases(elements, number, seed)
    hull = Hull("random", phases, EnergyKind.OWN)
    compositions = [Composition(p.formula) for p in phases]
    entries = [
        PDEntry(c, p.energy * c.num_atoms) for c, p in zip(compositions, phases, strict=True)
    ]
    diagram = PhaseDiagram(entries)
    for phase, entry in list(zip(phases, entries, strict=True))[:40]:
        place = hull.energy_above(parse_formula(phase.formula), phase.energy)
        assert place.e_above_hull is not None
        # both are exact up to the arithmetic of their solvers
        assert place.e_above_hull == pytest.approx(diagram.get_e_above_hull(entry), abs=1e-6)
        assert sum(place.decomposition.values()) == pytest.approx(1, abs=1e-6)


def test_the_decomposition_has_the_candidates_composition() -> None:
    hull = Hull("random", random_phases("Ba-Ti-O", 60, 5), EnergyKind.OWN)
    place = hull.energy_above({"Ba": 2, "Ti": 3, "O": 7}, -3.0)
    mixed: dict[str, float] = {}
    for formula, share in place.decomposition.items():
        counts = parse_formula(formula)
        for symbol, n in counts.items():
            mixed[symbol] = mixed.get(symbol, 0.0) + share * n / sum(counts.values())
    assert mixed == pytest.approx({"Ba": 2 / 12, "Ti": 3 / 12, "O": 7 / 12}, abs=1e-6)


def test_below_the_hull_is_negative() -> None:
    hull = Hull("two", [Phase("Ti", -7.8), Phase("O", -4.9)], EnergyKind.OWN)
    assert hull.energy_above({"Ti": 1, "O": 2}, -9.3).e_above_hull == pytest.approx(
        -9.3 - (-7.8 - 2 * 4.9) / 3, abs=1e-9
    )


def test_a_missing_element_is_unknown_not_zero() -> None:
    hull = Hull("one", [Phase("Ti", -7.8), Phase("TiO2", -9.3)], EnergyKind.OWN)
    place = hull.energy_above({"Ti": 1, "O": 2}, -9.3)
    assert place.e_above_hull is None
    assert place.missing == ("O",)


def test_a_hull_with_one_entry() -> None:
    hull = Hull("one", [Phase("Cu", -3.7)], EnergyKind.OWN)
    assert hull.energy_above({"Cu": 4}, -3.6).e_above_hull == pytest.approx(0.1, abs=1e-9)


def test_a_hull_remembers_whether_its_phases_were_relaxed() -> None:
    phases = [Phase("Cu", -3.7), Phase("Au", -3.2, relaxed=False), Phase("AuCu", -3.9)]
    hull = Hull("mixed", phases, EnergyKind.OWN)
    assert hull.energy_above({"Cu": 1, "Au": 1}, -3.5).all_relaxed
    assert not hull.energy_above({"Cu": 1, "Au": 3}, -3.5).all_relaxed


@pytest.mark.parametrize("formula", ["", "Fe2O3 ", "(FeO)2", "Fe0.5O", "Fe3+", "fe", "Fe0", "2H"])
def test_odd_formulas_are_refused(formula: str) -> None:
    with pytest.raises(ValueError, match="not a plain chemical formula"):
        parse_formula(formula)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    phases = [Phase("Cu", -3.7, "a"), Phase("Au", -3.2, "b", relaxed=False)]
    write_hull(tmp_path / "t.parquet", phases, HEADER)
    hull = read_hull(tmp_path / "t.parquet")
    assert sorted(hull.phases, key=lambda p: p.id) == phases
    assert (hull.potential, hull.energies) == ("emt 1", EnergyKind.OWN)
    assert len(hull.sha256) == 64


def test_an_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(InputError, match=r"Git LFS pointer.*git lfs pull"):
        read_hull(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("formula,energy\nTiO2,-9\n")
    with pytest.raises(InputError, match="not a hull table"):
        read_hull(tmp_path / "text.parquet")
    pq.write_table(pa.table({"formula": ["TiO2"]}), tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="not a hull table"):
        read_hull(tmp_path / "plain.parquet")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(InputError, match="empty"):
        read_hull(tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="no such reference table"):
        read_hull(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match="not the DFT reference"):
        read_dft_hull(tmp_path / "text.parquet", tmp_path / "text.parquet")


def test_the_shipped_table_belongs_to_the_installed_weights() -> None:
    hull = load_hull("chgnet")
    assert hull.potential == f"chgnet 0.3.0 {weights_sha256()[:16]}"
    assert hull.energies is EnergyKind.CORRECTED
    elements = {p.formula for p in hull.phases if len(parse_formula(p.formula)) == 1}
    assert len({next(iter(parse_formula(f))) for f in elements}) == 89
    assert len({p.formula for p in hull.phases}) == len(hull.phases)
    assert all(np.isfinite(p.energy) for p in hull.phases)


def test_the_shipped_table_is_small_and_names_its_sources() -> None:
    path = Path(__file__).parents[2] / "src/bondwright/screen/tables/hull-chgnet-0.3.0.parquet"
    assert path.stat().st_size < 1_500_000
    header = json.loads(pq.read_schema(path).metadata[b"bondwright-hull"])
    assert "CC BY 4.0" in " ".join(header["sources"])


@pytest.mark.data
def test_the_dft_hull_gives_the_materials_projects_own_distances(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BONDWRIGHT_DATA", str(data_dir))
    hull = load_hull("dft")
    table = pd.read_csv(
        data_dir / "crystals/hull_entries.csv.gz", keep_default_na=False, low_memory=False
    )
    table = table[(table.source == "mp153k_pbe") & (table.formula.str.len() < 12)]
    differences = []
    for row in table.sample(150, random_state=0).itertuples():
        composition = parse_formula(row.formula)
        total = sum(composition.values())
        energy = float(row.formation_energy_per_atom) + sum(
            n / total * hull.element_energies[s] for s, n in composition.items()
        )
        place = hull.energy_above(composition, energy)
        assert place.e_above_hull is not None
        differences.append(abs(place.e_above_hull - float(row.e_above_hull_mp)))
    # The table lacks some of the entries behind the published distances; its description states
    # a mean difference of 1 to 6 meV/atom and a median below 0.2 meV/atom.
    assert np.median(differences) < 0.001
    assert np.mean(differences) < 0.010
