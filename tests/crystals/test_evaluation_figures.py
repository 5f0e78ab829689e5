"""The numbers of the evaluation: shares, distances, matches, conditions. No sample is left out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.spacegroup import crystal as make_crystal
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from bondwright.crystals.crystal import from_atoms, to_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_condition import condition_figures
from bondwright.crystals.evaluation_distributions import distribution_figures, jensen_shannon
from bondwright.crystals.evaluation_held_out import HeldOut
from bondwright.crystals.evaluation_known import reduced
from bondwright.crystals.evaluation_prediction import (
    ANGLE_TOL,
    LTOL,
    STOL,
    matcher,
    passes_gate,
    prediction_figures,
)
from bondwright.crystals.evaluation_records import (
    crystal_from_json,
    crystal_to_json,
    keep,
    kept,
    share,
    write_rows,
)
from bondwright.crystals.random_crystals import random_crystal
from bondwright.errors import InputError


def rutile() -> Atoms:
    return make_crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )


def anatase() -> Atoms:
    return make_crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0, 0, 0.208)],
        spacegroup=141,
        cellpar=[3.785, 3.785, 9.514, 90, 90, 90],
    )


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Wilson's 95 % interval, closed form: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_shares_have_wilsons_interval(count: int, total: int, low: float, high: float) -> None:
    # 81 of 263: Newcombe, Stat. Med. 17, 857 (1998), table I, method 3.
    found = share(count, total)
    assert found["share"] == count / total
    assert found["low"] == pytest.approx(low, abs=1e-4)
    assert found["high"] == pytest.approx(high, abs=1e-4)


def test_a_share_of_nothing_is_unknown() -> None:
    assert share(0, 0)["share"] is None


def test_rows_land_once_and_come_back(tmp_path: Path) -> None:
    keep(tmp_path, [{"key": "a", "x": 1.25}, {"key": "b", "x": None}])
    keep(tmp_path, [{"key": "a", "x": 1.25}])
    keep(tmp_path, [])
    assert kept(tmp_path) == {"a": {"key": "a", "x": 1.25}, "b": {"key": "b", "x": None}}
    assert kept(tmp_path / "none") == {}
    write_rows(tmp_path / "out" / "t.parquet", [{"k": 1, "l": [1, 2]}, {"k": None, "n": "x"}])
    assert pq.read_table(tmp_path / "out" / "t.parquet").to_pylist() == [
        {"k": 1, "l": "[1, 2]", "n": None},
        {"k": None, "l": None, "n": "x"},
    ]


def test_a_crystal_comes_back_whole() -> None:
    crystal = from_atoms(anatase())
    assert crystal_from_json(crystal_to_json(crystal)) == crystal


def test_jensen_shannon_is_scipys() -> None:
    first, second = [1, 1, 2, 3, 3, 3], [1, 2, 2, 4]
    kinds = [1, 2, 3, 4]
    p = [first.count(k) / 6 for k in kinds]
    q = [second.count(k) / 4 for k in kinds]
    assert jensen_shannon(first, second) == pytest.approx(jensenshannon(p, q, base=2), rel=1e-12)
    assert jensen_shannon(first, first) == 0.0
    assert jensen_shannon([1], [2]) == 1.0


def test_distributions_against_their_own_floor() -> None:
    structures = [rutile()] * 30 + [anatase()] * 30
    held = [
        HeldOut(str(k), reduced({"Ti": 1, "O": 2}), atoms, from_atoms(atoms))
        for k, atoms in enumerate(structures)
    ]
    density = [4.25 if k % 2 else 3.89 for k in range(60)]
    rows = [
        {"readable": True, "density": d, "elements": 2, "atoms": 6, "space_group": 136}
        for d in density
    ]
    rows.append({"readable": False, "space_group": None})
    figures = distribution_figures(rows, held, seed=0)
    assert figures["samples"] == 60
    assert figures["elements"] == {"distance": 0.0, "floor": 0.0, "measure": "Wasserstein"}
    assert figures["density"]["distance"] < 0.1
    # All 6 atoms against half 6 and half 12: a mean shift of 3.
    assert figures["atoms"]["distance"] == pytest.approx(3.0)
    # Half of one kind against all of it: sqrt of the divergence of (1, 0) and (1/2, 1/2), base 2.
    assert figures["space_group"]["distance"] == pytest.approx(0.5580, abs=1e-4)
    assert figures["space_group"]["floor"] < 0.2
    assert distribution_figures([], held, seed=0) == {"samples": 0, "held_out": 60}


def test_matches_are_those_of_pymatgens_matcher() -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    truth = rutile()
    near = truth.repeat((2, 1, 1))
    near.positions += np.random.default_rng(0).normal(0, 0.1, near.positions.shape)
    near.set_cell(near.cell * 1.05, scale_atoms=True)
    request = Request(formula={"Ti": 1, "O": 2}, formula_units=2)
    made = [random_crystal(request, 1, k).crystal for k in range(8)]
    predictions = [truth, near, anatase(), *(to_atoms(c) for c in made if c is not None)]
    theirs = StructureMatcher(ltol=LTOL, stol=STOL, angle_tol=ANGLE_TOL)
    assert (theirs.ltol, theirs.stol, theirs.angle_tol) == (0.3, 0.5, 10.0)
    ours = matcher(truth)
    goal = AseAtomsAdaptor.get_structure(truth)
    seen = []
    for prediction in predictions:
        expected = theirs.get_rms_dist(AseAtomsAdaptor.get_structure(prediction), goal)
        found = ours(prediction)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert found == pytest.approx(float(expected[0]), abs=1e-12)
        seen.append(found is not None)
    assert seen[:3] == [True, True, False]
    assert ours(prediction=truth) == pytest.approx(0.0, abs=1e-6)  # type: ignore[call-arg]


def test_the_gate_asks_for_room_and_balance() -> None:
    assert passes_gate(rutile())
    squeezed = Atoms("TiO2", positions=[(0, 0, 0), (0, 0, 0.4), (2, 2, 2)], cell=[4] * 3, pbc=True)
    assert not passes_gate(squeezed)
    odd = Atoms("NaCl2", positions=[(0, 0, 0), (2, 0, 0), (0, 2, 0)], cell=[4] * 3, pbc=True)
    assert not passes_gate(odd)


def test_every_target_counts() -> None:
    def one(rms: float | None, gate: bool = True, perplexity: float | None = None) -> dict:
        return {"rms": rms, "gate": gate, "perplexity": perplexity}

    rows = [
        {"charge_balanced": True, "predictions": [one(None, True, 2.0), one(0.1, True, 1.5)]},
        {"charge_balanced": False, "predictions": [one(0.3, False, 1.2), one(0.2, False, 3.0)]},
        {"charge_balanced": None, "predictions": [one(None), one(None)]},
        {"charge_balanced": True, "predictions": [one(0.05, True, 1.1), one(0.01, True, 1.3)]},
    ]
    figures = prediction_figures(rows, tries=2)
    assert figures["n=1"]["match_rate"]["share"] == 2 / 4
    assert figures["n=1"]["rmse"] == pytest.approx((0.3 + 0.05) / 2)
    assert figures["n=1"]["gated_match_rate"]["share"] == 1 / 4
    assert figures["n=2"]["match_rate"]["share"] == 3 / 4
    assert figures["n=2"]["rmse"] == pytest.approx((0.1 + 0.2 + 0.01) / 3)
    assert figures["n=2"]["gated_rmse"] == pytest.approx((0.1 + 0.01) / 2)
    # The likeliest of the first target is its second, of the others their first.
    assert figures["likeliest"]["match_rate"]["share"] == 3 / 4
    assert figures["charge_balanced_targets"]["share"] == 2 / 4
    empty = prediction_figures([], tries=20)
    assert empty["n=20"]["match_rate"]["share"] is None
    assert empty["n=20"]["rmse"] is None


def test_sets_are_named_with_table_and_source() -> None:
    from bondwright.cli.evaluate_crystals import _percent, _set

    name, source = _set("perov-5=a/b.csv.gz:perov_5_val")
    assert (name, source.paths, source.source) == ("perov-5", (Path("a/b.csv.gz"),), "perov_5_val")
    assert _set("x=t.csv")[1].source == ""
    with pytest.raises(InputError, match="expected NAME=TABLE"):
        _set("t.csv")
    assert _percent(share(0, 0)) == "-"
    assert _percent(share(5, 10)) == "50.0 (24-76)"


def gaps(values: list[float], strict: bool = True) -> list[dict]:
    return [{"strict": strict, "band_gap": value} for value in values]


def test_a_condition_that_acts() -> None:
    random = np.random.default_rng(3)
    arms = {
        None: gaps(random.uniform(0, 5, 100).tolist()),
        0.5: gaps(random.normal(0.5, 0.3, 60).tolist()) + gaps([0.5] * 40, strict=False),
        2.0: gaps(random.normal(2.0, 0.3, 60).tolist()),
        4.0: gaps(random.normal(4.0, 0.3, 60).tolist()),
    }
    found = condition_figures(arms, name="band_gap", unit="eV", tolerance=0.5)
    assert found["effect"] == "seen"
    assert found["medians_in_order"] is True
    low = found["groups"][1]
    # Samples that are no crystals are no hits, and count.
    assert (low["samples"], low["n"]) == (100, 60)
    hits = sum(abs(row["band_gap"] - 0.5) <= 0.5 for row in arms[0.5] if row["strict"])
    assert low["hits_of_all"]["share"] == hits / 100
    expected = ks_2samp(
        [row["band_gap"] for row in arms[0.5] if row["strict"]],
        [row["band_gap"] for row in arms[None]],
    )
    assert low["against_control"]["p_value"] == pytest.approx(expected.pvalue)
    assert found["lowest_against_highest"]["p_value"] < 1e-10


def test_no_sample_is_no_division_by_zero() -> None:
    arms = {None: gaps([]), 1.0: gaps([1.0] * 5, strict=False), 3.0: []}
    found = condition_figures(arms, name="band_gap", unit="eV", tolerance=0.5)
    assert found["effect"] == "too-few"
    assert [group["samples"] for group in found["groups"]] == [0, 5, 0]
    assert found["groups"][1]["hits_of_all"]["share"] == 0.0
    assert found["groups"][2]["hits_of_all"]["share"] is None
    assert found["groups"][1]["against_control"] is None
    assert found["lowest_against_highest"] is None
    assert found["medians_in_order"] is False
    assert not any(isinstance(v, float) and math.isnan(v) for v in found.values())
