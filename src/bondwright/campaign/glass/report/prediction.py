"""Section: what a model predicted for large glasses, and what the analysis found."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from bondwright.campaign.glass.analysis import newest_analysis
from bondwright.campaign.glass.analysis_frames import PredictedFrame, predicted_frames
from bondwright.campaign.glass.predict import read_json
from bondwright.campaign.glass.report.plots import Figures, Series
from bondwright.campaign.glass.report.scene import glass_scene
from bondwright.errors import InputError

_FEW = 30
_VIEWS = 4
_ODD = 3e-4


@dataclass(frozen=True)
class PredictionCard:
    """One prediction on the page.

    Attributes:
        number: of the card, from 1.
        title: name of its folder.
        path: as it is typed on the command line.
        method: of the numbers.
        frame: summary of the frame that is shown.
        frames: how many frames there are.
        atoms_drawn: atoms in the 3D view; 0 without one.
        scene: name of the 3D view.
        strengths: name of the figure of distributions.
        lengths: name of the figure of strength against length.
        sigmas: name of the figure of sigma.
        groups: see `analysis_groups.groups_as_json`; None before the analysis.
        evolution: see `analysis_evolution.evolution`; None without several frames.
        moving: names of the figures over the frames.
        map: the analysis' picture of where bonds are strong, as a data address; None without.
    """

    number: int
    title: str
    path: str
    method: str
    frame: dict[str, Any]
    frames: int
    atoms_drawn: int
    scene: str | None
    strengths: str | None
    lengths: str | None
    sigmas: str | None
    groups: dict[str, Any] | None
    evolution: dict[str, Any] | None
    moving: list[tuple[str, str]]
    map: str | None


def prediction_cards(folders: list[Path], figures: Figures) -> list[PredictionCard]:
    """Read predictions, the newest first; those without a complete frame are left out."""
    cards: list[PredictionCard] = []
    for folder in folders:
        try:
            frames = predicted_frames(folder)
            cards.append(_card(folder, frames, figures, len(cards) + 1))
        except InputError:
            continue  # nothing complete yet
    return cards


def _card(
    folder: Path, frames: list[PredictedFrame], figures: Figures, number: int
) -> PredictionCard:
    analysis = newest_analysis(folder)
    shown = analysis["frame"] if analysis else frames[0].summary["number"]
    frame = next((f for f in frames if f.summary["number"] == shown), frames[0])
    title = folder.name
    scene, drawn = None, 0
    if number <= _VIEWS:
        data = glass_scene(frame, title, folder / "analysis" if analysis else None)
        scene, drawn = f"scene-{title}", data["shown"]
        figures.scenes[scene] = data
    found = analysis["distributions"] if analysis else None
    moved = analysis["evolution"] if analysis else None
    return PredictionCard(
        number,
        title,
        str(folder),
        str(read_json(folder / "prediction.json").get("method")),
        frame.summary,
        len(frames),
        drawn,
        scene,
        _strengths(title, found, figures) if found else None,
        _lengths(title, found, figures) if found else None,
        _sigmas(title, found, figures) if found else None,
        analysis["groups"] if analysis else None,
        moved,
        _moving(title, moved, figures) if moved else [],
        _picture(folder / "analysis" / "map.png") if analysis else None,
    )


def _picture(path: Path) -> str | None:
    """Return a picture as text that stands in the page itself."""
    if not path.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _strengths(title: str, found: dict[str, Any], figures: Figures) -> str | None:
    axis = found["strength_axis"]
    series, top = [], 0.0
    shown = _most(
        [sum(counts) for counts in zip(*(p["strengths"] for p in found["pairs"]), strict=True)]
    )
    for pair in found["pairs"]:
        counts = pair["strengths"]
        total = sum(counts)
        first, last = _used(counts)
        x = [axis["low"] + axis["step"] * (k + 0.5) for k in range(first, last + 1)]
        y = [n / total / axis["step"] for n in counts[first : last + 1]]
        if total >= _FEW:
            top = max(top, *y)
        series.append(Series(pair["pair"], "step", x, y, figures.styles.of(pair["pair"])))
    return figures.add(
        f"strengths-{title}",
        series,
        x="−ICOHP (eV)",
        y="share of the pair's bonds per eV",
        label="Distribution of predicted bond strengths, by pair of elements",
        limits={
            "x_low": axis["low"] + axis["step"] * shown[0],
            "x_high": axis["low"] + axis["step"] * (shown[1] + 1),
            "y_low": 0.0,
            **({"y_high": 1.06 * top} if top else {}),
        },
    )


def _lengths(title: str, found: dict[str, Any], figures: Figures) -> str | None:
    series = []
    for pair in found["pairs"]:
        least = min(_FEW, max(pair["bonds"]))
        keep = [k for k, n in enumerate(pair["bonds"]) if n >= least]
        x, y, std = ([pair[name][k] for k in keep] for name in ("length_A", "mean_eV", "std_eV"))
        style = figures.styles.of(pair["pair"])
        series.append(Series(pair["pair"], "band", x, y, style, spread=std))
        series.append(Series(pair["pair"], "line", x, y, style))
    return figures.add(
        f"lengths-{title}",
        series,
        x="bond length (Å)",
        y="−ICOHP (eV)",
        label="Predicted strength against length: mean and standard deviation, by pair of elements",
    )


def _sigmas(title: str, found: dict[str, Any], figures: Figures) -> str | None:
    axis = found["sigma_axis"]
    series = []
    for pair in found["pairs"]:
        total = sum(pair["sigmas"])
        if total < _FEW:
            continue
        first, last = _used(pair["sigmas"])
        x = [axis["low"] + axis["step"] * (k + 0.5) for k in range(first, last + 1)]
        y = [100 * n / total for n in pair["sigmas"][first : last + 1]]
        series.append(Series(pair["pair"], "step", x, y, figures.styles.of(pair["pair"])))
    return figures.add(
        f"sigmas-{title}",
        series,
        x="sigma (eV)",
        y="share of the pair's bonds (%)",
        label="How uncertain the predictions are, by pair of elements",
        limits={"y_low": 0.0, "x_low": 0.0},
    )


def _moving(title: str, moved: dict[str, Any], figures: Figures) -> list[tuple[str, str]]:
    """Draw what changes over the frames: (caption, name of the figure)."""
    frames = moved["frames"]
    strained = any(abs(frame["strain"]) > 1e-4 for frame in frames)
    axis = f"strain along {'abc'[moved['axis']]} (%)" if strained else "time step"
    x = [100 * f["strain"] if strained else f["step"] for f in frames]
    pairs = [p for p in frames[0]["pairs"] if frames[0]["pairs"][p]["bonds"] >= _FEW]

    def series(of: Callable[[dict[str, Any], dict[str, Any]], float]) -> list[Series]:
        """Return one line per pair of what `of` makes of a frame and of the first one."""
        found = []
        for pair in pairs:
            start = frames[0]["pairs"][pair]
            there = [
                (a, f["pairs"][pair]) for a, f in zip(x, frames, strict=True) if pair in f["pairs"]
            ]
            y = [of(record, start) for _, record in there]
            style = figures.styles.of(pair)
            found.append(Series(pair, "line", [a for a, _ in there], y, style, marks=True))
        return found

    wanted = [
        (
            "Mean strength, against the first frame",
            "mean",
            series(lambda now, start: 100 * (now["mean_eV"] / start["mean_eV"] - 1)),
            "change of mean −ICOHP (%)",
        ),
        (
            "Strong bonds (as the strongest tenth of the first frame)",
            "strong",
            series(lambda now, _: 100 * now["strong_share"]),
            "share of the pair's bonds (%)",
        ),
    ]
    if all(f["weak_mean_eV"] is not None and f["strong_mean_eV"] is not None for f in frames):
        groups = [
            Series(name, "line", x, [f[f"{name}_mean_eV"] for f in frames], style, marks=True)
            for style, name in enumerate(("weak", "strong"))
        ]
        wanted.append(
            ("Atoms that were weak and strong at first", "groups", groups, "mean −ICOHP (eV)")
        )
    drawn = []
    for caption, name, lines, y in wanted:
        figure = figures.add(
            f"{name}-{title}", lines, x=axis, y=y, label=f"{caption}, along {axis}"
        )
        if figure:
            drawn.append((caption, figure))
    return drawn


def _most(counts: list[int]) -> tuple[int, int]:
    """Return the first and the last bin that matter: a few odd bonds do not stretch the axis."""
    least = sum(counts) * _ODD
    below = list(accumulate(counts))
    first = next(k for k, n in enumerate(below) if n > least)
    last = next(k for k, n in enumerate(below) if n >= below[-1] - least)
    return first, last


def _used(counts: list[int]) -> tuple[int, int]:
    """Return the first and the last bin that hold something, one empty bin on either side."""
    used = [k for k, n in enumerate(counts) if n]
    return max(0, used[0] - 1), min(len(counts) - 1, used[-1] + 1)
