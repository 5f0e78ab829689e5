"""The log of a training run: one JSON line per event, curves as SVG, and a mirror in MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bondwright.structure.write import write_text

LOG = "log.jsonl"
CURVES = "curves.svg"


class RunLog:
    """The log of a run in its folder.

    Args:
        folder: of the run.
        step: the step from which the run goes on; later lines, of steps that will be done again,
            are dropped.
        settings: recorded with the run where MLflow is used.
    """

    def __init__(self, folder: Path, step: int, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self.events = [event for event in read_log(folder) if event["step"] <= step]
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        write_text(folder / LOG, lines)
        self._mirror = _mirror(folder, settings)

    def add(self, event: Mapping[str, Any]) -> None:
        """Add one event: {"step": ..., name: number, ...}."""
        self.events.append(dict(event))
        with (self._folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, allow_nan=False) + "\n")
        if self._mirror is not None:
            numbers = {k: v for k, v in event.items() if isinstance(v, float) and k != "step"}
            self._mirror.log_metrics(numbers, step=int(event["step"]))

    def draw(self) -> None:
        """Write the curves of everything logged so far."""
        draw_curves(self.events, self._folder / CURVES)

    def close(self) -> None:
        """End the mirrored run."""
        if self._mirror is not None:
            self._mirror.end_run()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run; a line that was cut off by a crash ends them."""
    events: list[dict[str, Any]] = []
    if (folder / LOG).exists():
        for line in (folder / LOG).read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                break
    return events


def summary(folder: Path) -> dict[str, Any]:
    """Return the last figures of a run and the best validation loss so far."""
    events = read_log(folder)
    last = [event for event in events if "loss" in event][-1:]
    best = min(
        (event for event in events if "validation_loss" in event),
        key=lambda event: float(event["validation_loss"]),
        default={},
    )
    said: dict[str, Any] = dict(last[0]) if last else {}
    return {**said, **{name: best[name] for name in best if name != "step"}}


def draw_curves(events: list[dict[str, Any]], path: Path) -> None:
    """Draw loss, learning rate and quality of samples against the step."""
    from bondwright.bonding.figures import COLOURS, canvas, finish

    figure, axes = canvas()
    for number, (key, label) in enumerate(
        (("loss", "training"), ("validation_loss", "validation"))
    ):
        points = [(event["step"], event[key]) for event in events if key in event]
        if points:
            axes.plot(*zip(*points, strict=True), color=COLOURS[number], label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    share = [(event["step"], event["valid_share"]) for event in events if "valid_share" in event]
    if share:
        right = axes.twinx()
        right.plot(*zip(*share, strict=True), color=COLOURS[2], marker="o", markersize=3)
        right.set_ylabel("share of samples that are valid", color=COLOURS[2])
        right.set_ylim(0, 1)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small")
    finish(figure, axes, path, "")


def _mirror(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Return MLflow with a run begun, or None where it is not installed or not configured."""
    if not os.environ.get("MLFLOW_TRACKING_URI") or find_spec("mlflow") is None:
        return None
    mlflow = import_module("mlflow")
    mlflow.start_run(run_name=folder.name)
    mlflow.log_params(dict(settings))
    return mlflow
