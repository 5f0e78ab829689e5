"""Properties of a crystal, and how near they are to what is wanted.

`density` and `band_gap` are built in. Another package adds a property by an entry point of the
group "bondwright.properties" that names a function without arguments returning a `PropertyModel`;
it is then listed in `PropertySettings.models`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from ase import Atoms

from bondwright.errors import InputError, nearest
from bondwright.screen.estimate import Estimate
from bondwright.screen.verdict import Outcome, Verdict

STAGE = "property"
VERSION = "property/1"
ENTRY_POINTS = "bondwright.properties"
# 1 u/Å³ in g/cm³: 1.660539e-24 g / 1e-24 cm³ (CODATA 2018).
GRAMS_PER_CM3 = 1.66053906660


@dataclass(frozen=True)
class Target:
    """A value that is wanted of a property.

    Attributes:
        value: in the property's unit.
        tolerance: largest distance that counts as a hit, same unit.
    """

    value: float
    tolerance: float = 0.5


class PropertyModel(Protocol):
    """Anything that estimates one property."""

    @property
    def name(self) -> str:
        """The property: letters, digits and underscores."""

    @property
    def unit(self) -> str:
        """Unit of value and sigma."""

    @property
    def version(self) -> str:
        """Name and version of the model; kept with every verdict."""

    def predict(self, atoms: Atoms) -> Estimate:
        """Estimate the property of a periodic crystal (positions in Å)."""


@dataclass(frozen=True)
class PropertySettings:
    """What is estimated, and how targets are judged.

    Attributes:
        models: names of the properties: "density", "band_gap", or those of other packages.
        sigmas: a candidate is rejected only if it is off target by more than the tolerance plus
            this many standard deviations of the estimate, so that an uncertain model does not
            throw away what may be a hit. 0 takes the estimate at its word.
        band_gap_model: folder of a model made by `bondwright train band-gap`; empty for the
            shipped one.
    """

    models: tuple[str, ...] = ("density", "band_gap")
    sigmas: float = 1.0
    band_gap_model: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigmas) and self.sigmas >= 0):
            raise ValueError(f"sigmas must be a number of 0 or more, found {self.sigmas:g}")


class Density:
    """Mass density in g/cm³: exact for a given cell, with standard atomic weights."""

    name = "density"
    unit = "g/cm3"
    version = "density/1"

    def predict(self, atoms: Atoms) -> Estimate:
        """Return mass over volume of the cell."""
        if atoms.cell.rank < 3:
            return Estimate(None, None, "there is no cell in three directions")
        density = float(atoms.get_masses().sum() / atoms.get_volume()) * GRAMS_PER_CM3
        return Estimate(density, 0.0)


def estimate_properties(
    atoms: Atoms,
    targets: Mapping[str, Target] | None = None,
    settings: PropertySettings | None = None,
) -> Verdict:
    """Estimate the properties of a crystal and compare them with what is wanted.

    Args:
        atoms: periodic crystal (positions in Å), relaxed where it was relaxed.
        targets: property -> value wanted; none: everything passes.
        settings: the defaults when None.

    Returns:
        The verdict. Its value is the distance to the target that is missed most (in tolerances),
        or the band gap where nothing is wanted. `rejected` ("off-target") when a target is missed
        by more than tolerance and uncertainty; `unknown` ("no-estimate", "outside-training") when
        a target cannot be judged and none is missed.

    Raises:
        InputError: a model's name is unknown, or a target is of a property not estimated.
    """
    targets = targets or {}
    settings = settings or PropertySettings()
    for name in targets:
        if name not in settings.models:
            raise InputError(
                f"targets.{name}: no property of that name is estimated; "
                f"stages.property.models lists {', '.join(settings.models)}."
                f"{nearest(name, settings.models)}"
            )
    models = {name: load_property(name, settings.band_gap_model) for name in settings.models}
    estimates = {name: model.predict(atoms) for name, model in models.items()}
    judged = {
        name: _judge(target, estimates[name], settings.sigmas) for name, target in targets.items()
    }
    outcome, reason = _outcome(judged)
    value, unit = _main_number(judged, estimates, models)
    return Verdict(
        stage=STAGE,
        outcome=outcome,
        reason=reason,
        message=_message(judged, estimates, models, outcome),
        value=value,
        unit=unit,
        details=_details(judged, estimates, models),
        version=VERSION,
        settings=asdict(settings),
    )


@lru_cache(maxsize=16)
def load_property(name: str, band_gap_model: str = "") -> PropertyModel:
    """Return a property model by name, loaded once per process.

    Args:
        name: "density", "band_gap", or the name of an entry point.
        band_gap_model: folder of the band-gap model; empty for the shipped one.

    Raises:
        InputError: the name is unknown, or the model cannot be loaded.
    """
    if name == "density":
        return Density()
    if name == "band_gap":
        from bondwright.screen.band_gap import load_band_gap

        return load_band_gap(band_gap_model)
    plugs = {plug.name: plug for plug in entry_points(group=ENTRY_POINTS)}
    if name not in plugs:
        known = ["density", "band_gap", *sorted(plugs)]
        raise InputError(
            f"no property model {name!r}; there are {', '.join(known)}.{nearest(name, known)}"
        )
    make: Callable[[], PropertyModel] = plugs[name].load()
    return make()


def _judge(target: Target, estimate: Estimate, sigmas: float) -> dict[str, Any]:
    """Compare an estimate with a target; JSON values."""
    judged: dict[str, Any] = {
        "target": target.value,
        "tolerance": target.tolerance,
        "value": estimate.value,
        "sigma": estimate.sigma,
        "distance": None,
        "hit": None,
        "off": None,
        "reason": "",
    }
    if estimate.value is None:
        return {**judged, "reason": "no-estimate"}
    distance = abs(estimate.value - target.value)
    judged |= {"distance": distance, "hit": distance <= target.tolerance}
    if estimate.sigma is None:
        return {**judged, "reason": "outside-training"}
    off = distance > target.tolerance + sigmas * estimate.sigma
    return {**judged, "off": off, "reason": "off-target" if off else ""}


def _outcome(judged: Mapping[str, Mapping[str, Any]]) -> tuple[Outcome, str]:
    """Put the judgements of all targets together."""
    reasons = [target["reason"] for target in judged.values()]
    if "off-target" in reasons:
        return Outcome.REJECTED, "off-target"
    unknown = next((reason for reason in reasons if reason), "")
    return (Outcome.UNKNOWN, unknown) if unknown else (Outcome.PASSED, "")


def _main_number(
    judged: Mapping[str, Mapping[str, Any]],
    estimates: Mapping[str, Estimate],
    models: Mapping[str, PropertyModel],
) -> tuple[float | None, str]:
    """Return the verdict's number and its unit."""
    known = {name: t for name, t in judged.items() if t["distance"] is not None}
    if known:
        worst = max(known, key=lambda n: known[n]["distance"] / max(known[n]["tolerance"], 1e-9))
        return known[worst]["distance"], models[worst].unit
    if judged or "band_gap" not in estimates:
        return None, ""
    return estimates["band_gap"].value, models["band_gap"].unit


