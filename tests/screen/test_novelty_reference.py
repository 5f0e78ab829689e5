"""The reference index: its file, and what is refused as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from novelty_crystals import ANATASE, QUARTZ, RUTILE, items, reference

from bondwright.errors import InputError
from bondwright.screen.novelty import assess_novelty
from bondwright.screen.reference import ReferenceIndex, build_index
from bondwright.structure.candidate import Candidate, Origin, Problem


def test_an_index_comes_back_from_its_file(tmp_path: Path) -> None:
    rows = [
        Candidate("0", "rutile", Origin("t", 0), atoms=RUTILE),
        Candidate("1", "lost", Origin("t", 1), problem=Problem("truncated", "cut")),
        Candidate("2", "quartz", Origin("t", 2), atoms=QUARTZ.repeat(2)),
    ]
    index = build_index(rows, name="two crystals")
    index.save(tmp_path / "two.reference")
    loaded = ReferenceIndex.load(tmp_path / "two.reference")
    assert loaded.ids == ["rutile", "quartz"]
    assert loaded.describe() == index.describe()
    assert loaded.skipped == {"truncated": 1}
    assert loaded.space_groups.tolist() == [136, 154]
    assert len(loaded.cell(1)) == 9  # the supercell is stored as its primitive cell
    again = assess_novelty(items(RUTILE, QUARTZ), loaded)
    assert [v.details["matches"] for v in again.values()] == [["rutile"], ["quartz"]]
    assert list(tmp_path.iterdir()) == [tmp_path / "two.reference"]


def test_an_index_of_nothing_is_refused() -> None:
    rows = [Candidate("0", "lost", Origin("t", 0), problem=Problem("empty", "no text"))]
    with pytest.raises(InputError, match="no row of empty holds a structure"):
        build_index(rows, name="empty")


def test_fault_31_a_file_that_is_no_whole_reference_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.reference"
    with pytest.raises(InputError, match="no reference at"):
        ReferenceIndex.load(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(InputError, match="git lfs pull"):
        ReferenceIndex.load(path)
    path.write_text("data_TiO2\n")
    with pytest.raises(InputError, match="not a bondwright reference"):
        ReferenceIndex.load(path)
    reference(RUTILE, ANATASE, QUARTZ).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="reference build"):
        ReferenceIndex.load(path)
    with monkeypatch.context() as older:
        older.setattr("bondwright.screen.reference.FORMAT", "bondwright reference 0")
        reference(RUTILE).save(path)
    with pytest.raises(InputError, match="has the format 'bondwright reference 0'"):
        ReferenceIndex.load(path)
    other = reference(RUTILE, ANATASE)
    object.__setattr__(other, "sha256", "0" * 64)
    other.save(path)
    with pytest.raises(InputError, match="has not the content"):
        ReferenceIndex.load(path)
