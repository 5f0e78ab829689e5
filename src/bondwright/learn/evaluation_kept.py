"""Predictions of finished folds on disk, so that an interrupted evaluation continues."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bondwright.learn.cells import LabelledCell, cell_hash
from bondwright.structure.write import write_bytes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class KeptFolds:
    """Where finished folds are kept; a fold counts as the same when nothing of it has changed.

    Attributes:
        folder: holds one Parquet file for each fold and model; it may be deleted when the
            evaluation is written.
        settings: text that changes with the settings of the fitted models and their version.
    """

    folder: Path
    settings: str

    def path(
        self,
        model: str,
        train: Sequence[LabelledCell],
        test: Sequence[LabelledCell],
        window_A: tuple[float, float],  # noqa: N803
    ) -> Path:
        """Return the file of a fold, named after everything that its predictions depend on."""
        sides = [[cell_hash(cell) for cell in side] for side in (train, test)]
        text = json.dumps([self.settings, model, sides, list(window_A)])
        return self.folder / f"{model}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.parquet"


def read_frame(path: Path) -> pd.DataFrame | None:
    """Read a data frame; None where the file is missing or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pandas()  # type: ignore[no-any-return]
    except (OSError, pa.ArrowInvalid):
        return None


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame without its index as Parquet, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())
