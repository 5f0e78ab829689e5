"""The stages of the funnel: which there are, and how a worker carries one out.

A check is a pure function of `screen`; here its arguments are taken out of the store's JSON
values and its answer is landed as a file. Science is imported when a stage needs it, inside the
worker, so that the command line stays quick.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bondwright.campaign.codec import Record, candidate_from_json, digest
from bondwright.campaign.landing import keep, land
from bondwright.errors import InputError
from bondwright.run import current_usage
from bondwright.structure.records import atoms_from_json, atoms_to_json

if TYPE_CHECKING:
    from ase import Atoms

    from bondwright.screen.verdict import Verdict

# Stage -> (module of the check, its settings dataclass), in the order of the funnel.
STAGES: dict[str, tuple[str, str]] = {
    "read": ("bondwright.structure.read", "ReadLimits"),
    "validity": ("bondwright.screen.validity", "ValiditySettings"),
    "novelty": ("bondwright.screen.novelty", "NoveltySettings"),
    "stability": ("bondwright.screen.stability", "StabilitySettings"),
    "novelty-relaxed": ("bondwright.screen.novelty", "NoveltySettings"),
    "property": ("bondwright.screen.property", "PropertySettings"),
    "dft": ("bondwright.screen.dft", "DftStageSettings"),
}
# Stages that look at the structure as `stability` left it, where it did.
AFTER_RELAXATION = frozenset({"novelty-relaxed", "property", "dft"})
# Stages that are part of a funnel only when campaign.toml has a table for them: minutes of work
# for one candidate are not begun unasked.
ON_REQUEST = frozenset({"dft"})
# Packages that hold the weights of a potential or know how to make it.
_POTENTIAL_PACKAGES = {
    "chgnet": "chgnet",
    "emt": "ase",
    "mace": "mace-torch",
    "sevennet": "sevenn",
    "mattersim": "mattersim",
}
READ_VERSION = "read/1"
RELAXATIONS = "relaxations"  # folder of relaxations, by what they depend on
DFT = "dft"  # folder of DFT calculations, by what they depend on
GROUP_STAGES = frozenset({"novelty", "novelty-relaxed"})


def _module(stage: str) -> ModuleType:
    return importlib.import_module(STAGES[stage][0])


def settings_class(stage: str) -> Any:
    """Return the dataclass that holds a stage's settings."""
    return getattr(_module(stage), STAGES[stage][1])


def default_settings(stage: str) -> Any:
    """Return a stage's settings as they are when nothing is said."""
    return settings_class(stage)()


def version(stage: str) -> str:
    """Return the version of a stage's check, e.g. "validity/1"."""
    return READ_VERSION if stage == "read" else str(_module(stage).VERSION)


