"""Putting the page of a glass project together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bondwright import __version__
from bondwright.campaign.glass.config import load_config
from bondwright.campaign.glass.costs import Cost, read_costs, totals
from bondwright.campaign.glass.folder import CONFIG_NAME, GlassFolder
from bondwright.campaign.glass.report.cells import CellsSection, cells_section
from bondwright.campaign.glass.report.labels import LabelsSection, labels_section
from bondwright.campaign.glass.report.model import ModelSection, model_section
from bondwright.campaign.glass.report.plots import Figures
from bondwright.campaign.glass.report.prediction import PredictionCard, prediction_cards
from bondwright.campaign.glass.report.rounds import RoundsSection, rounds_section
from bondwright.campaign.report.page import content_policy, embed_json, environment, inline
from bondwright.campaign.report.words import count, number
from bondwright.errors import InputError

_SHARED_STYLES, _OWN_STYLES = ("report.css", "details.css", "print.css"), ("glass.css",)
_SHARED_SCRIPTS = ("dom.js", "words.js", "charts.js")
_OWN_SCRIPTS = ("plot.js", "scene.js", "glass.js")
_STEP_WORDS = {
    "generate": ("Cells made", "cell"),
    "label": ("Cells labelled", "label"),
    "features": ("Descriptors", "bond"),
    "train": ("Models trained", "model"),
    "evaluate": ("Evaluations", "fit"),
    "predict": ("Bonds predicted", "bond"),
}


@dataclass(frozen=True)
class CostRow:
    """What one step cost.

    Attributes:
        title: of the step.
        told: how many things were made.
        seconds: wall-clock.
        cpu_seconds: of all processes.
        each: CPU seconds for one.
        share: of all CPU seconds, per cent.
    """

    title: str
    told: str
    seconds: float
    cpu_seconds: float
    each: float
    share: float


@dataclass(frozen=True)
class GlassView:
    """Everything that the page tells.

    Attributes:
        name: of the project or prediction.
        description: by its author.
        folder: as it is typed on the command line.
        is_project: whether there is a project, or a prediction alone.
        settings: what was asked for.
        cells: None where there is none, as for all that follow.
        labels: the labels.
        model: the newest model.
        rounds: of active learning.
        predictions: of large glasses, the newest first.
        costs: of each step.
    """

    name: str
    description: str
    folder: str
    is_project: bool
    settings: dict[str, Any]
    cells: CellsSection | None
    labels: LabelsSection | None
    model: ModelSection | None
    rounds: RoundsSection | None
    predictions: list[PredictionCard]
    costs: list[CostRow]


def render_glass_page(root: Path) -> str:
    """Return the report of a glass project, or of one prediction, as one HTML page.

    Raises:
        InputError: the folder is neither, or its glass.toml is wrong.
    """
    figures = Figures()
    view = _view(root, figures)
    own = __package__ or ""
    styles = [*(inline(n) for n in _SHARED_STYLES), *(inline(n, own) for n in _OWN_STYLES)]
    scripts = [*(inline(n) for n in _SHARED_SCRIPTS), *(inline(n, own) for n in _OWN_SCRIPTS)]
    data = {"rows": [], "plots": figures.plots, "scenes": figures.scenes}
    return (
        environment(own)
        .get_template("glass.html")
        .render(
            view=view,
            version=__version__,
            headline=headline(view),
            data=embed_json(data),
            styles=styles,
            scripts=scripts,
            policy=content_policy(styles, scripts),
        )
    )


def headline(view: GlassView) -> str:
    """Return the furthest result in one sentence."""
    if view.predictions:
        largest = max(view.predictions, key=lambda card: int(card.frame["atoms"]))
        frame = largest.frame
        sure = 1 - frame["all"]["share_flagged"]
        return (
            f"{count(frame['bonds'], 'bond')} of a glass of {number(frame['atoms'], 0)} atoms "
            f"predicted, {100 * sure:.0f} % of them like what the model was trained on."
        )
    if view.model and view.model.evaluations:
        row = view.model.evaluations[0].rows[-1]
        error = row.errors[view.model.evaluations[0].models[0]]
        if error is not None:
            return f"Bonds of unseen cells are predicted within {error:.3f} eV (RMSE)."
    if view.model:
        return f"Model {view.model.version} is trained and waits for a glass."
    if view.labels:
        bonds = sum(row.bonds for row in view.labels.methods)
        cells = sum(row.accepted for row in view.labels.methods)
        return f"{count(bonds, 'bond')} of {count(cells, 'cell')} are labelled; no model yet."
    if view.cells:
        return f"{count(view.cells.cells, 'cell')} are made; none is labelled yet."
    return "Nothing has been made yet."


def _view(root: Path, figures: Figures) -> GlassView:
    if (root / "frames").is_dir() and not (root / CONFIG_NAME).is_file():
        cards = prediction_cards([root], figures)
        return GlassView(
            root.resolve().name, "", str(root), False, {}, None, None, None, None, cards, []
        )
    if not (root / CONFIG_NAME).is_file():
        raise InputError(
            f"{root} is neither a glass project ({CONFIG_NAME}) nor a prediction (frames/)."
        )
    folder = GlassFolder(root)
    config = load_config(folder.config)
    found = sorted(folder.predictions.glob("*/prediction.json"), key=lambda p: -p.stat().st_mtime)
    return GlassView(
        config.name,
        config.description,
        str(root),
        True,
        {"compositions": ", ".join(config.compositions), "labels by": config.label.method_name},
        cells_section(folder, figures),
        labels_section(folder, figures),
        model_section(folder, figures),
        rounds_section(folder, figures),
        prediction_cards([path.parent for path in found], figures),
        cost_rows(read_costs(folder.costs)),
    )


def cost_rows(costs: list[Cost]) -> list[CostRow]:
    """Return what each step cost, in the order of the work."""
    sums = totals(costs)
    whole = sum(c.cpu_seconds for c in sums.values()) or 1.0
    rows = []
    for step, cost in sums.items():
        title, unit = _STEP_WORDS.get(step, (step.capitalize(), "thing"))
        each = cost.cpu_seconds / cost.count
        share = 100 * cost.cpu_seconds / whole
        told = count(cost.count, unit)
        rows.append(CostRow(title, told, cost.seconds, cost.cpu_seconds, each, share))
    return rows
