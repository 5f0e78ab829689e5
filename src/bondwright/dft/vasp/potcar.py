"""POTCAR files, put together from the user's own licensed library."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Sequence
from pathlib import Path

from bondwright.errors import InputError

VARIABLES = ("VASP_PP_PATH", "PMG_VASP_PSP_DIR")
"""Environment variables that name the library, in the order they are asked."""

_SETS = (
    "potpaw_PBE.54",
    "potpaw_PBE_54",
    "POT_PAW_PBE_54",
    "POT_GGA_PAW_PBE_54",
    "potpaw_PBE.52",
    "POT_GGA_PAW_PBE_52",
    "potpaw_PBE",
    "POT_GGA_PAW_PBE",
    "",
)
_TITLE = re.compile(r"^\s*TITEL\s*=\s*(\S+)\s+(\S+)", re.MULTILINE)
_HEAD = 20_000


def potcar_library() -> Path | None:
    """Return the user's POTCAR library, or None when no variable names one.

    Raises:
        InputError: a variable names something that is no folder.
    """
    for variable in VARIABLES:
        value = os.environ.get(variable)
        if value:
            folder = Path(value)
            if not folder.is_dir():
                raise InputError(f"{variable}={value}: no such folder; name the POTCAR library.")
            return folder
    return None


def assemble_potcar(symbols: Sequence[str], library: Path) -> str:
    """Return a POTCAR for symbols in order, every part checked by its TITEL line.

    Args:
        symbols: names such as "Ti_pv", in the order of POSCAR.
        library: folder in ASE's or pymatgen's layout.

    Raises:
        InputError: a part is missing, or is not the PBE PAW set of that name.
    """
    parts = []
    for symbol in symbols:
        path = _find(symbol, library)
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1")
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: cannot be read ({error}).") from error
        title = _TITLE.search(text[:_HEAD])
        if title is None or title[1] != "PAW_PBE" or title[2] != symbol:
            said = f"{title[1]} {title[2]}" if title else "no TITEL line"
            raise InputError(f"{path}: holds {said}, not PAW_PBE {symbol}; mend the library.")
        parts.append(text if text.endswith("\n") else text + "\n")
    return "".join(parts)


def _find(symbol: str, library: Path) -> Path:
    for name in _SETS:
        for tail in (f"{symbol}/POTCAR", f"{symbol}/POTCAR.gz", f"POTCAR.{symbol}"):
            for path in (library / name / tail, library / name / f"{tail}.gz"):
                if path.is_file():
                    return path
    raise InputError(f"{library}: holds no PBE POTCAR {symbol}; add it, or unset the variable.")
