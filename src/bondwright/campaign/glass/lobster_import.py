"""Labels from LOBSTER runs: folders become cells of the project, each with its label."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from bondwright.bonding.acceptance import accept_label
from bondwright.bonding.lobster import read_lobster_folder
from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.labels import (
    FAILED,
    LabelRecord,
    judged,
    label_key,
    read_record,
    remove_label,
    store_label,
)
from bondwright.dft.espresso.output import read_pw_output
from bondwright.dft.espresso.status import judge
from bondwright.errors import InputError
from bondwright.learn.cells import composition_name
from bondwright.structure.identity import content_hash
from bondwright.structure.read import read_candidates

PATTERN = "{run}-{variant}"
"""How the last parts of a folder's path are read unless a pattern is given."""
_UNFINISHED = "LOBSTER"
"""Method of a run that left nothing to tell its version."""
_FIELDS = ("composition", "run", "variant")
_STRUCTURES = ("*.xyz", "*.extxyz", "POSCAR*", "CONTCAR*", "*.cif")


@dataclass(frozen=True)
class Imported:
    """What became of one folder.

    Attributes:
        folder: where it was read from.
        record: the label's record.
        new: False when the label was there already.
    """

    folder: Path
    record: LabelRecord
    new: bool


def import_lobster(
    project: GlassFolder,
    folders: Sequence[Path],
    *,
    pattern: str = PATTERN,
    max_charge_spilling: float = 0.05,
    progress: Callable[[int, int], None] | None = None,
) -> list[Imported]:
    """Take structures and labels of LOBSTER runs into a project.

    Args:
        project: where they go.
        folders: folders in which LOBSTER ran, or folders that hold such folders; each has one
            structure file in LOBSTER's order of atoms.
        pattern: how the end of a folder's path names the cell, e.g. "{run}-{variant}" or
            "{composition}/c/md/lammps/100/{run}/2000/{variant}". Without {composition}, the
            structure tells it.
        max_charge_spilling: a label that lost a larger share of the charge is refused.
        progress: called with (folders read, their number).

    Returns:
        One entry per folder. A run that left no -ICOHPs becomes a failed label with its reason.

    Raises:
        InputError: no run is found, a path does not fit the pattern, or two folders name one cell.
    """
    expression = _expression(pattern)
    runs = [run for folder in folders for run in _runs(folder)]
    if not runs:
        raise InputError(
            f"{', '.join(map(str, folders))}: no folder with LOBSTER files (ICOHPLIST.lobster, "
            "lobsterout or lobsterin) in it."
        )
    named: dict[str, Path] = {}
    found = []
    for number, run in enumerate(runs, 1):
        entry = _import_one(project, run, expression, pattern, max_charge_spilling)
        name = entry.record.name
        if name in named:
            raise InputError(
                f"{run.name} and {named[name].name} both name the cell {name}; give a --pattern "
                "that tells them apart."
            )
        named[name] = run
        found.append(entry)
        if progress:
            progress(number, len(runs))
    return found


def _runs(folder: Path) -> list[Path]:
    """Return the folders at or below `folder` that hold files of LOBSTER."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give folders in which LOBSTER ran.")
    marks = ("ICOHPLIST.lobster*", "lobsterout*", "lobsterin")
    found = {path.parent for mark in marks for path in folder.rglob(mark)}
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def _expression(pattern: str) -> re.Pattern[str]:
    """Return what the end of a path must match."""
    parts = re.split(r"(\{[^{}]*\})", pattern)
    text = ""
    for part in parts:
        if part.startswith("{") and part.endswith("}"):
            if part[1:-1] not in _FIELDS:
                raise InputError(f"{pattern!r}: {part} is not known; use {{run}}, {{variant}} ...")
            text += rf"(?P<{part[1:-1]}>[^/]+)"
        else:
            text += re.escape(part)
    try:
        expression = re.compile(rf"(?:^|.*/){text}")
    except re.error:
        raise InputError(f"{pattern!r} uses a name twice; write each once.") from None
    if "run" not in expression.groupindex:
        raise InputError(f"{pattern!r} does not say which run a folder is; write {{run}} in it.")
    return expression


def _import_one(
    project: GlassFolder, run: Path, expression: re.Pattern[str], pattern: str, limit: float
) -> Imported:
    match = expression.fullmatch(run.resolve().as_posix())
    if match is None:
        raise InputError(f"{run} does not end like {pattern!r}; give the right --pattern.")
    atoms = _structure(run)
    said = match.groupdict()
    name = CellName(
        said.get("composition") or composition_name(atoms), said["run"], said.get("variant") or "0"
    )
    source = "/".join(run.resolve().parts[-2:])
    project.add(name, atoms, {"source": source, "program": "LOBSTER"})
    atoms_kept = project.read(name)
    if content_hash(atoms_kept) != content_hash(atoms):
        raise InputError(
            f"{run}: the project already has another structure as {name}; give a --pattern that "
            "tells them apart."
        )
    structure = content_hash(atoms)
    table, reason, message = _label(run, atoms)
    method = _method(table)
    key = label_key(structure, method)
    known = read_record(project, key)
    if known is not None:
        return Imported(run, known, new=False)
    record = LabelRecord(key, str(name), structure, method, FAILED, reason, message, source=source)
    if table is not None:
        verdict = accept_label(table, max_charge_spilling=limit)
        record = judged(record, table, verdict)
    store_label(project, record, table)
    if table is not None:  # a run that failed when it was imported before
        remove_label(project, label_key(structure, _UNFINISHED))
    return Imported(run, record, new=True)


def _structure(run: Path) -> Atoms:
    for kind in _STRUCTURES:
        files = sorted(run.glob(kind))
        if len(files) > 1:
            raise InputError(f"{run} holds several structures ({kind}); leave LOBSTER's own.")
        if files:
            first = next(iter(read_candidates(files[0])), None)
            if first is None or first.atoms is None:
                why = first.problem.message if first and first.problem else "it is empty"
                raise InputError(f"{files[0]} cannot be read as a structure: {why}")
            return first.atoms
    raise InputError(f"{run} holds no structure (xyz, POSCAR or CIF) beside LOBSTER's files.")


def _label(run: Path, atoms: Atoms) -> tuple[BondTable | None, str, str]:
    """Return the bonds of a run, or why there are none."""
    outputs = sorted([*run.glob("*.scf.out"), *run.glob("pw.out")])
    if not any(run.glob("ICOHPLIST.lobster*")):
        for output in outputs:
            ended = judge(read_pw_output(output))
            if ended.reason:
                return None, ended.reason, f"Quantum ESPRESSO: {ended.message}"
        return None, "no-icohp", "LOBSTER left no ICOHPLIST.lobster; it did not run or was stopped."
    try:
        return read_lobster_folder(run, atoms), "", ""
    except InputError as error:
        return None, "unreadable", str(error)


def _method(table: BondTable | None) -> str:
    """Return the method with the local basis, which changes numbers: "LOBSTER 3.0.0 Bunge"."""
    if table is None:
        return _UNFINISHED
    basis = table.details.get("lobster", {}).get("basis_set")
    return f"{table.method} {basis}" if basis else table.method
