"""What a glass project holds, in numbers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bondwright.campaign.glass.config import load_config
from bondwright.campaign.glass.costs import read_costs, totals
from bondwright.campaign.glass.folder import REFERENCE, GlassFolder
from bondwright.campaign.glass.labels import methods, read_records


def status(root: Path) -> dict[str, Any]:
    """Return the state of a project as JSON values; works while it is being driven.

    Returns:
        `name`, `description`; `compositions` [{`composition`, `runs`, `cells`, `labelled`,
        `failed`, `left`}]; `methods` {name: accepted labels}; `not_usable` [{`name`, `status`,
        `reason`, `message`}]; `model` (newest version or None); `costs` {step: {`count`,
        `seconds`, `cpu_seconds`}}.

    Raises:
        InputError: there is no project, or its glass.toml is wrong.
    """
    folder = GlassFolder(root)
    config = load_config(folder.config)
    records = read_records(folder)
    usable = {record.name for record in records if record.accepted}
    unusable = {record.name for record in records if not record.accepted} - usable
    rows: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"runs": 0, "cells": 0, "labelled": 0, "failed": 0, "left": 0}
    )
    for name in folder.names():
        row = rows[name.composition]
        row["runs"] += name.variant == REFERENCE
        row["cells"] += 1
        where = "labelled" if str(name) in usable else "failed" if str(name) in unusable else "left"
        row[where] += 1
    versions = [int(p.name) for p in folder.models.glob("*") if p.name.isdigit()]
    return {
        "name": config.name,
        "description": config.description,
        "compositions": [{"composition": c, **row} for c, row in rows.items()],
        "methods": dict(methods(folder)),
        "not_usable": [
            {key: asdict(r)[key] for key in ("name", "status", "reason", "message")}
            for r in records
            if r.name in unusable
        ],
        "model": max(versions, default=None),
        "costs": {
            what: {k: asdict(c)[k] for k in ("count", "seconds", "cpu_seconds")}
            for what, c in totals(read_costs(folder.costs)).items()
        },
    }
