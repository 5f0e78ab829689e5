"""CIF text to structures: what each data block declares, and the full cell that follows from it.

The symmetry operations are those listed or, where the list is missing or only the identity, those
of the declared space group. Nothing is evaluated; for text of unknown origin call this through
`structure.sandbox`, which adds caps on time and memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from bondwright.structure.candidate import Declared, SiteRow
from bondwright.structure.cif_sites import read_sites
from bondwright.structure.cif_syntax import Block, read_blocks
from bondwright.structure.expand import (
    IDENTITY,
    Operations,
    first_within,
    lattice_from_parameters,
    orbit,
    parse_operations,
)
from bondwright.structure.numbers import read_integer, read_number
from bondwright.structure.parsed import Parsed, ReadLimits, Unreadable
from bondwright.structure.symmetry import Setting, find_setting

FULL_OCCUPANCY = 1e-3
"""Occupancies within this of 1 are full: tables print 0.999 or 1.0003 for a refined full site."""

MAX_NOTES = 20
_OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_SYMBOLS = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m_alt",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBERS = ("_symmetry_int_tables_number", "_space_group_it_number")
_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")


def parse_cif(text: str, limits: ReadLimits = ReadLimits()) -> list[Parsed]:  # noqa: B008 - frozen
    """Read every data block of a CIF text.

    Blocks without atom sites (a journal's `data_global`) are left out where another block has
    some.

    Args:
        text: the CIF text; CrystaLLM's own dialects included.
        limits: `atoms` caps the expanded cell.

    Returns:
        One result per block, at least one; a block that gives no structure carries its problem.
    """
    try:
        if not text.strip():
            raise Unreadable("empty", "the text is empty.")
        blocks = read_blocks(text)
    except Unreadable as reason:
        return [Parsed(problem=reason.problem)]
    structural = [index for index, block in enumerate(blocks) if _is_structural(block)]
    results = []
    for index in structural or [0]:
        parsed = _read_block(blocks[index], index, limits)
        if len(blocks) > 1:
            note = f"data block {index + 1} of {len(blocks)}"
            if len(structural) < len(blocks):
                note += f", {len(blocks) - len(structural)} of them without a structure"
            parsed = Parsed(
                parsed.atoms, parsed.declared, parsed.problem, (note, *parsed.notes), index
            )
        results.append(parsed)
    return results


def _is_structural(block: Block) -> bool:
    """Say whether a block has, or was meant to have, atom sites."""
    written = any(block.columns.get("_atom_site_fract_x", ()))
    return written or "_atom_site_fract_x" in block.broken


def _read_block(block: Block, index: int, limits: ReadLimits) -> Parsed:
    """Read one block."""
    notes = list(block.notes)
    declared = _declare(block)
    try:
        if block.cut and "_atom_site_fract_x" not in {*block.columns, *block.broken}:
            raise Unreadable("truncated", "the text stops before its atom sites.")
        lengths, angles = _cell_parameters(block)
        lattice = lattice_from_parameters(lengths, angles)
        sites, site_notes = read_sites(block)
        notes += site_notes
        declared = _declare(block, sites)
        operations, expanded_from, symmetry_notes = _operations(block, declared)
        notes += symmetry_notes
        declared = _declare(block, sites, expanded_from)
        atoms = _expand(sites, operations, lattice, limits, notes)
        problem = None
    except Unreadable as reason:
        atoms, problem = None, reason.problem
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES:] = [f"{len(notes) - MAX_NOTES} more notes"]
    return Parsed(atoms, declared, problem, tuple(notes), index)


def _declare(block: Block, sites: Sequence[SiteRow] = (), expanded_from: str = "none") -> Declared:
    """Collect what the block says; values that are not numbers are left out here."""
    lengths = tuple(read_number(block.first(tag)) for tag in _LENGTHS)
    angles = tuple(read_number(block.first(tag)) for tag in _ANGLES)
    return Declared(
        block=block.name,
        formula_sum=block.first("_chemical_formula_sum"),
        formula_structural=block.first("_chemical_formula_structural"),
        formula_units=read_integer(block.first("_cell_formula_units_z")),
        space_group_symbol=block.first(*_SYMBOLS),
        space_group_number=read_integer(block.first(*_NUMBERS)),
        lengths=_complete(lengths),
        angles=_complete(angles),
        volume=read_number(block.first("_cell_volume")),
        sites=tuple(sites),
        operations=tuple(_listed_operations(block)),
        expanded_from=expanded_from,
    )


def _complete(values: tuple[float | None, ...]) -> tuple[float, float, float] | None:
    """Return three values, or None when one is missing."""
    a, b, c = values
    return None if a is None or b is None or c is None else (a, b, c)


def _cell_parameters(block: Block) -> tuple[list[float], list[float]]:
    """Return lengths in Å and angles in degrees.

    Raises:
        Unreadable: `no-cell` when one is missing, `bad-cell` when one is not a number.
    """
    values = []
    for tag in (*_LENGTHS, *_ANGLES):
        written = block.first(tag)
        if written is None:
            if tag in block.broken:
                raise block.broken[tag]
            raise Unreadable("no-cell", f"{tag} is missing.")
        number = read_number(written)
        if number is None:
            raise Unreadable("bad-cell", f"{tag} is {written[:40]!r}, not a finite number.")
        values.append(number)
    return values[:3], values[3:]


def _listed_operations(block: Block) -> list[str]:
    """Return the operations as written."""
    for tag in _OPERATIONS:
        if tag in block.columns:
            return [text for text in block.columns[tag] if text is not None]
    return []


def _operations(block: Block, declared: Declared) -> tuple[Operations, str, list[str]]:
    """Decide by which operations the sites are expanded.

    Returns:
        The operations, where they came from (see `Declared.expanded_from`), and notes.

    Raises:
        Unreadable: `bad-operation` or `unknown-space-group`, or the reason why the list of
            operations is broken.
    """
    for tag in _OPERATIONS:
        if tag in block.broken:
            raise block.broken[tag]
    listed = parse_operations(declared.operations) if declared.operations else IDENTITY
    setting, notes = _declared_setting(block, declared)
    if not _is_trivial(listed):
        if setting and len(listed) != len(setting.rotations):
            notes.append(
                f"{len(listed)} operations are listed, {setting.group.symbol} has "
                f"{len(setting.rotations)}; the list is used"
            )
        return listed, "operations", notes
    if setting is None:
        said = declared.space_group_symbol or declared.space_group_number
        if said is not None:
            raise Unreadable("unknown-space-group", f"{str(said)[:40]!r} is no space group.")
        if not declared.operations:
            notes.append("no symmetry is stated; taken as P 1")
        return IDENTITY, "none", notes
    if setting.group.number == 1 and len(setting.rotations) == 1:
        return IDENTITY, "none", notes
    notes.append(
        f"operations of {setting.name} supplied: "
        + ("the list holds only the identity" if declared.operations else "none are listed")
    )
    if setting.ambiguous:
        notes.append(f"the symbol leaves origin or axes open; {setting.name} is taken")
    return Operations(setting.rotations, setting.translations), "space group", notes


def _declared_setting(block: Block, declared: Declared) -> tuple[Setting | None, list[str]]:
    """Return the setting that the block declares: by symbol, else Hall symbol, else number."""
    notes: list[str] = []
    rhombohedral = _has_rhombohedral_axes(declared)
    symbol, number = declared.space_group_symbol, declared.space_group_number
    by_symbol = find_setting(symbol, rhombohedral) if symbol else None
    by_number = find_setting(number, rhombohedral) if number is not None else None
    hall = block.first(*_HALL)
    by_hall = find_setting(hall) if hall else None
    if symbol and by_symbol is None:
        notes.append(f"the space-group symbol {symbol[:40]!r} is not known")
    if by_symbol and by_number and by_symbol.group != by_number.group:
        notes.append(
            f"symbol {by_symbol.group.symbol} and number {number} name different space groups; "
            "the symbol counts"
        )
    if by_hall and by_symbol and by_hall.group == by_symbol.group and by_symbol.ambiguous:
        return by_hall, notes  # a Hall symbol names the origin as well
    return by_symbol or by_hall or by_number, notes


def _has_rhombohedral_axes(declared: Declared) -> bool:
    """Say whether the declared cell has three equal edges at equal angles that are not right."""
    if declared.lengths is None or declared.angles is None:
        return False
    lengths, angles = np.array(declared.lengths), np.array(declared.angles)
    return bool(
        np.ptp(lengths) < 1e-3 * lengths.mean()
        and np.ptp(angles) < 0.1
        and abs(angles.mean() - 90) > 0.1
    )


def _is_trivial(operations: Operations) -> bool:
    """Say whether a list holds only the identity."""
    return len(operations) == 1 and bool(
        (operations.rotations == IDENTITY.rotations).all() and not operations.translations.any()
    )


def _expand(
    sites: Sequence[SiteRow],
    operations: Operations,
    lattice: NDArray[np.float64],
    limits: ReadLimits,
    notes: list[str],
) -> Atoms:
    """Fill the cell.

    Raises:
        Unreadable: `too-many-atoms`, `bad-occupancy` or `disordered`.
    """
    partial = [row for row in sites if FULL_OCCUPANCY < row.occupancy < 1 - FULL_OCCUPANCY]
    if partial:
        named = ", ".join(f"{row.label} {row.occupancy:g}" for row in partial[:3])
        raise Unreadable(
            "disordered", f"{len(partial)} of {len(sites)} sites are partly occupied: {named}."
        )
    symbols: list[str] = []
    owners: list[SiteRow] = []
    places = np.empty((0, 3))
    for row in sites:
        if row.occupancy <= FULL_OCCUPANCY:
            notes.append(f"site {row.label} has occupancy 0, left out")
            continue
        images = orbit(np.array(row.position), operations, lattice)
        taken = first_within(images[0], places, lattice)
        if taken is not None and symbols[taken] == row.symbol:
            notes.append(f"site {row.label} repeats site {owners[taken].label}, left out")
            continue
        places = np.vstack([places, images])
        symbols += [row.symbol] * len(images)
        owners += [row] * len(images)
        if len(symbols) > limits.atoms:
            raise Unreadable("too-many-atoms", f"the cell has more than {limits.atoms} atoms.")
    if not symbols:
        raise Unreadable("no-sites", "no site of the block is occupied.")
    return Atoms(symbols=symbols, scaled_positions=places, cell=lattice, pbc=True)
