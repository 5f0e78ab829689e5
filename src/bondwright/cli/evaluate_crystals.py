"""`bondwright evaluate crystals`: what a crystal model is worth, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import note, progress_bar, say, say_json, say_table
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.crystals.evaluation_known import KnownSource

app = typer.Typer(help="Measure models against held-out data.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure models against held-out data."""


@app.command()
def crystals(
    model: Annotated[
        str,
        typer.Argument(
            help="shipped, the folder of a trained model, or a CrystaLLM checkpoint.",
            show_default=False,
        ),
    ],
    table: Annotated[
        Path | None,
        typer.Option(
            help="Structure table whose compositions were split for training. "
            "(default: crystals/structures.csv.gz of BONDWRIGHT_DATA)"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the evaluation.")] = Path(
        "crystal-evaluation"
    ),
    split: Annotated[str, typer.Option(help="Held-out part: test or validation.")] = "test",
    n: Annotated[
        int, typer.Option("--n", "-n", min=0, help="Samples of each arm; 0: prediction only.")
    ] = 1000,
    prompt: Annotated[
        str, typer.Option(help="What samples are told: formula, formula-z or formula-group.")
    ] = "formula",
    largest: Annotated[
        int, typer.Option(min=1, help="Most atoms in a cell, held out or made.")
    ] = 60,
    targets: Annotated[
        int, typer.Option(min=0, help="Structures to predict of each set; 0: none.")
    ] = 200,
    tries: Annotated[int, typer.Option(min=1, help="Predictions of each.")] = 20,
    predict: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TABLE[:SOURCE]",
            help="Another set to predict, rows of one source if named. Repeatable.",
        ),
    ] = None,
    prediction_prompt: Annotated[
        str, typer.Option(help="What predictions are told; see --prompt.")
    ] = "formula-z",
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="random, ion-exchange, nearest or none. Repeatable. (default: all)"),
    ] = None,
    band_gap: Annotated[
        list[float] | None,
        typer.Option(metavar="EV", help="Band gap to ask for, eV. Repeatable."),
    ] = None,
    condition_n: Annotated[int, typer.Option(min=1, help="Samples of each band gap.")] = 300,
    tolerance: Annotated[float, typer.Option(help="Distance that counts as a hit, eV.")] = 0.5,
    condition_relax: Annotated[
        int,
        typer.Option(
            min=0, help="Samples of each band gap that are relaxed, as the funnel does; 0: none."
        ),
    ] = 0,
    relax: Annotated[
        int, typer.Option(min=0, help="New samples of each arm to relax for S.U.N.; 0: none.")
    ] = 0,
    potential: Annotated[str, typer.Option(help="Potential that relaxes.")] = "chgnet",
    hull: Annotated[str, typer.Option(help="chgnet, dft or a hull table.")] = "chgnet",
    threshold: Annotated[float, typer.Option(help="Highest eV/atom above the hull.")] = 0.1,
    reference: Annotated[
        str, typer.Option(help="Index of all known structures; auto, none or a file.")
    ] = "auto",
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Choose among so many tokens; 0: all.")] = 0,
    attempts: Annotated[
        int, typer.Option(min=1, help="Texts begun for a crystal that passes the checks.")
    ] = 16,
    top_p: Annotated[float, typer.Option(help="Choose among this share of probability.")] = 1.0,
    guidance: Annotated[float, typer.Option(help="Weight of the condition; 1: as learned.")] = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Texts written at a time.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random number.")] = 0,
    column: Annotated[
        str | None, typer.Option(help="Column of CIF texts. (default: found by its name)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. (default: all cores)")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    json: Json = False,
) -> None:
    """Measure a crystal model: validity, novelty, prediction, distributions, condition.

    Real crystals and baselines go through the same tests. Every rate counts everything that was
    generated. Stopped (Ctrl-C, SIGTERM, a crash) and repeated, the same command goes on.
    """
    from bondwright.cli.reference import stop_on_signal
    from bondwright.crystals.evaluation import EvaluationSettings, evaluate
    from bondwright.crystals.evaluation_arms import BASELINES
    from bondwright.crystals.evaluation_known import default_table
    from bondwright.crystals.evaluation_records import Going
    from bondwright.crystals.sampling import SamplingSettings
    from bondwright.crystals.shipped import model_place, open_model
    from bondwright.crystals.splits import PARTS
    from bondwright.run import available_cores
    from bondwright.screen.stability import StabilitySettings

    if split not in PARTS[1:]:
        raise InputError(f"--split {split}: held out are 'test' and 'validation'.")
    settings = EvaluationSettings(
        samples=n,
        prompt=prompt,
        largest=largest,
        targets=targets,
        tries=tries,
        prediction_prompt=prediction_prompt,
        baselines=tuple(name for name in baseline or BASELINES if name != "none"),
        values=tuple(band_gap or ()),
        condition_samples=condition_n,
        tolerance=tolerance,
        condition_relax=condition_relax,
        relax=relax,
        seed=seed,
        sampling=SamplingSettings(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance=guidance,
            attempts=attempts,
            batch=batch,
        ),
        stability=StabilitySettings(
            potential=potential, hull=hull, threshold_eV_per_atom=threshold
        ),
    )
    with stop_on_signal() as stopped, progress_bar("evaluating") as update:
        now = ""

        def tell(what: str, done: int, total: int) -> None:
            nonlocal now
            if what != now:
                now = what
                note(f"{what} ...")
            update(done, total)

        summary = evaluate(
            open_model(model_place(model), device),
            table or default_table(),
            settings,
            out,
            part=split,
            column=column,
            sets=dict(_set(text) for text in predict or ()),
            reference=_reference(reference),
            going=Going(workers or available_cores(), stopped, tell),
        )
    if json:
        say_json(summary)
    else:
        show(summary)
        say(f"Folder: {out}")
    if not summary["complete"]:
        note("Stopped. Everything finished is kept; the same command goes on from here.")
        raise typer.Exit(130)


