"""Machine-learned potentials by name, each with what its energies mean and how wrong they are."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from ase.calculators.calculator import BaseCalculator

from bondwright.errors import InputError, nearest


class EnergyKind(StrEnum):
    """What a potential's energies can be compared with.

    `CORRECTED` energies contain the MP2020 corrections, `RAW` ones are plain PBE(+U) and need
    them, `OWN` ones are on a scale of their own: only a hull of the same potential fits.
    """

    CORRECTED = "mp2020-corrected"
    RAW = "raw-pbe"
    OWN = "own"


@dataclass(frozen=True)
class Potential:
    """A potential that is ready to evaluate.

    Attributes:
        name: as it is asked for in settings.
        version: of the model, or of the package that holds it.
        sha256: of the weights file (hex); empty where there is none.
        energies: what the energies mean.
        error_eV_per_atom: mean absolute error of its hull distances; None where unknown.
        error_source: where that number was published.
        calculator: ASE calculator for the relaxation.
        exact: ASE calculator for the final energy, in float64 where there is such a version.
    """

    name: str
    version: str
    sha256: str
    energies: EnergyKind
    error_eV_per_atom: float | None
    error_source: str
    calculator: BaseCalculator
    exact: BaseCalculator

    @property
    def fingerprint(self) -> str:
        """Name, version and weights in one line: energies of two potentials that differ in it
        must not share a hull."""
        return f"{self.name} {self.version} {self.sha256[:16]}".strip()


@dataclass(frozen=True)
class _Foreign:
    """A potential of another package: where its calculator is and how it takes a local model."""

    package: str
    make: str
    model_keyword: str
    keywords: dict[str, Any]
    error_eV_per_atom: float | None
    energies: EnergyKind = EnergyKind.RAW


_BENCHMARK = "Matbench Discovery, unique prototypes, 2026-07-16"
_CHGNET_ERROR = 0.063
# The errors are those of the models named in the comments; a model file of another size differs.
_FOREIGN = {
    "mace": _Foreign(  # MACE-MP-0
        "mace-torch",
        "mace.calculators:MACECalculator",
        "model_paths",
        {"device": "cpu", "default_dtype": "float64"},
        0.057,
    ),
    "sevennet": _Foreign(  # SevenNet-0
        "sevenn", "sevenn.calculator:SevenNetCalculator", "model", {"device": "cpu"}, 0.048
    ),
    "mattersim": _Foreign(  # MatterSim v1 5M
        "mattersim",
        "mattersim.forcefield:MatterSimCalculator",
        "load_path",
        {"device": "cpu"},
        0.024,
    ),
}
_BUILT_IN = ("chgnet", "emt")


@lru_cache(maxsize=4)
def load_potential(name: str = "chgnet", model: str | None = None) -> Potential:
    """Load a potential, once per process. Nothing is downloaded.

    Args:
        name: "chgnet" (its weights come with the package), "emt" (effective medium theory for
            Al, Cu, Ag, Au, Ni, Pd, Pt; for trials), "mace", "sevennet" or "mattersim" (their
            packages are installed by the user, with a local model file), or any ASE calculator as
            "package.module:Class".
        model: path of a local model file, for the potentials that take one.

    Raises:
        InputError: unknown name, missing package, missing model file.
    """
    if name in _BUILT_IN and model is not None:
        raise InputError(f"potential {name!r} takes no model file; leave out {model!r}")
    if name == "chgnet":
        return _chgnet()
    if name == "emt":
        calculator = _import("ase.calculators.emt:EMT", "ase", name)()
        return Potential(
            name, metadata.version("ase"), "", EnergyKind.OWN, None, "", calculator, calculator
        )
    if name in _FOREIGN:
        return _foreign(name, _FOREIGN[name], model)
    if ":" in name:
        make = _import(name, name.partition(".")[0].partition(":")[0], name)
        calculator = make() if model is None else make(model)
        return Potential(
            name, "", _model_sha256(model), EnergyKind.OWN, None, "", calculator, calculator
        )
    known = (*_BUILT_IN, *_FOREIGN)
    raise InputError(
        f"unknown potential {name!r}; known are {', '.join(known)}, or an ASE calculator as "
        f"'package.module:Class'.{nearest(name, known)}"
    )


def _chgnet() -> Potential:
    from bondwright.screen import chgnet_engine

    return Potential(
        "chgnet",
        chgnet_engine.VERSION,
        chgnet_engine.weights_sha256(),
        EnergyKind.CORRECTED,
        _CHGNET_ERROR,
        f"{_BENCHMARK}: CHGNet 0.3",
        chgnet_engine.CHGNetEngine(),
        chgnet_engine.CHGNetEngine(double=True),
    )


def _foreign(name: str, foreign: _Foreign, model: str | None) -> Potential:
    make = _import(foreign.make, foreign.package, name)
    if model is None:
        raise InputError(
            f"potential {name!r} needs a local model file: set `model` to its path "
            "(nothing is downloaded)"
        )
    sha256 = _model_sha256(model)
    calculator = make(**{foreign.model_keyword: model}, **foreign.keywords)
    version = metadata.version(foreign.package)
    source = f"{_BENCHMARK}: the published {name} model"
    return Potential(
        name,
        version,
        sha256,
        foreign.energies,
        foreign.error_eV_per_atom,
        source,
        calculator,
        calculator,
    )


def _import(target: str, package: str, name: str) -> Callable[..., BaseCalculator]:
    module, _, attribute = target.partition(":")
    try:
        made: Callable[..., BaseCalculator] = getattr(import_module(module), attribute)
    except (ImportError, ValueError):
        raise InputError(
            f"potential {name!r} needs the Python package {package!r}: pip install {package}"
        ) from None
    except AttributeError:
        raise InputError(f"potential {name!r}: module {module!r} has no {attribute!r}") from None
    return made


def _model_sha256(model: str | None) -> str:
    if model is None:
        return ""
    if not Path(model).is_file():
        raise InputError(f"model file {model!r} does not exist")
    return hashlib.sha256(Path(model).read_bytes()).hexdigest()
