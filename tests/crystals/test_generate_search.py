"""Searching: what is rewarded, what comes of it, and that the seed decides it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from ase.spacegroup import crystal

from bondwright.crystals.crystal import Crystal, Site, from_atoms, to_atoms
from bondwright.crystals.evaluation_known import read_known
from bondwright.crystals.generate import best_of, make
from bondwright.crystals.generate_arm import plan_arm
from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.sampling_text import Sample
from bondwright.crystals.search_reward import CrystalReward
from bondwright.errors import InputError
from bondwright.screen.property import load_property
from bondwright.structure.write import cif_text

spec = importlib.util.spec_from_file_location(
    "unigram", Path(__file__).parents[1] / "cli" / "unigram.py"
)
assert spec is not None
assert spec.loader is not None
unigram = importlib.util.module_from_spec(spec)
spec.loader.exec_module(unigram)

RUTILE = from_atoms(
    crystal(
        ("Ti", "O"),
        [(0, 0, 0), (0.3048, 0.3048, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    unigram.make_model(folder)
    return folder


@pytest.fixture(autouse=True)
def _nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDWRIGHT_DATA", str(tmp_path / "nothing"))


def scaled(found: Crystal, factor: float) -> Crystal:
    a, b, c = (factor * length for length in found.lengths)
    return replace(found, lengths=(a, b, c))


def written(found: Crystal | None) -> Sample:
    return Sample(0, (), "", found, "" if found else "unfinished", -1.0, 1)


def known_rutile(folder: Path) -> Path:
    table = folder / "known.csv"
    row = {"id": "rutile", "cif": cif_text(to_atoms(RUTILE), symprec=0.1)}
    pd.DataFrame([row]).to_csv(table, index=False)
    return table


def test_new_valid_crystals_are_worth_most_and_only_once(tmp_path: Path) -> None:
    reward = CrystalReward(None, None)
    assert reward(written(None)) == 0.0
    assert reward(written(RUTILE)) == 1.0
    assert reward(written(RUTILE)) == 0.4
    assert reward(written(scaled(RUTILE, 1.03))) == 0.4  # the same crystal
    (orbit,) = (site for site in RUTILE.sites if site.element == "Ti")
    sites = tuple(s if s is orbit else replace(s, element="F") for s in RUTILE.sites)
    assert reward(written(replace(RUTILE, sites=sites))) == 1.0  # TiF2 is another
    known = read_known([known_rutile(tmp_path)])
    assert CrystalReward(known, None)(written(RUTILE)) == 0.4


def test_invalid_crystals_are_worth_the_less_the_worse_they_are() -> None:
    """By hand from the formula: shortest contact over 0.7 of the radii (1.60 + 0.66 Å), volume."""
    small, large = scaled(RUTILE, 0.75), scaled(RUTILE, 3.0)
    atoms = to_atoms(small)
    contact = min(
        atoms.get_distance(i, j, mic=True)
        for i in range(6)
        for j in range(6)
        if atoms.symbols[i] == "Ti" and atoms.symbols[j] == "O"
    )
    reward = CrystalReward(None, None)
    assert reward(written(small)) == pytest.approx(0.3 * contact / 2.26 / 0.7, rel=1e-3)
    volume = to_atoms(large).get_volume() / 6
    assert reward(written(large)) == pytest.approx(0.3 * 250 / volume, rel=1e-3)
    salt = Crystal(  # rock salt, which declares a group with fewer operations than it has
        221,
        (5.64, 5.64, 5.64),
        (90.0, 90.0, 90.0),
        (
            Site("Na", 1, "a", (0.0, 0.0, 0.0)),
            Site("Na", 3, "c", (0.0, 0.5, 0.5)),
            Site("Cl", 1, "b", (0.5, 0.5, 0.5)),
            Site("Cl", 3, "d", (0.5, 0.0, 0.0)),
        ),
    )
    assert reward(written(salt)) == pytest.approx(0.15)


def test_nearness_to_the_asked_band_gap_counts() -> None:
    gap = load_property("band_gap").predict(to_atoms(RUTILE)).value
    assert gap is not None
    for beside, worth in ((0.0, 1.0), (0.5, 0.7), (-4.5, 0.46)):
        found = CrystalReward(None, gap + beside)(written(RUTILE))
        assert found == pytest.approx(worth, abs=0.01)


def test_tree_search_hands_out_its_best(model: Path) -> None:
    """The seed decides it, in whatever pieces it is asked for."""
    wish = Wish(4, formula="TiO2", max_atoms=6, model=str(model), search="tree")
    arm = plan_arm(wish, 5)
    rows = make(arm, 0, 4, batch=16)
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    rewards = [row["reward"] for row in rows]
    assert rewards == sorted(rewards, reverse=True)
    assert rewards[0] == 1.0
    assert len({row["text"] for row in rows}) == 4
    assert {(row["search"], row["best_of"], row["most_attempts"]) for row in rows} == {
        ("tree", 5, 1)
    }
    assert [*make(arm, 0, 1, batch=16), *make(arm, 1, 3, batch=16)] == rows
    assert (arm.divisible, arm.ranked, arm.total) == (False, False, 4)
    plain = make(plan_arm(replace(wish, search="none"), 5), 0, 1, batch=1)[0]
    assert (plain["reward"], plain["search"]) == (None, "none")


def test_tree_that_is_used_up_says_so(model: Path) -> None:
    """One branch for each choice, and nothing is left to chance: there is one text."""
    wish = Wish(3, formula="TiO2", formula_units=1, max_atoms=3, model=str(model), search="tree")
    rows = make(plan_arm(replace(wish, top_k=1, temperature=0.0), 5), 0, 3, batch=16)
    last = rows[-1]
    assert last["problem"].startswith("exhausted: the search found ")
    assert (last["reward"], last["cif"]) == (None, None)


def test_what_decides_a_search_makes_another_arm(model: Path, tmp_path: Path) -> None:
    wish = Wish(4, formula="TiO2", max_atoms=12, model=str(model), search="tree")
    others = [
        replace(wish, search="none"),
        replace(wish, search="formula-units"),
        replace(wish, n=5),
        replace(wish, best=9),
        replace(wish, known=str(known_rutile(tmp_path))),
    ]
    assert len({plan_arm(one, 0).key for one in (wish, *others)}) == 6
    same = [replace(wish, best=5), replace(wish, attempts=2), replace(wish, label="b")]
    assert {plan_arm(one, 0).key for one in same} == {plan_arm(wish, 0).key}
    arm = plan_arm(replace(wish, search="formula-units"), 0)
    more = plan_arm(replace(wish, search="formula-units", n=40), 0)
    assert arm.key == more.key
    with pytest.raises(InputError, match="no such table of known crystals"):
        plan_arm(replace(wish, known="nowhere.csv"), 0)


def test_texts_are_shared_out_to_the_numbers_of_formula_units(model: Path) -> None:
    wish = Wish(3, formula="TiO2", max_atoms=12, model=str(model), search="formula-units")
    arm = plan_arm(wish, 5)
    assert arm.units == (1, 2, 3, 4)  # 18 and 24 atoms are too many
    assert arm.total == 4  # one each, though only three are kept
    assert plan_arm(replace(wish, best=3), 5).total == 9
    rows = make(arm, 0, 9, batch=9)
    assert [row["formula_units"] for row in rows] == [1, 2, 3, 4, 1, 2, 3, 4, 1]
    assert [*make(arm, 0, 2, batch=2), *make(arm, 2, 7, batch=3)] == rows
    kept = best_of(rows, 3)
    assert arm.ranked
    assert Counter(row["asked_formula_units"] for row in kept) == {None: 3}
    assert [row["perplexity"] for row in kept] == sorted(row["perplexity"] for row in rows)[:3]
