"""`bondwright show`: everything known about one candidate."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.console import say, say_json
from bondwright.cli.types import CampaignFolderHere, Json

if TYPE_CHECKING:
    from bondwright.campaign.view import CampaignView, CandidateView

Which = Annotated[str, typer.Argument(help="Key (or its beginning) or name of the candidate.")]
Text = Annotated[bool, typer.Option("--text", help="Print the text as it came, and nothing else.")]


def show(
    candidate: Which,
    campaign: CampaignFolderHere = Path(),
    text: Text = False,
    json: Json = False,
) -> None:
    """Explain one candidate: where it came from, and every verdict with its reason and numbers."""
    from bondwright.campaign.load import load_view

    view = find(load_view(campaign), candidate)
    if text:
        say((view.candidate.text or "").rstrip("\n"))
    elif json:
        say_json(as_json(view))
    else:
        for line in story(view):
            say(line)


def find(view: CampaignView, which: str) -> CandidateView:
    """Return the candidate whose key begins with `which` or whose name is `which`.

    Raises:
        InputError: none or several do.
    """
    from bondwright.errors import InputError, nearest

    found = [c for c in view.candidates if which in (c.candidate.key, c.candidate.name)]
    found = found or [c for c in view.candidates if c.candidate.key.startswith(which)]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = nearest(which, [c.candidate.name for c in view.candidates])
        raise InputError(
            f"no candidate {which!r} in this campaign.{hint} `bondwright export --all` lists all."
        )
    keys = ", ".join(c.candidate.key for c in found[:5])
    raise InputError(f"{len(found)} candidates are called {which!r}; use a key: {keys}")


def as_json(view: CandidateView) -> dict[str, Any]:
    """Return a candidate and its verdicts as JSON values."""
    c = view.candidate
    return {
        "key": c.key,
        "name": c.name,
        "control": c.control,
        "survived": view.survived,
        "source": c.origin.source,
        "row": c.origin.row,
        "asked": c.asked,
        "notes": list(c.notes),
        "problem": None if c.problem is None else c.problem.message,
        "verdicts": {stage: verdict.to_json() for stage, verdict in view.verdicts.items()},
    }


def story(view: CandidateView) -> list[str]:
    """Return the candidate's way through the funnel as lines of text."""
    c = view.candidate
    place = "" if c.origin.row is None else f", row {c.origin.row}"
    kind = " (control)" if c.control else ""
    lines = [f"{c.name}{kind}  key {c.key}", f"from {c.origin.source}{place}"]
    if c.asked:
        lines.append(
            "asked for " + ", ".join(f"{name} {value:g}" for name, value in c.asked.items())
        )
    lines += [f"note: {text}" for text in c.notes]
    for stage, verdict in view.verdicts.items():
        value = "" if verdict.value is None else f"  {verdict.value:.4g} {verdict.unit}".rstrip()
        reason = f" ({verdict.reason})" if verdict.reason else ""
        lines += ["", f"{stage}: {verdict.outcome}{reason}{value}   [{verdict.version}]"]
        if verdict.message:
            lines.append(f"  {verdict.message}")
        for name, found in verdict.details.items():
            lines += _lines(name, found, "  ")
    return lines


def _lines(name: str, value: Any, indent: str) -> list[str]:
    """Return a sub-result as lines; groups of sub-results one below the other."""
    if isinstance(value, dict) and any(map(_has_parts, value.values())):
        below = [line for key, item in value.items() for line in _lines(key, item, indent + "  ")]
        return [f"{indent}{name}:", *below]
    if _has_parts(value) and isinstance(value, list):
        return [f"{indent}{name}:", *(f"{indent}  {_short(item)}" for item in value)]
    return [f"{indent}{name}: {_short(value)}"]


def _has_parts(value: Any) -> bool:
    """Return whether a value is a group of sub-results, or a list of such groups."""
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value)
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(item)}" for key, item in value.items()) or "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        shown = [_short(item) for item in value[:6]] + (["..."] if len(value) > 6 else [])
        return "[" + ", ".join(shown) + "]"
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else json_module.dumps(value)
