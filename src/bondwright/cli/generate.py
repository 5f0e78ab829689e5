"""`bondwright generate`: crystals on demand, into a table or straight into a campaign."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import note
from bondwright.cli.screen import Control, Reference, Skip, Target
from bondwright.cli.types import Json, Workers
from bondwright.errors import InputError

if TYPE_CHECKING:
    from bondwright.campaign.work import Progress
    from bondwright.crystals.generate_wish import Wish

INTERRUPTED = 130


def generate(
    formula: Annotated[
        str,
        typer.Argument(
            help="TiO2, Ca(NO3)2, 'O2 Ti' ...; without it the model chooses.", show_default=False
        ),
    ] = "",
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, help="Crystals to make, for each value asked for.")
    ] = 200,
    band_gap: Annotated[
        list[float] | None,
        typer.Option(metavar="EV", help="Band gap to ask for, eV. Repeatable: n for each."),
    ] = None,
    asked: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            metavar="NAME=VALUE",
            help="Another property to ask for, such as density=4.2 (g/cm³). Repeatable.",
        ),
    ] = None,
    space_group: Annotated[
        str | None, typer.Option(help="Number or symbol in any spelling: 136, P4_2/mnm.")
    ] = None,
    formula_units: Annotated[
        int | None, typer.Option(help="Units of the formula in the conventional cell.")
    ] = None,
    chemical_system: Annotated[
        str, typer.Option(metavar="Ti-O", help="These elements and no others, in any ratio.")
    ] = "",
    max_atoms: Annotated[int, typer.Option(help="Most atoms in the conventional cell.")] = 200,
    unconditional: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Make N more that are asked for nothing: the control arm."
        ),
    ] = 0,
    method: Annotated[
        str, typer.Option(help="model, ion-exchange (on known crystals) or random (symmetric).")
    ] = "model",
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Make n by this method, too. Repeatable."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="shipped, the folder of a trained model, or a CrystaLLM checkpoint."),
    ] = "shipped",
    known: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="Known crystals, for ion exchange and tree search. (default: "
            "crystals/structures.csv.gz of BONDWRIGHT_DATA)",
        ),
    ] = "",
    temperature: Annotated[
        float, typer.Option(help="Of sampling; below 1 likelier crystals, above 1 more variety.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Choose among so many tokens only; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Choose among the likeliest tokens of this share; 1: all.")
    ] = 1.0,
    guidance: Annotated[
        float, typer.Option(help="Weight of what is asked for: 1 as learned, above 1 more.")
    ] = 1.0,
    attempts: Annotated[
        int,
        typer.Option(
            min=1,
            help="Begin a crystal anew, up to so many times in all, whose atoms stand at distances "
            "that known crystals do not have, whose symmetry is not as declared, or whose bonds "
            "fail the published test; 1: keep what comes first.",
        ),
    ] = 16,
    best: Annotated[
        int,
        typer.Option(metavar="K", help="Make K times as many and keep the n likeliest."),
    ] = 1,
    search: Annotated[
        str,
        typer.Option(
            help="formula-units: share the texts out to 1, 2, 3, 4, 6 and 8 units; tree: spend "
            "them where earlier ones were rewarded."
        ),
    ] = "none",
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random number.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Table to write, .csv or .parquet, or a folder of CIF files. "
            "(default: FORMULA.csv)",
        ),
    ] = None,
    screen: Annotated[
        Path | None,
        typer.Option(
            metavar="CAMPAIGN", help="Screen them at once: campaign folder to make, or to go on."
        ),
    ] = None,
    control: Control = None,
    target: Target = None,
    skip: Skip = None,
    reference: Reference = None,
    workers: Workers = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Texts a worker writes at a time. (default: 128; 512 on a GPU)"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    json: Json = False,
) -> None:
    """Make crystals: of a formula, a chemical system, or whatever the model likes.

    Every crystal is grammatical and has exactly the composition that was asked for. The same
    command again goes on where it was stopped, or says that nothing is left to do. With --screen
    they go through the whole funnel to a report, the controls beside them.
    """
    from bondwright.cli.making import number, pairs
    from bondwright.crystals.generate_wish import Wish, method_of, search_of

    properties = {name: number(value, "--property") for name, value in pairs(asked or [], "-")}
    wanted = [{**properties, "band_gap": gap} for gap in band_gap or []] or [properties]
    made_by = method_of(method, "--method")
    common: dict[str, Any] = {
        "formula": formula,
        "chemical_system": chemical_system,
        "formula_units": formula_units,
        "space_group": space_group,
        "max_atoms": max_atoms,
        "known": known,
    }
    sampling: dict[str, Any] = {
        "model": model,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "guidance": guidance,
        "attempts": attempts,
        "best": best,
        "search": search_of(search, "--search"),
    }
    wishes = [Wish(n, asked=one, method=made_by, **common, **sampling) for one in wanted]
    if unconditional:
        wishes.append(Wish(unconditional, method=made_by, **common, **sampling))
    wishes += [Wish(n, method=method_of(name, "--against"), **common) for name in against or []]
    if device != "cpu":
        from bondwright.crystals.device import known_device

        known_device(device)
    if screen is not None:
        if out is not None or batch is not None:
            raise InputError("--out and --batch belong to a table; leave them out with --screen.")
        _into_campaign(
            screen, wishes, seed, control, target, skip, reference, workers, device, json
        )
        return
    for given, option in ((control, "--control"), (target, "--target"), (skip, "--skip")):
        if given:
            raise InputError(f"{option} belongs to a screening; give --screen CAMPAIGN, too.")
    _into_table(out or Path(f"{wishes[0].subject}.csv"), wishes, seed, workers, batch, device, json)


def _into_campaign(
    folder: Path,
    wishes: Sequence[Wish],
    seed: int,
    controls: Sequence[Path] | None,
    targets: Sequence[str] | None,
    skipped: Sequence[str] | None,
    reference: str | None,
    workers: int | None,
    device: str,
    json: bool,
) -> None:
    """Make a campaign that makes the crystals first, and run it to its report."""
    from dataclasses import replace

    from bondwright.campaign.config import RunSetting
    from bondwright.campaign.generating import plan_arms
    from bondwright.cli.driving import drive
    from bondwright.cli.making import Wishes, config_text, make_campaign, relative
    from bondwright.crystals.shipped import SHIPPED, shipped_models

    plan_arms(wishes, seed)  # a wish that cannot be met leaves no folder behind
    placed = [
        replace(
            wish,
            model=wish.model
            if wish.model in (SHIPPED, *shipped_models())
            else relative(Path(wish.model), folder),
            known=wish.known and relative(Path(wish.known), folder),
        )
        for wish in wishes
    ]
    text = config_text(
        folder,
        Wishes(
            controls=controls or [],
            targets=targets or [],
            skipped=skipped or [],
            reference=reference,
            seed=seed,
            generate=placed,
            run=RunSetting(device=device),
        ),
    )
    make_campaign(folder, text)
    drive(folder, workers, retry_failed=False, json=json)


def _into_table(
    out: Path,
    wishes: Sequence[Wish],
    seed: int,
    workers: int | None,
    batch: int | None,
    device: str,
    json: bool,
) -> None:
    """Make the crystals and write them to a table."""
    from bondwright.campaign.folder import CampaignFolder
    from bondwright.campaign.generated_table import check_suffix, held, write_table
    from bondwright.campaign.generating import Making, Workshop, plan_arms
    from bondwright.cli.generate_answer import answer, nothing_to_do
    from bondwright.cli.reference import stop_on_signal
    from bondwright.run import LocalPool, available_cores

    check_suffix(out)
    arms = plan_arms(wishes, seed)
    for warning in (warning for arm in arms for warning in arm.warnings):
        note(f"Warning: {warning}")
    wanted = Counter({arm.name: arm.wish.n for arm in arms})
    there = held(out)
    if there == wanted:
        nothing_to_do(out, there.total(), json)
        return
    if there:
        raise InputError(
            f"{out} holds other crystals ({', '.join(sorted(there))}); name another file with "
            "--out, or move it."
        )
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    making = Making(workers or available_cores(), batch, device)
    with (
        CampaignFolder(parts).driver_lock(),
        stop_on_signal() as stopped,
        _progress() as show,
        LocalPool(making.workers) as pool,
    ):
        began = time.monotonic()
        shop = Workshop(parts, making, lambda: pool, show, stopped)
        made = shop.make_all(arms)
        seconds = time.monotonic() - began
        if made is not None:
            found = {arm.name: shop.rows(arm) for arm in arms}
    if made is None:
        note("Interrupted. Everything finished so far is kept; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED)
    write_table([row for arm in arms for row in found[arm.name]], out)
    shutil.rmtree(parts, ignore_errors=True)
    answer(out, arms, found, made, seconds, json)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show how many crystals are made, how fast, and how long it will take."""
    if sys.stderr.isatty():
        from bondwright.cli.driving import stage_progress

        with stage_progress() as show:
            yield show
        return
    last = 0.0

    def tell(now: Progress) -> None:
        nonlocal last
        moment = time.monotonic()
        if now.rate is None or not now.total:
            return
        if now.done == now.total or moment - last >= 10:
            last = moment
            left = (now.total - now.done) / now.rate
            note(f"{now.done:,}/{now.total:,} crystals, {now.rate:.3g} a second, {left:.0f} s left")

    yield tell
