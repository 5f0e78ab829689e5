"""`bondwright glass compress`: a finished glass under load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli.console import note, say_json, say_table
from bondwright.cli.glass_making import Potential, number, read_glass
from bondwright.cli.glass_types import interruptible
from bondwright.cli.types import Json

Threads = Annotated[
    int, typer.Option(min=1, help="OpenMP threads; more than 1 pays from some 1,000 atoms on.")
]


def compress(
    file: Annotated[
        Path,
        typer.Argument(
            help="A finished glass: LAMMPS data file, extended XYZ, ...", show_default=False
        ),
    ],
    strain: Annotated[
        float, typer.Option(help="Engineering strain at the end; a negative one pulls.")
    ] = 0.10,
    rate: Annotated[float, typer.Option(metavar="PER_S", help="Strain rate, 1/s.")] = 1e10,
    frames: Annotated[int, typer.Option(min=1, help="Frames after the one at rest.")] = 20,
    temperature: Annotated[float, typer.Option(metavar="K", help="Temperature.")] = 300.0,
    equilibrate: Annotated[
        float, typer.Option(metavar="PS", help="Time at zero pressure before the strain.")
    ] = 10.0,
    potential: Potential = None,
    elements: Annotated[
        str | None,
        typer.Option(
            help="Elements of the atom types of a data file, 'Zr Cu Al'. (default: its masses)"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder. (default: FILE-compression)")
    ] = None,
    threads: Threads = 1,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the velocities.")] = 1,
    json: Json = False,
) -> None:
    """Compress a glass along x: a trajectory to predict bonds on, and stress against strain.

    The sides are kept at zero pressure. 10,000 atoms at 1e10 /s to 10 % take about ten minutes of
    one core. The same command goes on where it was stopped, and answers from the folder once done.
    """
    from bondwright.campaign.glass.in_worker import in_worker
    from bondwright.glasses.compression import RESULT, TABLE, CompressionSettings, compress
    from bondwright.glasses.potentials import choose_potential

    atoms = read_glass(file, elements)
    settings = CompressionSettings(
        strain=strain,
        rate_per_s=rate,
        temperature_K=temperature,
        equilibration_ps=equilibrate,
        frames=frames,
        seed=seed,
    )
    chosen = choose_potential(set(atoms.get_chemical_symbols()), potential)
    folder = out or Path(f"{file.stem}-compression")
    with interruptible(), _watching_compression(folder, frames):
        found = in_worker(compress, (atoms, chosen, settings, folder), threads=threads)
    answer = {
        "modulus_GPa": found.modulus_GPa,
        "peak_GPa": found.peak_GPa,
        "peak_strain": found.peak_strain,
        "flow_GPa": found.flow_GPa,
        "rate_per_s": rate,
        "dump": str(found.dump),
        "elements": list(found.elements),
        "table": str(folder / TABLE),
        "record": str(folder / RESULT),
    }
    if json:
        say_json(answer)
        return
    rows = [
        ("slope of the first 2 %", f"{number(found.modulus_GPa, 1)} GPa"),
        ("highest stress", f"{found.peak_GPa:.2f} GPa at {100 * found.peak_strain:.1f} %"),
        ("mean stress of the last fifth", f"{found.flow_GPa:.2f} GPa"),
        ("trajectory", str(found.dump)),
        ("stress and strain", str(folder / TABLE)),
    ]
    say_table(("", ""), rows, left=2)


@contextmanager
def _watching_compression(folder: Path, frames: int) -> Iterator[None]:
    """Tell when another frame is there."""
    import json

    from bondwright.glasses.compression import STATE

    ended = threading.Event()

    def tell() -> None:
        told = 0
        while not ended.wait(2.0):
            try:
                kept = json.loads((folder / STATE).read_text("utf-8"))["frames"] - 1
            except (OSError, ValueError, KeyError):
                continue
            if kept > told:
                told = kept
                note(f"frame {told} of {frames}")

    watcher = threading.Thread(target=tell, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
