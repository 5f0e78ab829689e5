"""`campaign.toml`: what is screened, with which settings, on how many workers."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bondwright.campaign.stages import (
    GROUP_STAGES,
    ON_REQUEST,
    STAGES,
    default_settings,
    settings_class,
)
from bondwright.campaign.tables import (
    existing_file,
    from_table,
    parse_toml,
    read_settings,
    refuse_unknown,
)
from bondwright.crystals.generate_wish import Wish
from bondwright.crystals.shipped import SHIPPED
from bondwright.errors import InputError, nearest
from bondwright.run import available_cores
from bondwright.structure.datasets import data_folder, structures_table, user_data_folder

CONFIG_NAME = "campaign.toml"
# Keys of a stage's table that are the campaign's, not the check's.
_OWN_STAGE_KEYS = ("enabled", "reference")
# Settings of checks that may name a file or a folder.
_PLACES = ("hull", "model", "band_gap_model")
REFERENCE_NAME = "novelty-reference.parquet"


@dataclass(frozen=True)
class InputSetting:
    """One `[[input]]`: files that are read in the same way.

    Attributes:
        files: file names or glob patterns, relative to the folder of campaign.toml; a folder
            stands for the structure files in it.
        control: True for known crystals that are carried through every stage for comparison.
        column: column of a table that holds the CIF text; None to find it.
        asked: property values that the generator was asked for, e.g. {"band_gap": 1.5} (eV).
        asked_columns: property -> column of the table that holds the value asked for.
        label: short name of this set, kept with its candidates.
    """

    files: tuple[str, ...]
    control: bool = False
    column: str | None = None
    asked: dict[str, float] = field(default_factory=dict)
    asked_columns: dict[str, str] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True)
class TargetSetting:
    """The value of a property that is looked for.

    Attributes:
        value: in the property's unit (band_gap eV, density g/cm³).
        tolerance: largest distance that still counts as a hit, same unit.
    """

    value: float
    tolerance: float

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise ValueError(f"tolerance must not be negative, found {self.tolerance:g}")


@dataclass(frozen=True)
class RunSetting:
    """How the work is done; none of this changes a result.

    Attributes:
        workers: number of worker processes; 0 for one per core.
        time_limit_s: seconds after which one candidate's check is stopped.
        memory_mb: memory that one worker may use, MiB.
        device: where models that generate crystals compute: "cpu", "cuda", "cuda:1".
    """

    workers: int = 0
    time_limit_s: float = 900.0
    memory_mb: int = 4096
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers must be 0 (all cores) or more, found {self.workers}")
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s must be above 0, found {self.time_limit_s:g}")
        if self.memory_mb < 256:
            raise ValueError(f"memory_mb must be at least 256, found {self.memory_mb}")

    @property
    def worker_count(self) -> int:
        """Number of workers, with 0 resolved to the cores this process may use."""
        return self.workers or available_cores()


@dataclass(frozen=True)
class StageSetting:
    """How one stage is done.

    Attributes:
        enabled: whether the stage is part of the funnel.
        settings: the settings dataclass of the stage's check.
        reference: index file of known structures for the novelty stages; None for none.
        known: table of known structures, from which those of the campaign's formulas are indexed
            when `reference = "auto"` finds no index; None otherwise.
    """

    enabled: bool
    settings: Any
    reference: Path | None = None
    known: Path | None = None


@dataclass(frozen=True)
class CampaignConfig:
    """Everything `campaign.toml` says, checked.

    Attributes:
        name: campaign name.
        description: a sentence about it; may be empty.
        seed: seed of every random number.
        inputs: what is read, in order.
        targets: property -> target.
        stages: stage name -> setting, in the order of the funnel.
        run: workers and limits.
        folder: the folder that relative paths start from.
        generate: crystals that are made first, one entry for each `[[generate]]`.
    """

    name: str
    description: str
    seed: int
    inputs: tuple[InputSetting, ...]
    targets: dict[str, TargetSetting]
    stages: dict[str, StageSetting]
    run: RunSetting
    folder: Path
    generate: tuple[Wish, ...] = ()

    @property
    def funnel(self) -> list[str]:
        """Names of the enabled stages in order."""
        return [name for name, stage in self.stages.items() if stage.enabled]

    def input_paths(self) -> list[tuple[InputSetting, list[Path]]]:
        """Return the paths that each input's patterns stand for, sorted within a pattern.

        Raises:
            InputError: a pattern matches nothing, or a path is listed twice.
        """
        seen: dict[Path, str] = {}
        found = []
        for number, entry in enumerate(self.inputs, 1):
            where = f"{CONFIG_NAME}: input {number}"
            paths = []
            for pattern in entry.files:
                for path in _matches(self.folder, pattern, where):
                    if path in seen:
                        raise InputError(
                            f"{where}: {pattern!r} and {seen[path]!r} both name {path.name}; "
                            "list every file once."
                        )
                    seen[path] = pattern
                    paths.append(path)
            found.append((entry, paths))
        return found


def leave_out(config: CampaignConfig, stages: Sequence[str]) -> CampaignConfig:
    """Return a configuration with some stages disabled.

    Raises:
        InputError: there is no such stage, or it is the reading.
    """
    for name in stages:
        if name == "read" or name not in config.stages:
            known = [stage for stage in config.stages if stage != "read"]
            raise InputError(
                f"there is no stage {name!r} to leave out; choose one of {', '.join(known)}."
                + nearest(name, known)
            )
    disabled = {name: replace(config.stages[name], enabled=False) for name in stages}
    return replace(config, stages={**config.stages, **disabled})


def load_config(path: Path) -> CampaignConfig:
    """Read and check a campaign file.

    Raises:
        InputError: not readable, not TOML, an unknown key (the nearest one is named), a wrong
            type, a missing file.
    """
    text = read_settings(path, "`bondwright init` makes a campaign folder")
    return parse_config(text, path.parent.resolve(), path.name)


def parse_config(text: str, folder: Path, where: str = CONFIG_NAME) -> CampaignConfig:
    """Check the text of a campaign file whose relative paths start from `folder`.

    Raises:
        InputError: as `load_config`.
    """
    table = parse_toml(text, where)
    known = ["name", "description", "seed", "generate", "input", "targets", "stages", "run"]
    refuse_unknown(table, known, where)
    head = from_table(
        _Head, {k: table[k] for k in ("name", "description", "seed") if k in table}, where, folder
    )
    inputs = _tables(table, "input", list, where)
    targets = _tables(table, "targets", dict, where)
    stages = _stages(_tables(table, "stages", dict, where), where, folder)
    if stages["property"].enabled:  # better said now than after hours of relaxations
        refuse_unknown(targets, stages["property"].settings.models, f"{where}: targets")
    return CampaignConfig(
        name=head.name,
        description=head.description,
        seed=head.seed,
        inputs=tuple(
            from_table(InputSetting, entry, f"{where}: input {number}", folder)
            for number, entry in enumerate(inputs, 1)
        ),
        targets={
            name: from_table(TargetSetting, entry, f"{where}: targets.{name}", folder)
            for name, entry in targets.items()
        },
        stages=stages,
        run=from_table(RunSetting, table.get("run", {}), f"{where}: run", folder),
        folder=folder,
        generate=tuple(
            _wish(entry, f"{where}: generate {number}", folder)
            for number, entry in enumerate(_tables(table, "generate", list, where), 1)
        ),
    )


@dataclass(frozen=True)
class _Head:
    name: str
    description: str = ""
    seed: int = 0


def _wish(entry: Any, where: str, folder: Path) -> Wish:
    wish = from_table(Wish, entry, where, folder)
    model = wish.model if wish.model == SHIPPED else _place_or_name(wish.model, folder)
    return replace(wish, model=model, known=_place_or_name(wish.known, folder))


def _tables(table: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = table.get(key, kind())
    if not isinstance(value, kind):
        form = f"[[{key}]]" if kind is list else f"[{key}.<name>]"
        raise InputError(f"{where}: {key!r} is written as {form} tables.")
    return value


def _stages(tables: dict[str, Any], where: str, folder: Path) -> dict[str, StageSetting]:
    refuse_unknown(tables, list(STAGES), f"{where}: stages")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{where}: stages.{name}: expected a table [stages.{name}].")
    # What the second novelty check is not told, it takes from the first.
    if "novelty" in tables:
        inherited = {k: v for k, v in tables["novelty"].items() if k != "enabled"}
        tables = {**tables, "novelty-relaxed": inherited | tables.get("novelty-relaxed", {})}
    stages = {
        name: _stage(name, tables.get(name), f"{where}: stages.{name}", folder) for name in STAGES
    }
    if not stages["stability"].enabled:  # nothing was relaxed
        asked = stages["novelty-relaxed"]
        stages["novelty-relaxed"] = replace(asked, enabled=False)
    return stages


def _stage(name: str, said: dict[str, Any] | None, where: str, folder: Path) -> StageSetting:
    table = said or {}
    own = {k: table[k] for k in table if k in _OWN_STAGE_KEYS}
    kind = settings_class(name)
    allowed = [*kind.__dataclass_fields__, "enabled"]
    if name in GROUP_STAGES:
        allowed.append("reference")
    refuse_unknown(table, allowed, where)
    enabled = own.get("enabled", said is not None or name not in ON_REQUEST)
    if not isinstance(enabled, bool):
        raise InputError(f"{where}: enabled: expected true or false, found {enabled!r}.")
    if name == "read" and not enabled:
        raise InputError(f"{where}: reading cannot be left out; remove `enabled = false`.")
    rest = {k: v for k, v in table.items() if k not in own}
    settings = from_table(kind, rest, where, folder) if rest else default_settings(name)
    # A hull may be a file or a name; so that other layers need not know the folder:
    places = {key: getattr(settings, key) for key in _PLACES if hasattr(settings, key)}
    settings = replace(settings, **{k: _place_or_name(v, folder) for k, v in places.items()})
    reference, known = None, None
    if name in GROUP_STAGES:
        place = own.get("reference", "auto")
        reference = _reference(place, folder, f"{where}: reference")
        known = structures_table() if place == "auto" and reference is None else None
    return StageSetting(enabled, settings, reference, known)


def _reference(said: Any, folder: Path, where: str) -> Path | None:
    if not isinstance(said, str):
        raise InputError(f"{where}: expected a path, 'auto' or 'none', found {said!r}.")
    if said == "auto":
        return auto_reference()
    return None if said == "none" else existing_file(said, folder, where)


def reference_places() -> list[Path]:
    """Return where the index for `reference = "auto"` is looked for, in order."""
    places = dict.fromkeys((data_folder(), user_data_folder()))
    return [folder / REFERENCE_NAME for folder in places]


def auto_reference() -> Path | None:
    """Return the index of known structures that is there, or None."""
    return next((path for path in reference_places() if path.is_file()), None)


def _place_or_name(text: str, folder: Path) -> str:
    path = folder / Path(text).expanduser()
    return str(path) if text and path.exists() else text


def _matches(folder: Path, pattern: str, where: str) -> list[Path]:
    """Return the existing paths that a pattern names; a name without wildcards must exist."""
    absolute = str(folder / Path(pattern).expanduser())
    if Path(absolute).exists():
        return [Path(absolute).resolve()]
    # Path.glob refuses absolute patterns
    paths = sorted(Path(p).resolve() for p in glob.glob(absolute, recursive=True))  # noqa: PTH207
    if not paths:
        raise InputError(f"{where}: no file matches {pattern!r} (looked in {folder}).")
    return paths
