"""DFT for the few that are left: how it is asked for, and how energies compare with the controls.

Total energies of one engine and one set of settings are compared between crystals of the same
composition only: what the pseudo-atoms contribute is then the same on both sides.
"""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from bondwright.dft.records import settings_from_json, settings_to_json
from bondwright.dft.settings import DftSettings, preset
from bondwright.errors import InputError
from bondwright.screen.verdict import Outcome, Verdict

STAGE = "dft"
VERSION = "dft/1"
NOT_SELECTED = "not-selected"
ABOVE_CONTROL = "above-control"

# Settings that decide who is calculated and what is made of it, not what is found.
_OUTSIDE_A_RESULT = ("best", "max_atoms", "limit_eV_per_atom", "time_limit_s")
# Settings that decide what is computed after the relaxation.
_AFTER_RELAXATION = ("bands", "bonds")

_NO_HULL = (
    "unknown: a hull of formation energies needs every competing phase computed with the same "
    "engine and settings. "
)
_HULL_NOTES = {
    "materials-project": _NO_HULL
    + "The preset shares functional, U, cut-off and k-points with the Materials Project, so the "
    "differences between crystals of one composition can be compared with its own; its PAW sets "
    "are others, so total energies cannot, and none of these is put on its hull.",
    "": _NO_HULL + "Only differences between crystals of one composition are consistent.",
}


@dataclass(frozen=True)
class DftStageSettings:
    """What is computed with DFT, for whom, and what is asked of the result.

    Attributes:
        engine: "gpaw" or "espresso".
        preset: "quick", "standard", "tight" or "materials-project".
        changes: settings that differ from the preset, e.g. {"cutoff_eV": 500}.
        relax: "cell" (with positions), "positions", or "none" for the structure as it comes.
        bands: find the gap along the standard path too, not only on the mesh of k-points.
        bonds: compute the -ICOHP of every bond of the final structure (with GPAW).
        best: number of candidates that are computed; the controls come on top.
        max_atoms: structures with more atoms in the primitive cell are left out, controls too; 0
            for no limit.
        limit_eV_per_atom: highest energy above the lowest control of the same composition that
            passes; None to pass whatever was computed.
        time_limit_s: seconds after which one structure's calculation is stopped; what it has
            found is kept, and goes on with `--retry-failed`.
    """

    engine: Literal["gpaw", "espresso"] = "gpaw"
    preset: str = "quick"
    changes: dict[str, Any] = field(default_factory=dict)
    relax: Literal["cell", "positions", "none"] = "cell"
    bands: bool = False
    bonds: bool = True
    best: int = 3
    max_atoms: int = 24
    limit_eV_per_atom: float | None = None
    time_limit_s: float = 14400.0

    def __post_init__(self) -> None:
        if self.best < 0 or self.max_atoms < 0:
            raise ValueError("best and max_atoms must not be negative")
        if self.limit_eV_per_atom is not None and self.limit_eV_per_atom < 0:
            raise ValueError("limit_eV_per_atom must not be negative; leave it out for no limit")
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s must be above 0, found {self.time_limit_s:g}")
        self.calculation()

    def calculation(self) -> DftSettings:
        """Return the settings of the engine.

        Raises:
            InputError: the preset or a changed setting is unknown or cannot be used.
        """
        usual = settings_to_json(preset(self.preset))
        for name, value in self.changes.items():
            expected = usual.get(name)
            number = isinstance(expected, int | float)
            wrong = number and (not isinstance(value, int | float) or isinstance(value, bool))
            if (
                wrong
                or (number and value <= 0)
                or (isinstance(expected, dict | str) and not isinstance(value, type(expected)))
            ):
                raise InputError(
                    f"changes.{name} cannot be {value!r}; the preset has {expected!r}."
                )
        return settings_from_json({**usual, **self.changes})


def result_settings(settings: DftStageSettings) -> dict[str, Any]:
    """Return the settings that a stored result depends on, as JSON values."""
    return {k: v for k, v in asdict(settings).items() if k not in _OUTSIDE_A_RESULT}


def relaxation_settings(settings: DftStageSettings) -> dict[str, Any]:
    """Return the settings that the relaxed structure depends on, as JSON values."""
    return {k: v for k, v in result_settings(settings).items() if k not in _AFTER_RELAXATION}


