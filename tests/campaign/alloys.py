"""Small real campaigns: alloys of copper, silver and gold with effective medium theory.

EMT (Jacobsen, Stoltze & Nørskov, Surf. Sci. 366, 394 (1996)) takes milliseconds, so that every
stage of the funnel can be run for real many times over.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk

from bondwright.campaign.codec import canonical
from bondwright.screen.hull import Phase
from bondwright.screen.hull_tables import write_hull
from bondwright.screen.potentials import EnergyKind, load_potential
from bondwright.screen.relax import RelaxSettings, relax

CONFIG = """
name = "alloys"
description = "Alloys with a potential that takes milliseconds"
seed = 7

[[input]]
files = ["candidates.extxyz"]

[[input]]
files = ["broken.csv"]
column = "cif"

[[input]]
files = ["controls/*.extxyz"]
control = true

[stages.novelty]
reference = "none"

[stages.stability]
potential = "emt"
hull = "hull.parquet"

[stages.property]
models = ["density"]

[run]
workers = 1
time_limit_s = 120
memory_mb = 4096
"""

# The same without the checks whose imports alone take seconds.
LIGHT = (
    CONFIG
    + """
[stages.validity]
enabled = false
"""
)
LIGHT = LIGHT.replace("[stages.stability]", "[stages.stability]\nenabled = false")


def candidates() -> list[Atoms]:
    """Twenty alloys: ordered and random ones, two twins, two that cannot be crystals."""
    generator = np.random.default_rng(11)
    made = []
    for symbols in ("CuAu", "CuAg", "AgAu"):
        layered = bulk("Cu", "fcc", a=3.9, cubic=True)
        layered.symbols = f"{symbols[:2]}2{symbols[2:]}2"
        made.append(layered)
        random = bulk("Cu", "fcc", a=3.9, cubic=True) * (2, 1, 1)
        random.symbols[generator.permutation(8)[:3]] = symbols[2:]
        random.rattle(0.05, seed=int(generator.integers(1000)))
        made.append(random)
    made.append(made[0].repeat((1, 1, 2)))  # a supercell is the same crystal
    twin = made[2].copy()
    twin.translate([0.3, 0.1, 0.7])
    made.append(twin)
    overlapping = bulk("Cu", "fcc", a=3.6, cubic=True)
    overlapping.positions[1] = overlapping.positions[0] + [0.4, 0.0, 0.0]
    made.append(overlapping)
    made.append(bulk("Au", "bcc", a=9.0, cubic=True))
    made.append(bulk("Ag", "bcc", a=3.3, cubic=True))
    made.append(bulk("Al", "fcc", a=4.0, cubic=True))  # not on the hull below: unknown
    for _ in range(8):
        random = bulk("Au", "fcc", a=4.0, cubic=True)
        random.symbols[generator.permutation(4)[:2]] = "Cu"
        random.rattle(0.2, seed=int(generator.integers(1000)))
        made.append(random)
    return made


def make_campaign(folder: Path, config: str) -> Path:
    """Write a campaign's inputs, hull and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    ase.io.write(folder / "candidates.extxyz", candidates())
    with (folder / "broken.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["cif"])
        rows.writerows([[""], ["data_x\n_cell_length_a nan\n"], ["no crystal at all"]])
    (folder / "controls").mkdir(exist_ok=True)
    for symbol in ("Cu", "Au"):
        ase.io.write(folder / "controls" / f"{symbol}.extxyz", bulk(symbol, "fcc", cubic=True))
    potential = load_potential("emt")
    phases = []
    for symbol in ("Cu", "Ag", "Au"):
        relaxed = relax(bulk(symbol, "fcc"), potential.calculator, RelaxSettings())
        assert relaxed.energy_eV_per_atom is not None
        phases.append(Phase(symbol, relaxed.energy_eV_per_atom, f"fcc-{symbol}"))
    header = {"potential": potential.fingerprint, "energies": str(EnergyKind.OWN)}
    write_hull(folder / "hull.parquet", phases, header)
    (folder / "campaign.toml").write_text(config)
    return folder


def final_results(folder: Path) -> dict[str, Any]:
    """Return everything a finished campaign says of its candidates, read straight from SQL.

    Times, workers and attempts are left out: they are the only things that may differ.
    """
    database = sqlite3.connect(folder / "campaign.sqlite")
    found: dict[str, Any] = {}
    for candidate, stage, *verdict, atoms in database.execute(
        "SELECT c.candidate, c.stage, v.outcome, v.reason, v.message, v.value, v.unit, v.details, "
        "v.version, v.settings, s.atoms FROM current c JOIN verdicts v USING (content_key) "
        "LEFT JOIN structures s USING (content_key)"
    ):
        found[f"{candidate} {stage}"] = [*verdict, atoms]
    for key, control, data in database.execute("SELECT key, control, data FROM candidates"):
        found[key] = [control, canonical(json.loads(data))]
    database.close()
    return found


def table_sizes(folder: Path) -> dict[str, int]:
    """Return the number of rows of every table that must hold nothing twice."""
    database = sqlite3.connect(folder / "campaign.sqlite")
    sizes = {
        table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("candidates", "members", "inputs", "verdicts", "structures", "current")
    }
    database.close()
    return sizes
