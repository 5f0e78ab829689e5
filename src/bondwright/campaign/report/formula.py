"""Formulas as people write them."""

from __future__ import annotations

from ase import Atoms
from pymatgen.core import Composition

from bondwright.structure import identity
from bondwright.structure.candidate import Candidate

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def formula_of(candidate: Candidate) -> str:
    """Return the reduced formula of a candidate, or what its text declares, or ""."""
    if candidate.atoms is not None and len(candidate.atoms):
        return reduced_formula(candidate.atoms)
    declared = candidate.declared
    if declared is None:
        return ""
    return (declared.formula_structural or declared.formula_sum or "").strip()


def reduced_formula(atoms: Atoms) -> str:
    """Return the reduced formula with subscripts, the least electronegative first: "TiO₂"."""
    return subscript(identity.reduced_formula(atoms))


def cell_formula(atoms: Atoms) -> str:
    """Return the formula of the whole cell with subscripts: "Ti₄ O₈"."""
    return subscript(Composition(atoms.symbols.formula.count()).formula)


def subscript(formula: str) -> str:
    """Return a formula with its digits as subscripts."""
    return formula.translate(_SUBSCRIPTS)
