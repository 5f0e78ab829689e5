"""Is this cell a glass, and one like the others? Verdicts on density, energy, structure, order."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ase import Atoms

from bondwright.glasses.cell import GlassCell
from bondwright.glasses.contacts import CONTACT_FACTOR, VERSION, check_close_pairs
from bondwright.glasses.crystalline_order import crystalline_order
from bondwright.glasses.errors import GlassError
from bondwright.glasses.lammps_session import density_g_cm3
from bondwright.glasses.rdf import partial_rdf, rdf_distance
from bondwright.glasses.reference import ReferenceGlass, find_reference
from bondwright.glasses.start import vegard_volume_A3
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.identity import composition as count_elements


@dataclass(frozen=True)
class CheckSettings:
    """Limits of the checks.

    Attributes:
        density_window: largest relative difference in density from the reference glass.
        vegard_window: the same from the density of the elements, where there is no reference.
        energy_above_eV_per_atom: largest energy of the inherent structure above the reference
            (a faster quench ends higher: 1e14 K/s costs about 0.02 eV/atom).
        energy_below_eV_per_atom: the same below it; a crystal lies lower.
        rdf_distance: largest share of neighbours up to 6 Å that stand elsewhere than in the
            reference. Ten independent glasses of 100 atoms have 0.08 to 0.12, crystals at 300 K
            more than 0.5, the published strained cells 0.28 and more.
        crystalline_fraction: largest fraction of atoms in crystalline surroundings; glasses have
            less than 0.02.
        contact_factor: shortest distance over the sum of the covalent radii; see `contacts`.
        msd_A2: largest mean squared displacement during the hold; a solid only vibrates.
        near: largest difference in an element's fraction from a reference whose density and
            energy still hold.
        akin: the same for its radial distribution functions.
    """

    density_window: float = 0.04
    vegard_window: float = 0.12
    energy_above_eV_per_atom: float = 0.05
    energy_below_eV_per_atom: float = 0.03
    rdf_distance: float = 0.20
    crystalline_fraction: float = 0.15
    contact_factor: float = CONTACT_FACTOR
    msd_A2: float = 1.5
    near: float = 0.011
    akin: float = 0.105


def check_cell(cell: GlassCell, settings: CheckSettings | None = None) -> list[Verdict]:
    """Judge a cell; a cell without atoms keeps the verdict that it has.

    Args:
        cell: as `melt_quench` returned it.
        settings: limits; the defaults when None.

    Returns:
        One verdict each for `atoms`, `density`, `energy`, `rdf`, `crystalline-order`, `contacts`
        and `frozen`. Where no reference glass of the potential fits, `energy` and `rdf` are
        unknown, and the density is compared with that of the elements.
    """
    limits = settings or CheckSettings()
    atoms = cell.atoms
    if atoms is None:
        return list(cell.verdicts)
    counts = count_elements(atoms)
    fractions = {element: count / len(atoms) for element, count in counts.items()}
    reference = find_reference(str(cell.potential["sha256"]), fractions)
    return [
        _verdict("atoms", limits, None, f"all {len(atoms)} atoms are there", len(atoms), ""),
        _density(cell, atoms, counts, reference, fractions, limits),
        _energy(cell, reference, fractions, limits),
        _structure(atoms, reference, fractions, limits),
        _order(atoms, limits),
        check_close_pairs(atoms, limits.contact_factor),
        _frozen(cell, limits),
    ]


def failed_verdict(error: GlassError) -> Verdict:
    """Return the verdict on a cell whose simulation failed."""
    return Verdict("atoms", Outcome.FAILED, error.reason, str(error), version=VERSION, settings={})


def _density(
    cell: GlassCell,
    atoms: Atoms,
    counts: dict[str, int],
    reference: ReferenceGlass | None,
    fractions: Mapping[str, float],
    limits: CheckSettings,
) -> Verdict:
    density = cell.mean_density_g_cm3 or density_g_cm3(atoms)
    if reference is not None and reference.apart(fractions) <= limits.near:
        expected, window, name = reference.density_g_cm3, limits.density_window, reference.name
    else:
        expected = density_g_cm3(atoms) * float(atoms.get_volume()) / vegard_volume_A3(counts)
        window, name = limits.vegard_window, "the elements (Vegard)"
    off = density / expected - 1
    message = f"{density:.3f} g/cm³, {100 * off:+.1f} % of {expected:.3f} ({name})"
    details = {"expected_g_cm3": expected, "relative_difference": off, "compared_with": name}
    reason = None if abs(off) <= window else "density"
    return _verdict("density", limits, reason, message, density, "g/cm³", details)


def _energy(
    cell: GlassCell,
    reference: ReferenceGlass | None,
    fractions: Mapping[str, float],
    limits: CheckSettings,
) -> Verdict:
    energy = cell.inherent_energy_eV_per_atom
    if reference is None or reference.apart(fractions) > limits.near or energy is None:
        return _unknown("energy", limits, energy, "eV/atom")
    off = energy - reference.inherent_energy_eV_per_atom
    message = f"inherent structure {off:+.4f} eV/atom from {reference.name}"
    reason = None
    if off > limits.energy_above_eV_per_atom:
        reason = "energy-too-high"
    elif off < -limits.energy_below_eV_per_atom:
        reason = "energy-too-low"
    details = {"difference_eV_per_atom": off, "compared_with": reference.name}
    return _verdict("energy", limits, reason, message, energy, "eV/atom", details)


def _structure(
    atoms: Atoms,
    reference: ReferenceGlass | None,
    fractions: Mapping[str, float],
    limits: CheckSettings,
) -> Verdict:
    if reference is None or reference.apart(fractions) > limits.akin:
        return _unknown("rdf", limits, None, "")
    distance = rdf_distance(partial_rdf(atoms), reference.rdf, fractions)
    message = f"{100 * distance:.0f} % of the neighbours stand elsewhere than in {reference.name}"
    reason = None if distance <= limits.rdf_distance else "rdf"
    details = {"compared_with": reference.name}
    return _verdict("rdf", limits, reason, message, distance, "", details)


def _order(atoms: Atoms, limits: CheckSettings) -> Verdict:
    order = crystalline_order(atoms)
    message = f"{100 * order.crystalline:.0f} % of the atoms stand in crystalline surroundings"
    reason = None if order.crystalline <= limits.crystalline_fraction else "crystalline"
    return _verdict(
        "crystalline-order",
        limits,
        reason,
        message,
        order.crystalline,
        "",
        {"coherent_bonds": order.coherent, "mean_q6": order.mean_q6},
    )


def _frozen(cell: GlassCell, limits: CheckSettings) -> Verdict:
    moved = cell.hold_msd_A2
    if moved is None:
        return _unknown("frozen", limits, None, "Å²")
    message = f"atoms moved by {moved:.2f} Å² (mean square) during the hold"
    reason = None if moved <= limits.msd_A2 else "still-flowing"
    return _verdict("frozen", limits, reason, message, moved, "Å²")


def _verdict(
    stage: str,
    limits: CheckSettings,
    reason: str | None,
    message: str,
    value: float | None,
    unit: str,
    details: dict[str, Any] | None = None,
) -> Verdict:
    return Verdict(
        stage,
        Outcome.REJECTED if reason else Outcome.PASSED,
        reason or "",
        message,
        value,
        unit,
        details or {},
        VERSION,
        asdict(limits),
    )


def _unknown(stage: str, limits: CheckSettings, value: float | None, unit: str) -> Verdict:
    return Verdict(
        stage,
        Outcome.UNKNOWN,
        "no-reference",
        "no reference glass of this potential and composition",
        value,
        unit,
        {},
        VERSION,
        asdict(limits),
    )
