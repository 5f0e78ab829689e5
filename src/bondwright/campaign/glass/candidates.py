"""Cells that a round of active learning may choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ase import Atoms

from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.folder import REFERENCE, CellName, GlassFolder
from bondwright.campaign.glass.generate import make_cells, next_run, refused
from bondwright.campaign.glass.labels import read_records
from bondwright.campaign.glass.strained import StrainedCell, keep_variant, strained_cells
from bondwright.structure.identity import content_hash


@dataclass
class Candidates:
    """Cells without a label.

    Attributes:
        cells: name -> structure (Å).
        drawn: those that are not yet in the project.
    """

    cells: dict[str, Atoms] = field(default_factory=dict)
    drawn: dict[str, StrainedCell] = field(default_factory=dict)

    def keep(self, folder: GlassFolder, names: Sequence[str]) -> None:
        """Write the chosen cells that are not yet in the project."""
        for name in names:
            if name in self.drawn:
                keep_variant(folder, self.drawn[name])


def gather(
    folder: GlassFolder,
    config: GlassConfig,
    action: str,
    progress: Callable[[str], None] | None = None,
) -> Candidates:
    """Return the cells that a round may label.

    Unlabelled cells of the project always count. Besides, "augment" adds drawn deformations of its
    runs, "new-cells" makes further melt-quenches of compositions that have some, and
    "new-compositions" makes the first ones of compositions of glass.toml that have none (when all
    have, it is "new-cells").

    Args:
        folder: the project; call it under its lock.
        config: which compositions, how many deformations and new runs.
        action: what the policy asks for.
        progress: told what is being made.

    Raises:
        InputError: a melt-quench cannot be set up.
    """
    tell = progress or (lambda _: None)
    if action == "new-compositions":
        there = {name.composition for name in folder.runs()}
        new = [CellName(c, "1") for c in config.compositions if c not in there]
        if new:
            _quench(folder, config, new, tell)
        else:
            tell("glass.toml names no further composition; making new cells of those it names")
            action = "new-cells"
    if action == "new-cells" and config.improve.new_runs:
        _quench(folder, config, _new_runs(folder, config), tell)
    found = Candidates()
    seen = {record.structure for record in read_records(folder)}
    held = set(map(str, _held_out(folder, config)))
    names = [name for name in folder.names() if str(name) not in held]
    bad = refused(folder, names)
    usable = [name for name in names if name.run not in bad]
    for name, atoms in folder.read_all(usable):
        if content_hash(atoms) not in seen:
            found.cells[str(name)] = atoms
    if action == "augment" or not found.cells:
        wanted = [
            CellName(run.composition, run.number, variant)
            for run in usable
            if run.variant == REFERENCE
            for variant in _new_variants(folder, run, config.improve.deformations)
        ]
        for name, made in strained_cells(folder, config, wanted).items():
            if isinstance(made, StrainedCell):  # other cells leave no room for deformations
                found.cells[str(name)] = made.variant.atoms
                found.drawn[str(name)] = made
    return found


def _held_out(folder: GlassFolder, config: GlassConfig) -> list[CellName]:
    """Return the cells that [improve] keeps for testing, with the other cells of their runs."""
    from bondwright.campaign.glass.labelling import choose

    if not config.improve.test:
        return []
    runs = {name.run for name in choose(folder, config.improve.test)}
    return [name for name in folder.names() if name.run in runs]


def _quench(
    folder: GlassFolder,
    config: GlassConfig,
    names: Sequence[CellName],
    tell: Callable[[str], None],
) -> None:
    tell(f"making {len(names)} new cells: {', '.join(name.run for name in names)}")
    done = make_cells(folder, config, names)
    for name, why in done.failed.items():
        tell(f"{name} failed: {why}")


def _new_runs(folder: GlassFolder, config: GlassConfig) -> list[CellName]:
    """Return new runs, those of a killed round first."""
    names = []
    for composition in config.compositions:
        first = int(next_run(folder, composition).number)
        unfinished = [
            int(path.name)
            for path in (folder.cells / composition).glob("*")
            if path.name.isdigit() and not (path / "cell.extxyz").is_file()
        ]
        numbers = [*sorted(unfinished), *range(first, first + config.improve.new_runs)]
        names += [CellName(composition, str(k)) for k in numbers[: config.improve.new_runs]]
    return names


def _new_variants(folder: GlassFolder, run: CellName, count: int) -> list[str]:
    """Return the next names of drawn deformations of a run."""
    there = {name.variant for name in folder.names() if name.run == run.run}
    free = (f"d{k}" for k in range(1, 10_000))
    return [name for name in free if name not in there][:count]