def show(summary: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    for warning in summary["warnings"]:
        note(f"Note: {warning}")
    if summary.get("arms"):
        _show_arms(summary["arms"])
    if summary.get("distributions"):
        _show_distributions(summary["distributions"])
    for name, figures in summary.get("prediction", {}).items():
        _show_prediction(name, figures)
    if summary.get("condition"):
        _show_condition(summary["condition"], "as written")
        if "relaxed" in summary["condition"]:
            _show_condition(summary["condition"]["relaxed"], "relaxed")
    for name, figures in summary.get("stability", {}).items():
        _show_stability(name, figures)


def _show_arms(arms: Mapping[str, Any]) -> None:
    head = ["", "samples", "grammatical", "composition exact", "valid (published)"]
    head += ["at once", "valid (strict)", "at once"]
    head += ["unique", "new to training", "new to reference"]
    names = ["grammatical", "composition_exact", "published", "published_at_once", "strict"]
    names += ["strict_at_once", "unique", "novel_against_training", "novel_against_reference"]
    rows = [
        [name, f"{a['samples']:,}", *(_percent(a.get(figure)) for figure in names)]
        for name, a in arms.items()
    ]
    say_table(head, rows, title="Validity and novelty, % of all samples")
    for name, figures in arms.items():
        for what in ("problems", "strict_reasons", "published_failures"):
            if figures[what]:
                counted = ", ".join(f"{reason} {count}" for reason, count in figures[what].items())
                say(f"{name}, {what.replace('_', ' ')}: {counted}")


def _show_distributions(arms: Mapping[str, Any]) -> None:
    measures = ("density", "elements", "atoms", "space_group")
    rows = [
        [name, f"{a['samples']:,}"]
        + [f"{a[m]['distance']:.3f} ({a[m]['floor']:.3f})" if m in a else "" for m in measures]
        for name, a in arms.items()
    ]
    say()
    say_table(
        ["", "samples", "density g/cm³", "elements", "atoms in the cell", "space groups (JS)"],
        rows,
        title="Distance from the held-out crystals (that of as many held-out crystals)",
    )


def _show_prediction(name: str, figures: Mapping[str, Any]) -> None:
    ranks = [key for key in next(iter(figures["methods"].values()), {}) if key.startswith("n=")]
    head = ["", *(f"{rank} {what}" for rank in ranks for what in ("match %", "gated %", "RMSE"))]
    rows = [
        [method]
        + [
            cell
            for rank in ranks
            for cell in (
                _percent(found[rank]["match_rate"]),
                _percent(found[rank]["gated_match_rate"]),
                _number(found[rank]["rmse"], ".4f"),
            )
        ]
        for method, found in figures["methods"].items()
    ]
    say()
    say_table(head, rows, title=f"Prediction of {figures['targets']} structures of {name}")


def _show_condition(figures: Mapping[str, Any], state: str) -> None:
    unit = figures["unit"]
    rows = []
    for group in figures["groups"]:
        control = group["against_control"]
        quartiles = group["quartiles"] or (None, None)
        rows.append(
            [
                "nothing" if group["asked"] is None else f"{group['asked']:g}",
                str(group["samples"]),
                str(group["n"]),
                _number(group["median"], ".2f"),
                "-".join(_number(value, ".2f") for value in quartiles),
                _percent(group["hits_of_all"]),
                _percent(group["control_hits_of_all"]),
                "" if control is None else f"{control['statistic']:.3f}",
                "" if control is None else f"{control['p_value']:.2g}",
            ]
        )
    head = [f"asked {unit}", "samples", "valid", f"median {unit}", "quartiles", "hits %"]
    head += ["control hits %", "KS", "p"]
    say()
    say_table(head, rows, title=f"Asking for {figures['name'].replace('_', ' ')}; crystals {state}")
    say(figures["conclusion"])
    order = "are" if figures["medians_in_order"] else "are not"
    say(f"The medians {order} in the order of what was asked.")


def _show_stability(name: str, figures: Mapping[str, Any]) -> None:
    hull, sun = figures["hull"], figures["sun"]
    say()
    if hull is None:
        say(f"{name}: no valid, unique and new sample to relax.")
        return
    reference = figures["reference"]
    say(
        f"{name}: S.U.N. {_percent(sun)} % of all samples; {_percent(figures['stable'])} % of "
        f"{figures['relaxed']} relaxed samples are within {hull['limit_eV_per_atom']:.3f} eV/atom "
        f"({hull['threshold_eV_per_atom']:g} and the potential's error) of the hull "
        f"{hull['reference']}; relaxed with {hull['potential']}; known structures: "
        f"{'none' if reference is None else reference['name']}."
    )


def _percent(found: Mapping[str, Any] | None) -> str:
    """Write a share as per cent with its 95 % interval; nothing where it is not known."""
    if found is None or found["share"] is None:
        return "-"
    return f"{100 * found['share']:.1f} ({100 * found['low']:.0f}-{100 * found['high']:.0f})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _set(text: str) -> tuple[str, KnownSource]:
    """Read NAME=TABLE[:SOURCE]."""
    from bondwright.crystals.evaluation_known import KnownSource

    name, sign, place = text.partition("=")
    path, _, source = place.partition(":")
    if not (sign and name and path):
        raise InputError(f"--predict {text}: expected NAME=TABLE or NAME=TABLE:SOURCE.")
    return name, KnownSource((Path(path),), source=source)


def _reference(said: str) -> Any:
    """Return the index of known structures, None where there is none."""
    from bondwright.campaign.config import auto_reference
    from bondwright.screen.reference import ReferenceIndex

    if said == "none":
        return None
    path = auto_reference() if said == "auto" else Path(said)
    if path is None:
        note("Note: no index of known structures; `bondwright reference build` makes one.")
        return None
    return ReferenceIndex.load(path)
