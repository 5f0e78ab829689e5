"""Second pass of the reference: relax what decides the hull, and write the hull table.

See `reference_energies` for the first pass. Order of work: each element's lowest structure, then
the structures within a margin of the static hull; among these the chemical systems asked for
first, then small cells first. The table can be written from whatever is done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bondwright.errors import InputError
from bondwright.screen import reference_chunks
from bondwright.screen.hull import Hull, Phase, parse_formula, reduced_formula
from bondwright.screen.hull_tables import write_hull
from bondwright.screen.potentials import EnergyKind, load_potential
from bondwright.screen.reference_energies import (
    STATIC_SCHEMA,
    Asked,
    Progress,
    Row,
    land_all,
    structure_atoms,
)
from bondwright.screen.relax import RelaxSettings, RelaxStatus, relax
from bondwright.screen.workers import Stop, never, run_chunks

RELAXED_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.string()),
        ("formula", pa.string()),
        ("atoms", pa.int32()),
        ("energy_eV_per_atom", pa.float64()),
        ("static_eV_per_atom", pa.float64()),
        ("status", pa.string()),
        ("steps", pa.int32()),
        ("volume_ratio", pa.float64()),
        ("max_stress_GPa", pa.float64()),
    ]
)
_STATIC_COLUMNS = ("key", "id", "formula", "atoms", "energy_eV_per_atom")
_SETTINGS = RelaxSettings(optimizer="lbfgs", max_steps=300)  # known crystals start near a minimum
_CHUNK_ATOMS = 60  # a few seconds of work: what a kill can lose


@dataclass(frozen=True)
class _Entry:
    """One structure with a static energy (eV per atom)."""

    key: str
    id: str
    formula: str
    atoms: int
    energy: float


def relaxation_order(out: Path, *, margin: float = 0.03, first: Sequence[str] = ()) -> list[str]:
    """Return the keys of the structures worth relaxing, most important first.

    Finding every structure's distance to the static hull takes minutes for a large table, so the
    answer is kept in `out/order.json` and used again while the static energies are the same.

    Args:
        out: folder of the passes.
        margin: distance to the static hull, eV per atom, within which a structure is relaxed.
        first: sets of elements such as "Ti-O" or "O"; structures of up to three elements that
            contain all elements of a set come before the others, in this order.

    Raises:
        InputError: there are no static energies in `out`.
    """
    entries = _static_entries(out)
    if not entries:
        raise InputError(f"{out}: no static energies yet; run the static pass first")
    question = {"structures": len(entries), "margin": margin, "first": list(first)}
    kept = out / "order.json"
    if kept.is_file():
        answer = json.loads(kept.read_text())
        if answer["question"] == question:
            return list(answer["keys"])
    keys = _find_order(entries, margin, first)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps({"question": question, "keys": keys}))
    part.replace(kept)
    return keys


def _find_order(entries: Sequence[_Entry], margin: float, first: Sequence[str]) -> list[str]:
    lowest = _lowest(entries)
    phases = [Phase(e.formula, e.energy, e.id, relaxed=False) for e in lowest.values()]
    hull = Hull("static", phases, EnergyKind.OWN)
    compositions = {formula: parse_formula(formula) for formula in lowest}
    elements = {e.key for e in lowest.values() if len(compositions[e.formula]) == 1}
    wanted = [frozenset(system.split("-")) for system in first]

    def near(entry: _Entry) -> bool:
        distance = hull.energy_above(compositions[entry.formula], entry.energy).e_above_hull
        return distance is not None and distance <= margin

    def rank(entry: _Entry) -> tuple[int, int, str]:
        symbols = compositions[entry.formula].keys()
        if entry.key in elements:
            return (0, entry.atoms, entry.id)
        hits = [n for n, w in enumerate(wanted) if w <= symbols and len(symbols) <= 3]
        return (1 + min(hits, default=len(wanted)), entry.atoms, entry.id)

    chosen = [entry for entry in entries if entry.key in elements or near(entry)]
    return [entry.key for entry in sorted(chosen, key=rank)]


def relaxed_pass(
    rows: Sequence[Row],
    order: Sequence[str],
    out: Path,
    potential: Asked = ("chgnet", None),
    *,
    processes: int = 1,
    stop: Stop = never,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Relax the structures with these keys that are not relaxed yet, in this order.

    Args:
        rows: the structure table.
        order: keys, as `relaxation_order` gives them.
        out: folder; results land in `out/relaxed`.
        potential: name and model file.
        processes: worker processes, one thread each.
        stop: asked between chunks whether to stop.
        progress: told after every chunk.
    """
    folder = out / "relaxed"
    done = set(reference_chunks.load(folder, RELAXED_SCHEMA, ["key"]).column("key").to_pylist())
    by_key = {row.key: row for row in rows}
    static = {e.key: e for e in _static_entries(out)}
    todo = [key for key in order if key in by_key and key not in done]

    def chunks() -> Iterator[tuple[Asked, list[tuple[Row, _Entry]]]]:
        chunk: list[tuple[Row, _Entry]] = []
        for key in todo:
            chunk.append((by_key[key], static[key]))
            if sum(entry.atoms for _, entry in chunk) >= _CHUNK_ATOMS:
                yield potential, chunk
                chunk = []
        if chunk:
            yield potential, chunk

    results = run_chunks(_relax_chunk, chunks(), processes=processes, stop=stop)
    start = Progress("relaxed", 0, len(order), 0)
    land_all(results, folder, RELAXED_SCHEMA, start, len(todo), progress)


