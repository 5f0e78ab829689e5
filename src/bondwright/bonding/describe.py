"""A bond table in plain words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bondwright.bonding.acceptance import MAX_CHARGE_SPILLING
from bondwright.bonding.analysis import Coordination, coordination
from bondwright.bonding.network import Network, bond_network
from bondwright.bonding.pairs import split_pair
from bondwright.bonding.table import BondTable

_EXTENT = ("molecules", "chains", "layers", "a framework")
_ANTIBONDING_EV = -0.01
_MOST_PAIRS = 6


def describe(table: BondTable) -> str:
    """Return a short paragraph on what bonds to what, how strongly, and how far it extends.

    Strong bonds are those with a tenth of the strongest bond's -ICOHP and 0.1 eV at least.
    Numbers are -ICOHP in eV (positive is bonding) and lengths in Å.
    """
    from bondwright.structure.identity import reduced_formula

    name = reduced_formula(table.atoms)
    if not len(table):
        return f"{name}: no bonds are listed."
    found = coordination(table)
    if not found.strong.any():
        best = int(table.icohp_eV.argmax())
        return (
            f"{name} has no bond of {found.limit_eV:.2f} eV or more: the strongest of "
            f"{len(table)} listed is {table.pairs()[best]} at {table.length_A[best]:.2f} Å "
            f"with {_eV(table.icohp_eV[best])} eV. {_quality(table)}"
        )
    strong = table.select(found.strong)
    rows = sorted(
        strong.pair_types().items(), key=lambda item: -float(strong.icohp_eV[item[1]].mean())
    )
    sentences = [
        f"The cell of {name} ({_bonds(len(table.atoms), 'atom')}) is held by "
        f"{_listed([_pair(strong, p, r) for p, r in rows[:_MOST_PAIRS]])}."
    ]
    if len(rows) > _MOST_PAIRS:
        sentences.append(f"{len(rows) - _MOST_PAIRS} weaker pairs of elements bond as well.")
    sentences.append(_neighbours(table, found))
    sentences.append(_extent(bond_network(table, found.strong)))
    if weak := len(table) - len(strong):
        sentences.append(
            f"{_bonds(weak, 'further listed contact')} {'is' if weak == 1 else 'are'} weaker than "
            f"{found.limit_eV:.2f} eV."
        )
    sentences.append(_antibonding(table))
    sentences.append(_quality(table))
    return " ".join(sentence for sentence in sentences if sentence)


def _pair(table: BondTable, pair: str, rows: NDArray[np.int64]) -> str:
    """Say how many bonds a pair has, how long and how strong they are."""
    length, strength = table.length_A[rows], table.icohp_eV[rows]
    many = f"{_bonds(len(rows), f'{pair} bond')} of {_span(length, 2)} Å"
    if len(rows) == 1:
        return f"{many} with -ICOHP {_eV(strength[0])} eV"
    if np.ptp(strength) < 0.005:
        return f"{many} with -ICOHP {_eV(strength.mean())} eV each"
    return f"{many} with mean -ICOHP {_eV(strength.mean())} eV (from {_span(strength, 2, ' to ')})"


def _neighbours(table: BondTable, found: Coordination) -> str:
    """Say how many strong bonds the atoms of each element have, and to what."""
    symbols = np.array(table.atoms.get_chemical_symbols())
    strong = table.select(found.strong)
    said: list[str] = []
    for element in dict.fromkeys(symbols.tolist()):
        mine = symbols == element
        counts = found.number[mine]
        partners = {
            other
            for pair in strong.pair_types()
            for a, b in (split_pair(pair), split_pair(pair)[::-1])
            for other in ([b] if a == element else [])
        }
        if not counts.any():
            said.append(f"{element} has none")
            continue
        many = f"{counts.min()}"
        if np.ptp(counts):
            many = f"{many}-{counts.max()}, {counts.mean():.1f} on average"
        said.append(f"{element} has {many} (to {_listed(sorted(partners))})")
    return f"Strong bonds per atom: {'; '.join(said)}."


def _extent(network: Network) -> str:
    """Say what the strong bonds make of the structure."""
    joined = network.size > 1
    infinite = network.dimension > 0
    if not (joined | infinite).any():
        return ""
    kinds = sorted({int(d) for d in network.dimension[joined | infinite]}, reverse=True)
    words = _listed([_EXTENT[d] for d in kinds])
    alone = int((~joined & ~infinite).sum())
    left = f", with {alone} atoms in the cell left alone" if alone > 1 else ""
    left = ", with one atom in the cell left alone" if alone == 1 else left
    return f"They make {words}{left}."


def _antibonding(table: BondTable) -> str:
    """Name the antibonding contacts, if there are any worth it."""
    anti = table.select(table.icohp_eV < _ANTIBONDING_EV)
    if not len(anti):
        return ""
    worst = int(anti.icohp_eV.argmin())
    verb = "is" if len(anti) == 1 else "are"
    return (
        f"{_bonds(len(anti), 'contact')} {verb} antibonding, most of all {anti.pairs()[worst]} at "
        f"{anti.length_A[worst]:.2f} Å with {_eV(anti.icohp_eV[worst])} eV."
    )


def _quality(table: BondTable) -> str:
    """Say where the numbers come from and what the projection lost."""
    lost = table.charge_spilling
    if lost is None:
        return f"Method: {table.method}; the charge spilling is not known."
    warned = f", more than {MAX_CHARGE_SPILLING:.0%}: do not trust the values"
    return (
        f"Method: {table.method}; charge spilling {lost:.1%}"
        f"{warned if lost > MAX_CHARGE_SPILLING else ''}."
    )


def _bonds(count: int, what: str = "bond") -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _eV(value: float) -> str:  # noqa: N802
    return f"{round(float(value), 2) + 0.0:.2f}"


def _span(values: NDArray[np.float64], decimals: int, to: str = "-") -> str:
    low, high = (
        f"{round(float(v), decimals) + 0.0:.{decimals}f}" for v in (values.min(), values.max())
    )
    return low if low == high else f"{low}{to}{high}"


def _listed(items: list[str]) -> str:
    if len(items) < 3:
        return " and ".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
