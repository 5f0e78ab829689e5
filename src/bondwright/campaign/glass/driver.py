"""Running a project from its glass.toml to its report: whatever is missing, in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bondwright.campaign.glass.config import GlassConfig
from bondwright.campaign.glass.costs import measured
from bondwright.campaign.glass.folder import CellName, GlassFolder
from bondwright.campaign.glass.generate import (
    Generating,
    QuenchTask,
    make_cells,
    refused,
    run_quench_in,
    run_seed,
    wanted_cells,
)
from bondwright.campaign.glass.labelling import Labelling, choose, label_cells
from bondwright.campaign.glass.labels import cells as labelled_cells
from bondwright.campaign.glass.labels import methods
from bondwright.campaign.glass.models import evaluate_model, train
from bondwright.campaign.glass.registry import ModelVersion
from bondwright.campaign.glass.report import write_glass_report
from bondwright.campaign.glass.strained import make_variants
from bondwright.dft.gpaw_parameters import gpaw_version
from bondwright.errors import InputError
from bondwright.glasses.composition import parse_composition
from bondwright.glasses.protocol import protocol_of
from bondwright.learn.evaluation import Evaluation
from bondwright.run import LocalPool, Resources, TaskStatus

Show = Callable[[str, str], AbstractContextManager[Callable[[int, int | None], None]]]


@dataclass
class Watchers:
    """Who is told what happens.

    Attributes:
        say: takes a line at every step.
        generating: takes the state of the melt-quenches.
        labelling: takes the state of the labelling.
        show: makes a progress display of a prediction.
    """

    say: Callable[[str], None]
    generating: Callable[[Generating], None]
    labelling: Callable[[Labelling], None]
    show: Show


@dataclass
class GlassRun:
    """What one run did.

    Attributes:
        cells: cells of the project that can be labelled.
        labelled: accepted labels that were learned from.
        not_labelled: why cells have no label: cell or reason -> sentence.
        model: version of the model.
        new_model: whether it was trained now.
        split: what was held out to measure the errors; None where nothing can be held out.
        scores: errors by pair of elements of the model and its baselines.
        predictions: name -> summary of each predicted glass.
        report: the page.
    """

    cells: int = 0
    labelled: int = 0
    not_labelled: list[str] = field(default_factory=list)
    model: int | None = None
    new_model: bool = False
    split: str | None = None
    scores: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: Path | None = None


def run_project(
    folder: GlassFolder,
    config: GlassConfig,
    watchers: Watchers,
    *,
    retry_failed: bool = False,
) -> GlassRun:
    """Do all that glass.toml asks for and that is missing; call it under the project's lock.

    Cells are made, strained and labelled, a model is trained and evaluated, the large glass is
    made and predicted, the report written.

    Raises:
        InputError: the settings cannot be used, or there is no label to learn from.
    """
    done = GlassRun()
    names = _cells(folder, config, watchers, done)
    _label(folder, config, names, watchers, done, retry_failed=retry_failed)
    model, evaluation = _learn(folder, config, watchers, done)
    done.model = model.version
    if evaluation is not None:
        done.split = evaluation.split
        done.scores = evaluation.card()["scores"]
    _predict(folder, config, model, watchers, done)
    done.report = write_glass_report(folder.root)
    return done


def _cells(
    folder: GlassFolder, config: GlassConfig, watchers: Watchers, done: GlassRun
) -> list[CellName]:
    """Make the cells and variants that are asked for; return all that can be labelled."""
    runs = wanted_cells(config)
    missing = [run for run in runs if not folder.structure_file(run).is_file()]
    if missing:
        watchers.say(
            f"making {len(missing)} cells of {config.atoms} atoms "
            f"({config.protocol.cooling_rate_K_per_s:.0e} K/s)"
        )
        made = make_cells(folder, config, runs, progress=watchers.generating)
        done.not_labelled += [f"{name}: {why}" for name, why in made.failed.items()]
    bad = refused(folder, runs)
    done.not_labelled += [f"{run}: refused by its checks ({why})" for run, why in bad.items()]
    make_variants(folder, config, [r for r in runs if r.run not in bad], config.variants)
    wanted = {(run.run, variant) for run in runs for variant in config.variants}
    names = [name for name in choose(folder) if (name.run, name.variant) in wanted]
    done.cells = len(names)
    return names


def _label(
    folder: GlassFolder,
    config: GlassConfig,
    names: list[CellName],
    watchers: Watchers,
    done: GlassRun,
    *,
    retry_failed: bool,
) -> None:
    if config.label.method == "lobster":
        return
    try:
        gpaw_version()
    except InputError as error:
        if not methods(folder):
            raise
        watchers.say(f"No new labels: {error}")
        return
    made = label_cells(
        folder,
        config,
        names,
        retry_failed=retry_failed,
        minutes=config.run.label_minutes,
        progress=watchers.labelling,
    )
    done.not_labelled += [
        f"{record.name}: {record.status}, {record.reason}"
        for record in made.records
        if not record.accepted
    ]
    if made.left_out:
        done.not_labelled.append(
            f"{made.left_out} cells wait: label_minutes was used up; the same command goes on."
        )


def _learn(
    folder: GlassFolder, config: GlassConfig, watchers: Watchers, done: GlassRun
) -> tuple[ModelVersion, Evaluation | None]:
    method = config.label.method_name if config.label.method == "gpaw" else None
    cells = labelled_cells(folder, method)
    done.labelled = len(cells)
    model, done.new_model = train(folder, config, cells, progress=watchers.say)
    if len(cells) < 2:
        watchers.say("one labelled cell cannot be held out: the errors of the model are unknown")
        return model, None
    _, evaluation = evaluate_model(folder, config, model, cells, progress=watchers.say)
    return model, evaluation


def _predict(
    folder: GlassFolder,
    config: GlassConfig,
    model: ModelVersion,
    watchers: Watchers,
    done: GlassRun,
) -> None:
    files = {path.stem: path for path in config.predict.files}
    if config.predict.atoms:
        files |= _large_glass(folder, config, watchers)
    if not files:
        return
    from bondwright.campaign.glass.analysis import analyse
    from bondwright.campaign.glass.predict import PredictionSettings, predict_frames
    from bondwright.campaign.glass.predict_model import open_model, read_frames

    opened = open_model(model.folder)
    settings = PredictionSettings(workers=config.run.worker_count)
    for name, path in files.items():
        target = folder.predictions / f"{name}-model{model.version}"
        with measured(folder.costs, "predict", name) as cost:
            frames = read_frames(path, note=watchers.say)
            for summary in predict_frames(frames, opened, target, settings, watchers.show):
                done.predictions[target.name] = summary
                cost.count += summary["bonds"] if summary["new"] else 0
        if cost.count:
            analyse(target)


def _large_glass(folder: GlassFolder, config: GlassConfig, watchers: Watchers) -> dict[str, Path]:
    """Make the glass that the model is used on; return its name and file."""
    composition = parse_composition(config.predict.composition or config.compositions[0]).name
    protocol = config.protocol
    if config.predict.rate is not None:
        protocol = protocol_of(config.predict.rate)
    name = f"{composition}-{config.predict.atoms}"
    target = folder.root / "glasses" / name
    path = target / "cell.extxyz"
    if path.is_file():
        return {name: path}
    watchers.say(
        f"making a glass of {config.predict.atoms:,} atoms of {composition} "
        f"({protocol.cooling_rate_K_per_s:.0e} K/s)"
    )
    task = QuenchTask(
        folder.root,
        CellName(composition, name),
        config.predict.atoms,
        protocol,
        run_seed(config, CellName(composition, name)),
        config.potential,
    )
    limits = Resources(None, config.run.memory_mb)
    with LocalPool(1, log=folder.log, tasks_per_worker=1) as pool:
        result = pool.submit(run_quench_in, (task, target), limits).result()
    why = result.value if result.status is TaskStatus.DONE else result.message
    if why:
        raise InputError(f"the glass of {config.predict.atoms:,} atoms was not made: {why}")
    return {name: path}
