"""Everything that is measured of a crystal model, beside baselines and real crystals.

    summary = evaluate(model, data, EvaluationSettings(), folder, reference=index)

A folder holds one evaluation: `plan.json` (what was asked), the rows of every step as they land,
and in the end `structures.parquet`, `predictions.parquet` and `summary.json`. The same call goes on
where it was stopped. What each number means stands in docs/crystal-evaluation.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.dialect import Request
from bondwright.crystals.evaluation_arms import (
    BASELINES,
    EXCHANGE,
    MODEL,
    RANDOM,
    REAL,
    Arm,
    Sampler,
)
from bondwright.crystals.evaluation_condition import condition_figures
from bondwright.crystals.evaluation_distributions import distribution_figures
from bondwright.crystals.evaluation_held_out import PROMPTS, HeldOut, held_out
from bondwright.crystals.evaluation_known import KnownSource, load_known, refuse_missing
from bondwright.crystals.evaluation_novelty import novelty_figures, novelty_rows, training_index
from bondwright.crystals.evaluation_prediction import match_all, prediction_figures
from bondwright.crystals.evaluation_records import ALONE, Going, Row, write_rows
from bondwright.crystals.evaluation_stability import estimate_relaxed, relax_some, stability_figures
from bondwright.crystals.evaluation_validity import judge, validity_figures
from bondwright.crystals.sampling import SamplingSettings
from bondwright.crystals.splits import Splits
from bondwright.errors import InputError, nearest
from bondwright.screen.property import load_property
from bondwright.screen.reference import ReferenceIndex
from bondwright.screen.stability import StabilitySettings
from bondwright.structure.datasets import file_sha256
from bondwright.structure.write import write_text

VERSION = "evaluation/2"
PLAN, SUMMARY = "plan.json", "summary.json"
STRUCTURES, PREDICTIONS = "structures.parquet", "predictions.parquet"
HELD_OUT, FREE, ANY = "held-out", "held-out, unconstrained", "any"
_NAMED_ROWS = ("structure", "request")


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and on how much.

    Attributes:
        samples: of each arm: held-out compositions with and without constraints, no prompt at all,
            baselines; 0 leaves validity, novelty and distributions out.
        prompt: what of a held-out structure the arms are told: "formula", "formula-z",
            "formula-group".
        largest: most atoms in the conventional cell, of held-out structures and of samples.
        targets: structures to be predicted of each set; 0 leaves prediction out.
        tries: predictions of each.
        prediction_prompt: what of a target is told; "formula-z" is what published figures tell.
        baselines: "random", "ion-exchange", "nearest"; the last predicts only.
        condition: property that is asked for.
        values: asked values; none leaves the condition out.
        condition_samples: of each value; the control is the arm without prompt.
        tolerance: distance from the asked value that counts as a hit.
        condition_relax: samples of each value, and of the control, whose property is estimated
            once more after they were relaxed; 0 for none.
        relax: valid, unique and new samples of each arm that are relaxed; 0 for none.
        seed: decides all random numbers.
        sampling: how tokens are chosen; whether constraints act, the arms decide.
        stability: potential, hull and threshold.
    """

    samples: int = 1000
    prompt: str = "formula"
    largest: int = 60
    targets: int = 200
    tries: int = 20
    prediction_prompt: str = "formula-z"
    baselines: tuple[str, ...] = BASELINES
    condition: str = "band_gap"
    values: tuple[float, ...] = ()
    condition_samples: int = 300
    tolerance: float = 0.5
    condition_relax: int = 0
    relax: int = 0
    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    stability: StabilitySettings = field(default_factory=StabilitySettings)

    def __post_init__(self) -> None:
        """Refuse names that are not known.

        Raises:
            InputError: names them, and what is known.
        """
        for said in (self.prompt, self.prediction_prompt):
            if said not in PROMPTS:
                raise InputError(f"there is no prompt {said!r}.{nearest(said, PROMPTS)}")
        for said in self.baselines:
            if said not in BASELINES:
                raise InputError(f"there is no baseline {said!r}.{nearest(said, BASELINES)}")
        if min(self.samples, self.targets, self.tries, self.relax, self.condition_relax) < 0:
            raise InputError("numbers of samples, targets and tries are 0 or more.")


