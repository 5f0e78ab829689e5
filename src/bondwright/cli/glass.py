"""`bondwright glass`: learn the bond strengths of metallic glasses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bondwright.cli import (
    glass_analyse,
    glass_compress,
    glass_export,
    glass_generate,
    glass_improve,
    glass_label,
    glass_predict,
    glass_report,
    glass_run,
    glass_strain,
    glass_train,
)
from bondwright.cli.console import say, say_json, say_table
from bondwright.cli.glass_types import Project, duration
from bondwright.cli.types import Json

app = typer.Typer(
    help="Learn the bond strengths of metallic glasses: cells, labels, models, large glasses.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Learn the bond strengths of metallic glasses: cells, labels, models, large glasses."""


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    compositions: Annotated[
        list[str] | None,
        typer.Argument(help="Compositions in atomic per cent, e.g. Zr49Cu49Al2 or Cu50Zr50."),
    ] = None,
    potential: Annotated[
        Path | None,
        typer.Option(help="EAM potential (setfl). (default: the built-in one for Cu-Zr)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.")] = 0,
) -> None:
    """Make a project folder with a glass.toml that explains every setting."""
    from bondwright.campaign.glass.config_text import make_project

    path = make_project(folder, compositions or ["Cu50Zr50"], potential=potential, seed=seed)
    say(f"Wrote {path}")
    say(f"Edit it if you like, then: bondwright glass run {folder}")


@app.command("status")
def status(project: Project, json: Json = False) -> None:
    """Show how many cells, labels and models there are, what failed and what it all cost."""
    from bondwright.campaign.glass.status import status as look

    found = look(project)
    if json:
        say_json(found)
        return
    say(f"{found['name']}: {found['description']}" if found["description"] else found["name"])
    rows = [
        (c["composition"], *(f"{c[k]:,}" for k in ("runs", "cells", "labelled", "failed", "left")))
        for c in found["compositions"]
    ]
    if rows:
        say_table(("composition", "runs", "cells", "labelled", "not usable", "unlabelled"), rows)
    else:
        say(f"No cells yet; bondwright glass generate {project}")
    for method, count in found["methods"].items():
        say(f"labels by {method}: {count:,}")
    for cell in found["not_usable"]:
        say(f"{cell['name']}: {cell['status']}, {cell['reason']}: {cell['message']}")
    if found["model"] is not None:
        say(f"newest model: {found['model']}")
    costs = [
        (what, f"{c['count']:,}", duration(c["seconds"]), duration(c["cpu_seconds"]))
        for what, c in found["costs"].items()
    ]
    if costs:
        say_table(("step", "count", "wall time", "CPU time"), costs)


app.command("run")(glass_run.run)
app.command("generate")(glass_generate.generate)
app.command("strain")(glass_strain.strain)
app.command("compress")(glass_compress.compress)
app.command("label")(glass_label.label)
app.command("labels")(glass_label.labels)
app.command("import")(glass_label.import_labels)
app.command("draw")(glass_train.draw)
app.command("train")(glass_train.train)
app.command("evaluate")(glass_train.evaluate)
app.command("models")(glass_train.models)
app.command("correct")(glass_train.correct)
app.command("features")(glass_export.features)
app.command("export")(glass_export.export)
app.command("improve")(glass_improve.improve)
app.command("compare")(glass_improve.compare)
app.command("predict")(glass_predict.predict)
app.command("analyse")(glass_analyse.analyse)
app.command("report")(glass_report.report)
