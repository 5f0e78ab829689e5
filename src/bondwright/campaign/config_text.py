"""Writing a `campaign.toml` that explains itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bondwright.campaign.config import InputSetting, RunSetting, TargetSetting
from bondwright.campaign.stages import GROUP_STAGES, ON_REQUEST, STAGES, default_settings
from bondwright.crystals.generate_wish import Wish

_ABOUT = {
    "read": "Limits on what is read from a file.",
    "validity": "Is it a crystal at all? Composition, contacts, volume, symmetry.",
    "novelty": "Is it new: not twice in this campaign, not among known structures?",
    "stability": "Relaxation with a machine-learned potential, then energy above the hull.",
    "novelty-relaxed": "Novelty once more, after relaxation; unless told otherwise, as in novelty.",
    "property": "Density and band gap, and how far they are from the targets.",
    "dft": "DFT for the best candidates and all controls: energies, gap, bonds. Minutes for each.",
}


def default_config_text(
    name: str,
    inputs: Sequence[InputSetting] = (),
    *,
    description: str = "",
    seed: int = 0,
    targets: Mapping[str, TargetSetting] | None = None,
    run: RunSetting | None = None,
    enabled: Mapping[str, bool] | None = None,
    reference: str = "auto",
    generate: Sequence[Wish] = (),
) -> str:
    """Return the text of a campaign file, with every setting's default as a comment.

    Args:
        name: campaign name.
        inputs: what to read; without any, an example stands there as a comment.
        description: a sentence about the campaign.
        seed: seed of every random number.
        targets: property -> value looked for.
        run: workers and limits; None for the defaults.
        enabled: stages that are switched on or off; the others are on.
        reference: index file of known structures for the novelty stages, "auto" or "none".
        generate: crystals to make; without any, an example stands there as a comment.
    """
    lines = [
        "# A bondwright campaign. `bondwright run` does what is missing and can be repeated or",
        "# stopped at any time. Paths are relative to this file; # starts a comment.",
        "",
        f"name = {toml_value(name)}",
        f"description = {toml_value(description)}",
        f"seed = {seed}",
        "",
        "# What to read: CIF, POSCAR, extended XYZ, LAMMPS data, tables with CIF texts, folders.",
    ]
    for entry in inputs:
        lines += ["[[input]]", *_assignments(entry), ""]
    if not inputs:
        lines += ["# [[input]]", '# files = ["*.cif"]', ""]
    lines += _commented_fields(InputSetting(()), skip=("files",))
    lines += [
        "",
        "# Crystals to make first, by a language model or a baseline.",
    ]
    for wish in generate:
        lines += ["[[generate]]", *_assignments(wish), ""]
    if not generate:
        lines += ["# [[generate]]", "# n = 200"]
    lines += _commented_fields(Wish(200), skip=("n",))
    lines += ["", "# What is looked for. band_gap in eV, density in g/cm³."]
    for target, setting in (targets or {}).items():
        lines += [f"[targets.{_key(target)}]", *_assignments(setting), ""]
    if not targets:
        lines += ["# [targets.band_gap]", "# value = 1.5", "# tolerance = 0.3", ""]
    for stage in STAGES:
        asked = (enabled or {}).get(stage, True if stage in ON_REQUEST else None)
        lines += _stage_lines(stage, asked, reference)
    chosen = run or RunSetting()
    lines += [
        "# How the work is done. None of this changes a result.",
        "[run]",
        f"workers = {chosen.workers}  # 0: one per core",
        f"time_limit_s = {chosen.time_limit_s}  # for one candidate in one stage",
        f"memory_mb = {chosen.memory_mb}  # for one worker",
        f"device = {toml_value(chosen.device)}  # where models that make crystals compute",
    ]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """Return a value as TOML text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's too, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    return repr(value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else toml_value(key)


def _stage_lines(stage: str, enabled: bool | None, reference: str) -> list[str]:
    named = stage == "novelty" and reference != "auto"
    head = f"[stages.{stage}]"
    lines = [f"# {_ABOUT[stage]}", head if enabled is not None or named else f"# {head}"]
    if enabled is not None:
        lines.append(f"enabled = {toml_value(enabled)}")
    elif stage != "read":
        lines.append("# enabled = true")
    if named:
        lines.append(f"reference = {toml_value(reference)}")
    elif stage in GROUP_STAGES:
        lines.append('# reference = "auto"  # an index of `bondwright reference build`, or "none"')
    return [*lines, *_commented_fields(default_settings(stage)), ""]


def _assignments(setting: Any) -> list[str]:
    """Return the fields that differ from their default, and those that have none."""
    lines = []
    for field in dataclasses.fields(setting):
        value = getattr(setting, field.name)
        default = (
            field.default
            if field.default_factory is dataclasses.MISSING
            else field.default_factory()
        )
        if value != default:
            lines.append(f"{field.name} = {toml_value(value)}")
    return lines


def _commented_fields(setting: Any, skip: Sequence[str] = ()) -> list[str]:
    lines = []
    for field in dataclasses.fields(setting):
        value = getattr(setting, field.name)
        if field.name in skip:
            continue
        said = f"# {field.name}: not set"
        lines.append(said if value is None else f"# {field.name} = {toml_value(value)}")
    return lines
