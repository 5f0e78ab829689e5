"""Equivalent descriptions are other texts of the same crystals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bondwright.crystals.crystal import from_atoms, to_atoms
from bondwright.crystals.dialects import dialect
from bondwright.crystals.train_augment import check_augmentable, describe_anew
from bondwright.errors import InputError
from bondwright.structure.formats import parse_text
from bondwright.structure.parsed import ReadLimits

WYCKOFF = dialect("wyckoff")


@pytest.mark.data
def test_another_description_is_another_text_of_the_same_crystal(data_dir: Path) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    frame = pd.read_csv(data_dir / "crystals" / "structures.csv.gz")
    chosen = frame[frame["nsites"] <= 16].sample(60, random_state=3)
    random = np.random.default_rng(0)
    matcher = StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.5)
    same_text = changed = 0
    groups = set()
    for cif in chosen["cif"]:
        atoms = parse_text("cif", cif, ReadLimits())[0].atoms
        assert atoms is not None
        crystal = from_atoms(atoms, 0.1)
        groups.add(crystal.space_group)
        ids = WYCKOFF.encode(crystal)
        anew = describe_anew(ids, random)
        assert len(anew) == len(ids)
        changed += anew != ids
        again = WYCKOFF.decode(anew)
        same_text += WYCKOFF.encode(again) == ids
        pair = [
            AseAtomsAdaptor.get_structure(to_atoms(one)) for one in (WYCKOFF.decode(ids), again)
        ]
        assert matcher.fit(*pair)
    assert len(groups) > 15
    assert changed > 40
    # Canonical again, all but a few that rounding leads elsewhere are written as before.
    assert same_text >= 57


def test_a_seed_gives_a_description() -> None:
    rutile = "<bos> Ti #1 O #2 Z2 sg136 ×1.11 62 ×0.708 82 Ti a O f .30 51 <eos>"
    ids = [WYCKOFF.vocabulary.id_of[word] for word in rutile.split()]
    texts = [describe_anew(ids, np.random.default_rng(seed)) for seed in (1, 1, *range(60))]
    assert texts[0] == texts[1]
    # Titanium on a or b, oxygen on f or g (the origin may be on any titanium), x or 1 - x.
    words = [WYCKOFF.text(text).split() for text in texts]
    assert {(titanium, oxygen) for *_, titanium, _, oxygen, _, _, _ in words} == {
        ("a", "f"),
        ("a", "g"),
        ("b", "f"),
        ("b", "g"),
    }
    assert len({tuple(text) for text in texts}) == 8
    assert all(WYCKOFF.encode(WYCKOFF.decode(text)) == ids for text in texts)


def test_other_dialects_are_refused() -> None:
    check_augmentable("wyckoff")
    with pytest.raises(InputError, match="not in crystallm; leave it out"):
        check_augmentable("crystallm")
