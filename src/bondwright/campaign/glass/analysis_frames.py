"""Reading back what `predict` wrote: summaries, atoms, and bonds part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bondwright.campaign.glass.predict import SUMMARY, read_json
from bondwright.campaign.glass.predict_output import ATOMS, BONDS, HEADER
from bondwright.errors import InputError


@dataclass(frozen=True)
class PredictedAtoms:
    """Atoms of a frame and what their bonds sum up to.

    Attributes:
        id: (n,) LAMMPS ids.
        element: (n,) symbols.
        positions: (n, 3) Å.
        cell: (3, 3) lattice vectors as rows, Å.
        pbc: (3,) in which directions it repeats.
        strength_eV: (n,) sum of -ICOHP over the bonds of each atom, eV.
        sigma_eV: (n,) mean sigma of them, eV.
        bonds: (n,) how many bonds with a prediction each atom has.
    """

    id: NDArray[np.int64]
    element: NDArray[np.str_]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    strength_eV: NDArray[np.float64]  # noqa: N815
    sigma_eV: NDArray[np.float64]  # noqa: N815
    bonds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.id)

    @property
    def mean_eV(self) -> NDArray[np.float64]:  # noqa: N802
        """(n,) mean -ICOHP of each atom's bonds, eV; 0 where it has none."""
        return np.divide(
            self.strength_eV, self.bonds, out=np.zeros(len(self)), where=self.bonds > 0
        )


@dataclass(frozen=True)
class PredictedBonds:
    """Some bonds of a frame, all with a prediction.

    Attributes:
        i: (n,) first atoms.
        j: (n,) second atoms.
        image: (n, 3) translations of the second atoms.
        pair: (n,) index of the pair of elements in `PredictedFrame.pairs`.
        length_A: (n,) Å.
        strength_eV: (n,) -ICOHP, eV.
        sigma_eV: (n,) eV.
        flag: (n,) bits of `learn.model_types`.
    """

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    image: NDArray[np.int64]
    pair: NDArray[np.int64]
    length_A: NDArray[np.float64]  # noqa: N815
    strength_eV: NDArray[np.float64]  # noqa: N815
    sigma_eV: NDArray[np.float64]  # noqa: N815
    flag: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.i)


@dataclass(frozen=True)
class PredictedFrame:
    """One predicted frame.

    Attributes:
        folder: where its files are.
        summary: see `predict_summary`.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def pairs(self) -> list[str]:
        """Pairs of elements that have bonds with a prediction, most frequent first."""
        return [str(p["pair"]) for p in self.summary["pairs"] if p["known_bonds"]]

    def pair_record(self, pair: str) -> dict[str, Any]:
        """Return what the summary tells of a pair."""
        return next(dict(p) for p in self.summary["pairs"] if p["pair"] == pair)

    def atoms(self) -> PredictedAtoms:
        """Read the atoms.

        Raises:
            InputError: the file is missing or damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / ATOMS
        try:
            table = pq.read_table(path)
            note = json.loads(table.schema.metadata[HEADER])
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise InputError(f"{path} cannot be read ({error}); predict again.") from None
        column = {name: table[name].to_numpy() for name in table.column_names}
        return PredictedAtoms(
            id=column["id"],
            element=np.asarray(column["element"], dtype=np.str_),
            positions=np.column_stack([column[f"{axis}_A"] for axis in "xyz"]),
            cell=np.array(note["cell"], dtype=float),
            pbc=np.array(note["pbc"], dtype=bool),
            strength_eV=column["minus_icohp_sum_eV"],
            sigma_eV=column["sigma_mean_eV"],
            bonds=column["bonds"].astype(np.int64),
        )

    def bonds(self) -> Iterator[PredictedBonds]:
        """Yield the bonds with a prediction, in the order of the file, part by part.

        Raises:
            InputError: the file is missing or damaged.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        path = self.folder / BONDS
        names = pa.array(self.pairs, pa.string())
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    table = table.filter(pc.is_valid(table["minus_icohp_eV"]))
                    pair = pc.index_in(pc.cast(table["pair"], pa.string()), value_set=names)
                    column = {name: table[name].to_numpy() for name in table.column_names[1:6]}
                    yield PredictedBonds(
                        column["i"].astype(np.int64),
                        column["j"].astype(np.int64),
                        np.column_stack([column[f"image_{a}"] for a in "abc"]).astype(np.int64),
                        pair.to_numpy().astype(np.int64),
                        table["length_A"].to_numpy().astype(float),
                        table["minus_icohp_eV"].to_numpy().astype(float),
                        table["sigma_eV"].to_numpy().astype(float),
                        table["flag"].to_numpy(),
                    )
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise InputError(f"{path} cannot be read ({error}); predict again.") from None


def predicted_frames(folder: Path) -> list[PredictedFrame]:
    """Return the complete frames of a prediction, in order.

    Raises:
        InputError: the folder holds none.
    """
    found = sorted((folder / "frames").glob("[0-9]*"))
    frames = [
        PredictedFrame(path, read_json(path / SUMMARY))
        for path in found
        if (path / SUMMARY).is_file()
    ]
    if not frames:
        raise InputError(f"{folder} holds no prediction; bondwright glass predict makes one.")
    return frames
