"""Feature store: descriptors of the labelled bonds, one Parquet file per cell and label.

The descriptor is that of the bond model (`learn.bond_features`). It weights neighbours by the
strength that a bond has by its length alone, a curve per pair of elements that is fitted to the
labels in the store; the curves are part of the descriptor's identity. Each file tells what it was
made from; one that no longer agrees is made again. `manifest.json` names every file with its
SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.costs import measured
from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.labels import LabelRecord, accepted, load_cell
from bondwright.errors import InputError
from bondwright.learn import bond_features
from bondwright.learn.bond_curves import fit_curve, strength_table
from bondwright.learn.bond_features import FeatureMaker, FeatureSettings
from bondwright.learn.cells import LabelledCell, labels_hash
from bondwright.learn.training_bonds import bonds_as_pairs
from bondwright.structure.write import write_bytes, write_text

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.json"
DESCRIPTOR = "descriptor"
_CHUNK = 500
_FORMAT = "bondwright-glass-features/1"
_HEADER = b"bondwright"


@dataclass(frozen=True)
class Features:
    """The features of one cell.

    Attributes:
        bonds: one row per bond: `name`, `composition`, `run`, `variant`, `pair`, `i`, `j`,
            `image_a`, `image_b`, `image_c`, `length_A`, `minus_icohp_eV`.
        descriptors: (n, m) float32, rows as in `bonds`.
        header: what they were made from.
    """

    bonds: pd.DataFrame
    descriptors: NDArray[np.float32]
    header: dict[str, Any]


@dataclass(frozen=True)
class FeatureUpdate:
    """What an update did.

    Attributes:
        entries: the manifest: `name`, `file`, `rows`, `sha256` and the header of each file.
        new: files made now.
        removed: files of labels that are no more.
    """

    entries: list[dict[str, Any]]
    new: int
    removed: int


def update_features(
    folder: GlassFolder,
    *,
    settings: FeatureSettings = FeatureSettings(),  # noqa: B008 - frozen
    method: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> FeatureUpdate:
    """Bring the feature store up to date.

    Args:
        folder: the project.
        settings: of the descriptor.
        method: the labels, where there are several methods.
        progress: called with (cells looked at, their number).

    Raises:
        InputError: no labels, or as `labels.accepted`.
    """
    records = accepted(folder, method)
    if not records:
        raise InputError("there are no labels to describe; label or import some cells first.")
    cells = [load_cell(folder, record) for record in records]
    maker = _maker(cells, settings)
    before = {entry["file"]: entry for entry in _manifest(folder)}
    entries, new = [], 0
    with measured(folder.costs, "features") as cost:
        for number, (record, cell) in enumerate(zip(records, cells, strict=True), 1):
            header = _header(record, cell, maker)
            file = _file(record)
            path = folder.features / file
            if not _current(path, before.get(file), header):
                write_bytes(path, _bytes(cell, header, maker))
                new += 1
                cost.count += len(cell.bonds)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entries.append({"file": file, "rows": len(cell.bonds), "sha256": digest, **header})
            if progress:
                progress(number, len(records))
    kept = {entry["file"] for entry in entries}
    stale = [file for file in before if file not in kept]
    for file in stale:
        (folder.features / file).unlink(missing_ok=True)
    said = {"format": _FORMAT, "files": entries}
    write_text(folder.features / MANIFEST, json.dumps(said, indent=1) + "\n")
    return FeatureUpdate(entries, new, len(stale))


def read_features(path: Path) -> Features:
    """Read the features of one cell.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        header = json.loads((table.schema.metadata or {})[_HEADER])
        column = table.column(DESCRIPTOR).combine_chunks()
        width = column.type.list_size
        values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), width)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path} holds no features of bondwright ({first}).") from None
    return Features(table.drop_columns([DESCRIPTOR]).to_pandas(), values, header)


def _maker(cells: Sequence[LabelledCell], settings: FeatureSettings) -> FeatureMaker:
    """Return the descriptor whose curves are fitted to all labels of the cells."""
    pair = np.concatenate([cell.bonds.pairs() for cell in cells])
    length = np.concatenate([cell.bonds.length_A for cell in cells])
    strength = np.concatenate([cell.bonds.icohp_eV for cell in cells])
    curves = {
        str(name): fit_curve(length[pair == name], strength[pair == name], straight=True)
        for name in np.unique(pair)
    }
    elements = sorted({symbol for cell in cells for symbol in cell.atoms.get_chemical_symbols()})
    return FeatureMaker(strength_table(elements, curves), settings)


def _manifest(folder: GlassFolder) -> list[dict[str, Any]]:
    try:
        data = json.loads((folder.features / MANIFEST).read_text(encoding="utf-8"))
        files: list[dict[str, Any]] = data["files"] if data["format"] == _FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: all is made again
        return []
    inside = folder.features.resolve()
    return [f for f in files if (inside / f["file"]).resolve().is_relative_to(inside)]


def _file(record: LabelRecord) -> str:
    name = record.cell
    return f"{name.composition}/{name.number}/{name.variant}-{record.key[:8]}.parquet"


def _current(path: Path, entry: dict[str, Any] | None, header: dict[str, Any]) -> bool:
    """Return whether a file is whole and made from what is there now."""
    if entry is None or not path.is_file():
        return False
    same = all(entry.get(key) == value for key, value in header.items())
    return same and hashlib.sha256(path.read_bytes()).hexdigest() == entry.get("sha256")


def _header(record: LabelRecord, cell: LabelledCell, maker: FeatureMaker) -> dict[str, Any]:
    return {
        "name": cell.name,
        "structure": record.structure,
        "label": record.key,
        "labels_sha256": labels_hash(cell.bonds),
        "method": cell.bonds.method,
        "descriptor": {
            "version": bond_features.VERSION,
            "settings": json.loads(json.dumps(asdict(maker.settings))),
            "elements": list(maker.table.elements),
            "level": np.round(maker.table.level, 12).tolist(),
            "rate": np.round(maker.table.rate, 12).tolist(),
            "blocks": [list(block) for block in maker.blocks],
        },
    }


def _bytes(cell: LabelledCell, header: dict[str, Any], maker: FeatureMaker) -> bytes:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = cell.bonds
    surroundings = maker.surroundings(table.atoms)
    pairs = bonds_as_pairs(table)
    parts = [
        surroundings.features(pairs.select(rows)).values.numpy()
        for rows in np.array_split(np.arange(len(table)), max(1, len(table) // _CHUNK))
    ]
    values = np.concatenate(parts).astype(np.float32)
    frame = pd.DataFrame(
        {
            "name": cell.name,
            "composition": cell.composition,
            "run": cell.run,
            "variant": cell.variant,
            "pair": table.pairs().astype(object),
            "i": table.i,
            "j": table.j,
            **{f"image_{axis}": table.image[:, k] for k, axis in enumerate("abc")},
            "length_A": table.length_A,
            "minus_icohp_eV": table.icohp_eV,
        }
    )
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    arrow = arrow.append_column(DESCRIPTOR, column)
    note = {_HEADER: json.dumps({"format": _FORMAT, **header}).encode()}
    buffer = io.BytesIO()
    pq.write_table(arrow.replace_schema_metadata(note), buffer, compression="zstd")
    return buffer.getvalue()
