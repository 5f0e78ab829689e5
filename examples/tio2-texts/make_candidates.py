"""Write this example's candidates and the controls; the same files for the same seed.

    python examples/tio2-texts/make_candidates.py [folder]

Below the folder (of all examples), `tio2/controls/` holds the three minerals as the literature
gives them, and `tio2-texts/candidates.csv` what a generator asked for TiO2 might write: distorted
and copied minerals, frameworks known from other compounds, random symmetric arrangements, and texts
with a fault. Each row was "asked" for a band gap of 1.5 or 4.5 eV, dealt out by lot in pairs of
neighbours, so that both arms hold the same kinds: this generator ignores the wish, and the report
should say that asking had no effect.
"""

from __future__ import annotations

import csv
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import spglib
from cif import Array, Cell, cell_vectors, cif_text, expand, operations, orbit
from frameworks import FRAMEWORKS, MINERALS, Crystal, Site

SEED = 20260417
ASKED_GAPS_EV = (1.5, 4.5)
DISTORTIONS_A = (0.03, 0.10, 0.25)  # standard deviation of the displacement, per axis
RANDOM_CRYSTALS = 14
MOST_UNITS = 6  # 18 atoms: relaxed in seconds
HIGHEST_GROUP = 194  # cubic groups leave a random choice little room
SHORTEST_A = {("Ti", "Ti"): 2.6, ("O", "Ti"): 1.75, ("O", "O"): 2.2}
VOLUME_PER_UNIT_A3 = (29.0, 38.0)  # rutile has 31.2, anatase 34.1

Row = tuple[str, str, str]  # name, what it is, CIF text


def write_crystal(crystal: Crystal) -> str:
    """Return a crystal's CIF text, with its symmetry."""
    return cif_text(crystal.cell, crystal.sites, crystal.hall, source=crystal.source)


def distorted(rng: np.random.Generator) -> Iterator[Row]:
    """Yield the minerals with every atom and the cell displaced at random, in P 1."""
    for mineral in MINERALS:
        symbols, positions = expand(mineral.sites, mineral.hall)
        for size in DISTORTIONS_A:
            shifts = rng.normal(0.0, size, positions.shape)
            moved = positions + shifts @ np.linalg.inv(cell_vectors(mineral.cell))
            a, b, c = (
                x * (1 + rng.normal(0.0, size / 10.0)) for x in mineral.cell[:3]
            )  # 1 % of strain per 0.1 Å
            angles = [90 + rng.normal(0.0, 10 * size) for _ in range(3)]
            text = cif_text((a, b, c, *angles), _sites(symbols, moved))
            yield f"{mineral.name}-moved-{size:.2f}", "distorted mineral", text


def copies() -> Iterator[Row]:
    """Yield minerals written in another way: the same crystals, so known and duplicates."""
    rutile, anatase, brookite = MINERALS
    symbols, positions = expand(rutile.sites, rutile.hall)
    a, b, c = rutile.cell[:3]
    yield (
        "rutile-shifted",
        "copy of rutile",
        cif_text(rutile.cell, _sites(symbols, positions + np.array([0.21, 0.43, 0.17]))),
    )
    double = np.concatenate([positions / [1, 1, 2], positions / [1, 1, 2] + [0, 0, 0.5]])
    order = np.random.default_rng(SEED).permutation(len(double))
    yield (
        "rutile-1x1x2-permuted",
        "copy of rutile",
        cif_text(
            (a, b, 2 * c, 90, 90, 90), _sites([(symbols * 2)[i] for i in order], double[order])
        ),
    )
    corners = [np.array([i, j, 0]) for i in range(2) for j in range(2)]
    fourfold = np.concatenate([(positions + corner) / [2, 2, 1] for corner in corners])
    yield (
        "rutile-2x2x1",
        "copy of rutile",
        cif_text((2 * a, 2 * b, c, 90, 90, 90), _sites(symbols * 4, fourfold)),
    )
    strained = (a * 1.01, b * 1.01, c * 0.99, 90.0, 90.0, 90.0)
    yield (
        "rutile-strained",
        "copy of rutile",
        cif_text(strained, rutile.sites, rutile.hall),
    )
    symbols, positions = expand(anatase.sites, anatase.hall)
    vectors = cell_vectors(anatase.cell)
    primitive = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
    inside = np.unique(np.round((positions @ np.linalg.inv(primitive)) % 1.0, 5), axis=0)
    half = [symbols[i] for i in _first_of_each(positions @ np.linalg.inv(primitive), inside)]
    yield (
        "anatase-primitive",
        "copy of anatase",
        cif_text(_parameters(primitive @ vectors), _sites(half, inside)),
    )
    yield (
        "brookite-again",
        "copy of brookite",
        cif_text(brookite.cell, brookite.sites, brookite.hall),
    )


def frameworks() -> Iterator[Row]:
    """Yield TiO2 in other frameworks."""
    for crystal in FRAMEWORKS:
        yield crystal.name, "framework of another compound", write_crystal(crystal)


