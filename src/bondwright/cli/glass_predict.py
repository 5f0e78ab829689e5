"""`bondwright glass predict`: the strength of every bond of a large glass or trajectory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.calculating import folder_name
from bondwright.cli.console import note, progress_bar, say, say_json, say_table
from bondwright.cli.glass_types import Workers, duration, interruptible
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = Annotated[
    Path,
    typer.Argument(
        help="A model's folder, or a glass project whose newest model is taken.",
        show_default=False,
    ),
]
Glass = Annotated[
    Path,
    typer.Argument(
        help="LAMMPS data file or dump, extended XYZ or any other structure file.",
        show_default=False,
    ),
]
Elements = Annotated[
    str | None,
    typer.Option(
        help="Elements of the LAMMPS atom types, e.g. Zr,Cu,Al. (default: as the file says)",
        show_default=False,
    ),
]
Every = Annotated[int, typer.Option(min=1, help="Of a trajectory, every so-many-th frame.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of the results. (default: predictions/GLASS in the model's project, or "
        "GLASS-bonds)",
    ),
]
BlockAtoms = Annotated[
    int, typer.Option(min=1, help="Atoms per block: less needs less memory, and more time.")
]
Lobster = Annotated[
    bool, typer.Option("--lobster", help="Also write ICOHPLIST.lobster, for LOBSTER's tools.")
]
Extxyz = Annotated[
    bool,
    typer.Option("--extxyz", help="Also write atoms.extxyz, with each atom's sum of -ICOHP."),
]


def predict(
    model: Model,
    glass: Glass,
    elements: Elements = None,
    every: Every = 1,
    out: Out = None,
    workers: Workers = None,
    block_atoms: BlockAtoms = 3000,
    lobster: Lobster = False,
    extxyz: Extxyz = False,
    json: Json = False,
) -> None:
    """Predict -ICOHP of every bond of every frame, with its uncertainty and what to distrust.

    Frames land one by one in bonds.parquet and atoms.parquet; the same command again goes on where
    it stopped. Memory depends on the block size and the atoms of one frame, not on their bonds.
    """
    from bondwright.campaign.glass.costs import Cost, measured
    from bondwright.campaign.glass.predict import PredictionSettings, predict_frames
    from bondwright.campaign.glass.predict_model import (
        model_folder,
        open_model,
        project_of,
        read_frames,
    )
    from bondwright.run.cores import available_cores

    source = model_folder(model)
    project = project_of(source)
    folder = out or _folder(glass, project.predictions if project else None)
    settings = PredictionSettings(block_atoms, workers or available_cores(), lobster, extxyz)
    frames = read_frames(glass, parse_elements(elements), every=every, note=note)
    summaries: list[dict[str, Any]] = []
    with interruptible():
        opened = open_model(source)

        def work(cost: Cost) -> None:
            for summary in predict_frames(frames, opened, folder, settings, progress_bar):
                summaries.append(summary)
                cost.count += summary["bonds"] if summary["new"] else 0

        if project is None:
            work(Cost("predict"))
        else:
            with measured(project.costs, "predict", str(glass)) as cost:
                work(cost)
    if not summaries:
        raise InputError(f"{glass} holds no structure; give a file with one.")
    if json:
        say_json({"folder": str(folder), "method": opened.method, "frames": summaries})
        return
    _say(summaries)
    say(f"Bonds and atoms: {folder / 'frames'}")
    say(f"Next: bondwright glass analyse {folder}")


def parse_elements(text: str | None) -> Mapping[int, str] | None:
    """Return LAMMPS atom type -> element from "Zr,Cu,Al".

    Raises:
        InputError: a word is no element.
    """
    from ase.data import atomic_numbers

    if text is None:
        return None
    words = text.replace(",", " ").split()
    for word in words:
        if word not in atomic_numbers or word == "X":
            raise InputError(f"--elements {text}: {word!r} is no element; write Zr,Cu,Al.")
    return dict(enumerate(words, start=1))


def _folder(glass: Path, predictions: Path | None) -> Path:
    name = glass.name.removesuffix(".gz").rsplit(".", 1)[0]
    return predictions / folder_name(name) if predictions else Path(folder_name(name, "bonds"))


def _say(summaries: list[dict[str, Any]]) -> None:
    """Print the last frame for people, and a line for each of the others."""
    last = summaries[-1]
    for summary in summaries[:-1]:
        say(
            f"frame {summary['number']}, step {summary['step']}: {summary['bonds']:,} bonds, mean "
            f"-ICOHP {_number(summary['all']['mean_minus_icohp_eV'])} eV, "
            f"{summary['all']['share_flagged']:.1%} flagged{'' if summary['new'] else ' (kept)'}"
        )
    took = f"in {duration(last['seconds'])}" if last["new"] else "(kept from before)"
    say(f"frame {last['number']}, step {last['step']}: {last['atoms']:,} atoms {took}")
    rows = [
        (
            pair["pair"],
            f"{pair['bonds']:,}",
            _number(pair["mean_length_A"]),
            _number(pair["mean_minus_icohp_eV"]),
            _number(pair["std_minus_icohp_eV"]),
            _number(pair["mean_sigma_eV"]),
            f"{pair['share_flagged']:.1%}",
        )
        for pair in [*last["pairs"], last["all"]]
    ]
    say_table(
        (
            "pair",
            "bonds",
            "length (Å)",
            "mean -ICOHP (eV)",
            "spread (eV)",
            "mean sigma (eV)",
            "flagged",
        ),
        rows,
    )
    for check in last["drift"]["checks"]:
        say(f"{'!' if check['outside'] else ' '} {check['text']}")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
