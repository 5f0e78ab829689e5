"""Known structures of a campaign's own formulas, taken from the real table."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from ase.build import bulk

from bondwright.campaign.known import formulas_of, index_of_formulas
from bondwright.screen.novelty import NoveltyItem, assess_novelty
from bondwright.screen.reference import ReferenceIndex, build_index
from bondwright.structure.read import read_candidates

SILICON, COPPER = bulk("Si"), bulk("Cu")


@pytest.mark.data
def test_few_formulas_give_the_verdicts_of_the_whole_table(data_dir: Path, tmp_path: Path) -> None:
    import pandas as pd

    # A table small enough to index whole, that holds the crystals asked for and 200 others.
    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz", dtype=str)
    some = frame[frame.formula_reduced.isin(["Si", "Cu"])]
    table = tmp_path / "structures.csv.gz"
    pd.concat([some, frame.sample(200, random_state=0)]).drop_duplicates("id").to_csv(
        table, index=False
    )
    whole = build_index(islice(read_candidates(table), None), name="whole")
    few = ReferenceIndex.load(index_of_formulas(table, formulas_of([SILICON, COPPER]), tmp_path))
    assert 0 < len(few) < len(whole)
    items = [NoveltyItem("si", SILICON), NoveltyItem("cu", COPPER)]
    for key, verdict in assess_novelty(items, few).items():
        expected = assess_novelty(items, whole)[key].details
        names = ("novel_composition", "novel_space_group", "novel_structure", "matches")
        assert {n: verdict.details[n] for n in names} == {n: expected[n] for n in names}
        assert verdict.details["matches"], f"{key} is a known crystal"


@pytest.mark.data
def test_formulas_that_nobody_knows_are_novel(data_dir: Path, tmp_path: Path) -> None:
    odd = bulk("Cu", cubic=True)
    odd.symbols[:] = ["He", "Au", "Pu", "Xe"]
    table = data_dir / "crystals" / "structures.csv.gz"
    path = index_of_formulas(table, formulas_of([odd]), tmp_path)
    verdict = assess_novelty([NoveltyItem("odd", odd)], ReferenceIndex.load(path))["odd"]
    assert verdict.details["novel_composition"] is True
    stamp = path.stat().st_mtime_ns
    assert index_of_formulas(table, formulas_of([odd]), tmp_path).stat().st_mtime_ns == stamp


def test_a_candidate_that_is_a_control_is_known(tmp_path: Path) -> None:
    """Controls are known crystals, with or without a reference; a control is asked alone."""
    from bondwright.campaign.driver import run_campaign
    from bondwright.campaign.load import load_view
    from bondwright.structure.write import cif_text

    (tmp_path / "copper.cif").write_text(cif_text(COPPER))
    (tmp_path / "same.cif").write_text(cif_text(COPPER.repeat((2, 1, 1))))
    (tmp_path / "silicon.cif").write_text(cif_text(SILICON))
    (tmp_path / "campaign.toml").write_text(
        'name = "known"\n[[input]]\nfiles = ["same.cif", "silicon.cif"]\n'
        '[[input]]\nfiles = ["copper.cif"]\ncontrol = true\n'
        '[stages.novelty]\nreference = "none"\n'
        "[stages.stability]\nenabled = false\n[stages.property]\nenabled = false\n"
    )
    summary = run_campaign(tmp_path, workers=1)
    assert any("against the controls only" in text for text in summary.warnings)
    found = {c.candidate.name: c.verdicts["novelty"] for c in load_view(tmp_path).candidates}
    assert found["same"].reason == "known"
    assert found["same"].details["matches"] == ["copper"]
    assert found["silicon"].outcome == "passed"
    assert found["copper"].details["matches"] == []
