"""Labels: the -ICOHPs of a cell by one method, each with its record; nothing is labelled twice.

A label is named by its content: structure, method and which bonds are listed. Its record
(`<key>.json`) tells how it went, its bond table (`<key>.parquet`) is there unless it failed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.bonding.acceptance import LabelVerdict
from bondwright.bonding.export import read_parquet, write_parquet
from bondwright.bonding.table import BondTable
from bondwright.campaign.glass.config import WINDOW, LabelSetting
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.errors import InputError, nearest
from bondwright.learn.cells import LabelledCell
from bondwright.structure.identity import content_hash
from bondwright.structure.write import write_text

ACCEPTED, REFUSED, FAILED = "accepted", "refused", "failed"


@dataclass(frozen=True)
class LabelRecord:
    """How one label went.

    Attributes:
        key: name of the label, from its content.
        name: the cell, e.g. "Zr49Cu49Al2/21/0".
        structure: `content_hash` of the cell.
        method: what the numbers come from, e.g. "bondwright-lcao/1 hartree-fock".
        status: "accepted"; "refused" when the numbers are there but may not be used; "failed".
        reason: why not, as a stable slug: `scf-not-converged`, `charge-spilling`, `timeout`, ...
        message: why not, as a sentence with numbers.
        seconds: wall-clock seconds of the calculation; None when unknown.
        cpu_seconds: of the calculation; None when unknown.
        charge_spilling: share of the charge that the projection lost; None when unknown.
        bonds: number of bonds with a label.
        attempts: how often it was tried.
        settings: of the calculation; JSON values.
        source: where an imported label was read from; empty for computed ones.
    """

    key: str
    name: str
    structure: str
    method: str
    status: str
    reason: str = ""
    message: str = ""
    seconds: float | None = None
    cpu_seconds: float | None = None
    charge_spilling: float | None = None
    bonds: int = 0
    attempts: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the label may be learned from."""
        return self.status == ACCEPTED

    @property
    def cell(self) -> CellName:
        """The cell's name in its parts."""
        return CellName.parse(self.name)


def label_key(structure: str, method: str, window_A: Sequence[float] = ()) -> str:  # noqa: N803
    """Return the name of a label.

    Args:
        structure: `content_hash` of the cell.
        method: name of the method, its settings included.
        window_A: shortest and longest bond that is listed; empty where it is not known.
    """
    parts = json.dumps([structure, method, list(window_A)])
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def key_of(structure: str, setting: LabelSetting) -> str:
    """Return the name of the label that `setting` gives a structure with this hash."""
    window = [getattr(setting.bonds, key) for key in reversed(WINDOW)]
    return label_key(structure, setting.method_name, window)


def store_label(folder: GlassFolder, record: LabelRecord, table: BondTable | None = None) -> None:
    """Write a label; its record comes last, so that a label with a record is complete.

    Args:
        folder: the project.
        record: how it went.
        table: the bonds; their method becomes the record's. None when it failed.
    """
    if table is not None:
        whole = replace(table, method=record.method).sort()
        write_parquet(folder.labels / f"{record.key}.parquet", whole)
    text = json.dumps(asdict(record), indent=1, allow_nan=False)
    write_text(_record_file(folder, record.key), text + "\n")


def remove_label(folder: GlassFolder, key: str) -> None:
    """Forget a label, if it is there."""
    _record_file(folder, key).unlink(missing_ok=True)
    (folder.labels / f"{key}.parquet").unlink(missing_ok=True)


def read_record(folder: GlassFolder, key: str) -> LabelRecord | None:
    """Return the record of a label, or None when there is none."""
    path = _record_file(folder, key)
    return _read(path) if path.is_file() else None


def read_records(folder: GlassFolder) -> list[LabelRecord]:
    """Return the records of all labels, by cell and method.

    Raises:
        InputError: a record is damaged.
    """
    records = [_read(path) for path in folder.labels.glob("*.json")]
    return sorted(records, key=lambda r: (r.cell.order, r.method, -r.bonds, r.key))


def methods(folder: GlassFolder) -> Counter[str]:
    """Return the number of accepted labels of each method."""
    return Counter(record.method for record in read_records(folder) if record.accepted)


def accepted(folder: GlassFolder, method: str | None = None) -> list[LabelRecord]:
    """Return the accepted labels of one method, one per structure, in the order of the cells.

    Where a structure has labels for two windows of lengths, the one with more bonds stands.

    Raises:
        InputError: labels of several methods and none is named, or the named one is not there.
    """
    records = [record for record in read_records(folder) if record.accepted]
    there = sorted({record.method for record in records})
    if method is None and len(there) > 1:
        raise InputError(
            f"the project has labels of {len(there)} methods: {'; '.join(there)}. Their numbers "
            "differ, so name one with --method, or join them with --correct MODEL."
        )
    if method is not None and method not in there:
        known = f" There are: {'; '.join(there)}." if there else " There are no labels yet."
        raise InputError(f"no accepted label by {method!r}.{nearest(method, there) or known}")
    chosen: dict[str, LabelRecord] = {}
    for record in records:
        if method in (None, record.method):
            chosen.setdefault(record.structure, record)
    return list(chosen.values())


def cells(folder: GlassFolder, method: str | None = None) -> list[LabelledCell]:
    """Return the labelled cells of one method, in order.

    Raises:
        InputError: as `accepted`, or a bond table is damaged.
    """
    return [load_cell(folder, record) for record in accepted(folder, method)]


def load_cell(folder: GlassFolder, record: LabelRecord) -> LabelledCell:
    """Return the labelled cell of an accepted label."""
    name = record.cell
    return LabelledCell(
        name=str(name),
        composition=name.composition,
        run=name.run,
        variant=name.variant,
        bonds=read_parquet(folder.labels / f"{record.key}.parquet"),
    )


def judged(record: LabelRecord, table: BondTable, verdict: LabelVerdict) -> LabelRecord:
    """Return a record with what its bond table and the verdict on it say."""
    return replace(
        record,
        status=ACCEPTED if verdict.accepted else REFUSED,
        reason=verdict.reason,
        message=verdict.message,
        charge_spilling=table.charge_spilling,
        bonds=len(table),
    )


def hashes(folder: GlassFolder, names: Sequence[CellName]) -> dict[CellName, tuple[str, Atoms]]:
    """Return hash and structure of cells."""
    return {name: (content_hash(atoms), atoms) for name, atoms in folder.read_all(names)}


def _record_file(folder: GlassFolder, key: str) -> Path:
    return folder.labels / f"{key}.json"


def _read(path: Path) -> LabelRecord:
    try:
        record = LabelRecord(**json.loads(path.read_bytes()))
        if record.key != path.stem:
            raise ValueError("it names another label")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path.name}: a label's record is damaged ({type(error).__name__}); remove it and "
            "label the cell again."
        ) from None
    return record
