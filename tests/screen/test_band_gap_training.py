"""Training the band-gap model: held-out systems stay out, a seed gives one model, errors hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bondwright.errors import InputError
from bondwright.screen.band_gap import SHIPPED, BandGapModel, load_band_gap
from bondwright.screen.band_gap_data import split
from bondwright.screen.band_gap_network import WEIGHTS, GapEnsemble
from bondwright.screen.band_gap_training import GapTraining, train_band_gap
from bondwright.structure.cif import parse_cif

QUICK = GapTraining(epochs=15, members=2, hidden=(32, 16), batch=32, max_atoms=6)


@pytest.fixture(scope="module")
def crystals(data_dir: Path) -> pd.DataFrame:
    return pd.read_csv(data_dir / "crystals" / "structures.csv.gz")


@pytest.fixture(scope="module")
def table(crystals: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 small cells, some of which cannot be used."""
    path = tmp_path_factory.mktemp("gap") / "table.csv"
    crystals[crystals["nsites"] <= 8].sample(200, random_state=1).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table: Path) -> Path:
    out = table.parent / "model"
    train_band_gap(table, out, work=table.parent / "work", settings=QUICK)
    return out


@pytest.mark.data
def test_same_seed_gives_the_same_model_and_the_work_is_kept(table: Path, trained: Path) -> None:
    pieces = {p: p.stat().st_mtime_ns for p in (table.parent / "work" / "static").iterdir()}
    again = table.parent / "again"
    train_band_gap(table, again, work=table.parent / "work", settings=QUICK)
    assert (again / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    now = {p: p.stat().st_mtime_ns for p in (table.parent / "work" / "static").iterdir()}
    assert now == pieces


@pytest.mark.data
def test_rows_left_out_are_counted(table: Path, trained: Path) -> None:
    frame = pd.read_csv(table)
    usable = frame["band_gap"].notna()
    jarvis = usable & (frame["source"] == "jarvis")
    large = usable & ~jarvis & (frame["nsites"] > QUICK.max_atoms)
    card = GapEnsemble.load(trained).card
    assert card["data"]["left_out"] == {
        "no band gap": int((~usable).sum()),
        "source jarvis": int(jarvis.sum()),
        f"more than {QUICK.max_atoms} atoms": int(large.sum()),
    }
    used = sum(card["training"]["crystals"].values())
    assert used + sum(card["data"]["left_out"].values()) == len(frame)


@pytest.mark.data
def test_trained_model_can_be_asked(trained: Path, crystals: pd.DataFrame) -> None:
    atoms = parse_cif(crystals["cif"].iloc[0])[0].atoms
    assert BandGapModel(trained).predict(atoms).value is not None


def test_chemical_systems_are_never_on_both_sides() -> None:
    """Fault 53: polymorphs and duplicates of a training crystal would make a flattering test."""
    rng = np.random.default_rng(0)
    systems = [f"A{k}-O" for k in rng.integers(0, 300, 2000)]
    parts = split(systems, 0, (0.1, 0.1))
    of = {p: {s for s, q in zip(systems, parts, strict=True) if q == p} for p in set(parts)}
    assert set(of) == {"train", "validation", "test"}
    assert not of["train"] & of["test"]
    assert not of["train"] & of["validation"]
    assert not of["validation"] & of["test"]
    # The lot depends on the system and the seed alone, not on the rest of the table.
    assert list(split(systems[::-1], 0, (0.1, 0.1)))[::-1] == list(parts)
    assert list(split(systems, 1, (0.1, 0.1))) != list(parts)


@pytest.mark.data
def test_shipped_model_has_the_error_that_its_card_states(crystals: pd.DataFrame) -> None:
    """On held-out crystals, asked one by one through the public model."""
    card = GapEnsemble.load(SHIPPED).card
    settings = card["settings"]
    usable = crystals[
        crystals["band_gap"].notna()
        & ~crystals["source"].isin(settings["exclude_sources"])
        & (crystals["nsites"] <= 20)
    ]
    parts = split(list(usable["chemsys"]), settings["seed"], tuple(settings["shares"]))
    sample = usable[parts == "test"].sample(120, random_state=3)
    model = load_band_gap()
    estimates = [model.predict(parse_cif(cif)[0].atoms) for cif in sample["cif"]]
    errors = np.abs(np.array([e.value for e in estimates]) - sample["band_gap"].to_numpy())
    stated = card["test"]["model"]
    # Small cells hold more metals than all, so their error is smaller; three standard errors up.
    assert errors.mean() < stated["mae_eV"] + 3 * errors.std() / np.sqrt(len(errors))
    median = card["test"]["median of training"]["mae_eV"]
    assert errors.mean() < 0.5 * median
    inside = np.array([e.sigma is not None for e in estimates])
    assert inside.mean() > 0.9
    sigmas = np.array([e.sigma for e in estimates if e.sigma is not None])
    # Binomial of 120 about 0.954, three standard deviations.
    assert (errors[inside] <= 2 * sigmas).mean() > 0.89


@pytest.mark.data
def test_unusable_tables_are_refused(crystals: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    crystals.head(5).drop(columns="band_gap").to_csv(path, index=False)
    with pytest.raises(InputError, match="no column 'band_gap'"):
        train_band_gap(path, tmp_path / "out", work=tmp_path / "work")
    few = crystals[crystals["nsites"] == 2].head(5)
    few.to_csv(path, index=False)
    with pytest.raises(InputError, match="too few to learn from"):
        train_band_gap(path, tmp_path / "out", work=tmp_path / "work", settings=QUICK)
    assert not (tmp_path / "out").exists()
