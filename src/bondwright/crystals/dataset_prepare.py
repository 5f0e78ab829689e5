"""From structure tables and files to a data set: every row ends with an outcome and a reason."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.crystals.dataset import load_card, save_dataset
from bondwright.crystals.dataset_encode import KEPT, Encoding, encode_all
from bondwright.crystals.splits import PARTS, TRAIN, Splits
from bondwright.errors import InputError, nearest
from bondwright.screen.hull import parse_formula
from bondwright.screen.workers import Stop, never
from bondwright.structure.candidate import Candidate
from bondwright.structure.datasets import file_sha256
from bondwright.structure.read import expand_paths, read_candidates
from bondwright.structure.tables import columns_of, is_table

DUPLICATE = "duplicate"
UNREADABLE = "unreadable"
DISORDERED = "disordered"
EXCLUDED = "excluded-source"
TOO_LONG = "too-long"


@dataclass(frozen=True)
class Preparation:
    """How a data set is made.

    Attributes:
        dialect: name of the dialect.
        conditions: columns of the tables that the model is to be conditioned on.
        exclude: values of the column `source` whose rows are left out.
        unknown_from: values of the column `source` whose conditions count as not known, because
            they were computed in another way; the structures are used.
        column: column of CIF texts; found by its name when None.
        symprec: tolerance of the space group, Å.
        longest: most tokens of a text.
        splits: the rule that deals compositions out.
    """

    dialect: str = "wyckoff"
    conditions: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    unknown_from: tuple[str, ...] = ()
    column: str | None = None
    symprec: float = 0.1
    longest: int = 1024
    splits: Splits = field(default_factory=Splits)


def prepare(
    paths: Sequence[Path],
    folder: Path,
    settings: Preparation,
    *,
    processes: int = 1,
    stop: Stop = never,
    progress: Callable[[int, int | None], None] | None = None,
) -> bool:
    """Make the data set of some tables or structure files in `folder`, unless it is there.

    Identical texts become one crystal; the first known value of each condition counts. Polymorphs
    and repeated determinations that differ in any digit stay.

    Args:
        paths: tables with CIF texts, structure files, or folders of them.
        folder: of the data set; `encoded-*` in it keeps what is done when this is stopped.
        settings: how.
        processes: worker processes.
        stop: asked between pieces of work.
        progress: told (structures read, their number or None).

    Returns:
        Whether the data set is complete; False only when it was stopped.

    Raises:
        InputError: a file or setting cannot be used, or nothing is left to learn from.
        OSError: the folder cannot be written.
    """
    files = expand_paths(paths)
    _check_columns(files, settings.conditions)
    encoding = Encoding(settings.dialect, settings.symprec)
    made_from = {
        "files": [[path.name, file_sha256(path)] for path in files],
        "settings": asdict(settings),
        "encoding": encoding.digest,
    }
    digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    card = load_card(folder)
    if card is not None and card.get("made_from_sha256") == digest:
        return True
    rows: list[_Row] = []

    def structures() -> Iterator[tuple[str, Atoms]]:
        alone = progress if len(files) == 1 else None  # knows the number of rows
        for path in files:
            if progress and not alone:
                progress(len(rows), None)
            column = settings.column if is_table(path) else None
            for candidate in read_candidates(path, column=column, progress=alone):
                row = _Row.of(candidate, settings)
                rows.append(row)
                if stop():
                    return
                if row.outcome == KEPT and candidate.atoms is not None:
                    yield candidate.key, candidate.atoms

    encoded = encode_all(
        structures(),
        encoding,
        folder / f"encoded-{encoding.digest}",
        processes=processes,
        stop=stop,
    )
    if stop():
        return False
    _assemble(rows, encoded, folder, settings, {"made_from_sha256": digest, "made_from": made_from})
    return True


@dataclass
class _Row:
    """A row of the tables: where it stands, its conditions, and what became of it."""

    key: str
    source: str
    row: int | None
    block: int
    name: str
    outcome: str
    reason: str
    conditions: list[float]

    @classmethod
    def of(cls, candidate: Candidate, settings: Preparation) -> _Row:
        """Judge a row before it is encoded."""
        outcome, reason = KEPT, ""
        source = str(candidate.extra.get("source", ""))
        problem = candidate.problem
        if problem is not None:
            outcome = DISORDERED if problem.code == DISORDERED else UNREADABLE
            reason = f"{problem.code}: {problem.message}"
        elif source in settings.exclude:
            outcome, reason = EXCLUDED, source
        trusted = source not in settings.unknown_from
        values = [
            _number(candidate.extra.get(name)) if trusted else math.nan
            for name in settings.conditions
        ]
        origin = candidate.origin
        return cls(
            candidate.key,
            origin.source,
            origin.row,
            origin.block,
            candidate.name,
            outcome,
            reason,
            values,
        )


def _assemble(
    rows: list[_Row],
    encoded: dict[str, dict[str, Any]],
    folder: Path,
    settings: Preparation,
    origin: dict[str, Any],
) -> None:
    """Merge duplicates, count outcomes, deal out the parts, and write the data set."""
    places: dict[tuple[int, ...], int] = {}
    conditions: list[list[float]] = []
    parts: list[int] = []
    table: list[dict[str, Any]] = []
    for row in rows:
        outcome, reason = row.outcome, row.reason
        known = encoded[row.key] if outcome == KEPT else {}
        if known:
            outcome, reason = known["outcome"], known["reason"]
        ids = tuple(known.get("ids") or ())
        if outcome == KEPT and len(ids) > settings.longest:
            outcome, reason = TOO_LONG, f"{len(ids)} tokens, more than {settings.longest}"
        crystal = None
        if outcome == KEPT and ids in places:
            crystal, outcome = places[ids], DUPLICATE
            kept = conditions[crystal]
            kept[:] = [
                new if math.isnan(old) else old
                for old, new in zip(kept, row.conditions, strict=True)
            ]
        elif outcome == KEPT:
            crystal = places[ids] = len(places)
            conditions.append(list(row.conditions))
            parts.append(settings.splits.part(parse_formula(known["formula"])))
        table.append(
            {
                "source": row.source,
                "row": row.row,
                "block": row.block,
                "name": row.name,
                "outcome": outcome,
                "reason": reason,
                "formula": known.get("formula"),
                "space_group": known.get("space_group"),
                "atoms": known.get("atoms"),
                "tokens": len(ids) or None,
                "crystal": crystal,
            }
        )
    counted = Counter(line["outcome"] for line in table)
    if TRAIN not in parts:
        raise InputError(
            f"no row is left to learn from: {', '.join(f'{k} {n}' for k, n in counted.items())}."
        )
    lengths = [len(ids) for ids in places]
    values = np.array(conditions, dtype=np.float32).reshape(len(places), -1)
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.fromiter((i for ids in places for i in ids), np.int16, sum(lengths)),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "conditions": values,
        "parts": np.array(parts, dtype=np.int8),
    }
    card = {
        "dialect": settings.dialect,
        "context": settings.longest,
        "conditions": list(settings.conditions),
        "splits": settings.splits.to_json(),
        "outcomes": dict(counted.most_common()),
        "parts": {name: parts.count(number) for number, name in enumerate(PARTS)},
        "known": {
            name: int(np.isfinite(values[:, column]).sum())
            for column, name in enumerate(settings.conditions)
        },
        "tokens": sum(lengths),
        "longest_text": max(lengths),
        **origin,
    }
    save_dataset(folder, arrays, table, card)


def _check_columns(files: Sequence[Path], conditions: Sequence[str]) -> None:
    """Refuse conditions that no table has as a column."""
    there = {name for path in files if is_table(path) for name in columns_of(path)}
    for name in conditions:
        if name not in there:
            named = ", ".join(str(path) for path in files[:3])
            raise InputError(f"no table has a column {name!r} ({named}).{nearest(name, there)}")


def _number(value: Any) -> float:
    """Return a finite number, NaN for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return math.nan