def settings_json(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as JSON values, files by their names only.

    A campaign may move to another folder, and a report may be shown to others: what a file held
    is told by its checksum (`outside_data`), where it was is nobody's business.
    """
    return {name: without_folder(value) for name, value in dataclasses.asdict(settings).items()}


def without_folder(value: Any) -> Any:
    """Return an absolute path as the name of its file, and anything else as it is."""
    if isinstance(value, (str, Path)) and Path(value).is_absolute():
        return Path(value).name
    return value


@dataclass(frozen=True)
class CheckTask:
    """One check of one candidate, as it is sent to a worker.

    Attributes:
        stage: name of the stage.
        content_key: name of the result.
        results: folder in which it lands.
        settings: the stage's settings dataclass.
        subject: what is checked, as JSON values: the candidate for validity, its atoms otherwise.
        targets: property -> (value, tolerance).
    """

    stage: str
    content_key: str
    results: Path
    settings: Any
    subject: dict[str, Any]
    targets: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupItem:
    """One member of a set that is checked together.

    Attributes:
        key: the candidate's key.
        content_key: name of its result.
        atoms: its structure as JSON values.
        energy: its energy in eV/atom, where known.
    """

    key: str
    content_key: str
    atoms: dict[str, Any]
    energy: float | None


@dataclass(frozen=True)
class GroupTask:
    """One check of a set of candidates, as it is sent to a worker.

    Attributes:
        stage: name of the stage.
        name: name of the file in which the results land.
        results: folder in which it lands.
        settings: the stage's settings dataclass.
        items: the set, in the order of the campaign.
        reference: index of known structures; None for none.
        known: name and atoms (JSON values) of further known structures: the controls.
        processes: processes that the check may use.
        controls: True for a set of controls.
    """

    stage: str
    name: str
    results: Path
    settings: Any
    items: tuple[GroupItem, ...]
    reference: Path | None
    known: tuple[tuple[str, dict[str, Any]], ...]
    processes: int
    controls: bool


@dataclass(frozen=True)
class GroupOutcome:
    """What a check of a set gave.

    Attributes:
        records: one result per member.
        warnings: sentences about the set as a whole that the user should see.
    """

    records: list[Record]
    warnings: list[str]


def run_check(task: CheckTask) -> Record:
    """Carry out one check, land its result and return it.

    Raises:
        InputError: the result cannot be written, or a file that the check needs is unusable.
    """
    verdict, atoms, earlier = _CHECKS[task.stage](task)
    usage = current_usage()
    record = Record(
        task.content_key,
        replace(verdict, settings=settings_json(task.settings)),
        None if atoms is None else atoms_to_json(atoms),
        usage.seconds + earlier,
        usage.peak_memory_mb,
        usage.worker,
        usage.attempt,
    )
    land(task.results, task.stage, task.content_key, [record])
    return record


def run_group(task: GroupTask) -> GroupOutcome:
    """Carry out a check of a set, land its results as one file and return them.

    Raises:
        InputError: as `run_check`.
    """
    from bondwright.screen.novelty import NoveltyItem, assess_novelty, novelty_warnings
    from bondwright.screen.reference import ReferenceIndex, extend_index

    items = [NoveltyItem(i.key, atoms_from_json(i.atoms), i.energy) for i in task.items]
    reference = None if task.reference is None else ReferenceIndex.load(task.reference)
    if task.known:
        controls = [(name, atoms_from_json(atoms)) for name, atoms in task.known]
        reference = extend_index(reference, controls, what="controls")
    verdicts = assess_novelty(
        items, reference, task.settings, stage=task.stage, processes=task.processes
    )
    usage = current_usage()
    share = usage.seconds / len(items)
    records = [
        Record(
            i.content_key,
            replace(verdicts[i.key], settings=settings_json(task.settings)),
            None,
            share,
            usage.peak_memory_mb,
            usage.worker,
            usage.attempt,
        )
        for i in task.items
    ]
    land(task.results, task.stage, task.name, records)
    warnings = novelty_warnings(verdicts, reference)
    if task.reference is None and task.known:
        warnings.append("no reference was given: novelty was asked against the controls only.")
    return GroupOutcome(records, warnings)


_Checked = tuple["Verdict", "Atoms | None", float]
"""Verdict, moved atoms, and seconds that a kept result had cost before."""


def _check_validity(task: CheckTask) -> _Checked:
    from bondwright.screen.validity import check_validity

    return check_validity(candidate_from_json(task.subject), task.settings), None, 0.0


def _check_stability(task: CheckTask) -> _Checked:
    from bondwright.screen.relax import Relaxation
    from bondwright.screen.stability import place_on_hull, relax_candidate, relaxation_identity

    # Another threshold or hull asks for another verdict, not for another relaxation.
    name = digest([relaxation_identity(task.settings), task.subject])
    kept = task.results.parent / RELAXATIONS / f"{name}.json"
    try:
        found = json.loads(kept.read_bytes())
        relaxation, seconds = Relaxation.from_json(found["relaxation"]), float(found["seconds"])
    except (OSError, ValueError, TypeError, KeyError):  # not there, or torn by a power cut
        relaxation, seconds = relax_candidate(atoms_from_json(task.subject), task.settings), 0.0
        keep(kept, {"relaxation": relaxation.to_json(), "seconds": current_usage().seconds})
    result = place_on_hull(relaxation, task.settings)
    return result.verdict, result.atoms, seconds


def _check_property(task: CheckTask) -> _Checked:
    from bondwright.screen.property import Target, estimate_properties

    targets = {name: Target(*target) for name, target in task.targets.items()}
    return estimate_properties(atoms_from_json(task.subject), targets, task.settings), None, 0.0


def _check_dft(task: CheckTask) -> _Checked:
    from bondwright.dft.engines import get_engine
    from bondwright.screen.dft import relaxation_settings
    from bondwright.screen.dft_calculation import calculate

    # Another number of candidates, or bonds asked for later, repeats no relaxation.
    engine = get_engine(task.settings.engine).version()
    name = digest([relaxation_settings(task.settings), engine, task.subject])[:32]
    result = calculate(
        atoms_from_json(task.subject), task.settings, task.results.parent / DFT / name
    )
    bonds = result.verdict.details["bonds"]
    if bonds and bonds["table"]:
        bonds["table"] = f"{DFT}/{name}/bonds/{bonds['table']}"
    return result.verdict, result.atoms, 0.0


_CHECKS = {
    "validity": _check_validity,
    "stability": _check_stability,
    "property": _check_property,
    "dft": _check_dft,
}


def outside_data(stage: str, settings: Any, reference: Path | None) -> dict[str, str]:
    """Return what a stage's verdicts depend on besides input and settings.

    Args:
        stage: name of the stage.
        settings: its settings dataclass.
        reference: index of known structures of the novelty stages.

    Returns:
        Name -> SHA-256 of a file, or version of a package.

    Raises:
        InputError: a file that the stage needs is missing or unusable.
    """
    from bondwright.structure.datasets import file_sha256

    if stage == "stability":
        from bondwright.screen.hull_tables import load_hull

        package = _POTENTIAL_PACKAGES.get(settings.potential, "")
        found = {"hull": load_hull(settings.hull).sha256}
        if package:
            found["potential"] = f"{package} {installed_version(package)}"
        if settings.model:
            found["model"] = file_sha256(Path(settings.model))
        return found
    if stage == "property" and "band_gap" in settings.models:
        tables = str(files("bondwright.screen") / "tables" / "band_gap")
        card = Path(settings.band_gap_model or tables) / "model.json"  # tells the weights' checksum
        if not card.is_file():
            raise InputError(
                f"{card.parent}: there is no band-gap model; train one with `bondwright train "
                "band-gap`, or take band_gap out of stages.property.models."
            )
        return {"band_gap_model": file_sha256(card)}
    if stage == "dft":
        return _dft_programs(settings)
    return {} if reference is None else {"reference": file_sha256(reference)}


def _dft_programs(settings: Any) -> dict[str, str]:
    from bondwright.dft.engines import get_engine

    try:
        found = {"engine": f"{settings.engine} {get_engine(settings.engine).version()}"}
    except InputError as error:
        raise InputError(
            f"{error} Or leave DFT out: `--without dft` once, `enabled = false` below [stages.dft] "
            "of campaign.toml for good."
        ) from None
    if settings.engine == "gpaw" or settings.bonds:
        found["paw"] = f"gpaw-data {installed_version('gpaw-data')}"
    return found


def installed_version(package: str) -> str:
    """Return the version of an installed package; "absent" when there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
