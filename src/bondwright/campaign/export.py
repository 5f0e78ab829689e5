"""Writing a campaign's candidates for other programs."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.campaign.landing import disk_error
from bondwright.campaign.load import load_view
from bondwright.campaign.view import CandidateView
from bondwright.errors import InputError
from bondwright.structure.identity import reduced_formula
from bondwright.structure.write import cif_text, write_text


def export(root: Path, path: Path, *, everything: bool = False) -> int:
    """Write survivors (or all candidates) to a file or folder; the suffix decides the form.

    `.csv` and `.parquet` give one row per candidate with every stage's verdict and value;
    `.xyz` or `.extxyz` and a path without a suffix (a folder of CIF files) give structures: the
    relaxed one where there is one.

    Args:
        root: the campaign's folder.
        path: where to write; an existing file is replaced, whole or not at all.
        everything: all candidates, controls included, instead of the survivors.

    Returns:
        Number of candidates written; those without atoms are left out of structure files.

    Raises:
        InputError: an unknown suffix, nothing has run yet, or the place cannot be written.
    """
    writers: dict[str, Callable[[list[CandidateView], Path], int]] = {
        ".csv": _write_csv,
        ".parquet": _write_parquet,
        ".xyz": _write_extxyz,
        ".extxyz": _write_extxyz,
        "": _write_cifs,
    }
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(
            f"{path.name}: cannot export to {path.suffix!r}; use .csv, .parquet, .extxyz, or a "
            "name without a suffix for a folder of CIF files."
        )
    view = load_view(root)
    chosen = view.candidates if everything else view.survivors
    try:
        return writer(chosen, path)
    except OSError as error:
        raise disk_error(error, path) from error


def table_rows(candidates: list[CandidateView]) -> list[dict[str, Any]]:
    """Return one flat row per candidate: who it is, and what every stage said.

    Columns of a stage are `<stage>_outcome`, `_reason`, `_value` and `_unit`; `cif` is the final
    structure. An unknown is None.
    """
    rows = []
    for view in candidates:
        candidate = view.candidate
        atoms = _final(view)
        row: dict[str, Any] = {
            "key": candidate.key,
            "name": candidate.name,
            "source": candidate.origin.source,
            "row": candidate.origin.row,
            "control": candidate.control,
            "survived": view.survived,
            "formula": None if atoms is None else reduced_formula(atoms),
            "atoms": None if atoms is None else len(atoms),
        }
        for name, value in candidate.asked.items():
            row[f"asked_{name}"] = value
        for stage, verdict in view.verdicts.items():
            row[f"{stage}_outcome"] = str(verdict.outcome)
            row[f"{stage}_reason"] = verdict.reason or None
            row[f"{stage}_value"] = verdict.value
            row[f"{stage}_unit"] = verdict.unit or None
        details = view.verdicts["property"].details if "property" in view.verdicts else {}
        for name in ("density_g_cm3", "band_gap_eV", "band_gap_sigma_eV"):
            row[name] = details.get(name)
        row["cif"] = None if atoms is None else _cif(view, atoms)
        rows.append(row)
    return rows


def _final(view: CandidateView) -> Atoms | None:
    return view.candidate.atoms if view.relaxed is None else view.relaxed


def _cif(view: CandidateView, atoms: Atoms) -> str:
    return cif_text(atoms, name=view.candidate.key)


def _write_csv(candidates: list[CandidateView], path: Path) -> int:
    import pandas

    write_text(path, pandas.DataFrame(table_rows(candidates)).to_csv(index=False))
    return len(candidates)


def _write_parquet(candidates: list[CandidateView], path: Path) -> int:
    import pandas

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pandas.DataFrame(table_rows(candidates)).to_parquet(part, index=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return len(candidates)


def _write_extxyz(candidates: list[CandidateView], path: Path) -> int:
    from ase.io.extxyz import write_extxyz

    frames = []
    for view in candidates:
        atoms = _final(view)
        if atoms is not None:
            frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            frame.info = {"key": view.candidate.key, "name": view.candidate.name}
            frames.append(frame)
    buffer = io.StringIO()
    write_extxyz(buffer, frames, columns=["symbols", "positions"])
    write_text(path, buffer.getvalue())
    return len(frames)


def _write_cifs(candidates: list[CandidateView], path: Path) -> int:
    path.mkdir(parents=True, exist_ok=True)
    count = 0
    for view in candidates:
        atoms = _final(view)
        if atoms is not None:
            write_text(path / f"{view.candidate.key}.cif", _cif(view, atoms))
            count += 1
    return count
