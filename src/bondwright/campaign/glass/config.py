"""`glass.toml`: which glasses, how they are labelled, what is learned and predicted."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from bondwright.bonding.acceptance import MAX_CHARGE_SPILLING
from bondwright.bonding.icohp import METHOD, BondSettings
from bondwright.campaign.config import RunSetting
from bondwright.campaign.glass.folder import CONFIG_NAME
from bondwright.campaign.tables import from_table, parse_toml, read_settings, refuse_unknown
from bondwright.errors import InputError
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.protocol import Protocol, protocol_of
from bondwright.glasses.variants import PUBLISHED, drawn_number

WINDOW = ("max_length_A", "min_length_A")
"""Settings that say which bonds are listed; they change no number."""
_TABLES = ("protocol", "label", "model", "predict", "improve", "run")


@dataclass(frozen=True)
class LabelSetting:
    """How cells get their labels.

    Attributes:
        method: "gpaw" computes them (LCAO, projected on free-atom orbitals); "lobster" takes them
            from files with `bondwright glass import` only.
        bonds: settings of the calculation.
        max_charge_spilling: a label that lost a larger share of the charge is refused.
    """

    method: Literal["gpaw", "lobster"] = "gpaw"
    bonds: BondSettings = field(
        default_factory=lambda: BondSettings(orbitals="hartree-fock", max_length_A=4.5)
    )
    max_charge_spilling: float = MAX_CHARGE_SPILLING

    def __post_init__(self) -> None:
        if not 0 < self.max_charge_spilling <= 1:
            raise ValueError(f"max_charge_spilling is a share, found {self.max_charge_spilling:g}")

    @property
    def method_name(self) -> str:
        """Name of the method that labels carry, e.g. "bondwright-lcao/1 hartree-fock".

        Every setting that changes numbers and is not the default stands in it, so that two labels
        of one name can be learned from together.
        """
        plain = BondSettings()
        changed = [
            f"{item.name}={_plain(getattr(self.bonds, item.name))}"
            for item in fields(BondSettings)
            if item.name not in (*WINDOW, "orbitals")
            and getattr(self.bonds, item.name) != getattr(plain, item.name)
        ]
        return " ".join([METHOD, self.bonds.orbitals, *changed])


@dataclass(frozen=True)
class GlassRunSetting(RunSetting):
    """How the work is done, as in a campaign.

    A label of 100 atoms takes 5 to 10 minutes and 1.2 GB; its cap of 4 GB counts one more that
    Arrow reserves without using it, and leaves room for twice the atoms.

    Attributes:
        time_limit_s: seconds after which one label is stopped.
        label_minutes: `run` begins no further label after so many minutes; 0 sets no limit.
    """

    time_limit_s: float = 7200.0
    label_minutes: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_minutes < 0:
            raise ValueError(f"label_minutes must not be negative, found {self.label_minutes:g}")


@dataclass(frozen=True)
class PredictSetting:
    """What the trained model is used on.

    Attributes:
        files: structures or trajectories, relative to glass.toml.
        composition: composition of a large glass to make; None takes the first composition.
        atoms: atoms of that glass; 0 makes none.
        rate: its cooling rate: a preset, or a number in K/s; None takes that of the cells.
    """

    files: tuple[Path, ...] = ()
    composition: str | None = None
    atoms: int = 0
    rate: str | float | None = None

    def __post_init__(self) -> None:
        if self.atoms < 0:
            raise ValueError(f"atoms must not be negative, found {self.atoms}")
        if self.composition is not None:
            parse_composition(self.composition)


@dataclass(frozen=True)
class ImproveSetting:
    """How rounds of active learning choose what to label.

    Attributes:
        cells_per_round: labels per round.
        deformations: how many drawn deformations of each run are candidates.
        new_runs: how many new melt-quenches each round may propose.
        rmse_eV: error that each pair of elements should reach; then the loop ends.
        test: cells (patterns as in `bondwright glass label`) that are never trained on, so that
            all rounds are judged alike; without any, whole runs are held out in turn.
    """

    cells_per_round: int = 2
    deformations: int = 4
    new_runs: int = 1
    rmse_eV: float = 0.06
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.cells_per_round < 1:
            raise ValueError("cells_per_round must be at least 1")
        if min(self.deformations, self.new_runs) < 0:
            raise ValueError("deformations and new_runs must not be negative")
        if self.rmse_eV <= 0:
            raise ValueError(f"rmse_eV must be above 0, found {self.rmse_eV:g}")


@dataclass(frozen=True)
class GlassConfig:
    """Everything `glass.toml` says, checked.

    Attributes:
        name: name of the project.
        description: a sentence about it; may be empty.
        seed: seed of every random number.
        compositions: nominal compositions by canonical name, e.g. "Zr49Cu49Al2".
        atoms: atoms per labelled cell.
        cells: independent melt-quenches per composition.
        variants: which variants of each cell are labelled: "0" the cell itself, "1" to "14" the
            published strains, "d1", "d2", ... drawn deformations.
        potential: file of an EAM potential relative to glass.toml; None takes the built-in one.
        protocol: how cells are quenched.
        label: how cells are labelled.
        model: settings of the bond model, as in the file.
        predict: what is predicted at the end.
        improve: settings of active learning.
        run: workers and limits.
        folder: folder that relative paths start from.
    """

    name: str
    description: str
    seed: int
    compositions: tuple[str, ...]
    atoms: int
    cells: int
    variants: tuple[str, ...]
    potential: Path | None
    protocol: Protocol
    label: LabelSetting
    model: dict[str, Any]
    predict: PredictSetting
    improve: ImproveSetting
    run: GlassRunSetting
    folder: Path


def load_config(path: Path) -> GlassConfig:
    """Read and check a project's glass.toml.

    Raises:
        InputError: not readable, not TOML, an unknown key (the nearest one is named), a wrong
            type, a missing file.
    """
    text = read_settings(path, "`bondwright glass init` makes a project folder")
    return parse_config(text, path.parent.resolve())


def parse_config(text: str, folder: Path, where: str = CONFIG_NAME) -> GlassConfig:
    """Check the text of a glass.toml whose relative paths start from `folder`.

    Raises:
        InputError: as `load_config`.
    """
    table = parse_toml(text, where)
    refuse_unknown(table, [*(f.name for f in fields(_Head)), *_TABLES], where)
    parts = {key: table.get(key, {}) for key in _TABLES}
    for key, part in parts.items():
        if not isinstance(part, dict):
            raise InputError(f"{where}: {key!r} is written as a table [{key}].")
    plain = {key: value for key, value in table.items() if key not in _TABLES}
    head = from_table(_Head, plain, where, folder)
    model_settings(parts["model"], where, folder)
    return GlassConfig(
        name=head.name,
        description=head.description,
        seed=head.seed,
        compositions=tuple(dict.fromkeys(parse_composition(c).name for c in head.compositions)),
        atoms=head.atoms,
        cells=head.cells,
        variants=head.variants,
        potential=head.potential,
        protocol=_protocol(head.rate, parts["protocol"], where, folder),
        label=_label(parts["label"], f"{where}: label", folder),
        model=parts["model"],
        predict=from_table(PredictSetting, parts["predict"], f"{where}: predict", folder),
        improve=from_table(ImproveSetting, parts["improve"], f"{where}: improve", folder),
        run=from_table(GlassRunSetting, parts["run"], f"{where}: run", folder),
        folder=folder,
    )


def model_settings(table: dict[str, Any], where: str, folder: Path) -> Any:
    """Return the `ModelSettings` that [model] stands for; None where it is empty: the defaults.

    Raises:
        InputError: an unknown key or a wrong value.
    """
    if not table:  # the model's libraries are slow to load
        return None
    from bondwright.learn.model import ModelSettings

    return from_table(ModelSettings, table, f"{where}: model", folder)


@dataclass(frozen=True)
class _Head:
    name: str
    compositions: tuple[str, ...]
    description: str = ""
    seed: int = 0
    atoms: int = 100
    cells: int = 2
    variants: tuple[str, ...] = ("0",)
    potential: Path | None = None
    rate: str | float = "standard"

    def __post_init__(self) -> None:
        if not self.compositions:
            raise ValueError("compositions is empty; name at least one, e.g. 'Zr49Cu49Al2'")
        if self.atoms < 2:
            raise ValueError(f"atoms must be at least 2, found {self.atoms}")
        if self.cells < 0:
            raise ValueError(f"cells must not be negative, found {self.cells}")
        for name in self.variants:
            if name not in ("0", *PUBLISHED) and drawn_number(name) is None:
                raise ValueError(
                    f"there is no variant {name!r}; known are 0 (the cell itself), 1 to 14 "
                    "(published strains) and d1, d2, ... (drawn)"
                )


def _protocol(rate: str | float, table: dict[str, Any], where: str, folder: Path) -> Protocol:
    """Read the cooling rate and [protocol], which changes single values of a preset."""
    changes = from_table(_ProtocolChanges, table, f"{where}: protocol", folder)
    said = {key: getattr(changes, key) for key in table}
    try:
        return protocol_of(rate, **said)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


@dataclass(frozen=True)
class _ProtocolChanges:
    melt_temperature_K: float = 2000.0
    melt_time_ps: float = 200.0
    final_temperature_K: float = 300.0
    hold_time_ps: float = 200.0
    timestep_fs: float = 2.0
    thermostat_damping_ps: float = 0.2
    barostat_damping_ps: float = 2.0
    pressure_GPa: float = 0.0


def _label(table: dict[str, Any], where: str, folder: Path) -> LabelSetting:
    """Read [label]: its own keys and those of `BondSettings` stand side by side."""
    own = {f.name for f in fields(LabelSetting)} - {"bonds"}
    calculation = {f.name for f in fields(BondSettings)}
    refuse_unknown(table, [*own, *calculation], where)
    setting = from_table(LabelSetting, {k: v for k, v in table.items() if k in own}, where, folder)
    # The defaults of a glass differ from those of `BondSettings`.
    said = {k: v for k, v in table.items() if k in calculation}
    given = from_table(BondSettings, said, where, folder)
    chosen = {key: getattr(given, key) for key in said}
    try:
        return replace(setting, bonds=replace(setting.bonds, **chosen))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
