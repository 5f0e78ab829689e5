"""Pseudopotential files of the user: found, checked and chosen, one per element."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from bondwright.dft.espresso.units import RYDBERG_EV
from bondwright.errors import InputError

VARIABLES = ("BONDWRIGHT_PSEUDO", "ESPRESSO_PSEUDO")
"""Environment variables that name the folder, in the order they are asked."""

_LARGEST = 100_000_000
_FUNCTIONALS = {
    "PBE": {"PBE", "SLA PW PBE PBE", "SLA PW PBX PBC"},
    "PBEsol": {"PBESOL", "SLA PW PSX PSC"},
    "LDA": {"LDA", "PZ", "SLA PZ NOGX NOGC"},
    "revPBE": {"REVPBE", "SLA PW RPB PBC", "SLA PW REVX PBC"},
}
_KINDS = {"NC": "NC", "SL": "NC", "US": "US", "USPP": "US", "PAW": "PAW"}
_PREFERRED = ("PAW", "US", "NC")
_ATTRIBUTE = re.compile(r"([A-Za-z_0-9]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.DOTALL)


@dataclass(frozen=True)
class Pseudopotential:
    """A pseudopotential file in UPF form.

    Attributes:
        path: the file.
        element: from its header.
        functional: "PBE", "PBEsol", "LDA", "revPBE", or the header's own words.
        kind: "PAW", "US" or "NC".
        valence: number of valence electrons.
        cutoff_eV: suggested cut-off of the wave functions; None when not stated.
        density_cutoff_eV: suggested cut-off of the density; None when not stated.
        spin_orbit: a fully relativistic set.
        sha256: checksum of the file.
    """

    path: Path
    element: str
    functional: str
    kind: str
    valence: float
    cutoff_eV: float | None
    density_cutoff_eV: float | None
    spin_orbit: bool
    sha256: str


def read_pseudopotential(path: Path) -> Pseudopotential:
    """Read the header of a UPF file, version 1 or 2, and check that the file is whole.

    Raises:
        InputError: not readable, not UPF, or cut off.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: too large for a pseudopotential; name a UPF file.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    text = data.decode("utf-8", errors="replace")
    opened, _, rest = text.partition("<PP_HEADER")
    if not rest or "<PP_MESH" not in rest:
        raise InputError(f"{path}: not a pseudopotential in UPF form, or cut off.")
    if "<UPF" in opened:
        whole = "</UPF>" in rest[-400:]
        header = {
            key.lower(): (double or single).strip()
            for key, double, single in _ATTRIBUTE.findall(rest.split("<PP_MESH")[0])
        }
    else:
        whole = "</PP_RHOATOM>" in rest
        header = _old_header(rest.partition(">")[2].partition("</PP_HEADER>")[0])
        header["has_so"] = "true" if "<PP_ADDINFO>" in rest else "false"
    if not whole:
        raise InputError(f"{path}: the file is cut off; fetch it again.")
    element = header.get("element", "").strip().capitalize()
    if atomic_numbers.get(element, 0) < 1:
        raise InputError(f"{path}: its header names no element.")
    valence = _number(header.get("z_valence", ""))
    if not valence:
        raise InputError(f"{path}: its header does not state the valence.")
    return Pseudopotential(
        path=path,
        element=element,
        functional=_functional(header.get("functional", "")),
        kind=_KINDS.get(header.get("pseudo_type", "").upper(), "")
        or ("US" if _true(header.get("is_ultrasoft", "")) else "NC"),
        valence=valence,
        cutoff_eV=_energy(header.get("wfc_cutoff", "")),
        density_cutoff_eV=_energy(header.get("rho_cutoff", "")),
        spin_orbit=_true(header.get("has_so", "")),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def pseudopotential_folder(folder: Path | None = None) -> Path:
    """Return the folder of the user's pseudopotentials.

    Args:
        folder: an explicit folder; None asks the environment variables of `VARIABLES`.

    Raises:
        InputError: none is named, or it is no folder.
    """
    named = folder
    if named is None:
        value = next((os.environ[v] for v in VARIABLES if os.environ.get(v)), None)
        if value is None:
            raise InputError(
                "no folder of pseudopotentials is named; set BONDWRIGHT_PSEUDO to one with a UPF "
                "file per element (for example from https://www.materialscloud.org/sssp)."
            )
        named = Path(value)
    if not named.is_dir():
        raise InputError(f"{named}: no such folder; name one that holds UPF files.")
    return named


def choose_pseudopotentials(
    elements: Iterable[str],
    folder: Path,
    *,
    functional: str = "PBE",
    names: Mapping[str, str] | None = None,
) -> dict[str, Pseudopotential]:
    """Choose one file per element from a folder.

    Files are those whose name begins with the element's symbol and whose header agrees on element
    and functional. Where there are several, PAW goes before ultrasoft and norm-conserving, then the
    last by name; name one in `names` to be sure. Fully relativistic sets are left aside.

    Args:
        elements: symbols.
        folder: where the files are.
        functional: the functional that they must have been made for.
        names: element -> file name, for those that are not to be chosen by this rule.

    Raises:
        InputError: an element has no file, or a named file does not fit.
    """
    chosen = {}
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".upf")
    for element in sorted(set(elements)):
        if names and element in names:
            potential = read_pseudopotential(folder / names[element])
            if potential.element != element or potential.functional != functional:
                raise InputError(
                    f"{potential.path}: made for {potential.element} and {potential.functional}, "
                    f"asked for {element} and {functional}; name another file."
                )
            chosen[element] = potential
            continue
        found, others = _candidates(element, files, functional)
        if not found:
            hint = f" (there are some for {', '.join(sorted(others))})" if others else ""
            raise InputError(
                f"{folder}: no {functional} pseudopotential for {element}{hint}; add a UPF file "
                f"whose name begins with {element!r}."
            )
        chosen[element] = max(found, key=lambda p: (-_PREFERRED.index(p.kind), p.path.name))
    return chosen


def _candidates(
    element: str, files: Iterable[Path], functional: str
) -> tuple[list[Pseudopotential], set[str]]:
    """Return what fits, and the functionals of what is for the element but does not."""
    found, others = [], set()
    pattern = re.compile(rf"{element}(?![a-z])", re.IGNORECASE)
    for path in files:
        if not pattern.match(path.name):
            continue
        try:
            potential = read_pseudopotential(path)
        except InputError:
            continue  # another file may do; when none does, the caller says so
        if potential.element != element or potential.spin_orbit:
            continue
        if potential.functional == functional:
            found.append(potential)
        else:
            others.add(potential.functional)
    return found, others


def _old_header(text: str) -> dict[str, str]:
    """Return the header of UPF version 1, which is lines with a description behind each value."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if "Element" in words:
            found["element"] = words[0]
        elif "Z valence" in line:
            found["z_valence"] = words[0]
        elif "Exchange-Correlation" in line:
            found["functional"] = " ".join(words[:4])
        elif "Suggested cutoff" in line:
            found["wfc_cutoff"], found["rho_cutoff"] = words[0], words[1]
        elif words and words[0] in ("NC", "US", "PAW"):
            found["pseudo_type"] = words[0]
    return found


def _functional(text: str) -> str:
    words = " ".join(text.upper().split())
    return next((name for name, all_ in _FUNCTIONALS.items() if words in all_), words)


def _energy(text: str) -> float | None:

    value = _number(text)
    return value * RYDBERG_EV if value and value > 0 else None


def _number(text: str) -> float | None:
    try:
        return float(text.upper().replace("D", "E"))
    except ValueError:
        return None


def _true(text: str) -> bool:
    return text.strip().strip(".").lower() in ("t", "true")