def random_crystals(rng: np.random.Generator) -> Iterator[Row]:
    """Yield random arrangements in random space groups, without close contacts."""
    settings: dict[int, int] = {}  # space-group number -> Hall number of its standard setting
    for hall in range(1, 531):
        settings.setdefault(spglib.get_spacegroup_type(hall).number, hall)
    found = 0
    while found < RANDOM_CRYSTALS:
        hall = settings[int(rng.integers(2, HIGHEST_GROUP + 1))]
        units = int(rng.integers(2, MOST_UNITS + 1))
        sites = _random_sites(rng, hall, units)
        if sites is None:
            continue
        cell = _random_cell(rng, hall, units)
        if _shortest_ratio(cell, sites, hall) >= 1.0 and _has_group(cell, sites, hall):
            found += 1
            yield f"random-{found:02d}", "random symmetric arrangement", cif_text(cell, sites, hall)


def faulty() -> Iterator[Row]:
    """Yield texts with one fault each (the name says which), and two that are odd but right."""
    rutile, anatase, brookite = MINERALS
    good = write_crystal(rutile)
    columbite = next(c for c in FRAMEWORKS if c.name == "columbite")
    fluorite = next(c for c in FRAMEWORKS if c.name == "fluorite")
    baddeleyite = next(c for c in FRAMEWORKS if c.name == "baddeleyite")
    symbols, positions = expand(rutile.sites, rutile.hall)

    def variant(crystal: Crystal, **change: object) -> str:
        return write_crystal(replace(crystal, **change))

    def contact(index: int, place: tuple[float, float, float]) -> str:
        moved = positions.copy()
        moved[index] = place
        return cif_text(rutile.cell, _sites(symbols, moved))

    off_site = (("Ti", 0, 0, 0), ("O", 0.3051, 0.1951, 0))
    split = (("Ti", 0, 0, 0.01), ("O", 0, 0, 0.2081))
    texts = {
        "wrong-multiplicity-o": good.replace("O1  4", "O1  8"),
        "wrong-multiplicity-ti": write_crystal(columbite).replace("Ti0  4", "Ti0  2"),
        "wrong-composition-o": cif_text(
            rutile.cell, off_site, rutile.hall, declared=Counter(Ti=2, O=4)
        ),
        "wrong-composition-ti": cif_text(
            anatase.cell, split, anatase.hall, declared=Counter(Ti=4, O=8)
        ),
        "wrong-composition-formula": cif_text(
            brookite.cell, brookite.sites, brookite.hall, declared=Counter(Ti=8, O=14)
        ),
        "overlap-oxygens": contact(3, (0.36, 0.36, 0.1)),
        "overlap-metal-oxygen": contact(5, (0.0, 0.0, 0.0)),
        "overlap-by-symmetry": variant(rutile, sites=(("Ti", 0, 0, 0), ("O", 0.45, 0.45, 0))),
        "unknown-element": good.replace("Ti", "Xx"),
        "truncated-in-loop": good[: good.rindex("O1")],
        "truncated-in-number": good[: good.index("_cell_length_c") + 19],
        "nan-cell": good.replace("_cell_length_a   4.5930", "_cell_length_a   nan"),
        "negative-cell": good.replace("_cell_length_c   2.9590", "_cell_length_c   -2.9590"),
        "impossible-angles": good.replace("_cell_angle_gamma   90.0000", "_cell_angle_gamma   190"),
        "no-text": "",
        "half-occupied": cif_text(rutile.cell, rutile.sites, rutile.hall, occupancy=0.5),
        "contradicting-space-group": cif_text(
            baddeleyite.cell, baddeleyite.sites, baddeleyite.hall, symbol="I4_1/amd", number=141
        ),
        "cubic-with-unequal-axes": variant(fluorite, cell=(4.87, 5.60, 4.40, 90, 90, 90)),
        "far-too-loose": variant(rutile, cell=(23.0, 23.0, 14.8, 90, 90, 90)),
        "far-too-dense": variant(rutile, cell=(3.4, 3.4, 2.2, 90, 90, 90)),
        "odd-two-blocks": good + write_crystal(anatase),
        "odd-spelling-and-uncertainty": _without_operations(good)
        .replace("P4_2/mnm", "P 42/m n m")
        .replace("4.5930", "4.593(2)"),
    }
    for name, text in texts.items():
        yield name, "odd but right" if name.startswith("odd") else "faulty text", text


def _sites(symbols: list[str], positions: Array) -> list[Site]:
    """Return atoms as sites of the asymmetric unit of P 1."""
    return [
        (s, float(x), float(y), float(z)) for s, (x, y, z) in zip(symbols, positions, strict=True)
    ]


def _first_of_each(positions: Array, wanted: Array) -> list[int]:
    """Return for each wanted fractional position the index of the first atom that lies there."""
    gaps = positions[None, :, :] - wanted[:, None, :]
    return [int(i) for i in (np.abs(gaps - np.round(gaps)).max(axis=2) < 1e-3).argmax(axis=1)]


