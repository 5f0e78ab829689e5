"""Is a crystal new: unlike those that a search found before it, and unlike the known ones?

The comparison is that of the funnel (`screen.novelty`), one crystal at a time.
"""

from __future__ import annotations

from collections import defaultdict

from ase import Atoms

from bondwright.crystals.evaluation_known import Formula, Known, reduced
from bondwright.screen.novelty_cells import ReducedCell, reduce_cell
from bondwright.screen.novelty_match import Tolerances, same_crystal
from bondwright.structure.identity import composition
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts


class Seen:
    """Remembers crystals.

    Args:
        known: crystals that are not new; those of a formula are read when it first comes. None
            where nothing is known.
    """

    def __init__(self, known: Known | None) -> None:
        self._known, self._tolerances = known, Tolerances()
        self._cells: defaultdict[Formula, list[ReducedCell]] = defaultdict(list)

    def is_new(self, atoms: Atoms) -> bool:
        """Return whether nothing like it was seen before; from now on it was.

        Args:
            atoms: periodic crystal (Å). One whose cell resists reduction is never new.
        """
        formula = reduced(composition(atoms))
        if formula not in self._cells:
            self._cells[formula] = self._read(formula)
        try:
            cell = reduce_cell(atoms)
        except ValueError:
            return False
        cells = self._cells[formula]
        if any(same_crystal(cell, other, self._tolerances) for other in cells):
            return False
        cells.append(cell)
        return True

    def _read(self, formula: Formula) -> list[ReducedCell]:
        """Return the known crystals of a formula."""
        rows = [] if self._known is None else self._known.of_formula(formula)
        cells = []
        for parsed in parse_texts((("cif", row.text) for row in rows), ReadLimits(), processes=1):
            try:
                if parsed[0].atoms is not None:
                    cells.append(reduce_cell(parsed[0].atoms))
            except ValueError:
                continue  # nothing can be compared with it
        return cells
