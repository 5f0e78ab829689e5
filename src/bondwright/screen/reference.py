"""The reference that novelty is asked against: known crystals, reduced once, in one file.

The file is Parquet (never a pickle) with one row per structure: id, reduced formula, space group,
and the primitive reduced cell that comparison needs, so that a query never parses or reduces a
reference again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase import Atoms
from numpy.typing import NDArray

from bondwright.errors import InputError
from bondwright.screen.novelty_cells import ReducedCell, reduce_cell
from bondwright.screen.workers import map_in_order
from bondwright.structure.candidate import Candidate
from bondwright.structure.symmetry import find_space_group

FORMAT = "bondwright reference 1"
SYMPREC_A = 0.1
"""Tolerance of the space groups that are compared, Å."""
_CHUNK = 200
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class ReferenceIndex:
    """Known crystals, ready to be compared with.

    Attributes:
        name: what people call it ("structures.csv.gz").
        ids: id of each structure.
        formulas: reduced formula of each structure.
        space_groups: number at `SYMPREC_A`; 0 where none was found.
        starts: where the atoms of each structure begin in `numbers`, shape (structures + 1,).
        numbers: atomic numbers of all primitive cells, shape (atoms,).
        fractional: fractional positions, single precision (0.000001 Å), shape (atoms, 3).
        matrices: lattice vectors scaled to a volume of 1 per atom, shape (structures, 3, 3).
        sha256: digest of the content, 64 hexadecimal digits.
        skipped: why structures of the source are not here -> how many.
    """

    name: str
    ids: list[str]
    formulas: list[str]
    space_groups: NDArray[np.int16]
    starts: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    fractional: NDArray[np.float32]
    matrices: NDArray[np.float64]
    sha256: str = ""
    skipped: dict[str, int] = field(default_factory=dict)
    _rows: dict[str, list[int]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row, formula in enumerate(self.formulas):
            self._rows.setdefault(formula, []).append(row)
        if not self.sha256:
            object.__setattr__(self, "sha256", self._digest())

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, formula: str) -> list[int]:
        """Return the rows with this reduced formula, in the order of the file."""
        return self._rows.get(formula, [])

    def cell(self, row: int) -> ReducedCell:
        """Return the reduced cell of a row."""
        atoms = slice(self.starts[row], self.starts[row + 1])
        return ReducedCell(
            self.formulas[row],
            self.numbers[atoms],
            self.fractional[atoms].astype(np.float64),
            self.matrices[row],
        )

    def describe(self) -> dict[str, str | int]:
        """Return what a verdict stores of its reference: name, structures and sha256."""
        return {"name": self.name, "structures": len(self), "sha256": self.sha256}

    def save(self, path: Path) -> None:
        """Write the index to one Parquet file, atomically (a temporary name, then a rename)."""
        header = {
            "format": FORMAT,
            "name": self.name,
            "sha256": self.sha256,
            "skipped": self.skipped,
        }
        spans = [slice(a, b) for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)]
        table = pa.table(
            {
                "id": self.ids,
                "formula": self.formulas,
                "space_group": self.space_groups,
                "numbers": [self.numbers[s].tobytes() for s in spans],
                "fractional": [self.fractional[s].astype("<f4").tobytes() for s in spans],
                "matrix": [m.astype("<f8").tobytes() for m in self.matrices],
            }
        ).replace_schema_metadata({"bondwright": json.dumps(header)})
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> ReferenceIndex:
        """Read an index and check that it is whole.

        Raises:
            InputError: the file is missing, a git-LFS pointer, of another kind or version, or
                does not have the content it was written with.
        """
        header = _read_header(path)
        try:
            table = pq.read_table(path)
            flat = {
                name: b"".join(table.column(name).to_pylist())
                for name in ("numbers", "fractional", "matrix")
            }
            numbers = np.frombuffer(flat["numbers"], dtype=np.uint8)
            sizes = [len(row) for row in table.column("numbers").to_pylist()]
            index = cls(
                name=str(header["name"]),
                ids=table.column("id").to_pylist(),
                formulas=table.column("formula").to_pylist(),
                space_groups=table.column("space_group").to_numpy().astype(np.int16),
                starts=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64),
                numbers=numbers,
                fractional=np.frombuffer(flat["fractional"], dtype="<f4").reshape(-1, 3),
                matrices=np.frombuffer(flat["matrix"], dtype="<f8").reshape(-1, 3, 3),
                skipped={str(k): int(v) for k, v in dict(header["skipped"]).items()},
            )
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"reference {path} is damaged ({error}); {_REBUILD}") from error
        if index.sha256 != header["sha256"] or len(index.fractional) != len(numbers):
            raise InputError(
                f"reference {path} has not the content it was written with; {_REBUILD}"
            )
        return index

    def _digest(self) -> str:
        digest = hashlib.sha256(FORMAT.encode())
        for words in (self.ids, self.formulas):
            digest.update("\n".join(words).encode())
        arrays = (self.space_groups.astype("<i2"), self.starts.astype("<i8"), self.numbers)
        for array in (*arrays, self.fractional.astype("<f4"), self.matrices.astype("<f8")):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


_REBUILD = "build it again with `bondwright reference build`."


def build_index(
    rows: Iterable[Candidate],
    *,
    name: str,
    processes: int = 1,
    progress: Callable[[int], None] | None = None,
) -> ReferenceIndex:
    """Reduce known structures and make an index of them.

    Args:
        rows: what `structure.read.read_candidates` yields; names become ids.
        name: what people call this reference.
        processes: worker processes; the index does not depend on their number.
        progress: called with the number of rows done, now and then.

    Returns:
        The index; `skipped` counts the rows without a structure by reason.

    Raises:
        InputError: no row holds a usable structure.
    """
    ids: list[str] = []
    groups: list[int] = []
    cells: list[ReducedCell] = []
    skipped: Counter[str] = Counter()
    done = 0
    for chunk in map_in_order(_reduce_rows, _chunks(rows, _CHUNK), processes):
        for key, group, cell, reason in chunk:
            if cell is None:
                skipped[reason] += 1
                continue
            ids.append(key)
            groups.append(group)
            cells.append(cell)
        done += len(chunk)
        if progress is not None:
            progress(done)
    if not cells:
        raise InputError(f"no row of {name} holds a structure; nothing to refer to.")
    return _index(name, ids, groups, cells, dict(skipped))


def empty_index(name: str) -> ReferenceIndex:
    """Return an index without structures: every composition is novel against it."""
    return _index(name, [], [], [], {})


def extend_index(
    index: ReferenceIndex | None, structures: Sequence[tuple[str, Atoms]], *, what: str
) -> ReferenceIndex:
    """Return an index with further known structures; those that cannot be reduced are left out.

    Args:
        index: the index so far; None to begin one.
        structures: (id, periodic cell) of each.
        what: what they are, for the name of the result ("controls").
    """
    reduced = _reduce_rows([(key, atoms, "") for key, atoms in structures])
    usable = [(key, group, cell) for key, group, cell, _ in reduced if cell is not None]
    added = _index(
        f"{len(usable)} {what}" if index is None else f"{index.name}, and {len(usable)} {what}",
        [key for key, _, _ in usable],
        [group for _, group, _ in usable],
        [cell for _, _, cell in usable],
        {},
    )
    if index is None:
        return added
    return ReferenceIndex(
        name=added.name,
        ids=index.ids + added.ids,
        formulas=index.formulas + added.formulas,
        space_groups=np.concatenate([index.space_groups, added.space_groups]),
        starts=np.concatenate([index.starts, index.starts[-1] + added.starts[1:]]),
        numbers=np.concatenate([index.numbers, added.numbers]),
        fractional=np.concatenate([index.fractional, added.fractional]),
        matrices=np.concatenate([index.matrices, added.matrices]),
        skipped=index.skipped,
    )


def _index(
    name: str, ids: list[str], groups: list[int], cells: list[ReducedCell], skipped: dict[str, int]
) -> ReferenceIndex:
    return ReferenceIndex(
        name=name,
        ids=ids,
        formulas=[cell.formula for cell in cells],
        space_groups=np.array(groups, dtype=np.int16),
        starts=np.cumsum([0, *(len(cell) for cell in cells)], dtype=np.int64),
        numbers=np.concatenate([np.zeros(0, np.uint8), *(cell.numbers for cell in cells)]),
        fractional=np.concatenate(
            [np.zeros((0, 3)), *(cell.fractional for cell in cells)], dtype=np.float32
        ),
        matrices=np.array([cell.matrix for cell in cells], dtype=np.float64).reshape(-1, 3, 3),
        skipped=skipped,
    )


_Row = tuple[str, Atoms | None, str]
_Reduced = tuple[str, int, ReducedCell | None, str]


def _chunks(rows: Iterable[Candidate], size: int) -> Iterator[list[_Row]]:
    """Yield lists of (id, atoms, reason why there are none): all that the workers need."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield [
            (c.name, c.atoms, c.problem.code if c.problem is not None else "empty") for c in batch
        ]


