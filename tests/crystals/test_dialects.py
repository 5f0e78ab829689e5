"""Dialects by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cif_crystals import CRYSTALS, RUTILE

from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import NAMES, dialect
from bondwright.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "crystal-text.md"


@pytest.mark.parametrize("name", NAMES)
def test_every_dialect_says_the_same_crystals(name):
    spoken = dialect(name)
    assert spoken.name == name
    assert dialect(name) is spoken
    assert 0 <= spoken.vocabulary.pad < len(spoken.vocabulary.tokens)
    for crystal in CRYSTALS:
        ids = spoken.encode(crystal)
        again = spoken.decode(ids)
        assert again.counts == crystal.counts
        assert again.space_group == crystal.space_group
        assert ids[: len(spoken.prompt(Request()))] == spoken.prompt(Request())
        with pytest.raises(InputError):
            spoken.decode(ids[: len(ids) // 2])


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(InputError, match=r"'crystalm'.*crystallm, crystallm-pi, wyckoff"):
        dialect("crystalm")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_what_is_written(name):
    """The example of docs/crystal-text.md is what the code writes."""
    text = dialect(name).text(dialect(name).encode(RUTILE)).strip()
    assert text in PAGE.read_text("utf-8")
