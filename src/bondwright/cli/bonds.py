"""`bondwright bonds`: how strongly the atoms of one structure bind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bondwright.cli.calculating import NOT_CONVERGED, folder_name, read_one, telling
from bondwright.cli.console import note, say, say_json, say_table
from bondwright.cli.driving import INTERRUPTED
from bondwright.cli.types import Json
from bondwright.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from bondwright.bonding.acceptance import LabelVerdict
    from bondwright.bonding.table import BondTable

Subject = Annotated[
    Path,
    typer.Argument(
        metavar="STRUCTURE|FOLDER",
        help="A file with one structure, whose bonds are computed; or a folder in which LOBSTER "
        "ran (ICOHPLIST.lobster, lobsterout), whose bonds are read.",
        show_default=False,
    ),
]
Of = Annotated[
    Path | None,
    typer.Option(
        "--structure",
        help="Structure of a LOBSTER folder, atoms in its order. (default: POSCAR.lobster*, "
        "CONTCAR*, POSCAR* or the one *.xyz in it)",
    ),
]
Mesh = Annotated[
    tuple[int, int, int] | None,
    typer.Option("--kpoints", metavar="N N N", help="Monkhorst-Pack mesh. (default: chosen)"),
]
Shortest = Annotated[
    float | None, typer.Option("--min", metavar="A", help="Shortest bond listed, Å. (default: 0)")
]
Longest = Annotated[
    float | None,
    typer.Option(
        "--max",
        "--cutoff",
        metavar="A",
        help="Longest bond listed, Å. (default: 5, or all that LOBSTER lists)",
    ),
]
SpinWord = Annotated[
    str,
    typer.Option("--spin", help="auto (where d or f shells ask for it), none or polarised."),
]
Orbitals = Annotated[
    str,
    typer.Option(
        "--orbitals",
        help="Free-atom orbitals of the projection: pbe, or hartree-fock (closest to LOBSTER's "
        "Bunge basis, which the published glass labels use).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder of calculation and files. (default: STRUCTURE-bonds)"),
]
Csv = Annotated[bool, typer.Option("--csv", help="Write bonds.csv.")]
Parquet = Annotated[
    bool, typer.Option("--parquet", help="Write bonds.parquet, with structure and method.")
]
Extxyz = Annotated[
    bool, typer.Option("--extxyz", help="Write atoms.extxyz, with each atom's sum of -ICOHP.")
]
Lobster = Annotated[
    bool, typer.Option("--lobster", help="Write ICOHPLIST.lobster, for LOBSTER's tools.")
]
Figure = Annotated[
    bool, typer.Option("--figure", help="Write bonds.svg and .png: strength against length.")
]


def bonds(
    subject: Subject,
    structure: Of = None,
    kpoints: Mesh = None,
    shortest: Shortest = None,
    longest: Longest = None,
    spin: SpinWord = "auto",
    orbitals: Orbitals = "pbe",
    out: Out = None,
    csv: Csv = False,
    parquet: Parquet = False,
    extxyz: Extxyz = False,
    lobster: Lobster = False,
    figure: Figure = False,
    json: Json = False,
) -> None:
    """Compute -ICOHP of every bond of a structure, or show what LOBSTER found.

    Positive is bonding. The same command again answers from its folder. Exit code 4 means that the
    calculation did not converge; the reason is printed.
    """
    from bondwright.bonding.acceptance import accept_label

    if subject.is_dir():
        if kpoints is not None or spin != "auto" or orbitals != "pbe":
            raise InputError(
                "--kpoints, --spin and --orbitals belong to a calculation; LOBSTER's is done."
            )
        name, table = subject.resolve().name, _of_lobster(subject, structure, shortest, longest)
        folder = out or Path(folder_name(name, "bonds"))
    else:
        if structure is not None:
            raise InputError("--structure belongs to a LOBSTER folder; name the structure alone.")
        candidate = read_one(subject)
        for text in candidate.notes:
            note(f"Note: {text}")
        name, folder = candidate.name, out or Path(folder_name(candidate.name, "bonds"))
        table = _computed(candidate.atoms, folder, kpoints, shortest, longest, spin, orbitals)
    verdict = accept_label(table)
    files = _write(table, folder, name, _wanted(csv, parquet, extxyz, lobster, figure))
    if json:
        say_json({**_answer(name, table, verdict), "files": [str(f) for f in files]})
        return
    _say(name, table, verdict)
    for file in files:
        say(f"{file}")


def _computed(
    atoms: Atoms | None,
    folder: Path,
    kpoints: tuple[int, int, int] | None,
    shortest: float | None,
    longest: float | None,
    spin: str,
    orbitals: str,
) -> BondTable:
    """Compute the bonds of a structure.

    Raises:
        InputError: an option, the structure or the installation cannot be used.
        typer.Exit: it did not converge, or was interrupted.
    """
    from bondwright.bonding.icohp import BondSettings, IcohpError, bond_strengths

    if kpoints is not None and min(kpoints) < 1:
        raise InputError(f"--kpoints {' '.join(map(str, kpoints))}: every number is at least 1.")
    usual = BondSettings()
    settings = BondSettings(
        min_length_A=usual.min_length_A if shortest is None else shortest,
        max_length_A=usual.max_length_A if longest is None else longest,
        kpoints=kpoints,
        spin=spin,
        orbitals=orbitals,
    )
    try:
        with telling() as tell:
            return bond_strengths(atoms, settings, folder, tell.now)
    except IcohpError as error:
        note(f"bondwright: not converged: {error.reason}. {error.message}")
        raise typer.Exit(NOT_CONVERGED) from None
    except KeyboardInterrupt:
        note(f"Interrupted. What is done is kept in {folder}; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None


def _of_lobster(
    folder: Path, structure: Path | None, shortest: float | None, longest: float | None
) -> BondTable:
    """Read the bonds of a LOBSTER run.

    Raises:
        InputError: no structure is found, or LOBSTER's files cannot be used.
    """
    from bondwright.bonding.lobster import read_lobster_folder

    table = read_lobster_folder(folder, _plain(structure or _structure_in(folder)))
    return table.between(
        0.0 if shortest is None else shortest, float("inf") if longest is None else longest
    )


def _plain(path: Path) -> Atoms:
    """Read a structure that may be gzipped, as finished runs often are.

    Raises:
        InputError: it cannot be read.
    """
    from tempfile import TemporaryDirectory

    from bondwright.bonding.lobster.text import read_text
    from bondwright.structure.parsed import ReadLimits

    if path.suffix != ".gz":
        return read_one(path).atoms
    with TemporaryDirectory(prefix="bondwright-") as scratch:
        unpacked = Path(scratch) / path.name.removesuffix(".gz")
        unpacked.write_text(read_text(path, ReadLimits().text_bytes), "utf-8")
        try:
            return read_one(unpacked).atoms
        except InputError as error:
            raise InputError(str(error).replace(str(unpacked), str(path))) from None


def _structure_in(folder: Path) -> Path:
    """Return the structure that a LOBSTER run was made for.

    Raises:
        InputError: there is none, or several that may be it.
    """
    for pattern in ("POSCAR.lobster*", "CONTCAR*", "POSCAR*", "*.xyz", "*.extxyz", "*.cif"):
        found = sorted(p for p in folder.glob(pattern) if p.is_file())
        if len(found) > 1:
            names = ", ".join(p.name for p in found[:4])
            raise InputError(f"{folder} holds {names}; name the right one with --structure.")
        if found:
            return found[0]
    raise InputError(f"{folder} holds no structure that is known; name it with --structure.")


def _wanted(csv: bool, parquet: bool, extxyz: bool, lobster: bool, figure: bool) -> list[str]:
    """Return the names of the files that are asked for."""
    asked = {
        "bonds.csv": csv,
        "bonds.parquet": parquet,
        "atoms.extxyz": extxyz,
        "ICOHPLIST.lobster": lobster,
        "bonds.svg": figure,
        "bonds.png": figure,
    }
    return [name for name, yes in asked.items() if yes]


def _write(table: BondTable, folder: Path, title: str, names: Sequence[str]) -> list[Path]:
    """Write files into a folder.

    Raises:
        InputError: a file cannot be written.
    """
    from bondwright.bonding import export
    from bondwright.bonding.figures import strength_figure
    from bondwright.bonding.lobster import icohplist_text
    from bondwright.structure.write import write_text

    for name in names:
        path = folder / name
        try:
            if name == "bonds.csv":
                export.write_csv(path, table)
            elif name == "bonds.parquet":
                export.write_parquet(path, table)
            elif name == "atoms.extxyz":
                export.write_extxyz(path, table)
            elif name == "ICOHPLIST.lobster":
                write_text(path, icohplist_text(table))
            else:
                strength_figure(table, path, title=f"{title}, {table.method}")
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); name another folder with --out."
            ) from None
    return [folder / name for name in names]


def _answer(name: str, table: BondTable, verdict: LabelVerdict) -> dict[str, Any]:
    """Return the answer for programs."""
    from bondwright.bonding.describe import describe

    return {
        "structure": name,
        "method": table.method,
        "charge_spilling": table.charge_spilling,
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "message": verdict.message,
        "description": describe(table),
        "bonds": len(table),
        "pairs": _pairs(table),
        "details": table.details,
    }


def _pairs(table: BondTable) -> list[dict[str, Any]]:
    """Return what is known of each pair of elements, the one with the strongest bond first."""
    rows = []
    for pair, index in table.pair_types().items():
        length, strength = table.length_A[index], table.icohp_eV[index]
        rows.append(
            {
                "pair": pair,
                "count": len(index),
                "shortest_A": float(length.min()),
                "longest_A": float(length.max()),
                "mean_minus_icohp_eV": float(strength.mean()),
                "strongest_minus_icohp_eV": float(strength.max()),
            }
        )
    return sorted(rows, key=lambda row: -float(row["strongest_minus_icohp_eV"]))


def _say(name: str, table: BondTable, verdict: LabelVerdict) -> None:
    """Print the bonds for people."""
    from bondwright.bonding.describe import describe

    say(f"{name}: {len(table)} bonds by {table.method}")
    say(describe(table))
    usable = "may be used" if verdict.accepted else f"must not be used: {verdict.message}"
    say(f"These values {usable}{'.' if verdict.accepted else ''}")
    if len(table):
        say_table(
            ("pair", "bonds", "length (Å)", "mean -ICOHP (eV)", "strongest (eV)"),
            [
                (
                    row["pair"],
                    f"{row['count']}",
                    f"{row['shortest_A']:.3f} to {row['longest_A']:.3f}",
                    f"{row['mean_minus_icohp_eV']:.3f}",
                    f"{row['strongest_minus_icohp_eV']:.3f}",
                )
                for row in _pairs(table)
            ],
        )
