"""Stability: relax a structure with a potential and place its energy relative to the hull."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from ase import Atoms

from bondwright.errors import InputError
from bondwright.screen.corrections import correction_between, mp2020_correction
from bondwright.screen.hull import Hull, HullPlace
from bondwright.screen.hull_tables import load_hull
from bondwright.screen.potentials import Potential, load_potential
from bondwright.screen.relax import Relaxation, RelaxSettings, RelaxStatus, relax
from bondwright.screen.verdict import Outcome, StageResult, Verdict

STAGE = "stability"
VERSION = "stability/1"


@dataclass(frozen=True)
class StabilitySettings:
    """How stability is judged.

    A candidate passes within `threshold_eV_per_atom` plus the potential's known error, and both
    numbers stand in the verdict.

    Attributes:
        potential: name of the potential ("chgnet"), or an ASE calculator as "module:Class".
        model: path of a local model file, for potentials that take one; empty for none.
        hull: "chgnet" (energies by CHGNet, part of the package), "dft" (Materials Project, below
            BONDWRIGHT_DATA), or the path of a table made by `bondwright reference build`.
        threshold_eV_per_atom: highest energy above the hull that counts as (meta)stable.
        add_potential_error: add the potential's mean absolute error to the threshold.
        fmax_eV_per_A: largest force at convergence, cell included.
        max_steps: steps after which a relaxation counts as not converged.
        min_volume_ratio: volume over initial volume below which the cell collapsed.
        max_volume_ratio: volume over initial volume above which the cell exploded.
    """

    potential: str = "chgnet"
    model: str = ""
    hull: str = "chgnet"
    threshold_eV_per_atom: float = 0.1
    add_potential_error: bool = True
    fmax_eV_per_A: float = 0.05
    max_steps: int = 500
    min_volume_ratio: float = 0.4
    max_volume_ratio: float = 2.5


def relax_and_place(atoms: Atoms, settings: StabilitySettings | None = None) -> StageResult:
    """Relax cell and positions, and compare the final energy with the hull.

    Only a converged relaxation can pass or be rejected: an unconverged energy is an upper bound,
    which is kept in the details, and the outcome is `failed`.

    Args:
        atoms: periodic structure (positions in Å).
        settings: the defaults when None.

    Returns:
        The verdict and the relaxed structure (None when nothing could be evaluated).

    Raises:
        InputError: the potential or the hull cannot be had, or they do not belong together.
    """
    settings = settings or StabilitySettings()
    return place_on_hull(relax_candidate(atoms, settings), settings)


def relaxation_identity(settings: StabilitySettings) -> dict[str, Any]:
    """Return what a relaxation depends on besides the structure; thresholds and hull do not."""
    return {
        "potential": load_potential(settings.potential, settings.model or None).fingerprint,
        **asdict(_relax_settings(settings)),
    }


def relax_candidate(atoms: Atoms, settings: StabilitySettings) -> Relaxation:
    """Relax cell and positions: the expensive half of `relax_and_place`.

    Raises:
        InputError: the potential or the hull cannot be had, or they do not belong together.
    """
    potential = load_potential(settings.potential, settings.model or None)
    check_pair(potential, load_hull(settings.hull))
    return relax(atoms, potential.calculator, _relax_settings(settings), exact=potential.exact)


def place_on_hull(relaxation: Relaxation, settings: StabilitySettings) -> StageResult:
    """Compare the energy of a relaxed structure with the hull: the cheap half.

    Raises:
        InputError: as `relax_and_place`.
    """
    potential = load_potential(settings.potential, settings.model or None)
    hull = load_hull(settings.hull)
    correction = check_pair(potential, hull)
    found, shift = None, 0.0
    if relaxation.energy_eV_per_atom is not None:
        if correction == "mp2020":
            shift = mp2020_correction(relaxation.atoms)
        composition = Counter(relaxation.atoms.get_chemical_symbols())
        found = hull.energy_above(composition, relaxation.energy_eV_per_atom + shift)
    limit = settings.threshold_eV_per_atom
    if settings.add_potential_error:
        limit += potential.error_eV_per_atom or 0.0
    outcome, reason, message = _judge(relaxation, found, limit)
    verdict = Verdict(
        stage=STAGE,
        outcome=outcome,
        reason=reason,
        message=message,
        value=found.e_above_hull if found else None,
        unit="eV/atom",
        details={
            **_relaxation_details(relaxation, shift),
            "e_above_hull_eV_per_atom": found.e_above_hull if found else None,
            "hull": _hull_details(potential, hull, correction, settings, limit, found),
        },
        version=VERSION,
        settings=asdict(settings),
    )
    evaluated = relaxation.energy_eV_per_atom is not None
    return StageResult(verdict, relaxation.atoms if evaluated else None)


def _relax_settings(settings: StabilitySettings) -> RelaxSettings:
    return RelaxSettings(
        fmax_eV_per_A=settings.fmax_eV_per_A,
        max_steps=settings.max_steps,
        min_volume_ratio=settings.min_volume_ratio,
        max_volume_ratio=settings.max_volume_ratio,
    )


def check_pair(potential: Potential, hull: Hull) -> str:
    """Return the correction that brings a potential's energies onto a hull ("none", "mp2020").

    Raises:
        InputError: the hull belongs to another potential, or no correction fits.
    """
    if hull.potential and hull.potential != potential.fingerprint:
        raise InputError(
            f"hull {hull.name!r} holds energies of {hull.potential!r}, the potential is "
            f"{potential.fingerprint!r}: use the hull of that potential (`bondwright reference "
            "energies`), or hull = 'dft'"
        )
    try:
        return correction_between(potential.energies, hull.energies)
    except ValueError as error:
        raise InputError(
            f"potential {potential.name!r} and hull {hull.name!r} do not fit: {error}; use a hull "
            "of the same potential"
        ) from None


def _judge(
    relaxation: Relaxation, place: HullPlace | None, limit: float
) -> tuple[Outcome, str, str]:
    if relaxation.status is not RelaxStatus.CONVERGED or place is None:
        bound = ""
        if place is not None and place.e_above_hull is not None:
            bound = f"; at most {place.e_above_hull:+.3f} eV/atom from the hull so far"
        return Outcome.FAILED, str(relaxation.status), f"relaxation: {relaxation.message}{bound}"
    if place.e_above_hull is None:
        elements = ", ".join(place.missing)
        return (
            Outcome.UNKNOWN,
            "element-outside-reference",
            f"the reference has no phase of {elements}, so there is no hull to compare with",
        )
    side = "above" if place.e_above_hull >= 0 else "below"
    distance = f"{abs(place.e_above_hull):.3f} eV/atom {side} the hull, limit {limit:.3f}"
    if place.e_above_hull > limit:
        return Outcome.REJECTED, "above-hull", distance
    return Outcome.PASSED, "", distance


def _relaxation_details(relaxation: Relaxation, shift: float) -> dict[str, Any]:
    return {
        "status": str(relaxation.status),
        "converged": relaxation.status is RelaxStatus.CONVERGED,
        "energy_eV_per_atom": relaxation.energy_eV_per_atom,
        "initial_energy_eV_per_atom": relaxation.initial_energy_eV_per_atom,
        "correction_eV_per_atom": shift,
        "steps": relaxation.steps,
        "fmax_eV_per_A": relaxation.fmax_eV_per_A,
        "max_stress_GPa": relaxation.max_stress_GPa,
        "volume_ratio": relaxation.volume_ratio,
        "energies_eV_per_atom": relaxation.energies_eV_per_atom,
    }


def _hull_details(
    potential: Potential,
    hull: Hull,
    correction: str,
    settings: StabilitySettings,
    limit: float,
    place: HullPlace | None,
) -> dict[str, Any]:
    return {
        "potential": potential.fingerprint,
        "reference": hull.name,
        "reference_sha256": hull.sha256,
        "energies": str(hull.energies),
        "correction": correction,
        "threshold_eV_per_atom": settings.threshold_eV_per_atom,
        "potential_error_eV_per_atom": potential.error_eV_per_atom,
        "potential_error_source": potential.error_source,
        "limit_eV_per_atom": limit,
        "decomposition": dict(place.decomposition) if place else {},
        "references_relaxed": place.all_relaxed if place else None,
        "missing_elements": list(place.missing) if place else [],
    }
