"""Compare -ICOHP with LOBSTER's published values for crystals of every bond character.

    python benchmarks/icohp_on_crystals.py --compounds 48 --out out/icohp-crystals

For each compound the mean -ICOHP of the cation-anion bonds that the published table counts at one
site is computed from the structure beside the table and set against the published mean (VASP, PBE,
LOBSTER 4, basis pbeVaspFit2015; Naik et al., Scientific Data 10, 610 (2023), CC BY 4.0). Compounds
are drawn evenly over electronegativity difference and d content, in a fixed order; the run can be
interrupted and goes on where it stopped. Writes `icohp-crystals.csv`, a figure and a table.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read
from pymatgen.core import Element

from bondwright.bonding.icohp import BondSettings, IcohpError, bond_strengths
from bondwright.errors import InputError
from bondwright.structure.datasets import data_folder

# Left out: magnets, at twice the cost and with a choice of moments.
_MAGNETIC = (
    "Cr",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Ce",
    "Pr",
    "Nd",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Er",
    "Tm",
    "Yb",
)


def character(cation: str, anion: str) -> str:
    """Return the class of a bond from Pauling electronegativities and d electrons."""
    difference = abs(Element(anion).X - Element(cation).X)
    kind = "ionic" if difference > 1.9 else "polar" if difference > 1.0 else "covalent"
    return f"{kind}, {'d' if Element(cation).is_transition_metal else 's-p'}"


def candidates(largest: int) -> list[dict]:
    """Return one row per compound: its first listed site, with the structure."""
    folder = data_folder() / "crystals" / "lobster"
    with gzip.open(folder / "structures.csv.gz", "rt") as file:
        cells = {r["material_id"]: r for r in csv.DictReader(file)}
    found: dict[str, dict] = {}
    with gzip.open(folder / "bonds_table.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            cell = cells.get(row["material_id"])
            if cell is None or int(cell["nsites"]) > largest or row["material_id"] in found:
                continue
            if not row["icohp_mean_eV"] or not row["mean_bond_length_A"]:
                continue
            if any(m in cell["formula_reduced"] for m in _MAGNETIC):
                continue
            found[row["material_id"]] = {**row, "cif": cell["cif"]}
    for row in found.values():
        row["character"] = character(row["cation"], row["anion"])
    return list(found.values())


def choose(rows: list[dict], count: int) -> list[dict]:
    """Draw compounds class by class, in an order that a fixed seed gives."""
    rng = np.random.default_rng(7)
    classes = sorted({r["character"] for r in rows})
    by_class = {c: [r for r in rows if r["character"] == c] for c in classes}
    for members in by_class.values():
        rng.shuffle(members)
    drawn = []
    while len(drawn) < count and any(by_class.values()):
        drawn.extend(members.pop() for members in by_class.values() if members)
    return drawn[:count]


def ours(row: dict, orbitals: str, folder: Path) -> dict:
    """Compute the mean -ICOHP of the bonds that the published row counts."""
    atoms: Atoms = read(io.StringIO(row["cif"]), format="cif")
    atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    settings = BondSettings(
        orbitals=orbitals, max_length_A=float(row["max_bond_length_in_env_A"] or 4) + 0.6
    )
    begin = time.process_time()
    table = bond_strengths(atoms, settings, folder)
    wanted = table.of_pair(row["cation"], row["anion"])
    site, number = int(row["site"]), int(row["n_bonds"])
    symbols = [chemical_symbols[z] for z in atoms.numbers]
    if symbols[site] != row["cation"]:
        site = symbols.index(row["cation"])
    at_site = wanted.select((wanted.i == site) | (wanted.j == site))
    strength = np.sort(at_site.icohp_eV)[::-1][:number]
    return {
        "ours_eV": float(strength.mean()),
        "spilling": table.charge_spilling,
        "seconds": time.process_time() - begin,
    }


def summary(results: list[dict]) -> str:
    """Return a table of agreement by bond character, and the compounds that are furthest off."""
    lines = ["character          n   r       slope  mean ratio  mean |difference| eV"]
    groups = [("all", results)]
    groups += [
        (name, [r for r in results if r["character"] == name])
        for name in sorted({r["character"] for r in results})
    ]
    for name, members in groups:
        x = np.array([r["published_eV"] for r in members])
        y = np.array([r["ours_eV"] for r in members])
        if len(x) < 3:
            continue
        lines.append(
            f"{name:16s} {len(x):3d}   {np.corrcoef(x, y)[0, 1]:.4f}  "
            f"{np.polyfit(x, y, 1)[0]:.2f}   {np.mean(y / x):.2f}        {np.abs(y - x).mean():.3f}"
        )
    furthest = sorted(results, key=lambda r: -abs(np.log(r["ours_eV"] / r["published_eV"])))
    lines += [
        f"  {r['formula']} {r['material_id']} ({r['character']}): {r['ours_eV']:.2f} here, "
        f"{r['published_eV']:.2f} published, charge spilling {r['spilling']:.1%}"
        for r in furthest[:8]
    ]
    return "\n".join(lines)


def draw(results: list[dict], path: Path) -> None:
    """Draw ours against the published values on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for name in sorted({r["character"] for r in results}):
        members = [r for r in results if r["character"] == name]
        axes.loglog(
            [r["published_eV"] for r in members],
            [r["ours_eV"] for r in members],
            "s" if name.endswith("d") else "o",
            markersize=5,
            alpha=0.8,
            label=f"{name} ({len(members)})",
        )
    ends = [0.2, 15.0]
    axes.loglog(ends, ends, color="0.5", linewidth=1)
    axes.set(xlim=ends, ylim=ends, xlabel="-ICOHP, LOBSTER 4 on VASP (eV)")
    axes.set_ylabel("-ICOHP, bondwright (eV)")
    axes.set_title("Mean cation-anion bond of each compound, no fit", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compounds", type=int, default=48)
    parser.add_argument("--largest", type=int, default=4, help="atoms in the cell")
    parser.add_argument("--orbitals", nargs="+", default=["pbe"])
    parser.add_argument("--out", type=Path, default=Path("out/icohp-crystals"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    done = options.out / "results.jsonl"
    results = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    known = {(r["material_id"], r["orbitals"]) for r in results}
    for row in choose(candidates(options.largest), options.compounds):
        for orbitals in options.orbitals:
            if (row["material_id"], orbitals) in known:
                continue
            result = {k: row[k] for k in ("material_id", "formula", "cation", "anion", "character")}
            result |= {"orbitals": orbitals, "published_eV": -float(row["icohp_mean_eV"])}
            try:
                result |= ours(row, orbitals, options.out / row["material_id"])
            except (IcohpError, InputError) as error:
                result["error"] = str(error)
            results.append(result)
            with done.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(result, flush=True)
    for orbitals in options.orbitals:
        found = [r for r in results if r["orbitals"] == orbitals and "ours_eV" in r]
        print(f"{orbitals} orbitals\n{summary(found)}")
        draw(found, options.out / f"icohp-crystals-{orbitals}.png")


if __name__ == "__main__":
    main()
