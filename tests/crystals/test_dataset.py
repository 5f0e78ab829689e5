"""Preparing training data: nothing vanishes, work is kept, polymorphs stay, tokens come back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from ase.build import bulk

from bondwright.crystals.dataset import ARRAYS, ROWS, Prepared, load_dataset
from bondwright.crystals.dataset_encode import Encoding, encode_chunk
from bondwright.crystals.dataset_prepare import Preparation, prepare
from bondwright.crystals.dialects import dialect
from bondwright.errors import InputError
from bondwright.screen.hull import reduced_formula
from bondwright.structure.read import read_candidates

SETTINGS = Preparation(conditions=("band_gap",), unknown_from=("jarvis",), longest=200)


@pytest.fixture(scope="module")
def table(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 real rows, then one of each kind that cannot be used."""
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz")
    rows = frame.sample(120, random_state=5)
    first = rows.iloc[[0]]
    half = first["cif"].iloc[0].rstrip().removesuffix("1") + "0.5\n"
    odd = pd.concat(
        [
            first.assign(id="twin", band_gap=np.nan),
            first.assign(id="cut", cif=first["cif"].iloc[0][:300]),
            first.assign(id="half", cif=half),
            first.assign(id="none", cif=None),
            first.assign(id="stacked", cif=_coincident(first["cif"].iloc[0])),
        ]
    )
    path = tmp_path_factory.mktemp("crystals") / "table.csv"
    pd.concat([rows, odd]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def prepared(table: Path) -> Prepared:
    assert prepare([table], table.parent / "data", SETTINGS)
    return load_dataset(table.parent / "data")


def _coincident(cif: str) -> str:
    """Add an atom 0.05 Å from the last one, nearer than the tolerance of the space group."""
    *_, last = lines = cif.rstrip("\n").splitlines()
    length = next(float(line.split()[1]) for line in lines if "_cell_length_a" in line)
    words = last.split()
    words[3] = f"{float(words[3]) + 0.05 / length:.8f}"
    return "\n".join([*lines, " ".join(words)]) + "\n"


@pytest.mark.data
def test_every_row_has_an_outcome_and_what_is_left_out_a_reason(
    table: Path, prepared: Prepared
) -> None:
    rows = pq.read_table(table.parent / "data" / ROWS).to_pandas().set_index("name")
    assert len(rows) == len(pd.read_csv(table)) == sum(prepared.card["outcomes"].values())
    outcomes = rows["outcome"]
    assert outcomes["twin"] == "duplicate"
    assert outcomes["half"] == "disordered"
    assert outcomes["none"] == outcomes["cut"] == "unreadable"
    assert outcomes["stacked"] == "no-symmetry"
    used = outcomes.isin(["kept", "duplicate"])
    assert (rows.loc[~used, "reason"] != "").all()
    assert (rows.loc[outcomes == "too-long", "tokens"] > 200).all()
    assert (outcomes == "too-long").any()
    assert int((outcomes == "kept").sum()) == len(prepared)


@pytest.mark.data
def test_texts_tell_the_crystals_of_the_table(table: Path, prepared: Prepared) -> None:
    rows = pq.read_table(table.parent / "data" / ROWS).to_pandas().set_index("name")
    candidates = {c.name: c for c in read_candidates(table)}
    spoken = dialect("wyckoff")
    for name, row in rows[rows["outcome"] == "kept"].iterrows():
        crystal = int(row["crystal"])
        ids = prepared.ids[prepared.offsets[crystal] : prepared.offsets[crystal + 1]]
        counts = spoken.decode(ids.tolist()).counts
        atoms = candidates[str(name)].atoms
        assert reduced_formula(counts) == prepared.formulas[crystal] == row["formula"]
        assert reduced_formula(counts) == reduced_formula(atoms.symbols.formula.count())
        assert prepared.parts[crystal] == prepared.splits.part(counts)
        gap = candidates[str(name)].extra["band_gap"]
        if gap is None or candidates[str(name)].extra["source"] == "jarvis":
            assert np.isnan(prepared.conditions[crystal, 0])
        else:
            assert prepared.conditions[crystal, 0] == pytest.approx(gap, rel=1e-6)


@pytest.mark.data
def test_polymorphs_stay_and_a_condition_is_taken_from_the_duplicate_that_has_one(
    data_dir: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz")
    titania = frame[(frame["formula_reduced"] == "O2Ti") & frame["band_gap"].notna()].head(4)
    blind = titania.assign(band_gap=np.nan, id="blind " + titania["id"])
    path = tmp_path / "titania.csv"
    pd.concat([blind, titania]).to_csv(path, index=False)
    assert prepare([path], tmp_path / "data", SETTINGS)
    data = load_dataset(tmp_path / "data")
    assert data.card["outcomes"] == {"kept": 4, "duplicate": 4}
    assert set(data.formulas) == {"O2Ti"}
    assert np.allclose(data.conditions[:, 0], titania["band_gap"], rtol=1e-6)


@pytest.mark.data
def test_any_number_of_processes_gives_the_same_files_and_a_stop_loses_nothing(
    table: Path, prepared: Prepared, tmp_path: Path
) -> None:
    def stop() -> bool:
        return any((tmp_path / "data").glob("encoded-*/*.parquet"))  # after the first piece

    assert not prepare([table], tmp_path / "data", SETTINGS, stop=stop)
    pieces = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").glob("encoded-*/*.parquet")}
    assert len(pieces) == 1
    assert prepare([table], tmp_path / "data", SETTINGS, processes=2)
    assert all(path.stat().st_mtime_ns == written for path, written in pieces.items())
    for name in (ARRAYS, ROWS):
        first, second = (folder / name for folder in (tmp_path / "data", table.parent / "data"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.data
def test_prepared_data_are_taken_as_they_are_until_something_changes(
    table: Path, prepared: Prepared
) -> None:
    folder = table.parent / "data"
    before = (folder / ARRAYS).stat().st_mtime_ns
    assert prepare([table], folder, SETTINGS)
    assert (folder / ARRAYS).stat().st_mtime_ns == before
    other = table.parent / "other"
    assert prepare([table], other, Preparation(longest=100))
    assert (
        json.loads((other / "dataset.json").read_text())["outcomes"]["too-long"]
        > (prepared.card["outcomes"]["too-long"])
    )


@pytest.mark.data
def test_sources_are_left_out_and_what_is_encoded_is_not_encoded_again(
    table: Path, prepared: Prepared
) -> None:
    folder = table.parent / "without"
    pieces = next((table.parent / "data").glob("encoded-*"))
    shutil.copytree(pieces, folder / pieces.name)
    before = {path: path.stat().st_mtime_ns for path in (folder / pieces.name).iterdir()}
    assert prepare([table], folder, replace(SETTINGS, exclude=("jarvis",)))
    assert {p: p.stat().st_mtime_ns for p in (folder / pieces.name).iterdir()} == before
    sources = pd.read_csv(table).set_index("id")["source"]
    rows = pq.read_table(folder / ROWS).to_pandas().set_index("name")
    left_out = rows[rows["outcome"] == "excluded-source"]
    assert set(left_out.index) == set(sources.index[sources == "jarvis"]) != set()
    assert set(left_out["reason"]) == {"jarvis"}


@pytest.mark.data
def test_damage_and_bad_columns_are_refused_in_one_line(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no table has a column 'gap'.*Did you mean 'band_gap'"):
        prepare([table], tmp_path, Preparation(conditions=("gap",)))
    with pytest.raises(InputError, match="holds no data set"):
        load_dataset(tmp_path)
    assert prepare([table], tmp_path / "data", SETTINGS)
    with (tmp_path / "data" / ARRAYS).open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="another checksum"):
        load_dataset(tmp_path / "data")


@pytest.mark.parametrize("name", ["wyckoff", "crystallm", "crystallm-pi"])
def test_element_without_a_token_is_named(name: str) -> None:
    """Fault 25: the published dialects have none for Po."""
    cells = [("salt", bulk("NaCl", "rocksalt", a=5.64)), ("po", bulk("Po", "sc", a=3.35))]
    salt, polonium = encode_chunk((Encoding(name, 0.1), cells))
    assert (salt["outcome"], salt["formula"], salt["atoms"]) == ("kept", "ClNa", 8)
    assert dialect(name).decode(salt["ids"]).counts == {"Na": 4, "Cl": 4}
    if name == "wyckoff":
        assert polonium["outcome"] == "kept"
    else:
        assert polonium["outcome"] == "cannot-be-written"
        assert "Po" in polonium["reason"]


def test_nothing_left_to_learn_from_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.cif").write_text("data_x\n_cell_length_a 3\n")
    with pytest.raises(InputError, match="no row is left to learn from: unreadable 1"):
        prepare([tmp_path / "empty.cif"], tmp_path / "data", Preparation())
