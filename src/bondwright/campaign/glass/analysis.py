"""All that is worth knowing of a predicted glass, as tables, figures and one JSON file.

Written into a folder: `analysis.json` (everything, for programs and the report),
`distributions.csv`, `groups.csv`, `weak.grp` and `strong.grp` (for LAMMPS), `shells.csv`,
`map.csv`, `evolution.csv` (trajectories), and a figure of each as SVG and PNG.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bondwright.campaign.glass import analysis_figures as figures
from bondwright.campaign.glass.analysis_distributions import (
    Distributions,
    distributions,
    shell_ends,
    strength_axis,
)
from bondwright.campaign.glass.analysis_evolution import evolution, evolution_table
from bondwright.campaign.glass.analysis_frames import predicted_frames
from bondwright.campaign.glass.analysis_groups import find_groups, groups_as_json, write_groups
from bondwright.campaign.glass.analysis_map import SPACING_A, StrengthMap, strength_map, write_map
from bondwright.errors import InputError
from bondwright.structure.write import write_text

FORMAT = "bondwright-glass-analysis/1"
RESULT = "analysis.json"
Told = Callable[[str], None]


@dataclass(frozen=True)
class AnalysisSettings:
    """How to analyse.

    Attributes:
        frame: number of the frame whose groups and map are made.
        quantile: share of each element's atoms that counts as weakly bonded.
        threshold_eV: instead of it, the mean -ICOHP from which an atom is strongly bonded, eV.
        shell_A: pair -> length at which the first shell ends, Å; found from the lengths otherwise.
        spacing_A: edge of the boxes of the map, Å.
        figures: whether figures are drawn.
    """

    frame: int = 0
    quantile: float = 0.5
    threshold_eV: float | None = None  # noqa: N815
    shell_A: dict[str, float] | None = None  # noqa: N815
    spacing_A: float = SPACING_A  # noqa: N815
    figures: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise InputError(f"a quantile lies between 0 and 1, not at {self.quantile:g}.")
        if not self.spacing_A > 0:
            raise InputError(f"boxes of the map need an edge above 0 Å, not {self.spacing_A:g}.")


def analyse(
    folder: Path,
    out: Path | None = None,
    settings: AnalysisSettings = AnalysisSettings(),
    tell: Told = lambda _: None,
) -> dict[str, Any]:
    """Analyse a prediction and write what is found.

    Args:
        folder: what `predict_frames` wrote.
        out: takes the files; `folder`/analysis when None.
        settings: thresholds and grids.
        tell: takes a line for each step.

    Returns:
        `frame` (number), `settings`, `distributions` (see `Distributions.as_json`), `last` (the
        same of the last frame of a trajectory, else null), `groups` (see `groups_as_json`), `map`
        {`shape`, `edges_A`} or null, `evolution` (see `analysis_evolution`) or null, `files`.

    Raises:
        InputError: there is no prediction, no such frame, or no bond with a prediction.
    """
    frames = predicted_frames(folder)
    frame = next((f for f in frames if f.summary["number"] == settings.frame), None)
    if frame is None:
        numbers = f"{frames[0].summary['number']} to {frames[-1].summary['number']}"
        raise InputError(f"{folder} has no frame {settings.frame}; it has {numbers}.")
    if not frame.pairs:
        raise InputError(f"{folder}: the model knows no pair of elements of this glass.")
    out = out or folder / "analysis"
    files: list[Path] = []

    tell("distributions")
    axis = strength_axis([frame, frames[-1]])
    found = distributions(frame, axis)
    files.append(_write_distributions(out, found))
    last = distributions(frames[-1], axis) if frames[-1] is not frame else None

    tell("groups")
    atoms = frame.atoms()
    groups = find_groups(
        frame,
        atoms,
        settings.shell_A or shell_ends(found),
        threshold_eV=settings.threshold_eV,
        quantile=None if settings.threshold_eV is not None else settings.quantile,
    )
    told_groups = groups_as_json(groups, atoms)
    files += write_groups(out, groups, atoms)
    files.append(_write_shells(out, told_groups))

    tell("map")
    grid = strength_map(frame, atoms, settings.spacing_A)
    if grid:
        write_map(out / "map.csv", grid)
        files.append(out / "map.csv")

    moved = None
    if len(frames) > 1:
        tell("evolution")
        moved = evolution(frames, groups.group if settings.frame == 0 else None)
        write_text(out / "evolution.csv", evolution_table(moved))
        files.append(out / "evolution.csv")
    if settings.figures:
        tell("figures")
        files += _draw(out, found, grid, moved, f"frame {settings.frame}")
    result = {
        "format": FORMAT,
        "frame": settings.frame,
        "settings": asdict(settings),
        "distributions": found.as_json(),
        "last": last.as_json() if last else None,
        "groups": told_groups,
        "map": {"shape": list(grid.bonds.shape), "edges_A": grid.edges_A.tolist()}
        if grid
        else None,
        "evolution": moved,
        "files": [path.name for path in files],
    }
    write_text(out / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")
    return {**result, "files": [str(path) for path in [*files, out / RESULT]]}


def _write_distributions(out: Path, found: Distributions) -> Path:
    lines = ["minus_icohp_eV," + ",".join(found.pairs)]
    for centre, counts in zip(found.strength.centres.tolist(), found.strengths.T, strict=True):
        lines.append(f"{centre:.6g}," + ",".join(str(n) for n in counts.tolist()))
    write_text(out / "distributions.csv", "\n".join(lines) + "\n")
    return out / "distributions.csv"


def _write_shells(out: Path, told: dict[str, Any]) -> Path:
    """Write the composition of first shells: one row per group and element."""
    elements = list(told["groups"][0]["elements"])
    lines = [
        "group,element,atoms,percent_of_group,coordination,"
        + ",".join(f"shell_{e}_percent" for e in elements)
    ]
    for group in told["groups"]:
        for element, row in group["elements"].items():
            shell = (row["shell_percent"][e] for e in elements)
            values = (row["atoms"], row["percent"], row["coordination"], *shell)
            text = ",".join("" if v is None else f"{v:g}" for v in values)
            lines.append(f"{group['name']},{element},{text}")
    write_text(out / "shells.csv", "\n".join(lines) + "\n")
    return out / "shells.csv"


def _draw(
    out: Path,
    found: Distributions,
    grid: StrengthMap | None,
    moved: dict[str, Any] | None,
    title: str,
) -> list[Path]:
    """Draw every figure, as SVG and PNG."""
    paths = []
    for ending in (".svg", ".png"):
        figures.distribution_figure(found, out / f"distributions{ending}", title)
        figures.length_figure(found, out / f"strength-length{ending}", title)
        paths += [out / f"distributions{ending}", out / f"strength-length{ending}"]
        if grid:
            figures.map_figure(grid, out / f"map{ending}", title)
            paths.append(out / f"map{ending}")
        if moved:
            figures.evolution_figure(moved, out / f"evolution{ending}")
            paths.append(out / f"evolution{ending}")
    return paths


def newest_analysis(folder: Path) -> dict[str, Any] | None:
    """Return what `analyse` wrote into a prediction's folder, None where it has not been asked."""
    try:
        found = json.loads((folder / "analysis" / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None
