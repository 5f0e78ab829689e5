"""The published vocabularies: sizes, places of tokens, element facts, formulas."""

from __future__ import annotations

import math
import warnings

import pytest
import spglib
from pymatgen.core import Composition, Element

from bondwright.crystals.cif_vocabulary import (
    CRYSTALLM,
    CRYSTALLM_PI,
    ELEMENT_FACTS,
    ELEMENTS,
    GROUP_SYMBOLS,
    cell_formula,
    structural_formula,
)


def test_published_places():
    """Ids that trained weights rely on, each class at its ends."""
    assert len(CRYSTALLM.tokens) == 371
    assert len(CRYSTALLM_PI.tokens) == 377
    expected = {
        "Si": 0, "C": 1, "O": 7, "Ti": 29, "Ar": 88, "0": 89, "9": 98, "_cell_length_b": 99,
        "_symmetry_space_group_name_H-M": 107, "loop_": 123, "data_": 124,
        "_atom_type_symbol": 125, "_atom_type_oxidation_number": 129, "x": 130, ".": 133,
        "'": 139, " ": 141, "\n": 142, "P6/mmm_sg": 143, "P4_2/mnm_sg": 146, "Pm-3m_sg": 200,
        "Fm-3m_sg": 253, "P1_sg": 291, "C2/c_sg": 332, "Cmme_sg": 369, "<unk>": 370,
    }  # fmt: skip
    assert {token: CRYSTALLM.ids[token] for token in expected} == expected
    assert CRYSTALLM_PI.tokens[:371] == CRYSTALLM.tokens
    assert CRYSTALLM_PI.tokens[371:] == ("<pad>", "<bos>", "<eos>", "[", "]", "<prop>")
    assert CRYSTALLM_PI.tokens[CRYSTALLM_PI.pad] == "<pad>"
    assert len(set(CRYSTALLM_PI.tokens)) == 377


def test_symbols_are_those_that_spglib_prints():
    printed: dict[int, str] = {}
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        printed.setdefault(kind.number, kind.international_short)
    assert {n: printed[n] for n in printed if n not in (93, 168, 207)} == GROUP_SYMBOLS
    assert all(CRYSTALLM.group_numbers[CRYSTALLM.ids[f"{s}_sg"]] == n
               for n, s in GROUP_SYMBOLS.items())  # fmt: skip


@pytest.mark.parametrize("symbol", sorted(ELEMENTS))
def test_element_facts_are_pymatgen_s(symbol):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        element = Element(symbol)
        x, radius, ionic = element.X, element.atomic_radius, element.average_ionic_radius
    facts = ELEMENT_FACTS[symbol]
    assert facts[2] == f"{float(ionic):.4f}"
    # Noble gases fall back on Allen's electronegativity and the van der Waals radius, unpadded.
    allen = {"He": "4.16", "Ne": "4.79", "Ar": "3.24"}
    vdw = {"He": "1.4", "Ne": "1.54", "Kr": "2.02", "Xe": "2.16"}
    assert facts[0] == (allen[symbol] if math.isnan(x) else f"{float(x):.4f}")
    assert facts[1] == (vdw[symbol] if radius is None else f"{float(radius):.4f}")


@pytest.mark.parametrize(
    "formula",
    ["Ti4O8", "Ca4N8O24", "Li2O2", "Li4O4", "H4O4", "O8", "O1", "C4", "Ba2Ti2O6", "Pd3Ru3",
     "H2Pd1Ru1", "He2Ne2", "K2C2N2", "Fe8P8O32", "Al4Si4O18H8", "Cs1O1", "Xe1F2", "Ni3B7I1O13"],
)  # fmt: skip
def test_formulas_are_pymatgen_s(formula):
    """Order, groups in brackets, formulas that are not reduced, Z."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        composition = Composition(formula)
        counts = {str(element): int(n) for element, n in composition.items()}
        reduced, units = composition.get_reduced_formula_and_factor()
        assert cell_formula(counts, " ") == composition.formula
    assert structural_formula(counts) == (reduced, int(units))
