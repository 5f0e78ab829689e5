"""What a result was made with: versions, hardware, settings, seeds. Nothing that names a person.

Host names, user names and the folders above a file stay out: a report is meant to be shared.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bondwright.campaign.config import CampaignConfig
from bondwright.campaign.stages import (
    installed_version,
    outside_data,
    settings_json,
    version,
    without_folder,
)
from bondwright.campaign.store import Store
from bondwright.run import available_cores

_LIBRARIES = [
    "bondwright",
    "ase",
    "chgnet",
    "gemmi",
    "gpaw",
    "gpaw-data",
    "numpy",
    "pandas",
    "pyarrow",
    "pymatgen",
    "pymatgen-core",
    "scipy",
    "smact",
    "spglib",
    "torch",
    "pebble",
]


def versions() -> dict[str, str]:
    """Return the versions of Python, bondwright and every library that takes part in a result."""
    return {
        "python": platform.python_version(),
        **{name: installed_version(name) for name in _LIBRARIES},
    }


def host_facts() -> dict[str, Any]:
    """Return what the machine is, without its name."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_allowed": available_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
    }


def private_command(words: list[str]) -> str:
    """Return a command line in which every absolute path has lost its folders."""
    return " ".join(_private(word) for word in words)


def config_json(config: CampaignConfig) -> dict[str, Any]:
    """Return a campaign's configuration as JSON values, files by name and checksum only."""
    return {
        "name": config.name,
        "description": config.description,
        "seed": config.seed,
        "inputs": [
            {**asdict(i), "files": [without_folder(f) for f in i.files]} for i in config.inputs
        ],
        "generate": [settings_json(wish) for wish in config.generate],
        "funnel": config.funnel,
        "targets": {name: asdict(target) for name, target in config.targets.items()},
        "stages": {
            name: {
                "enabled": stage.enabled,
                "version": version(name) if stage.enabled else None,
                "settings": settings_json(stage.settings),
                "reference": None if stage.reference is None else stage.reference.name,
                "data": (
                    outside_data(name, stage.settings, stage.reference) if stage.enabled else {}
                ),
            }
            for name, stage in config.stages.items()
        },
        "run": asdict(config.run),
    }


def provenance(store: Store) -> dict[str, Any]:
    """Return a campaign's provenance: its settings, and each run with versions and hardware.

    Returns:
        {"settings": ..., "versions": ..., "hardware": ... (those of the last run), "seed": ...,
        "warnings": {stage: [...]}, "runs": [{"started", "ended" (UTC), "command", "outcome",
        "versions", "hardware"}]}; a run that was killed has no end.
    """
    runs = store.invocations()
    last = runs[-1] if runs else {"settings": {}, "versions": {}, "host": {}}
    return {
        "settings": last["settings"],
        "seed": last["settings"].get("seed"),
        "versions": last["versions"],
        "hardware": last["host"],
        "warnings": {
            stage: store.meta(f"warnings {stage}") or []
            for stage in last["settings"].get("funnel", [])
        },
        "runs": [
            {
                "started": run["started"],
                "ended": run["ended"],
                "command": run["command"],
                "outcome": run["outcome"] or "killed or still running",
                "versions": run["versions"],
                "hardware": run["host"],
            }
            for run in runs
        ],
    }


def _private(word: str) -> str:
    """Return a word of a command line, also an `--option=path`, without folders."""
    option, sign, value = word.rpartition("=")
    return f"{option}{sign}{without_folder(value)}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
