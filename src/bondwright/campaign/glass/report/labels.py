"""Section: the labels, by which method, at what cost, which failed; strength against length."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.labels import FAILED, LabelRecord, load_cell, read_records
from bondwright.campaign.glass.report.plots import Figures, Series, thinned
from bondwright.campaign.report.words import reason_words

_CELLS_DRAWN = 40
_POINTS = 3000


@dataclass(frozen=True)
class MethodRow:
    """Labels of one method.

    Attributes:
        method: its name.
        accepted: labels that may be learned from.
        bonds: bonds in them.
        refused: labels with numbers that may not be used.
        failed: calculations without numbers.
        seconds_each: mean wall-clock seconds; None when unknown.
        cpu_seconds: all together; None when unknown.
        spilling: mean charge spilling, 0..1; None when unknown.
    """

    method: str
    accepted: int
    bonds: int
    refused: int
    failed: int
    seconds_each: float | None
    cpu_seconds: float | None
    spilling: float | None


@dataclass(frozen=True)
class LabelsSection:
    """What the page tells of labels.

    Attributes:
        methods: by number of labels.
        reasons: (words, number) of labels that may not be used.
        lengths: name of the figure of strength against length.
        drawn: (bonds drawn, bonds there) in it.
        drawn_method: whose labels are drawn.
    """

    methods: list[MethodRow]
    reasons: list[tuple[str, int]]
    lengths: str | None
    drawn: tuple[int, int]
    drawn_method: str


def labels_section(folder: GlassFolder, figures: Figures) -> LabelsSection | None:
    """Read the labels of a project; None where there is none."""
    records = read_records(folder)
    if not records:
        return None
    by_method: dict[str, list[LabelRecord]] = {}
    for record in records:
        by_method.setdefault(record.method, []).append(record)
    methods = sorted((_row(m, r) for m, r in by_method.items()), key=lambda row: -row.accepted)
    bad = Counter(reason_words(r.reason) for r in records if not r.accepted)
    usable = [r for r in by_method[methods[0].method] if r.accepted]
    name, drawn = _lengths(folder, usable, figures)
    return LabelsSection(methods, bad.most_common(), name, drawn, methods[0].method)


def _row(method: str, records: list[LabelRecord]) -> MethodRow:
    good = [r for r in records if r.accepted]
    seconds = [r.seconds for r in records if r.seconds is not None]
    cpu = [r.cpu_seconds for r in records if r.cpu_seconds is not None]
    lost = [r.charge_spilling for r in good if r.charge_spilling is not None]
    failed = sum(r.status == FAILED for r in records)
    return MethodRow(
        method,
        len(good),
        sum(r.bonds for r in good),
        len(records) - len(good) - failed,
        failed,
        sum(seconds) / len(seconds) if seconds else None,
        sum(cpu) if cpu else None,
        sum(lost) / len(lost) if lost else None,
    )


def _lengths(
    folder: GlassFolder, records: list[LabelRecord], figures: Figures
) -> tuple[str | None, tuple[int, int]]:
    """Draw -ICOHP against length, thinned evenly over cells and bonds."""
    chosen = [records[k] for k in thinned(len(records), _CELLS_DRAWN).tolist()]
    points: dict[str, tuple[list[float], list[float]]] = {}
    total = sum(r.bonds for r in records)
    drawn = 0
    for record in chosen:
        bonds = load_cell(folder, record).bonds
        pairs = bonds.pairs()
        for k in thinned(len(bonds), max(1, _POINTS // len(chosen))).tolist():
            x, y = points.setdefault(str(pairs[k]), ([], []))
            x.append(float(bonds.length_A[k]))
            y.append(float(bonds.icohp_eV[k]))
            drawn += 1
    series = [
        Series(pair, "points", x, y, figures.styles.of(pair))
        for pair, (x, y) in sorted(points.items())
    ]
    name = figures.add(
        "label-lengths",
        series,
        x="bond length (Å)",
        y="−ICOHP (eV)",
        label="Labels: strength of bonds against their length, by pair of elements",
    )
    return name, (drawn, total)
