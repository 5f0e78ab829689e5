"""Held-out structures: what a model was not trained on, as it has to find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from bondwright.crystals.crystal import Crystal, from_atoms
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_known import Formula, Known, KnownRow
from bondwright.crystals.evaluation_records import (
    ALONE,
    Going,
    Row,
    crystal_from_json,
    crystal_to_json,
    keep,
    kept,
)
from bondwright.errors import InputError
from bondwright.screen.novelty_cells import reduce_cell
from bondwright.screen.workers import run_chunks
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.records import atoms_from_json, atoms_to_json
from bondwright.structure.sandbox import parse_texts

_CHUNK = 40
_SYMPREC_A = 0.1

PROMPTS = ("formula", "formula-z", "formula-group")
"""What of a held-out structure is told: its formula, also its Z, also its space group."""


@dataclass(frozen=True)
class HeldOut:
    """A structure to be found.

    Attributes:
        name: in its table.
        formula: reduced.
        atoms: the structure as it stands in its table.
        crystal: the same as spglib standardises it at 0.1 Å.
    """

    name: str
    formula: Formula
    atoms: Atoms
    crystal: Crystal

    def request(self, prompt: str, largest: int) -> Request:
        """Return what a generator is told of it.

        Args:
            prompt: one of `PROMPTS`.
            largest: most atoms in the conventional cell.
        """
        counts = self.crystal.counts
        formula = dict(self.formula)
        units = counts[self.formula[0][0]] // self.formula[0][1]
        return Request(
            formula=formula,
            formula_units=None if prompt == "formula" else units,
            space_group=self.crystal.space_group if prompt == "formula-group" else None,
            max_atoms=largest,
        )


def held_out(
    known: Known,
    folder: Path,
    *,
    count: int,
    largest: int,
    seed: int,
    going: Going = ALONE,
) -> tuple[list[HeldOut], dict[str, int]]:
    """Draw structures and bring them into their standard form.

    Args:
        known: those to draw from.
        folder: keeps what is done.
        count: how many; fewer where there are fewer.
        largest: most atoms in the conventional cell.
        seed: decides the order in which they are drawn.
        going: how the work is driven.

    Returns:
        The structures in the order of the draw, and what became of all rows that were looked at:
        "taken", "too-large", "unreadable", "no-symmetry", "irreducible".
    """
    order = np.random.Generator(np.random.PCG64([seed])).permutation(len(known.rows))
    rows = [known.rows[k] for k in order]
    found = kept(folder)
    taken: list[HeldOut] = []
    outcomes: Counter[str] = Counter()
    for first in range(0, len(rows), _CHUNK * going.processes):
        if len(taken) >= count or going.stop():
            break
        wanted = rows[first : first + _CHUNK * going.processes]
        missing = [row for row in wanted if row.name not in found]
        chunks = [missing[k : k + _CHUNK] for k in range(0, len(missing), _CHUNK)]
        for done in run_chunks(standardise, chunks, processes=going.processes, stop=going.stop):
            keep(folder, done)
            found |= {row["key"]: row for row in done}
        going.progress("reading held-out structures", min(len(taken), count), count)
        for row in wanted:
            if len(taken) == count or row.name not in found:
                break
            outcome, structure = _use(row, found[row.name], largest)
            outcomes[outcome] += 1
            if structure is not None:
                taken.append(structure)
    return taken, dict(outcomes)


def standardise(rows: Sequence[KnownRow]) -> list[Row]:
    """Parse some structures and find their symmetry; run by worker processes."""
    done: list[Row] = []
    texts = (("cif", row.text) for row in rows)
    for row, parsed in zip(rows, parse_texts(texts, ReadLimits(), processes=1), strict=True):
        atoms = parsed[0].atoms
        if atoms is None:
            done.append({"key": row.name, "outcome": "unreadable"})
            continue
        try:
            crystal = from_atoms(atoms, _SYMPREC_A)
            reduce_cell(atoms)  # or nothing can be compared with it
        except (InputError, ValueError) as error:
            outcome = "no-symmetry" if isinstance(error, InputError) else "irreducible"
            done.append({"key": row.name, "outcome": outcome})
            continue
        done.append(
            {
                "key": row.name,
                "outcome": "taken",
                "atoms": atoms_to_json(atoms),
                "crystal": crystal_to_json(crystal),
            }
        )
    return done


def _use(row: KnownRow, stored: Row, largest: int) -> tuple[str, HeldOut | None]:
    """Return what becomes of a row, and the structure where it is used."""
    if stored["outcome"] != "taken":
        return stored["outcome"], None
    crystal = crystal_from_json(stored["crystal"])
    if sum(crystal.counts.values()) > largest:
        return "too-large", None
    return "taken", HeldOut(row.name, row.formula, atoms_from_json(stored["atoms"]), crystal)