def evaluate(
    model: LoadedModel,
    table: Path,
    settings: EvaluationSettings,
    folder: Path,
    *,
    part: str = "test",
    column: str | None = None,
    sets: Mapping[str, KnownSource] | None = None,
    reference: ReferenceIndex | None = None,
    going: Going = ALONE,
) -> dict[str, Any]:
    """Measure a model; return the summary, also written to `summary.json`.

    Args:
        model: the model.
        table: structure table that it was trained on; its compositions are dealt out by the rule
            in the model's card.
        settings: what is measured.
        folder: of the evaluation.
        part: part of the table that is held out, "test" or "validation".
        column: of the CIF texts; found by its name when None.
        sets: further structures to be predicted, by name.
        reference: all known structures; None leaves what is asked of them unknown.
        going: how the work is driven; `complete` is False in the summary when it was stopped.

    Raises:
        InputError: the folder holds another evaluation, a table cannot be read, or the model
            cannot be asked for the condition.
    """
    refuse_missing([table, *(path for source in (sets or {}).values() for path in source.paths)])
    splits, warnings = splits_of(model, table)
    data = KnownSource((table,), column, splits=splits, part=part)
    training = KnownSource((table,), column, splits=splits, part="train")
    if settings.values and settings.condition not in [n.name for n in model.normalisers]:
        raise InputError(
            f"the model was not trained on {settings.condition!r}; leave the values out."
        )
    about = {
        "model": {"sha256": model.sha256, "dialect": model.dialect},
        "table": {"name": table.name, "sha256": file_sha256(table), "part": part},
        "splits": splits.to_json(),
        "sets": {n: [str(p) for p in s.paths] + [s.source] for n, s in (sets or {}).items()},
        "reference": None if reference is None else reference.describe(),
        "settings": asdict(settings),
        "version": VERSION,
    }
    _claim(folder, about)
    work = _Work(model, data, training, settings, folder, reference, going)
    summary: dict[str, Any] = {**about, "warnings": warnings, "complete": False}
    for name, step in (
        ("arms", work.arms),
        ("distributions", work.distributions),
        ("condition", work.condition),
        ("prediction", lambda: work.prediction({HELD_OUT: data, **(sets or {})})),
        ("stability", work.stability),
    ):
        if not going.stop():
            summary[name] = step()
            summary["held_out"] = work.held_out_facts
            _write_summary(folder, summary)
    work.write_tables()
    summary["complete"] = not going.stop()
    _write_summary(folder, summary)
    return summary


def splits_of(model: LoadedModel, table: Path) -> tuple[Splits, list[str]]:
    """Return the rule by which the model's training data were split, and what is doubtful."""
    said = model.card.get("data")
    if not isinstance(said, Mapping) or "splits" not in said:
        return Splits(), [
            "the model does not say what it was trained on, so held-out compositions may have "
            "been among its training data."
        ]
    made_from = said.get("made_from")
    files = made_from.get("files", []) if isinstance(made_from, Mapping) else []
    warnings = []
    if file_sha256(table) not in [entry[-1] for entry in files]:
        warnings.append(f"{table.name} is not among the files that the model was trained on.")
    return Splits.from_json(said["splits"]), warnings


