"""Training data of the crystal language model: texts as tokens, conditions, and their split.

A data set is a folder: `crystals.safetensors` (tokens and numbers), `rows.parquet` (what became of
every row of the tables, with its reason) and `dataset.json` (how it was made, counted outcomes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from bondwright.crystals.splits import PARTS, Splits
from bondwright.errors import InputError
from bondwright.screen.reference_chunks import write_table
from bondwright.structure.datasets import file_sha256
from bondwright.structure.write import write_bytes, write_text

FORMAT = 1
ARRAYS = "crystals.safetensors"
ROWS = "rows.parquet"
CARD = "dataset.json"

ROW_SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "row": pa.int64(),
        "block": pa.int32(),
        "name": pa.string(),
        "outcome": pa.string(),
        "reason": pa.string(),
        "formula": pa.string(),
        "space_group": pa.int16(),
        "atoms": pa.int32(),
        "tokens": pa.int32(),
        "crystal": pa.int32(),  # index in the data set; a duplicate has that of its first
    }
)


@dataclass(frozen=True)
class Prepared:
    """A data set of n crystals.

    Attributes:
        ids: the tokens of all texts, one after the other.
        offsets: (n + 1) where each text begins; text i is `ids[offsets[i]:offsets[i + 1]]`.
        conditions: (n, k) values in their own units, NaN where not known.
        parts: (n) 0 training, 1 validation, 2 test, by composition.
        formulas: (n) reduced formulas, elements in alphabetical order.
        atoms: (n) atoms in the conventional cell.
        card: how it was made: dialect, conditions, splits, counted outcomes, checksums.
    """

    ids: NDArray[np.int16]
    offsets: NDArray[np.int64]
    conditions: NDArray[np.float32]
    parts: NDArray[np.int8]
    formulas: tuple[str, ...]
    atoms: NDArray[np.int32]
    card: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of crystals."""
        return len(self.parts)

    @property
    def dialect(self) -> str:
        """Name of the dialect of the texts."""
        return str(self.card["dialect"])

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the columns of `conditions`."""
        return tuple(self.card["conditions"])

    @property
    def splits(self) -> Splits:
        """The rule by which compositions were dealt out."""
        return Splits.from_json(self.card["splits"])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n) tokens of each text."""
        return np.diff(self.offsets)

    def of_part(self, part: int) -> NDArray[np.int64]:
        """Return the indices of the crystals of a part, ascending."""
        return np.flatnonzero(self.parts == part)


def save_dataset(
    folder: Path,
    arrays: Mapping[str, NDArray[Any]],
    rows: list[dict[str, Any]],
    card: Mapping[str, Any],
) -> None:
    """Write a data set; `dataset.json`, written last, says that it is complete.

    Args:
        folder: made when it does not exist.
        arrays: `ids`, `offsets`, `conditions` and `parts` of `Prepared`.
        rows: of `ROW_SCHEMA`.
        card: see `Prepared`; format and checksum are added here.

    Raises:
        OSError: the folder cannot be written.
    """
    write_bytes(folder / ARRAYS, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    write_table(folder / ROWS, pa.Table.from_pylist(rows, schema=ROW_SCHEMA))
    full = {"format": FORMAT, **card, "sha256": file_sha256(folder / ARRAYS)}
    write_text(folder / CARD, json.dumps(full, indent=1, ensure_ascii=False) + "\n")


def load_card(folder: Path) -> dict[str, Any] | None:
    """Return the card of a data set, None where there is no complete one.

    Raises:
        InputError: it cannot be read.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CARD} cannot be read ({error}); remove the folder.") from None
    return card


def load_dataset(folder: Path) -> Prepared:
    """Read a data set.

    Raises:
        InputError: there is none, or its files are damaged or do not belong together.
    """
    mend = "prepare it again: remove the folder and run `bondwright train crystals`."
    card = load_card(folder)
    if card is None:
        raise InputError(f"{folder} holds no data set ({CARD} is missing); {mend}")
    if card.get("format") != FORMAT:
        raise InputError(f"{folder}: data set of format {card.get('format')}; {mend}")
    try:
        if file_sha256(folder / ARRAYS) != card["sha256"]:
            raise InputError(f"{folder}: {ARRAYS} has another checksum than {CARD} says; {mend}")
        arrays = load_file(folder / ARRAYS)
        columns = pq.read_table(
            folder / ROWS, columns=["outcome", "crystal", "formula", "atoms"]
        ).to_pydict()
    except (OSError, KeyError, SafetensorError, pa.ArrowException) as error:
        raise InputError(f"{folder}: data set cannot be read ({error}); {mend}") from None
    first: dict[int, tuple[str, int]] = {}
    for outcome, crystal, formula, atoms in zip(*columns.values(), strict=True):
        if outcome == "kept":
            first[crystal] = (formula, atoms)
    ordered = [first[index] for index in range(len(arrays["parts"]))]
    return Prepared(
        ids=arrays["ids"],
        offsets=arrays["offsets"],
        conditions=arrays["conditions"],
        parts=arrays["parts"],
        formulas=tuple(formula for formula, _ in ordered),
        atoms=np.array([atoms for _, atoms in ordered], dtype=np.int32),
        card=card,
    )


def describe(card: Mapping[str, Any]) -> list[str]:
    """Return lines for people: counted outcomes, sizes of the parts, known conditions."""
    outcomes = ", ".join(f"{name} {count:,}" for name, count in card["outcomes"].items())
    parts = ", ".join(f"{name} {card['parts'][name]:,}" for name in PARTS)
    known = ", ".join(f"{name} {count:,}" for name, count in card["known"].items())
    return [
        f"rows: {outcomes}",
        f"crystals: {parts}" + (f"; with {known}" if known else ""),
        f"tokens: {card['tokens']:,}, longest text {card['longest_text']}",
    ]
