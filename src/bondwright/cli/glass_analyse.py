"""`bondwright glass analyse`: where a predicted glass is strong and where it is weak."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.types import Json
from bondwright.errors import InputError

Prediction = Annotated[
    Path,
    typer.Argument(help="Folder that `bondwright glass predict` wrote.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder of the files. (default: PREDICTION/analysis)"),
]
FrameNumber = Annotated[
    int, typer.Option("--frame", min=0, help="Frame whose groups and map are made.")
]
Quantile = Annotated[
    float, typer.Option(help="Share of each element's atoms that counts as weakly bonded.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="EV",
        help="Instead: mean -ICOHP from which an atom counts as strongly bonded, eV.",
        show_default=False,
    ),
]
Shell = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PAIR=A",
        help="End of the first shell of a pair, e.g. Zr-Cu=3.9; give all pairs that count. "
        "(default: first minimum of each pair's radial distribution)",
        show_default=False,
    ),
]
Spacing = Annotated[float, typer.Option(metavar="A", help="Edge of the boxes of the map, Å.")]
Plain = Annotated[bool, typer.Option("--no-figures", help="Write tables only.")]


def analyse(
    prediction: Prediction,
    frame: FrameNumber = 0,
    quantile: Quantile = 0.5,
    threshold: Threshold = None,
    shell: Shell = None,
    spacing: Spacing = 4.0,
    plain: Plain = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Distributions per pair, weak and strong atoms and their shells, a map, and trajectories.

    Writes CSV files, figures, weak.grp and strong.grp for LAMMPS, and analysis.json.
    """
    from bondwright.campaign.glass.analysis import AnalysisSettings
    from bondwright.campaign.glass.analysis import analyse as work

    settings = AnalysisSettings(frame, quantile, threshold, _shells(shell), spacing, not plain)
    found = work(prediction, out, settings, note)
    if json:
        say_json(found)
        return
    _say(found)
    for path in found["files"]:
        say(path)


def _shells(words: list[str] | None) -> dict[str, float] | None:
    """Read "Zr-Cu=3.9" and the like.

    Raises:
        InputError: it has another form.
    """
    from bondwright.bonding.pairs import pair_label

    if not words:
        return None
    ends = {}
    for word in words:
        pair, _, length = word.partition("=")
        try:
            first, second = pair.split("-")
            ends[pair_label(first, second)] = float(length)
        except (KeyError, ValueError):
            raise InputError(f"--shell {word}: write it like Zr-Cu=3.9.") from None
    return ends


def _say(found: dict[str, Any]) -> None:
    """Print groups, and the ends of a trajectory, for people."""
    groups = found["groups"]
    ends = ", ".join(f"{pair} {end:.2f}" for pair, end in groups["shell_A"].items())
    say(f"First shells end at (Å): {ends}")
    elements = list(groups["groups"][0]["elements"])
    rows = [
        (
            group["name"],
            element,
            f"{row['atoms']:,}",
            _number(row["mean_eV"], 3),
            _number(row["coordination"], 1),
            *(f"{row['shell_percent'][e]:.1f}" for e in elements),
        )
        for group in groups["groups"]
        for element, row in group["elements"].items()
    ]
    head = ("group", "element", "atoms", "mean -ICOHP (eV)", "neighbours")
    say_table((*head, *(f"{e} around (%)" for e in elements)), rows, left=2)
    for group in groups["groups"]:
        say(
            f"{group['own_kind_percent']:.1f} % of the neighbours of {group['name']} atoms are "
            f"{group['name']} themselves; by chance it would be {group['own_kind_by_chance']:.1f} %"
        )
    if found["evolution"]:
        first, last = found["evolution"]["frames"][0], found["evolution"]["frames"][-1]
        say(
            f"From frame {first['number']} to {last['number']} the cell changes by "
            f"{last['strain']:+.2%} along {'abc'[found['evolution']['axis']]}; mean -ICOHP "
            f"{_number(first['mean_eV'], 4)} to {_number(last['mean_eV'], 4)} eV."
        )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
