"""What the band-gap model is told about a crystal: its composition and its bonds.

Every number is the same for a crystal's primitive cell, conventional cell and supercells, and for
any order of its atoms. Nothing is taken from a symmetry finder, which may fail.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from bondwright.structure.neighbours import Pairs, neighbour_pairs

Array = NDArray[np.float64]
ElementTable = Mapping[str, Sequence[float]]
OxidationTable = Mapping[str, Sequence[int]]

# The columns of the element table, in order.
ELEMENT_PROPERTIES = (
    "row",
    "group",
    "mendeleev_number",
    "electronegativity_pauling",
    "first_ionisation_eV",
    "electron_affinity_eV",
    "atomic_radius_A",
    "covalent_radius_A",
    "melting_point_K",
    "molar_volume_cm3",
    "s_electrons",
    "p_electrons",
    "d_electrons",
    "f_electrons",
    "highest_oxidation",
    "lowest_oxidation",
)
CUTOFF_A = 5.0
# A pair counts as bonded below about 1.25 times the sum of the covalent radii, softly, so that a
# small displacement moves the features a little and never makes them jump.
BOND_RATIO = 1.25
BOND_WIDTH = 0.05
RATIO_BINS = np.linspace(0.75, 2.0, 11)
MOST_OXIDATION_TRIES = 200_000
NONMETALS = frozenset(
    ("H He B C N O F Ne Si P S Cl Ar Ge As Se Br Kr Sb Te I Xe At Rn").split()  # noqa: SIM905
)
KINDS = ("metal-metal", "metal-nonmetal", "nonmetal-nonmetal")


def element_tables() -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Return the properties and the oxidation states of all elements up to Pu.

    The numbers are the elemental constants that pymatgen and ASE carry; one that is missing there
    is the median over the elements that have it. A trained model keeps the tables it was trained
    with, so that another version of these libraries cannot change what it says.

    Returns:
        Element -> properties in the order and units of `ELEMENT_PROPERTIES`, and element ->
        oxidation states (common ones first, without repetition).
    """
    from pymatgen.core import Element

    rows: dict[str, list[float]] = {}
    oxidation: dict[str, list[int]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for each number that is missing
        for z in range(1, 95):
            element = Element(chemical_symbols[z])
            rows[element.symbol] = _element_row(element)
            states = dict.fromkeys(
                [*element.common_oxidation_states, *element.icsd_oxidation_states]
            )
            oxidation[element.symbol] = [int(state) for state in states if state] or [0]
    table = np.array(list(rows.values()), dtype=float)
    table = np.where(np.isnan(table), np.nanmedian(table, axis=0), table)
    return (
        {
            symbol: [round(x, 4) for x in row]
            for symbol, row in zip(rows, table.tolist(), strict=True)
        },
        oxidation,
    )


def _element_row(element: Any) -> list[float]:
    """Return the properties of one element, NaN where one is missing."""
    from pymatgen.core import Element

    outer: Counter[str] = Counter()
    for _, shell, electrons in element.full_electronic_structure:
        outer[shell] += electrons
    noble = max((z for z in (2, 10, 18, 36, 54, 86) if z < element.Z), default=None)
    if noble is not None:
        for _, shell, electrons in Element.from_Z(noble).full_electronic_structure:
            outer[shell] -= electrons
    ionisation = element.ionization_energies
    affinity = element.electron_affinity
    radius = element.atomic_radius_calculated or element.atomic_radius
    common = element.common_oxidation_states
    return [
        element.row,
        element.group,
        element.mendeleev_no,
        element.X,
        ionisation[0] if ionisation and ionisation[0] is not None else np.nan,
        affinity if affinity is not None else np.nan,
        float(radius or np.nan),
        covalent_radii[element.Z],
        float(element.melting_point or np.nan),
        float(element.molar_volume or np.nan),
        *(outer[shell] for shell in "spdf"),
        max(common, default=0),
        min(common, default=0),
    ]


def feature_names(elements: Sequence[str]) -> list[str]:
    """Return the names of the features, in the order of `crystal_features`."""
    statistics = ("mean", "spread", "min", "max")
    return [
        *(f"{name}:{s}" for s in statistics for name in ELEMENT_PROPERTIES),
        *(f"fraction:{symbol}" for symbol in elements),
        "nonmetal_fraction",
        "number_of_elements",
        "odd_electrons",
        "charge_excess:common",
        "charge_excess:any",
        "volume_per_atom_A3",
        "packing_fraction",
        *(f"{name}:{s}" for s in statistics for name in SITE_QUANTITIES),
        *(f"bonded:{kind}" for kind in KINDS),
        *(
            f"pairs:{kind}:{low:.3f}-{high:.3f}"
            for kind in KINDS
            for low, high in pairwise(RATIO_BINS)
        ),
    ]


SITE_QUANTITIES = (
    "coordination",
    "nearest_ratio",
    "nearest_A",
    "bond_length_A",
    "bond_electronegativity_difference",
    "like_neighbours",
)


def crystal_features(atoms: Atoms, table: ElementTable, oxidation: OxidationTable) -> Array:
    """Describe a crystal.

    Args:
        atoms: periodic crystal, positions in Å.
        table: element -> properties, as from `element_tables`.
        oxidation: element -> oxidation states.

    Returns:
        The features (n,), named by `feature_names(list(table))`.

    Raises:
        KeyError: an element is not in the table.
        InputError: the cell is degenerate.
    """
    symbols = atoms.get_chemical_symbols()
    properties = np.array([table[symbol] for symbol in symbols], dtype=float)
    counts = Counter(symbols)
    radii = covalent_radii[atoms.numbers]
    volume = atoms.get_volume()
    return np.concatenate(
        [
            _statistics(properties),
            [counts.get(symbol, 0) / len(atoms) for symbol in table],
            _chemistry(counts, oxidation),
            [volume / len(atoms), 4 / 3 * np.pi * float((radii**3).sum()) / volume],
            _bonds(atoms, properties[:, ELEMENT_PROPERTIES.index("electronegativity_pauling")]),
        ]
    )


def _statistics(values: Array) -> Array:
    """Return mean, standard deviation, minimum and maximum over the rows of (n, k)."""
    return np.concatenate([values.mean(0), values.std(0), values.min(0), values.max(0)])


def _chemistry(counts: Counter[str], oxidation: OxidationTable) -> list[float]:
    """Return what the formula says: nonmetals, electron count, and how far charges balance."""
    total = sum(counts.values())
    unit = np.gcd.reduce(list(counts.values()))
    formula = {symbol: n // unit for symbol, n in counts.items()}
    electrons = sum(chemical_symbols.index(symbol) * n for symbol, n in formula.items())
    common = {symbol: list(oxidation[symbol])[:2] for symbol in formula}
    return [
        sum(n for symbol, n in counts.items() if symbol in NONMETALS) / total,
        len(counts),
        electrons % 2,
        _charge_excess(formula, common),
        _charge_excess(formula, oxidation),
    ]


def _charge_excess(formula: Mapping[str, int], states: OxidationTable) -> float:
    """Return the smallest |sum of charges| per atom over all choices of one state per element."""
    choices = [states[symbol] for symbol in formula]
    if len(formula) == 1:
        return 0.0
    while np.prod([len(c) for c in choices]) > MOST_OXIDATION_TRIES:
        longest = max(range(len(choices)), key=lambda k: len(choices[k]))
        choices[longest] = choices[longest][:-1]
    charges = np.array(list(product(*choices))) @ np.array(list(formula.values()))
    return float(np.abs(charges).min()) / sum(formula.values())


def _bonds(atoms: Atoms, electronegativity: Array) -> Array:
    """Return statistics of the first neighbour shells and a coarse pair distribution."""
    n = len(atoms)
    pairs = neighbour_pairs(atoms, CUTOFF_A, full=True)
    radii = covalent_radii[atoms.numbers]
    ratio = pairs.distance / (radii[pairs.i] + radii[pairs.j])
    bonded = 1.0 / (1.0 + np.exp((ratio - BOND_RATIO) / BOND_WIDTH))
    kind = _kinds(atoms, pairs)
    coordination = np.bincount(pairs.i, bonded, n)

    def mean_over_bonds(values: Array) -> Array:
        return np.bincount(pairs.i, bonded * values, n) / np.maximum(coordination, 1e-3)

    def smallest(values: Array, beyond: float) -> Array:
        least = np.full(n, beyond)
        np.minimum.at(least, pairs.i, values)
        return least

    sites = np.stack(
        [
            coordination,
            smallest(ratio, RATIO_BINS[-1]),
            smallest(pairs.distance, CUTOFF_A),
            mean_over_bonds(pairs.distance),
            mean_over_bonds(np.abs(electronegativity[pairs.i] - electronegativity[pairs.j])),
            mean_over_bonds((atoms.numbers[pairs.i] == atoms.numbers[pairs.j]).astype(float)),
        ],
        axis=1,
    )
    histograms = [np.histogram(ratio[kind == k], RATIO_BINS)[0] / n for k in range(len(KINDS))]
    return np.concatenate(
        [_statistics(sites), np.bincount(kind, bonded, len(KINDS)) / n, *histograms]
    )


def _kinds(atoms: Atoms, pairs: Pairs) -> NDArray[np.int64]:
    """Return for each pair how many of its two atoms are nonmetals."""
    symbols = atoms.get_chemical_symbols()
    nonmetal = np.array([symbol in NONMETALS for symbol in symbols], dtype=np.int64)
    kinds: NDArray[np.int64] = nonmetal[pairs.i] + nonmetal[pairs.j]
    return kinds
