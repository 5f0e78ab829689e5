"""`bondwright glass generate`: melting, cooling and checking glass cells."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bondwright.cli.calculating import NOT_CONVERGED
from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.glass_making import Potential, number
from bondwright.cli.glass_types import Workers, duration, interruptible
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.campaign.glass.folder import CellName, GlassFolder


def generate(
    compositions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMPOSITION...|PROJECT",
            help="Zr49Cu49Al2, Cu50Zr50, 'Zr 49 Cu 49 Al 2' ...; or a project folder, whose "
            "glass.toml says which.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", "-f", help="Project folder; made where there is none.")
    ] = Path("glass"),
    cells: Annotated[
        int | None, typer.Option(min=1, help="Independent cells per composition.")
    ] = None,
    atoms: Annotated[int | None, typer.Option(help="Atoms per cell, 50 to 100,000.")] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            help="Cooling rate: quick (1e13 K/s), standard (1e12), slow (1e11), published "
            "(8.5e9), or a number in K/s."
        ),
    ] = None,
    potential: Potential = None,
    melt_temperature: Annotated[
        float | None, typer.Option(metavar="K", help="Temperature of the melt. (default: 2000)")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of every random number, of a new project.")
    ] = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Melt, quench and equilibrate independent glass cells, and check each.

    What the options leave open, glass.toml says. 100 atoms at the standard rate take two to three
    minutes of one core. The command can be stopped at any time and goes on where it was. Exit
    code 4 means that a simulation failed; a cell that its checks reject is a result.
    """
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.config_text import make_project
    from bondwright.campaign.glass.folder import CellName, GlassFolder
    from bondwright.campaign.glass.generate import make_cells, wanted_cells
    from bondwright.glasses.composition import parse_composition
    from bondwright.glasses.protocol import protocol_of

    asked = list(compositions or [])
    if len(asked) == 1 and (Path(asked[0]) / "glass.toml").is_file():
        folder, asked = Path(asked[0]), []
    names = [parse_composition(text).name for text in asked]
    changes = {} if melt_temperature is None else {"melt_temperature_K": melt_temperature}
    if rate is not None:
        protocol_of(rate, **changes)  # refused before anything is written
    project = GlassFolder(folder)
    if not project.config.is_file():
        if not names:
            raise InputError(
                f"name a composition, e.g. Zr49Cu49Al2; {folder} is no glass project that says."
            )
        make_project(folder, names, potential=potential, seed=seed or 0)
        _put_down(project.config, {"atoms": atoms, "cells": cells, "rate": rate}, changes)
        note(f"Wrote {project.config}")
    config = load_config(project.config)
    if seed is not None and seed != config.seed:
        raise InputError(
            f"{project.config} has seed {config.seed}; change it there, or give another --folder."
        )
    config = replace(
        config,
        atoms=atoms or config.atoms,
        cells=cells or config.cells,
        potential=potential.resolve() if potential else config.potential,
        compositions=tuple(dict.fromkeys(names)) or config.compositions,
        run=replace(config.run, workers=workers) if workers else config.run,
    )
    if rate is not None or changes:
        config = replace(config, protocol=protocol_of(rate or config.protocol.name, **changes))
    wanted = wanted_cells(config)
    with project.driver_lock(), interruptible(), _watching(project, wanted):
        state = make_cells(project, config, wanted)
    _tell_cells(project, wanted, state.failed, json)
    if state.failed:
        for name, why in state.failed.items():
            note(f"{CellName.parse(name).run} failed: {why}")
        raise typer.Exit(NOT_CONVERGED)


def _put_down(config: Path, head: dict[str, int | str | None], protocol: dict[str, float]) -> None:
    """Let a new glass.toml say what the command line said, for the commands that follow."""
    from bondwright.structure.write import write_text

    text = config.read_text("utf-8")
    for key, value in head.items():
        if value is not None:
            said = f'"{value}"' if isinstance(value, str) else str(value)
            text = re.sub(rf"^{key} = \S+", f"{key} = {said}", text, count=1, flags=re.M)
    if protocol:
        rows = "".join(f"{key} = {value}\n" for key, value in protocol.items())
        text += f"\n[protocol]\n{rows}"
    write_text(config, text)


@contextmanager
def _watching(folder: GlassFolder, names: Sequence[CellName]) -> Iterator[None]:
    """Tell every ten seconds how far the melt-quenches of worker processes are."""
    from bondwright.glasses.melt_quench import read_progress

    ended = threading.Event()

    def tell() -> None:
        told: dict[CellName, int] = {}
        while not ended.wait(10.0):
            for name in names:
                now = read_progress(folder.run_folder(name))
                if now is None or now.step in (now.steps, told.get(name)):
                    continue
                told[name] = now.step
                note(
                    f"{name.run}: {now.stage} {now.temperature_K:.0f} K, "
                    f"{now.density_g_cm3:.2f} g/cm³, {100 * now.step / now.steps:.0f} %, "
                    f"{now.ns_per_day:.3g} ns/day, {duration(now.seconds_left)} left"
                )

    watcher = threading.Thread(target=tell, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _tell_cells(
    folder: GlassFolder, names: Sequence[CellName], failed: dict[str, str], json: bool
) -> None:
    from bondwright.glasses.cell import read_cell

    rows, answers = [], []
    for name in names:
        cell = read_cell(folder.run_folder(name))
        if cell is None:
            answers.append({"run": name.run, "accepted": False, "failed": failed.get(str(name))})
            continue
        said = {k: v for k, v in cell.to_json().items() if k != "history"}
        answers.append({"run": name.run, "folder": str(folder.run_folder(name)), **said})
        reasons = ", ".join(v.reason for v in cell.verdicts if v.outcome in ("rejected", "failed"))
        rows.append(
            (
                name.run,
                number(cell.mean_density_g_cm3, 3),
                number(cell.mean_energy_eV_per_atom, 4),
                duration(cell.cpu_seconds),
                "glass" if cell.accepted else f"rejected: {reasons}",
            )
        )
    if json:
        say_json({"folder": str(folder.root), "cells": answers})
    elif rows:
        say_table(("cell", "density (g/cm³)", "energy (eV/atom)", "CPU time", "verdict"), rows)
        say(f"Cells: {folder.cells}")