def write_hull_table(
    out: Path,
    path: Path,
    potential: Asked = ("chgnet", None),
    header: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the hull table from whatever the passes have so far.

    Each reduced formula gets its lowest energy; where a structure was relaxed to convergence its
    relaxed energy counts in place of the static one.

    Args:
        out: folder of the passes.
        path: table to write.
        potential: name and model file.
        header: further facts for the table's header, such as the sources of the structures.

    Returns:
        The header: potential, counts, and the mean static-to-relaxed shift in eV per atom.

    Raises:
        InputError: there are no static energies in `out`.
    """
    entries = _static_entries(out)
    if not entries:
        raise InputError(f"{out}: no static energies yet; run the static pass first")
    relaxed = _converged(out)
    best: dict[str, Phase] = {}
    for entry in entries:
        energy = relaxed.get(entry.key, entry.energy)
        if entry.formula not in best or energy < best[entry.formula].energy:
            best[entry.formula] = Phase(entry.formula, energy, entry.id, entry.key in relaxed)
    ready = load_potential(*potential)
    shifts = [entry.energy - relaxed[entry.key] for entry in entries if entry.key in relaxed]
    facts = {
        **(header or {}),
        "potential": ready.fingerprint,
        "energies": str(ready.energies),
        "structures": len(entries),
        "relaxed_structures": len(relaxed),
        "mean_relaxation_shift_eV_per_atom": sum(shifts) / len(shifts) if shifts else None,
    }
    write_hull(path, list(best.values()), facts)
    return facts


def _static_entries(out: Path) -> list[_Entry]:
    table = reference_chunks.load(out / "static", STATIC_SCHEMA, _STATIC_COLUMNS).to_pylist()
    return [
        _Entry(
            r["key"],
            r["id"],
            reduced_formula(parse_formula(r["formula"])),
            r["atoms"],
            r["energy_eV_per_atom"],
        )
        for r in table
        if r["energy_eV_per_atom"] is not None
    ]


def _lowest(entries: Sequence[_Entry]) -> dict[str, _Entry]:
    lowest: dict[str, _Entry] = {}
    for entry in entries:
        if entry.formula not in lowest or entry.energy < lowest[entry.formula].energy:
            lowest[entry.formula] = entry
    return lowest


def _converged(out: Path) -> dict[str, float]:
    columns = ["key", "energy_eV_per_atom", "status"]
    table = reference_chunks.load(out / "relaxed", RELAXED_SCHEMA, columns).to_pylist()
    good = str(RelaxStatus.CONVERGED)
    return {r["key"]: r["energy_eV_per_atom"] for r in table if r["status"] == good}


def _relax_chunk(chunk: tuple[Asked, list[tuple[Row, _Entry]]]) -> list[dict[str, Any]]:
    potential, members = chunk
    ready = load_potential(*potential)
    results = []
    for row, entry in members:
        found = relax(structure_atoms(row.cif), ready.calculator, _SETTINGS, exact=ready.exact)
        results.append(
            {
                "key": entry.key,
                "id": entry.id,
                "formula": entry.formula,
                "atoms": entry.atoms,
                "energy_eV_per_atom": found.energy_eV_per_atom,
                "static_eV_per_atom": entry.energy,
                "status": str(found.status),
                "steps": found.steps,
                "volume_ratio": found.volume_ratio,
                "max_stress_GPa": found.max_stress_GPa,
            }
        )
    return results
