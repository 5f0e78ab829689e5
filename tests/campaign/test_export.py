"""Exported tables and structures hold what the campaign holds."""

from __future__ import annotations

from pathlib import Path

import alloys
import ase.io
import pandas
import pytest

from bondwright.campaign.driver import run_campaign
from bondwright.campaign.export import export
from bondwright.campaign.load import load_view
from bondwright.errors import InputError


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = alloys.make_campaign(tmp_path_factory.mktemp("export") / "alloys", alloys.LIGHT)
    run_campaign(folder)
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables(campaign: Path, tmp_path: Path, suffix: str) -> None:
    view = load_view(campaign)
    read = pandas.read_csv if suffix == ".csv" else pandas.read_parquet
    path = tmp_path / f"out{suffix}"
    assert export(campaign, path) == len(view.survivors) > 0
    table = read(path)
    assert table["key"].tolist() == [c.candidate.key for c in view.survivors]
    densities = [c.verdicts["property"].details["density_g_cm3"] for c in view.survivors]
    assert table["density_g_cm3"].tolist() == pytest.approx(densities)
    assert export(campaign, path, everything=True) == len(view.candidates)
    table = read(path)
    assert table["control"].sum() == 2
    assert table["survived"].sum() == len(view.survivors) + 2
    unreadable = table[table["read_outcome"] == "rejected"]
    assert len(unreadable) == 3
    assert unreadable["cif"].isna().all()
    assert unreadable["novelty_outcome"].isna().all()


def test_structures(campaign: Path, tmp_path: Path) -> None:
    view = load_view(campaign)
    count = export(campaign, tmp_path / "out.extxyz")
    frames = ase.io.read(tmp_path / "out.extxyz", ":")
    assert len(frames) == count == len(view.survivors)
    for frame, survivor in zip(frames, view.survivors, strict=True):
        assert frame.info["key"] == survivor.candidate.key
        assert frame.positions == pytest.approx(survivor.candidate.atoms.positions, abs=1e-7)
        assert frame.cell.array == pytest.approx(survivor.candidate.atoms.cell.array, abs=1e-7)
    assert export(campaign, tmp_path / "cifs", everything=True) == 22  # three have no atoms
    files = sorted((tmp_path / "cifs").iterdir())
    assert len(files) == 22
    atoms = ase.io.read(tmp_path / "cifs" / f"{view.survivors[0].candidate.key}.cif")
    assert atoms.get_volume() == pytest.approx(view.survivors[0].candidate.atoms.get_volume())


def test_unknown_suffix_and_missing_campaign(campaign: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.xlsx'; use \.csv"):
        export(campaign, tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="nothing has run here"):
        export(tmp_path, tmp_path / "out.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export(campaign, tmp_path / "file" / "out.csv")
