"""Public structure tables: which there are, where they come from, and fetching them safely.

Nothing third-party ships with the package. `bondwright data get` fetches a table from its pinned
address, resumes a broken download, and refuses a file whose checksum differs.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from bondwright.errors import InputError, nearest
from bondwright.structure.write import cif_text

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Dataset:
    """A public structure table.

    Attributes:
        name: name used on the command line.
        url: pinned address.
        sha256: checksum of the file at that address.
        rows: number of structures in it.
        target: its property column, with unit.
        about: one sentence.
        citation: what to cite, with its DOI.
        licence: licence of the data.
    """

    name: str
    url: str
    sha256: str
    rows: int
    target: str
    about: str
    citation: str
    licence: str


# Addresses, row counts and checksums as published with matminer's dataset metadata (Matbench v0.1).
DATASETS = {
    d.name: d
    for d in (
        Dataset(
            name="matbench_mp_gap",
            url="https://ml.materialsproject.org/projects/matbench_mp_gap.json.gz",
            sha256="58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
            rows=106_113,
            target="gap pbe (eV)",
            about="Materials Project crystals with their PBE band gap, 2 April 2019.",
            citation="Dunn et al., npj Comput. Mater. 6, 138 (2020), 10.1038/s41524-020-00406-3",
            licence="CC BY 4.0 (Materials Project)",
        ),
        Dataset(
            name="matbench_mp_e_form",
            url="https://ml.materialsproject.org/projects/matbench_mp_e_form.json.gz",
            sha256="dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
            rows=132_752,
            target="e_form (eV/atom)",
            about="Materials Project crystals with their formation energy, 2 April 2019.",
            citation="Dunn et al., npj Comput. Mater. 6, 138 (2020), 10.1038/s41524-020-00406-3",
            licence="CC BY 4.0 (Materials Project)",
        ),
        Dataset(
            name="matbench_perovskites",
            url="https://ml.materialsproject.org/projects/matbench_perovskites.json.gz",
            sha256="4641e2417f8ec8b50096d2230864468dfa08278dc9d257c327f65d0305278483",
            rows=18_928,
            target="e_form (eV per cell)",
            about="Cubic perovskites, real and hypothetical, with formation energies.",
            citation="Castelli et al., Energy Environ. Sci. 5, 9034 (2012), 10.1039/C2EE22341D",
            licence="see the publication",
        ),
    )
}


def data_folder() -> Path:
    """Return the folder of data sets: BONDWRIGHT_DATA, else the user's data folder."""
    if named := os.environ.get("BONDWRIGHT_DATA"):
        return Path(named)
    return user_data_folder()


def structures_table() -> Path | None:
    """Return the table of known crystals below the data folder, or None."""
    table = data_folder() / "crystals" / "structures.csv.gz"
    return table if table.is_file() else None


def user_data_folder() -> Path:
    """Return the user's data folder: below XDG_DATA_HOME, else below ~/.local/share."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "bondwright"


def find_dataset(name: str) -> Dataset:
    """Return the data set called `name`; raises InputError naming the nearest one."""
    if name not in DATASETS:
        raise InputError(
            f"no data set {name!r}.{nearest(name, DATASETS)} `bondwright data list` names them all."
        )
    return DATASETS[name]


def fetch(url: str, target: Path, sha256: str, progress: Progress | None = None) -> Path:
    """Download `url` to `target`, resuming from `target` + ".part" where that exists.

    Args:
        url: http(s) address.
        target: file to write; appears only when complete and its checksum is right.
        sha256: expected checksum, 64 hexadecimal digits.
        progress: called with (bytes so far, total bytes or None).

    Returns:
        `target`.

    Raises:
        InputError: no connection, a broken download (run again to resume), or a wrong checksum.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - addresses are pinned above
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            if answer.status != 206:  # the server does not resume: begin again
                have = 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if have else "wb") as out:
                while block := answer.read(1 << 20):
                    out.write(block)
                    have += len(block)
                    if progress:
                        progress(have, total)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # 416: the part file is already as long as the whole
            raise InputError(
                f"{url} answered {error.code} {error.reason}; try again later."
            ) from None
        total = have
    except (OSError, ValueError) as error:
        raise InputError(
            f"download of {url} broke off after {have:,} bytes ({error}); run the same command "
            "again to resume."
        ) from None
    if total is not None and have < total:
        raise InputError(
            f"download of {url} broke off at {have:,} of {total:,} bytes; run the same command "
            "again to resume."
        )
    found = file_sha256(part)
    if found != sha256:
        part.unlink()
        raise InputError(
            f"{url} has checksum {found[:12]}..., expected {sha256[:12]}...; the file was removed. "
            "Run the same command again; if it persists, the source has changed."
        )
    part.replace(target)
    return target


def file_sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matbench_rows(path: Path) -> Iterator[tuple[Atoms, Any]]:
    """Yield (structure, target value) of a Matbench table (pandas "split" JSON, gzipped).

    Rows are decoded one at a time, so that memory is bounded by the text of the file.

    Raises:
        InputError: the file is not such a table.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    decoder = json.JSONDecoder()
    start = re.search(r'"data"\s*:\s*\[', text)
    if not start:
        raise InputError(f"{path} is not a Matbench table: it has no data section.")
    place = start.end()
    while row := re.compile(r"[\s,]*(?=\[)").match(text, place):
        (structure, value), place = decoder.raw_decode(text, row.end())
        yield _atoms_of(structure), value


def _atoms_of(structure: dict[str, Any]) -> Atoms:
    """Turn a pymatgen structure dictionary (ordered sites only) into atoms."""
    sites = structure["sites"]
    return Atoms(
        symbols=[site["species"][0]["element"] for site in sites],
        scaled_positions=[site["abc"] for site in sites],
        cell=structure["lattice"]["matrix"],
        pbc=True,
    )


def convert_matbench(source: Path, target: Path, progress: Progress | None = None) -> int:
    """Write a Matbench table as CSV with the columns id, value and cif; return the row count."""
    part = target.with_name(target.name + ".part")
    count = 0
    with gzip.open(part, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "value", "cif"])
        for count, (atoms, value) in enumerate(matbench_rows(source), start=1):
            name = f"{source.name.split('.')[0]}-{count - 1}"
            writer.writerow([name, value, cif_text(atoms, name=name)])
            if progress:
                progress(count, None)
    part.replace(target)
    return count


def get(name: str, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch the data set `name` into `folder` as a structure table; return the table's path.

    A table that is already there is left alone.

    Raises:
        InputError: unknown name, broken download or wrong checksum.
    """
    dataset = find_dataset(name)
    table = folder / f"{name}.csv.gz"
    if table.exists():
        return table
    source = folder / f"{name}.json.gz"
    if not (source.exists() and file_sha256(source) == dataset.sha256):
        fetch(dataset.url, source, dataset.sha256, progress)
    convert_matbench(source, table, progress)
    return table
