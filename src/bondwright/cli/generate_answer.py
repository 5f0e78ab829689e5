"""What `bondwright generate` says at its end: what was made, and what it is good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bondwright.cli.console import say, say_json

if TYPE_CHECKING:
    from bondwright.crystals.generate_arm import Arm

LOOKED_AT = 200
"""Crystals whose validity is looked at; about 2 s on one core."""


def nothing_to_do(out: Path, rows: int, json: bool) -> None:
    """Say that everything had been made before."""
    if json:
        say_json({"out": str(out), "rows": rows, "new": 0})
    else:
        say(f"Nothing to do: {out} holds these {rows} crystals.")


def answer(
    out: Path,
    arms: Sequence[Arm],
    found: dict[str, list[dict[str, Any]]],
    made: int,
    seconds: float,
    json: bool,
) -> None:
    """Say what came out; refuse to call it a success when nothing can be used.

    Args:
        out: the table that was written.
        arms: what it holds.
        found: name of an arm -> its rows.
        made: crystals made now, not found from an earlier run.
        seconds: that this took.
        json: for programs.

    Raises:
        GenerationError: no row is a crystal, or no crystal that was looked at is valid.
    """
    from bondwright.campaign.generating import label_of, problem_of
    from bondwright.crystals.generate import GenerationError

    rows = [row for arm in arms for row in found[arm.name]]
    crystals = [row for row in rows if row["cif"] is not None]
    looked_at, reasons = _validity(crystals)
    passed = reasons[""]
    per_arm: list[dict[str, Any]] = [
        {
            "arm": arm.name,
            "label": label_of(arm),
            "generator": arm.maker,
            "rows": len(found[arm.name]),
            "problems": dict(Counter(p for row in found[arm.name] if (p := problem_of(row)))),
            "asked": dict(arm.wish.asked),
        }
        for arm in arms
    ]
    against = {reason: count for reason, count in reasons.most_common() if reason}
    if json:
        say_json(
            {
                "out": str(out),
                "arms": per_arm,
                "crystals": len(crystals),
                "new": made,
                "seconds": round(seconds, 2),
                "looked_at": looked_at,
                "valid": passed,
                "reasons": against,
                "warnings": [warning for arm in arms for warning in arm.warnings],
            }
        )
    else:
        for arm, facts in zip(arms, per_arm, strict=True):
            bad = "".join(f", {count} {slug}" for slug, count in facts["problems"].items())
            good = facts["rows"] - sum(facts["problems"].values())
            kept = f", the likeliest of {arm.total}" if arm.ranked else ""
            if arm.wish.search == "tree":
                kept = f", the most rewarded of {arm.wish.texts} texts"
            say(f"{arm.wish.words}; {facts['label']}: {good} crystals{bad}{kept} ({arm.name})")
        if looked_at:
            others = ", ".join(f"{reason} {count}" for reason, count in against.items())
            say(
                f"Valid: {passed} of {looked_at} looked at pass the strict check"
                + (f"; the others: {others}." if others else ".")
            )
        if made:
            say(f"{made} made in {seconds:.0f} s ({made / max(seconds, 1e-9):.1f} a second).")
        say(f"Written: {out} ({len(rows)} rows)")
        say(f"Screen them: {_screening(out, arms)}")
    if not crystals:
        counted = ", ".join(f"{n} {p}" for p, n in Counter(map(problem_of, rows)).most_common())
        raise GenerationError(
            f"none of the {len(rows)} texts is a crystal ({counted}); {out} tells of each why."
        )
    if not passed:
        raise GenerationError(
            f"none of the {looked_at} crystals looked at is valid ("
            + ", ".join(f"{reason} {count}" for reason, count in against.items())
            + f"); {out} holds them all the same."
        )


def _validity(crystals: Sequence[dict[str, Any]]) -> tuple[int, Counter[str]]:
    """Look at crystals evenly through the table; at all of them while none is found valid.

    Returns:
        How many were looked at, and reason -> number; "" counts those that pass.
    """
    from bondwright.crystals.strict import reason_against

    step = max(1, -(-len(crystals) // LOOKED_AT))
    rest = [row for place, row in enumerate(crystals) if place % step]
    reasons = Counter(reason_against(row["cif"]) for row in crystals[::step])
    while rest and not reasons[""]:
        reasons[reason_against(rest.pop()["cif"])] += 1
    return reasons.total(), reasons


def _screening(out: Path, arms: Sequence[Arm]) -> str:
    """Return the command that screens a table of generated crystals."""
    asked = sorted({name for arm in arms for name in arm.wish.asked})
    columns = "".join(f" --asked-column {name}=asked_{name}" for name in asked)
    return f"bondwright screen {out}{columns if out.suffix else ''}"
