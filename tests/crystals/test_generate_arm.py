"""Making crystals: the same ones whatever the parts, refused before a model is loaded, as CIF."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import gemmi
import pandas as pd
import pytest
from ase.spacegroup import crystal
from pymatgen.core import Structure

from bondwright.crystals.crystal import from_atoms, to_atoms
from bondwright.crystals.generate import best_of, make
from bondwright.crystals.generate_arm import plan_arm
from bondwright.crystals.generate_cif import crystal_cif
from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.strict import reason_against
from bondwright.errors import InputError
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.read import read_candidates
from bondwright.structure.write import cif_text

R = [90, 90, 90]

spec = importlib.util.spec_from_file_location(
    "unigram", Path(__file__).parents[1] / "cli" / "unigram.py"
)
assert spec is not None
assert spec.loader is not None
unigram = importlib.util.module_from_spec(spec)
spec.loader.exec_module(unigram)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    unigram.make_model(folder)
    return folder


@pytest.fixture(scope="module")
def wish(model: Path) -> Wish:
    return Wish(24, formula="TiO2", max_atoms=12, asked={"band_gap": 3.0}, model=str(model))


def test_a_crystal_does_not_depend_on_how_the_work_is_cut(wish: Wish) -> None:
    """The seed and its number decide it (fault 26)."""
    arm = plan_arm(wish, seed=5)
    whole = make(arm, 0, 12, batch=12)
    assert [row["number"] for row in whole] == list(range(12))
    assert [*make(arm, 0, 5, batch=2), *make(arm, 5, 7, batch=7)] == whole
    assert len({row["text"] for row in whole}) > 6
    assert make(plan_arm(wish, seed=6), 0, 3, batch=3) != whole[:3]


def test_two_arms_share_no_random_numbers(wish: Wish) -> None:
    """The model here does not look at what it is asked: equal numbers would give equal crystals."""
    asked, control = plan_arm(wish, 5), plan_arm(replace(wish, asked={}), 5)
    texts = [{row["text"] for row in make(arm, 0, 6, batch=6)} for arm in (asked, control)]
    assert texts[0].isdisjoint(texts[1])
    assert asked.family == control.family  # they differ in nothing but what was asked
    assert asked.family != plan_arm(replace(wish, temperature=0.5), 5).family


def test_rows_tell_how_they_were_made(wish: Wish, model: Path) -> None:
    arm = plan_arm(wish, seed=5)
    rows = make(arm, 3, 2, batch=2)
    sha256 = json.loads((model / "model.json").read_text())["sha256"]
    for number, row in enumerate(rows, 3):
        assert row["id"] == f"{arm.name}-{number}"
        assert (row["asked_band_gap"], row["asked_formula"]) == (3.0, "TiO2")
        assert (row["seed"], row["model_sha256"], row["dialect"]) == (5, sha256, "wyckoff")
        assert row["formula"] == "TiO2"
        assert row["atoms"] == 3 * row["formula_units"] <= 12
        assert row["perplexity"] > 1
        atoms = parse_text("cif", row["cif"], ReadLimits())[0].atoms
        assert atoms is not None
        units = row["formula_units"]
        assert Counter(atoms.symbols) == Counter({"Ti": units, "O": 2 * units})
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_what_is_wrong_with_a_crystal_is_told(wish: Wish) -> None:
    """The reasons are those of the screening's validity check."""
    reasons = Counter(
        reason_against(row["cif"]) for row in make(plan_arm(wish, seed=5), 0, 20, batch=20)
    )
    assert reasons[""] > 5
    assert reasons.keys() <= {"", "short-contact", "volume", "space-group"}


def test_random_crystals_are_rows_like_any() -> None:
    arm = plan_arm(Wish(4, formula="TiO2", max_atoms=12, method="random"), 3)
    rows = make(arm, 0, 4, batch=1)
    assert [*make(arm, 0, 1, batch=1), *make(arm, 1, 3, batch=1)] == rows
    assert {row["generator"] for row in rows} == {"random symmetric crystals"}
    assert [row["formula"] for row in rows if row["cif"]] == ["TiO2"] * 4
    assert {reason_against(row["cif"]) for row in rows} == {""}