@dataclass(frozen=True)
class Relative:
    """An energy relative to a control: eV/atom (positive is above it), and the control's key."""

    energy_eV_per_atom: float
    control: str


def relative_energies(
    energies: Mapping[str, float], formulas: Mapping[str, str], controls: set[str]
) -> dict[str, Relative]:
    """Compare energies with the lowest control of the same composition.

    Args:
        energies: key -> energy in eV/atom, all of one engine and one set of settings.
        formulas: key -> reduced formula.
        controls: keys of the known crystals among them.

    Returns:
        Key -> energy relative to the lowest control (0 for that control itself); nothing for a
        composition without a control.
    """
    lowest: dict[str, str] = {}
    for key in energies:
        formula = formulas[key]
        if key in controls and (formula not in lowest or energies[key] < energies[lowest[formula]]):
            lowest[formula] = key
    return {
        key: Relative(energy - energies[lowest[formulas[key]]], lowest[formulas[key]])
        for key, energy in energies.items()
        if formulas[key] in lowest
    }


def place_among_controls(
    verdicts: Mapping[str, Verdict],
    formulas: Mapping[str, str],
    controls: Mapping[str, str],
    limit_eV_per_atom: float | None,  # noqa: N803 (a unit)
) -> dict[str, Verdict]:
    """Add to stored results what only their comparison tells; nothing is computed anew.

    Args:
        verdicts: key -> result of the stage, all of one engine and one set of settings.
        formulas: key -> reduced formula.
        controls: key -> name of the known crystals.
        limit_eV_per_atom: as in `DftStageSettings`.

    Returns:
        Key -> verdict with `relative_energy_eV_per_atom` and `relative_to` in its details; one that
        had passed is rejected as `above-control` when it lies above the limit.
    """
    energies = {
        key: float(verdict.details["energy_eV_per_atom"])
        for key, verdict in verdicts.items()
        if verdict.outcome is Outcome.PASSED
    }
    found = relative_energies(energies, formulas, set(controls))
    placed = {}
    for key, verdict in verdicts.items():
        if key not in energies:
            placed[key] = verdict
            continue
        relative = found.get(key)
        details = {
            **verdict.details,
            "relative_energy_eV_per_atom": relative and relative.energy_eV_per_atom,
            "relative_to": relative and controls[relative.control],
        }
        placed[key] = replace(verdict, details=details)
        if relative is not None:
            energy = relative.energy_eV_per_atom
            above = limit_eV_per_atom is not None and energy > limit_eV_per_atom
            placed[key] = replace(
                placed[key],
                outcome=Outcome.REJECTED if above else Outcome.PASSED,
                reason=ABOVE_CONTROL if above else "",
                message=_compared(energy, controls[relative.control], key == relative.control)
                + (f", more than the limit of {limit_eV_per_atom:.3f}" if above else "")
                + f"; {verdict.message}",
                value=energy,
                unit="eV/atom",
            )
    return placed


def hull_note(settings: DftStageSettings) -> str:
    """Say why there is no energy above the hull, and what can be compared instead."""
    return _HULL_NOTES.get(settings.preset, _HULL_NOTES[""])


def not_selected(place: int | None, of: int, atoms: int, settings: DftStageSettings) -> Verdict:
    """Return what is said of a candidate that is left out for the sake of the cost.

    Args:
        place: its place among the candidates, from 1, the best first; None for a control.
        of: number of candidates.
        atoms: atoms in its primitive cell.
        settings: the stage's settings.
    """
    large = 0 < settings.max_atoms < atoms
    return Verdict(
        STAGE,
        Outcome.UNKNOWN,
        NOT_SELECTED,
        f"not computed: {atoms} atoms in the primitive cell, max_atoms is {settings.max_atoms}"
        if large
        else f"not computed: number {place} of {of}, and only the best {settings.best} are",
        details={"rank": place, "of": of, "atoms": atoms, "best": settings.best},
        version=VERSION,
        settings=asdict(settings),
    )


def _compared(energy: float, name: str, itself: bool) -> str:
    if itself:
        return "the lowest control of its composition"
    return f"{abs(energy):.3f} eV/atom {'above' if energy >= 0 else 'below'} {name}"