def _parameters(vectors: Array) -> Cell:
    """Return lengths (Å) and angles (degrees) of cell vectors given as rows."""
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / lengths[:, None]
    angles = [float(np.degrees(np.arccos(unit[i] @ unit[j]))) for i, j in ((1, 2), (0, 2), (0, 1))]
    return (*(float(x) for x in lengths), *angles)  # type: ignore[return-value]


def _random_position(rng: np.random.Generator, hall: int) -> Array:
    """Return a random position, often on a symmetry element: a point averaged with an image."""
    position = rng.random(3)
    rotations, translations = operations(hall)
    for _ in range(int(rng.integers(0, 4))):
        pick = int(rng.integers(len(rotations)))
        # Averaging over the cyclic group of one operation puts the point on its axis, plane or
        # centre, where it has one.
        image, path = position, [position]
        for _ in range(5):
            image = rotations[pick] @ image + translations[pick]
            if np.abs(image - position).max() < 1e-6:
                break
            path.append(image)
        position = np.mean(path, axis=0)
    return np.round(position % 1.0, 4)


def _random_sites(rng: np.random.Generator, hall: int, units: int) -> list[Site] | None:
    """Return sites that fill the cell with exactly `units` of TiO2, or None after some tries."""
    sites: list[Site] = []
    for symbol, wanted in (("Ti", units), ("O", 2 * units)):
        have = 0
        for _ in range(30):
            position = _random_position(rng, hall)
            copies_ = len(orbit(position, hall))
            if have + copies_ <= wanted:
                have += copies_
                sites.append((symbol, *(float(x) for x in position)))  # type: ignore[arg-type]
            if have == wanted:
                break
        if have != wanted:
            return None
    return sites


def _random_cell(rng: np.random.Generator, hall: int, units: int) -> Cell:
    """Return a cell of the shape that the space group asks for, of a sensible volume."""
    number = spglib.get_spacegroup_type(hall).number
    a, b, c = np.exp(rng.normal(0.0, 0.25, 3))
    angles = [90.0, 90.0, 90.0]
    if number >= 143:
        b, angles[2] = a, 120.0
    elif number >= 75:
        b = a
    elif 3 <= number <= 15:
        angles[1] = float(rng.uniform(90, 120))
    elif number < 3:
        angles = [float(x) for x in rng.uniform(75, 105, 3)]
    shape = (float(a), float(b), float(c), *angles)
    volume = units * rng.uniform(*VOLUME_PER_UNIT_A3)
    scale = (volume / np.linalg.det(cell_vectors(shape))) ** (1 / 3)  # type: ignore[arg-type]
    return (*(round(float(x * scale), 4) for x in shape[:3]), *angles)  # type: ignore[return-value]


def _shortest_ratio(cell: Cell, sites: list[Site], hall: int) -> float:
    """Return the smallest distance over the shortest allowed for its kind of pair."""
    symbols, positions = expand(sites, hall)
    vectors = cell_vectors(cell)
    steps = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)])
    gaps = (positions[:, None] - positions[None])[:, :, None] + steps
    distances = np.linalg.norm(gaps @ vectors, axis=3)
    atom = np.arange(len(symbols))
    distances[atom, atom, len(steps) // 2] = np.inf  # an atom and itself
    shortest = distances.min(axis=2)
    limits = [[SHORTEST_A[tuple(sorted((a, b)))] for b in symbols] for a in symbols]
    return float((shortest / np.array(limits)).min())


def _has_group(cell: Cell, sites: list[Site], hall: int) -> bool:
    """Return whether the crystal has the space group of `hall` and no higher one."""
    symbols, positions = expand(sites, hall)
    found = spglib.get_symmetry_dataset(
        (cell_vectors(cell), positions, [symbol == "Ti" for symbol in symbols]), symprec=0.1
    )
    return found is not None and found.number == spglib.get_spacegroup_type(hall).number


def _without_operations(text: str) -> str:
    """Return the text with only the identity listed, as a language model writes it."""
    return "\n".join(
        line
        for line in text.splitlines()
        if not (line.lstrip()[:1].isdigit() and not line.startswith("  1  "))
    )


def main(folder: Path) -> None:
    """Write controls and candidates below `folder`."""
    controls, candidates = folder / "tio2" / "controls", folder / "tio2-texts" / "candidates.csv"
    controls.mkdir(parents=True, exist_ok=True)
    candidates.parent.mkdir(exist_ok=True)
    for mineral in MINERALS:
        path = controls / f"{mineral.name}.cif"
        path.write_text(write_crystal(mineral), encoding="utf-8")
    rng = np.random.default_rng(SEED)
    rows = [*distorted(rng), *copies(), *frameworks(), *random_crystals(rng), *faulty()]
    lot = random.Random(SEED)
    asked = [gap for _ in rows[::2] for gap in lot.sample(ASKED_GAPS_EV, 2)][: len(rows)]
    with candidates.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "kind", "asked_band_gap", "cif"])
        writer.writerows(
            (name, kind, gap, text) for (name, kind, text), gap in zip(rows, asked, strict=True)
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