def _message(
    judged: Mapping[str, Mapping[str, Any]],
    estimates: Mapping[str, Estimate],
    models: Mapping[str, PropertyModel],
    outcome: Outcome,
) -> str:
    """Write one sentence with the numbers."""
    parts = [_phrase(models[name], estimate) for name, estimate in estimates.items()]
    if outcome is Outcome.REJECTED:
        parts += [
            f"off the target of {t['target']:g} ± {t['tolerance']:g} {models[name].unit}"
            for name, t in judged.items()
            if t["off"]
        ]
    return "; ".join(parts)


def _phrase(model: PropertyModel, estimate: Estimate) -> str:
    label = model.name.replace("_", " ")
    if estimate.value is None:
        return f"{label} unknown ({estimate.note})"
    spread = f" ± {estimate.sigma:.2f}" if estimate.sigma else ""
    note = f" ({estimate.note})" if estimate.note else ""
    return f"{label} {estimate.value:.2f}{spread} {model.unit}{note}"


def _details(
    judged: Mapping[str, Mapping[str, Any]],
    estimates: Mapping[str, Estimate],
    models: Mapping[str, PropertyModel],
) -> dict[str, Any]:
    """Return every sub-result; built-in properties also under their own keys."""
    details: dict[str, Any] = {
        "density_g_cm3": None,
        "band_gap_eV": None,
        "band_gap_sigma_eV": None,
        "targets": {name: dict(target) for name, target in judged.items()},
        "properties": {
            name: {**asdict(estimate), "unit": models[name].unit, "model": models[name].version}
            for name, estimate in estimates.items()
        },
    }
    if "density" in estimates:
        details["density_g_cm3"] = estimates["density"].value
    if "band_gap" in estimates:
        details["band_gap_eV"] = estimates["band_gap"].value
        details["band_gap_sigma_eV"] = estimates["band_gap"].sigma
    return details
