"""Tables of generated crystals: written for people and programs, and known again."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.campaign.landing import disk_error
from bondwright.errors import InputError
from bondwright.structure.write import write_bytes, write_text

if TYPE_CHECKING:
    import pandas as pd

LISTED = "generated.csv"


def write_table(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows to a file, or a folder of CIF files; the suffix decides the form.

    A folder holds a CIF file for every crystal, and `generated.csv` with all rows but their CIF
    texts, those without a crystal included.

    Args:
        rows: of `campaign.generating.Workshop.rows`.
        path: `.csv`, `.parquet`, or a name without suffix.

    Raises:
        InputError: another suffix, or it cannot be written.
    """
    check_suffix(path)
    try:
        if path.suffix.lower() == ".parquet":
            write_bytes(path, parquet_bytes(rows))
        elif path.suffix:
            write_text(path, frame_of(rows).to_csv(index=False))
        else:
            for row in rows:
                if row["cif"] is not None:
                    write_text(path / f"{row['id']}.cif", row["cif"])
            write_text(path / LISTED, frame_of(rows).drop(columns="cif").to_csv(index=False))
    except OSError as error:
        raise disk_error(error, path) from error


def held(path: Path) -> Counter[str]:
    """Return how many crystals of which arm a table holds that `write_table` wrote.

    Raises:
        InputError: the file is there and something else.
    """
    import pandas as pd

    table = path / LISTED if path.is_dir() else path
    if not table.exists():
        return Counter()
    try:
        if table.suffix.lower() == ".parquet":
            names = pd.read_parquet(table, columns=["arm"])["arm"]
        else:
            names = pd.read_csv(table, usecols=["arm"])["arm"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{table} is there and holds something else ({error}); name another file, or move it."
        ) from None
    return Counter(str(name) for name in names)


def check_suffix(path: Path) -> None:
    """Refuse a file name that tells no form.

    Raises:
        InputError: the suffix is not known.
    """
    if path.suffix.lower() not in ("", ".csv", ".parquet"):
        raise InputError(
            f"{path.name}: cannot write {path.suffix!r}; use .csv, .parquet, or a name without a "
            "suffix for a folder of CIF files."
        )


def frame_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a table: all columns that any row has, long texts last."""
    import pandas as pd

    frame = pd.DataFrame(list(rows)).convert_dtypes()
    texts = [name for name in ("text", "cif") if name in frame]
    return frame[[*(name for name in frame if name not in texts), *texts]]


def parquet_bytes(rows: Sequence[dict[str, Any]]) -> bytes:
    """Return rows as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame_of(rows).to_parquet(buffer, index=False)
    return buffer.getvalue()