def test_known_crystals_with_other_elements_are_rows_like_any(tmp_path: Path) -> None:
    """Cassiterite and fluorite lend TiO2 their frameworks, and there are no others."""
    tin = crystal(
        ("Sn", "O"), [(0, 0, 0), (0.307, 0.307, 0)], spacegroup=136, cellpar=[4.74, 4.74, 3.19, *R]
    )
    lime = crystal(
        ("Ca", "F"), [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=[5.46, 5.46, 5.46, *R]
    )
    salt = crystal(
        ("Na", "Cl"), [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64, 5.64, 5.64, *R]
    )
    table = tmp_path / "known.csv"
    known = {"tin": tin, "lime": lime, "salt": salt}
    rows = [{"id": name, "cif": cif_text(atoms, symprec=0.1)} for name, atoms in known.items()]
    pd.DataFrame(rows).to_csv(table, index=False)
    wish = Wish(4, formula="TiO2", method="ion-exchange", known=str(table))
    arm = plan_arm(wish, 0)
    made = make(arm, 0, 4, batch=1)
    assert [row["space_group"] for row in made] == [136, 225, None, None]
    assert [row["parent"] for row in made[:2]] == ["tin (Ti for Sn)", "lime (Ti for Ca, O for F)"]
    assert {row["problem"] for row in made[2:]} == {
        "no-parent: the known crystals give 2 different ones."
    }
    assert make(arm, 1, 2, batch=1) == made[1:3]
    table.write_text(table.read_text() + "\n")
    assert plan_arm(wish, 0).key != arm.key


def test_best_are_the_likeliest_and_those_without_a_crystal_come_last() -> None:
    rows = [
        {"number": 0, "problem": None, "perplexity": 3.0},
        {"number": 1, "problem": "unfinished", "perplexity": 1.1},
        {"number": 2, "problem": None, "perplexity": 2.0},
        {"number": 3, "problem": None, "perplexity": 2.0},
    ]
    assert [row["number"] for row in best_of(rows, 4)] == [2, 3, 0, 1]


def test_text_that_comes_to_no_end_is_kept_and_tagged(tmp_path: Path) -> None:
    """Fault 24: a context of 12 tokens ends most texts in the middle."""
    unigram.make_model(tmp_path / "short", context=12)
    arm = plan_arm(Wish(8, formula="TiO2", model=str(tmp_path / "short")), 0)
    rows = make(arm, 0, 8, batch=8)
    unfinished = [row for row in rows if row["problem"] == "unfinished"]
    assert len(rows) == 8
    assert unfinished
    for row in unfinished:
        assert row["cif"] is None
        assert row["text"].startswith("<bos> Ti #1 O #2")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"formula": "TiO7", "formula_units": 1, "space_group": 225}, "Wyckoff"),
        ({"formula": "Rf2O3"}, "Rf"),
        ({"asked": {"density": 4.0}}, "band_gap"),
        ({"asked": {"band_gap": float("inf")}}, "band_gap"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_weights_are_read(
    wish: Wish, model: Path, tmp_path: Path, more: dict, said: str
) -> None:
    """Faults 23 and 25: the weights are not even there."""
    card = tmp_path / "model" / "model.json"
    card.parent.mkdir()
    shutil.copy(model / "model.json", card)
    with pytest.raises(InputError, match=said) as refused:
        plan_arm(replace(wish, model=str(card.parent), **more), 0)
    assert len(str(refused.value).splitlines()) == 1


def test_element_that_a_vocabulary_lacks_is_named(tmp_path: Path) -> None:
    """Fault 25: the published dialects have no token for Po."""
    unigram.make_model(tmp_path / "published", name="crystallm")
    with pytest.raises(InputError, match="Po"):
        plan_arm(Wish(1, formula="PoO2", model=str(tmp_path / "published")), 0)


def test_unusual_wishes_are_warned_of(wish: Wish) -> None:
    inside = plan_arm(wish, 0)
    beyond = plan_arm(replace(wish, asked={"band_gap": 12.0}), 0)
    large = plan_arm(replace(wish, formula="Ti4O7", formula_units=2, max_atoms=50), 0)
    assert inside.warnings == ()
    assert "0 to 9 eV" in beyond.warnings[0]
    assert "22 atoms" in large.warnings[0]
    assert "1 to 20" in large.warnings[0]


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("owned"),))


def test_broken_models_are_refused_with_the_reason(
    wish: Wish, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: cut short, changed, not there, another format, a pickle with code."""
    monkeypatch.chdir(tmp_path)

    def refusal(place: Path | str) -> str:
        with pytest.raises(InputError) as refused:
            make(plan_arm(replace(wish, model=str(place)), 0), 0, 1, batch=1)
        return str(refused.value)

    for name in ("cut", "changed"):
        shutil.copytree(model, tmp_path / name)
    weights = (tmp_path / "cut" / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(weights[:-100])
    (tmp_path / "changed" / "model.safetensors").write_bytes(weights[:-1] + b"\x7f")
    (tmp_path / "empty").mkdir()
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"model": Evil()}))
    assert "cut short" in refusal(tmp_path / "cut")
    assert "SHA-256" in refusal(tmp_path / "changed")
    assert "not a crystal model" in refusal(tmp_path / "empty")
    assert "no such model" in refusal("nowhere")
    assert "SHA-256" in refusal(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_model_that_changes_between_plan_and_work_is_refused(
    wish: Wish, model: Path, tmp_path: Path
) -> None:
    place = tmp_path / "model"
    shutil.copytree(model, place)
    arm = plan_arm(replace(wish, model=str(place)), 0)
    unigram.make_model(place, context=64)
    with pytest.raises(InputError, match="has changed"):
        make(arm, 0, 1, batch=1)


def test_model_without_conditions_cannot_be_asked(tmp_path: Path) -> None:
    unigram.make_model(tmp_path / "plain", conditioned=False)
    with pytest.raises(InputError, match="takes none"):
        plan_arm(Wish(1, formula="TiO2", asked={"band_gap": 1.0}, model=str(tmp_path / "plain")), 0)


@pytest.mark.data
def test_cif_of_real_crystals_is_read_alike_by_others(data_dir: Path, tmp_path: Path) -> None:
    """Ours, pymatgen and gemmi expand 30 real crystals to the same atoms as the crystal itself."""
    table = tmp_path / "some.csv"
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz", nrows=3000)
    frame.iloc[::100].to_csv(table, index=False)
    groups = set()
    for candidate in read_candidates(table):
        described = from_atoms(candidate.atoms)
        groups.add(described.space_group)
        text = crystal_cif(described, candidate.name)
        wanted = to_atoms(described)
        parsed = parse_text("cif", text, ReadLimits())[0]
        assert parsed.atoms is not None, parsed.problem
        assert Counter(parsed.atoms.symbols) == Counter(wanted.symbols)
        theirs = Structure.from_str(text, fmt="cif")
        assert Counter(site.specie.symbol for site in theirs) == Counter(wanted.symbols)
        assert theirs.volume == pytest.approx(wanted.cell.volume, rel=1e-6)
        small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
        assert len(small.get_all_unit_cell_sites()) == len(wanted)
        assert small.spacegroup.number == described.space_group
    assert len(groups) > 12
