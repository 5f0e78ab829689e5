"""The atoms and bonds of a predicted glass for the page's 3D view, as base64 of 32-bit numbers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from bondwright.campaign.glass.analysis_frames import PredictedAtoms, PredictedFrame
from bondwright.campaign.glass.analysis_groups import NAMES
from bondwright.campaign.report.structures import element_table

MOST_ATOMS = 60_000
"""Atoms of the view; of a larger glass, the part nearest to the corner of the cell is shown."""
_EXTREME = 0.01
_MOST_BONDS = 4000
_RADIUS = 0.8  # of the covalent radius: neighbours nearly touch
_QUANTILES = (0.02, 0.98)


def glass_scene(frame: PredictedFrame, title: str, analysis: Path | None = None) -> dict[str, Any]:
    """Return the data of a 3D view.

    Args:
        frame: the frame.
        title: what it is called.
        analysis: folder of groups.csv, for colours by group; None without an analysis.
    """
    atoms = frame.atoms()
    cell = atoms.cell if atoms.pbc.any() else np.diag(np.ptp(atoms.positions, axis=0))
    places, shown, corner = _placed(atoms, cell)
    elements = np.unique(atoms.element).tolist()
    kinds = np.searchsorted(elements, atoms.element)[shown]
    values = {
        "strength": _value(
            "mean −ICOHP of an atom's bonds", atoms.mean_eV[shown], "eV", "sequential"
        ),
        "excess": _value(
            "stronger or weaker than its element", _excess(atoms)[shown], "eV", "diverging"
        ),
        "sigma": _value("mean sigma of its bonds", atoms.sigma_eV[shown], "eV", "sequential"),
        "element": _kinds("element", kinds, elements),
    }
    group = _groups(analysis, len(atoms))
    if group is not None:
        names = {0: "neither", **NAMES}
        present = np.unique(group[shown]).tolist()
        colours = {0: "#9aa0a4", 1: "#2f7fc1", 2: "#d55e00"}
        values["group"] = {
            **_kinds("weak and strong atoms", np.searchsorted(present, group[shown]), []),
            "names": [names[k] for k in present],
            "colours": [colours[k] for k in present],
            "high": float(len(present)),
        }
    return {
        "title": title,
        "cell": cell.ravel().tolist(),
        "origin": corner.tolist(),
        "shown": int(shown.sum()),
        "elements": [
            {
                "name": element,
                "radius": round(_RADIUS * float(covalent_radii[atomic_numbers[element]]), 3),
            }
            for element in elements
        ],
        "positions": _packed(places[shown]),
        "kinds": base64.b64encode(kinds.astype("u1").tobytes()).decode(),
        "ids": atoms.id[shown].tolist(),
        "values": values,
        "bonds": _bonds(frame, places, atoms, shown),
    }


def _placed(
    atoms: PredictedAtoms, cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return atoms wrapped into the cell (Å), which of them are shown, and the cell's corner."""
    if not atoms.pbc.any():
        return atoms.positions, np.arange(len(atoms)) < MOST_ATOMS, atoms.positions.min(axis=0)
    whole = np.where(np.linalg.norm(cell, axis=1)[:, None] > 0, cell, np.eye(3))
    fractional = np.linalg.solve(whole.T, atoms.positions.T).T
    fractional -= np.where(atoms.pbc, np.floor(fractional), 0.0)
    places = np.asarray(fractional @ whole, dtype=float)
    shown = np.ones(len(atoms), dtype=bool)
    if len(atoms) > MOST_ATOMS:
        far = fractional.max(axis=1)
        shown = far <= np.partition(far, MOST_ATOMS - 1)[MOST_ATOMS - 1]
    return places, shown, np.zeros(3)


def _excess(atoms: PredictedAtoms) -> NDArray[np.float64]:
    """Return (n,) each atom's mean -ICOHP less the mean of its element, eV."""
    excess = np.zeros(len(atoms))
    for element in np.unique(atoms.element).tolist():
        mine = (atoms.element == element) & (atoms.bonds > 0)
        if mine.any():
            excess[mine] = atoms.mean_eV[mine] - atoms.mean_eV[mine].mean()
    return excess


def _bonds(
    frame: PredictedFrame,
    places: NDArray[np.float64],
    atoms: PredictedAtoms,
    shown: NDArray[np.bool_],
) -> dict[str, Any]:
    """Return the strongest and weakest hundredth of each pair's bonds, as straight lines."""
    columns = ("i", "j", "pair", "strength_eV", "image")
    parts = [
        [getattr(part, name)[shown[part.i] & shown[part.j]] for name in columns]
        for part in frame.bonds()
    ]
    if not parts:
        return {}
    i, j, pair, strength, image = (np.concatenate(column) for column in zip(*parts, strict=True))
    found = {}
    for name, weakest in (
        ("strongest 1 % of each pair", False),
        ("weakest 1 % of each pair", True),
    ):
        chosen = []
        for kind in range(len(frame.pairs)):
            mine = np.flatnonzero(pair == kind)
            if len(mine):
                count = max(1, round(_EXTREME * len(mine)))
                order = np.argsort(strength[mine] if weakest else -strength[mine], kind="stable")
                chosen.append(mine[order[:count]])
        if not chosen:
            continue
        rows = np.concatenate(chosen)
        rows = rows[np.argsort(strength[rows] if weakest else -strength[rows], kind="stable")]
        rows = rows[:_MOST_BONDS]
        vector = atoms.positions[j[rows]] + image[rows] @ atoms.cell - atoms.positions[i[rows]]
        start = places[i[rows]]
        low, high = np.quantile(strength, _QUANTILES) if len(strength) else (0.0, 1.0)
        found[name] = {
            "ends": _packed(np.concatenate([start, start + vector], axis=1)),
            "values": _packed((strength[rows] - low) / max(high - low, 1e-9)),
        }
    return found


def _value(title: str, data: NDArray[np.float64], unit: str, scale: str) -> dict[str, Any]:
    low, high = (float(x) for x in np.quantile(data, _QUANTILES)) if len(data) else (0.0, 1.0)
    if scale == "diverging":
        high = max(abs(low), abs(high))
        low = -high
    return {
        "title": title,
        "unit": unit,
        "digits": 3,
        "scale": scale,
        "low": low,
        "high": high if high > low else low + 1e-6,
        "data": _packed(data),
    }


def _kinds(title: str, kinds: NDArray[np.int64], elements: list[str]) -> dict[str, Any]:
    """Return a value that names kinds; the middle of a kind's share of the scale is its place."""
    table = element_table(set(elements))
    return {
        "title": title,
        "unit": "",
        "digits": 0,
        "scale": "kinds",
        "names": elements,
        "colours": [table[e]["color"] for e in elements],
        "low": 0.0,
        "high": float(max(len(elements), 1)),
        "data": _packed(kinds + 0.5),
    }


def _groups(analysis: Path | None, atoms: int) -> NDArray[np.int64] | None:
    """Return (atoms,) groups as `analysis_groups` wrote them."""
    import pandas as pd

    path = analysis / "groups.csv" if analysis else None
    if path is None or not path.is_file():
        return None
    words = pd.read_csv(path, usecols=["group"], keep_default_na=False)["group"]
    number = {name: k for k, name in NAMES.items()}
    return np.array([number.get(word, 0) for word in words]) if len(words) == atoms else None


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
