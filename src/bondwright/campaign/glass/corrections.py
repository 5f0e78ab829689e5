"""Learning from two methods at once: labels of a cheap one, corrected towards a dear one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.labels import accepted, load_cell
from bondwright.errors import InputError, nearest
from bondwright.learn.cells import LabelledCell
from bondwright.learn.correction import Correction
from bondwright.learn.correction_fit import LabelledTwice, fit_correction


def correction_file(folder: GlassFolder, name: str) -> Path:
    """Return the file of a correction of the project.

    Raises:
        InputError: the name cannot be that of a file.
    """
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"{name!r} cannot name a correction; use letters, digits, - and _.")
    return folder.root / "corrections" / f"{name}.json"


def learn_correction(folder: GlassFolder, cheap: str, dear: str) -> Correction:
    """Fit a correction to the structures that both methods have labelled.

    Raises:
        InputError: a method has no label, or no structure has both.
    """
    first = {record.structure: record for record in accepted(folder, cheap)}
    second = {record.structure: record for record in accepted(folder, dear)}
    both = [structure for structure in first if structure in second]
    if not both:
        raise InputError(
            f"no structure has labels by both {cheap!r} and {dear!r}; label some twice with "
            "`bondwright glass label --every`."
        )
    twice = []
    for structure in both:
        a, b = load_cell(folder, first[structure]), load_cell(folder, second[structure])
        twice.append(LabelledTwice(a.name, cheap=a.bonds, dear=b.bonds))
    return fit_correction(twice)


def load_correction(folder: GlassFolder, name: str) -> Correction:
    """Return a stored correction.

    Raises:
        InputError: there is none of this name, or it is damaged.
    """
    path = correction_file(folder, name)
    if not path.is_file():
        there = [other.stem for other in path.parent.glob("*.json")]
        known = (
            f" There are: {', '.join(there)}." if there else " Fit one: bondwright glass correct"
        )
        raise InputError(f"there is no correction {name!r}.{nearest(name, there) or known}")
    return Correction.load(path)


def corrected_cells(folder: GlassFolder, correction: Correction) -> list[LabelledCell]:
    """Return the cells of both methods: dear labels as they are, cheap ones corrected.

    All of them carry one method name that says so; each table's `details["label_method"]` keeps
    what its own numbers are.

    Raises:
        InputError: a method has no labels.
    """
    dear = accepted(folder, correction.dear)
    known = {record.structure for record in dear}
    cheap = [r for r in accepted(folder, correction.cheap) if r.structure not in known]
    together = f"{correction.dear} and {correction.method}"
    found = [load_cell(folder, record) for record in dear]
    for record in cheap:
        cell = load_cell(folder, record)
        found.append(replace(cell, bonds=correction.apply(cell.bonds)))
    marked = [
        replace(
            cell,
            bonds=replace(
                cell.bonds,
                method=together,
                details={**cell.bonds.details, "label_method": cell.bonds.method},
            ),
        )
        for cell in found
    ]
    return sorted(marked, key=lambda cell: cell.name)