class _Work:
    """The steps of one evaluation."""

    def __init__(
        self,
        model: LoadedModel,
        data: KnownSource,
        training: KnownSource,
        settings: EvaluationSettings,
        folder: Path,
        reference: ReferenceIndex | None,
        going: Going,
    ) -> None:
        self.settings, self.folder, self.going = settings, folder, going
        self.data, self.training, self.reference = data, training, reference
        self.sampler = Sampler(model, settings.sampling, training, folder, settings.seed, going)
        self.held_out_facts: dict[str, Any] = {}
        self.judged: dict[str, list[Row]] = {}
        self.novelty: dict[str, dict[str, Row]] = {}
        self.relaxed: dict[str, list[Row]] = {}
        self.predicted: list[Row] = []
        self._held: list[HeldOut] = []
        self._anything = Request(max_atoms=settings.largest)

    def arms(self) -> dict[str, Any]:
        """Draw and test every arm of samples."""
        settings = self.settings
        if settings.samples == 0:
            return {}
        held = self._structures(HELD_OUT, self.data, settings.samples)
        self._held = held
        chosen = list(islice(cycle(held), settings.samples))
        requests = tuple(h.request(settings.prompt, settings.largest) for h in chosen)
        arms = [
            Arm(
                REAL,
                tuple(h.request("formula-group", settings.largest) for h in held),
                REAL,
                real=tuple(h.crystal for h in held),
            ),
            Arm(HELD_OUT, requests),
            Arm(FREE, requests, constrained=False, twin=HELD_OUT),
            Arm(ANY, (self._anything,) * settings.samples),
        ]
        arms += [
            Arm(name, requests, name) for name in (RANDOM, EXCHANGE) if name in settings.baselines
        ]
        figures = {}
        for arm in arms:
            asked = [settings.condition] if arm.name == ANY and settings.values else []
            rows = self._test(arm, asked)
            figures[arm.name] = validity_figures(rows)
            if arm.name not in (REAL, FREE) and not self.going.stop():
                figures[arm.name] |= self._compare(arm.name, rows)
        return figures

    def distributions(self) -> dict[str, Any]:
        """Compare arms with the held-out structures as crowds."""
        names = [name for name in (ANY, HELD_OUT, RANDOM, EXCHANGE) if name in self.judged]
        seed = self.settings.seed
        return {n: distribution_figures(self.judged[n], self._held, seed) for n in names}

    def condition(self) -> dict[str, Any]:
        """Ask for several values of a property."""
        settings = self.settings
        if not settings.values:
            return {}
        name, n = settings.condition, settings.condition_samples
        asked: dict[float | None, list[Row]] = {}
        control = Arm(ANY, (self._anything,) * (settings.samples or n))
        asked[None] = self.judged.get(ANY) or self._test(control, [name], published=False)
        for value in settings.values:
            arm = Arm(f"{name}={value:g}", (self._anything,) * n, asked={name: value})
            asked[value] = self._test(arm, [name], published=False)
        unit, tolerance = load_property(name).unit, settings.tolerance
        figures = condition_figures(asked, name=name, unit=unit, tolerance=tolerance)
        if settings.condition_relax and not self.going.stop():
            relaxed = {value: self._relaxed(name, value, rows) for value, rows in asked.items()}
            figures["relaxed"] = condition_figures(
                relaxed, name=name, unit=unit, tolerance=tolerance
            )
        return figures

    def prediction(self, sets: Mapping[str, KnownSource]) -> dict[str, Any]:
        """Let the model and the baselines look for known structures."""
        settings = self.settings
        figures: dict[str, Any] = {}
        for name, source in sets.items() if settings.targets else ():
            targets = self._structures(name, source, settings.targets)
            requests = tuple(
                target.request(settings.prediction_prompt, settings.largest)
                for target in targets
                for _ in range(settings.tries)
            )
            seen = set(load_known(self.training).formulas)
            figures[name] = {
                "targets": len(targets),
                "compositions_in_training": sum(target.formula in seen for target in targets),
                "tolerances": {"ltol": 0.3, "stol": 0.5, "angle_tol": 10},
                "methods": {},
            }
            for method in (MODEL, *settings.baselines):
                arm = Arm(f"{name}: {method}", requests, method)
                samples = self.sampler.draw(arm)
                if self.going.stop():
                    return figures
                place = self.folder / "matched" / arm.slug
                rows = match_all(targets, samples, settings.tries, place, self.going)
                figures[name]["methods"][method] = prediction_figures(rows, settings.tries)
                self.predicted += [{"set": name, "method": method, **row} for row in rows]
        return figures

    def stability(self) -> dict[str, Any]:
        """Relax some of the new samples of every arm."""
        settings = self.settings
        figures = {}
        for name, novelty in self.novelty.items() if settings.relax else ():
            rows = self.judged[name]
            self.relaxed[name] = relaxed = relax_some(
                rows,
                novelty,
                self.folder / "relaxed" / name,
                count=settings.relax,
                seed=settings.seed,
                settings=settings.stability,
                going=self.going,
            )
            known = self._training_index(rows)
            figures[name] = stability_figures(rows, novelty, relaxed, known, self.reference)
        return figures

    def write_tables(self) -> None:
        """Write one row for every sample, and one for every prediction of a target."""
        relaxed = {row["key"]: row for rows in self.relaxed.values() for row in rows}
        rows = []
        for name, judged in self.judged.items():
            for row in judged:
                novelty = self.novelty.get(name, {}).get(row["key"], {})
                after = relaxed.get(row["key"], {})
                rows.append(
                    {
                        **row,
                        **novelty,
                        "stability": after.get("outcome"),
                        "stability_reason": after.get("reason"),
                        "e_above_hull": after.get("e_above_hull"),
                    }
                )
        if rows:
            write_rows(self.folder / STRUCTURES, rows, leave_out=_NAMED_ROWS)
        if self.predicted:
            write_rows(self.folder / PREDICTIONS, self.predicted)

    def _structures(self, name: str, source: KnownSource, count: int) -> list[HeldOut]:
        """Draw held-out structures and remember what became of all that were looked at."""
        found, outcomes = held_out(
            load_known(source),
            self.folder / "held-out" / name,
            count=count,
            largest=self.settings.largest,
            seed=self.settings.seed,
            going=self.going,
        )
        self.held_out_facts[name] = {
            "structures": len(load_known(source).rows),
            "looked_at": outcomes,
            "largest": self.settings.largest,
        }
        return found

    def _test(self, arm: Arm, properties: Sequence[str], *, published: bool = True) -> list[Row]:
        """Draw the samples of an arm and test them."""
        samples = self.sampler.draw(arm)
        place = self.folder / "tested" / arm.slug
        rows = judge(samples, place, properties=properties, published=published, going=self.going)
        self.judged[arm.name] = rows
        return rows

    def _relaxed(self, name: str, value: float | None, rows: Sequence[Row]) -> list[Row]:
        """Return the first samples of an arm with the property that they have when relaxed."""
        settings = self.settings
        return estimate_relaxed(
            rows[: settings.condition_relax],
            name,
            self.folder
            / "relaxed"
            / f"{name}={'nothing' if value is None else format(value, 'g')}",
            settings=settings.stability,
            going=self.going,
        )

    def _compare(self, name: str, rows: Sequence[Row]) -> dict[str, Any]:
        """Compare the samples of an arm with one another and with what is known."""
        novelty = novelty_rows(rows, self._training_index(rows), self.reference, self.going)
        self.novelty[name] = novelty
        return novelty_figures(rows, novelty, self.reference)

    def _training_index(self, rows: Sequence[Row]) -> ReferenceIndex:
        return training_index(rows, load_known(self.training), "training set")


def _claim(folder: Path, about: Mapping[str, Any]) -> None:
    """Mark a folder as that of this evaluation.

    Raises:
        InputError: it holds another one; says what differs.
    """
    text = json.dumps(about, indent=1, default=str)
    path = folder / PLAN
    if path.exists():
        stored, asked = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        differs = [name for name in asked if stored.get(name) != asked[name]]
        if differs:
            raise InputError(
                f"{folder} holds another evaluation (other {', '.join(differs)}); give another "
                "folder, or the settings it was begun with."
            )
        return
    write_text(path, text + "\n")


def _write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    text = json.dumps(summary, indent=1, default=str, allow_nan=False)
    write_text(folder / SUMMARY, text + "\n")
