"""Active learning beside random choice, on labels that are there: error against labels spent.

    python benchmarks/glass_active_learning.py                        # the 14 published cells
    python benchmarks/glass_active_learning.py --project out/zrcual --test Zr49Cu49Al2/3

The published cells are one melt-quench and its strained copies: ten strained far are the pool, the
four near the glass at rest (0, 7, 9, 11) the test. The errors are those of interpolation within one
run. In a project of one's own, whole runs are held out with --test. Both strategies begin with the
same cell, drawn with each seed, and are judged on the same test cells after every label.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bondwright.campaign.glass.comparison import Comparison, compare
from bondwright.campaign.glass.config_text import make_project
from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.labelling import choose
from bondwright.campaign.glass.labels import cells
from bondwright.campaign.glass.lobster_import import import_lobster
from bondwright.learn.cells import LabelledCell
from bondwright.learn.model import BondModel
from bondwright.structure.datasets import data_folder

MILD = ["0", "7", "9", "11"]


def published(folder: Path) -> tuple[list[LabelledCell], list[str]]:
    """Return the published cells, and the names of those to test on."""
    source = data_folder() / "glass-zrcual" / "cells"
    make_project(folder, ["Zr49Cu49Al2"])
    import_lobster(GlassFolder(folder), [source])
    found = cells(GlassFolder(folder))
    return found, [cell.name for cell in found if cell.variant in MILD]


def own(
    folder: Path, patterns: list[str], method: str | None
) -> tuple[list[LabelledCell], list[str]]:
    """Return the labelled cells of a project, and the names of those to test on."""
    project = GlassFolder(folder)
    found = cells(project, method)
    wanted = {str(name) for name in choose(project, patterns)}
    return found, [cell.name for cell in found if cell.name in wanted]


def table(found: Comparison) -> str:
    """Return the curves as a Markdown table."""
    pairs = found.pairs()
    lines = [
        f"| labels | strategy | {' | '.join(pairs)} |",
        f"|---|---|{'---|' * len(pairs)}",
    ]
    curves = {
        (s, p): {n: (m, d) for n, m, d in found.curve(s, p)}
        for s in ("active", "random")
        for p in pairs
    }
    for count in sorted({point.labels for point in found.points}):
        for strategy in ("active", "random"):
            values = [curves[strategy, pair].get(count) for pair in pairs]
            said = ["-" if v is None else f"{v[0]:.4f} ± {v[1]:.4f}" for v in values]
            lines.append(f"| {count} | {strategy} | {' | '.join(said)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="glass project with labels of its own")
    parser.add_argument("--test", action="append", help="cells of it to test on")
    parser.add_argument("--method", help="labels, where the project has several methods")
    parser.add_argument("--budget", type=int, default=6, help="labels that each strategy spends")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/glass-active-learning.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.project is None:
            labelled, test = published(Path(scratch))
        else:
            labelled, test = own(given.project, given.test or [], given.method)
    found = compare(
        labelled,
        BondModel.fit,
        test=test,
        budget=given.budget,
        seeds=range(given.seeds),
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    found.save(given.out)
    print(
        f"test: {', '.join(found.test)}; pool of {len(found.pool)}; RMSE in eV, {given.seeds} seeds"
    )
    print(table(found))


if __name__ == "__main__":
    main()
