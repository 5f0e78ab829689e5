"""`bondwright glass improve` and `compare`: active learning, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.glass_label import label_lines
from bondwright.cli.glass_types import Method, Project, Workers, interruptible
from bondwright.cli.types import Json


def improve(
    project: Project,
    budget: Annotated[
        str, typer.Option(help="Labels that may be spent, e.g. 10cells.", show_default=False)
    ],
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Stop at each proposal; go on with --approve."),
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve the proposal that waits, and go on.")
    ] = False,
    strategy: Annotated[
        str, typer.Option(help="active, or random: the choice to compare with.")
    ] = "active",
    method: Method = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Label what the model knows least, train, evaluate, and again, until the budget is spent.

    Each round says what it proposes and why, and is kept as a record. The command can be killed
    at any time: it goes on at the step it was in.
    """
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.improve import Tellers, errors_line, parse_budget
    from bondwright.campaign.glass.improve import improve as run_rounds

    folder = GlassFolder(project)
    config = load_config(folder.config)
    if workers is not None:
        config = replace(config, run=replace(config.run, workers=workers))
    labels = parse_budget(budget)
    with folder.driver_lock(), interruptible():
        done = run_rounds(
            folder,
            config,
            labels,
            approve_first=ask or approve,
            approved=approve,
            strategy=strategy,
            method=method,
            tell=Tellers(note, label_lines()),
        )
    if json:
        say_json({"why": done.why, "spent": done.spent, "rounds": list(map(asdict, done.rounds))})
        return
    for entry in done.rounds:
        said = errors_line(entry.scores) if entry.state == "done" else entry.state
        say(f"round {entry.number}: {entry.action}, {len(entry.proposals)} cells, {said}")
    if done.why == "approval":
        waiting = done.rounds[-1]
        say_table(
            ("proposed", "why"), [(p["name"], p["reason"]) for p in waiting.proposals], left=2
        )
        say(f"Label these with: bondwright glass improve {project} --budget {budget} --approve")
    else:
        say(f"{done.spent} labels spent; stopped: {_WHY[done.why]}.")


_WHY = {
    "budget": "the budget is spent",
    "stop": "every pair is predicted as well as glass.toml asks for",
    "nothing": "there is nothing left to label",
}


def compare(
    project: Project,
    budget: Annotated[str, typer.Option(help="Labels that each strategy spends, e.g. 8cells.")],
    test: Annotated[
        list[str],
        typer.Option(help="Labelled cells to test on, e.g. Zr49Cu49Al2/3; may be repeated."),
    ],
    seeds: Annotated[int, typer.Option(min=3, help="How many seeds.")] = 3,
    per_round: Annotated[int, typer.Option(min=1, help="Labels chosen at once.")] = 1,
    first: Annotated[int, typer.Option(min=1, help="Labels to begin with, drawn at random.")] = 1,
    method: Method = None,
    json: Json = False,
) -> None:
    """Compare active learning with random choice on the labels that are there.

    Labels are hidden and revealed when a strategy asks for them: nothing is computed with DFT.
    Both spend the same budget from the same first cells, for each seed. The report shows it.
    """
    from bondwright.campaign.glass.comparison import compare as run_comparison
    from bondwright.campaign.glass.config import load_config
    from bondwright.campaign.glass.folder import GlassFolder
    from bondwright.campaign.glass.improve import parse_budget
    from bondwright.campaign.glass.labelling import choose
    from bondwright.campaign.glass.labels import cells
    from bondwright.campaign.glass.models import fit_with, settings_of

    folder = GlassFolder(project)
    config = load_config(folder.config)
    labelled = cells(folder, method)
    wanted = {str(name) for name in choose(folder, test)}
    with interruptible():
        found = run_comparison(
            labelled,
            fit_with(settings_of(config)),
            test=[cell.name for cell in labelled if cell.name in wanted],
            budget=parse_budget(budget),
            seeds=range(seeds),
            first=first,
            per_round=per_round,
            progress=note,
        )
    found.save(folder.comparison)
    if json:
        say_json(found.to_json())
        return
    active = {n: (mean, spread) for n, mean, spread in found.curve("active")}
    random = {n: (mean, spread) for n, mean, spread in found.curve("random")}
    say_table(
        ("labels", "active: RMSE (eV)", "spread", "random: RMSE (eV)", "spread"),
        [
            (f"{n}", *(f"{value:.4f}" for value in (*active[n], *random[n])))
            for n in active
            if n in random
        ],
    )
    if found.within_run:
        say("Test cells share a run with the pool: this is interpolation within one melt-quench.")
    say(f"{seeds} seeds: {folder.comparison}")
