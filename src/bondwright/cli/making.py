"""Making a campaign folder from what is said on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bondwright.errors import InputError, nearest

if TYPE_CHECKING:
    from bondwright.campaign.config import RunSetting, TargetSetting
    from bondwright.crystals.generate_wish import Wish


@dataclass(frozen=True)
class Wishes:
    """What the command line says about a campaign; see `bondwright screen --help`."""

    files: Sequence[Path] = ()
    controls: Sequence[Path] = ()
    column: str | None = None
    asked: Sequence[str] = ()
    asked_columns: Sequence[str] = ()
    targets: Sequence[str] = ()
    skipped: Sequence[str] = ()
    reference: str | None = None
    description: str = ""
    seed: int = 0
    generate: Sequence[Wish] = ()
    run: RunSetting | None = None


def config_text(folder: Path, wishes: Wishes) -> str:
    """Return the text of the campaign file that these wishes ask for.

    Raises:
        InputError: a file that is not there, or an option that cannot be understood.
    """
    from bondwright.campaign.config import InputSetting
    from bondwright.campaign.config_text import default_config_text
    from bondwright.campaign.stages import STAGES

    inputs = []
    asked = {name: number(value, "--asked") for name, value in pairs(wishes.asked, "--asked")}
    asked_columns = dict(pairs(wishes.asked_columns, "--asked-column"))
    if wishes.files:
        inputs.append(
            InputSetting(
                files=tuple(relative(path, folder) for path in wishes.files),
                column=wishes.column,
                asked=asked,
                asked_columns=asked_columns,
            )
        )
    if wishes.controls:
        files = tuple(relative(path, folder) for path in wishes.controls)
        inputs.append(InputSetting(files=files, control=True))
    for stage in wishes.skipped:
        if stage not in STAGES:
            raise InputError(f"--skip {stage}: no such stage.{nearest(stage, STAGES)}")
    return default_config_text(
        folder.resolve().name,
        inputs,
        description=wishes.description,
        seed=wishes.seed,
        targets=dict(target(text) for text in wishes.targets),
        enabled=dict.fromkeys(wishes.skipped, False),
        reference=_reference(wishes.reference, folder),
        generate=wishes.generate,
        run=wishes.run,
    )


def make_campaign(folder: Path, text: str) -> bool:
    """Write the campaign file unless one is there; return whether it was written.

    Raises:
        InputError: another campaign file is there already, a wish cannot be met, or the folder
            cannot be written.
    """
    from bondwright.campaign.config import parse_config
    from bondwright.structure.write import write_text

    file = folder / "campaign.toml"
    if file.exists():
        if file.read_text("utf-8") == text:
            return False
        raise InputError(
            f"{file} already describes a campaign, and another one; continue that with "
            f"`bondwright run {folder}`, or give a new name with --campaign."
        )
    parse_config(text, folder.resolve())  # a wish that cannot be met leaves nothing behind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}).") from error
    return True


def relative(path: Path, folder: Path) -> str:
    """Return `path` as seen from the campaign's folder.

    Raises:
        InputError: it does not exist.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    return os.path.relpath(path.resolve(), folder.resolve())


def pairs(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    """Split "name=value" texts.

    Raises:
        InputError: one has no "=".
    """
    found = []
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise InputError(f"{option} {text}: expected PROPERTY=VALUE, such as band_gap=1.5.")
        found.append((name.strip(), value.strip()))
    return found


def number(text: str, option: str) -> float:
    """Return a finite number.

    Raises:
        InputError: it is none.
    """
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{option}: expected a number, found {text!r}.")
    return value


def target(text: str) -> tuple[str, TargetSetting]:
    """Understand "band_gap=3.0:0.5": property, value and tolerance.

    Raises:
        InputError: it is something else.
    """
    from bondwright.campaign.config import TargetSetting

    ((name, rest),) = pairs([text], "--target")
    value, sign, tolerance = rest.partition(":")
    if not sign:
        raise InputError(
            f"--target {text}: expected PROPERTY=VALUE:TOLERANCE, such as band_gap=3.0:0.5 (eV)."
        )
    try:
        return name, TargetSetting(number(value, "--target"), number(tolerance, "--target"))
    except ValueError as error:
        raise InputError(f"--target {text}: {error}.") from error


def _reference(said: str | None, folder: Path) -> str:
    if said is None or said in ("auto", "none"):
        return said or "auto"
    return relative(Path(said), folder)