def _reduce_rows(rows: list[_Row]) -> list[_Reduced]:
    """Reduce the structures of one chunk."""
    results: list[_Reduced] = []
    for key, atoms, reason in rows:
        if atoms is None:
            results.append((key, 0, None, reason))
            continue
        try:
            cell = reduce_cell(atoms)
        except ValueError:
            results.append((key, 0, None, "irreducible"))
            continue
        group = find_space_group(atoms, SYMPREC_A)
        results.append((key, 0 if group is None else group.number, cell, ""))
    return results


def _read_header(path: Path) -> dict[str, Any]:
    """Return the JSON header of an index file, or say what the file is instead."""
    if not path.is_file():
        raise InputError(f"no reference at {path}; {_REBUILD}")
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(_LFS):
        raise InputError(f"{path} is a git-LFS pointer, not the file; run `git lfs pull`.")
    wrong = InputError(f"{path} is not a bondwright reference; {_REBUILD}")
    if not start.startswith(b"PAR1"):
        raise wrong
    try:
        header = json.loads((pq.read_schema(path).metadata or {})[b"bondwright"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise wrong from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise InputError(f"{path} has the format {found!r}, not {FORMAT!r}; {_REBUILD}")
    if not {"name", "sha256", "skipped"} <= set(header):
        raise wrong
    return header
