"""lobsterin: LOBSTER's input file, read without loss and written."""

# ruff: noqa: N815 (units stand in names as they are written)
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bondwright.bonding.lobster.text import read_text
from bondwright.errors import InputError
from bondwright.structure.numbers import read_number

_LONGEST = 16 * 2**20
_COMMENT = re.compile(r"[!#]|//")


@dataclass(frozen=True)
class Generator:
    """A `cohpGenerator` line: every bond in a window of lengths.

    Attributes:
        shortest_A: shortest bond, Å.
        longest_A: longest bond, Å.
        elements: the two elements that it is limited to; None for all.
        orbitalwise: whether pairs of orbitals are listed too.
    """

    shortest_A: float
    longest_A: float
    elements: tuple[str, str] | None = None
    orbitalwise: bool = False

    def text(self) -> str:
        """Return the value of the keyword."""
        kinds = [f"type {element}" for element in self.elements or ()]
        words = [f"from {self.shortest_A} to {self.longest_A}", *kinds]
        return " ".join([*words, "orbitalwise"] if self.orbitalwise else words)


@dataclass(frozen=True)
class LobsterInput:
    """The keywords of a lobsterin, in their order.

    Attributes:
        entries: (keyword as written, its value or an empty string); a keyword may stand several
            times. LOBSTER does not tell upper from lower case in keywords.
    """

    entries: tuple[tuple[str, str], ...]

    @classmethod
    def for_bonds(
        cls,
        basis: Mapping[str, tuple[str, ...]],
        generator: Generator,
        *,
        basis_set: str = "pbeVaspFit2015",
        energies_eV: tuple[float, float] = (-35.0, 5.0),  # noqa: N803
    ) -> Self:
        """Return the input that lists the -ICOHP of all bonds in a window of lengths.

        Args:
            basis: element -> shells, e.g. {"Na": ("2p", "3s")}: the valence shells of the
                pseudopotential that the DFT run had.
            generator: which bonds.
            basis_set: LOBSTER's name of the local basis.
            energies_eV: energies relative to the Fermi level between which COHPs are integrated;
                the first must lie below the lowest band.
        """
        first, last = energies_eV
        shells = [("basisfunctions", " ".join((e, *s))) for e, s in basis.items()]
        return cls(
            (
                ("COHPstartEnergy", str(first)),
                ("COHPendEnergy", str(last)),
                ("basisSet", basis_set),
                *shells,
                ("cohpGenerator", generator.text()),
            )
        )

    def all(self, keyword: str) -> tuple[str, ...]:
        """Return the values of a keyword, in upper or lower case, in their order."""
        return tuple(v for k, v in self.entries if k.casefold() == keyword.casefold())

    def get(self, keyword: str) -> str | None:
        """Return the last value of a keyword, an empty string for a bare one, None when absent."""
        values = self.all(keyword)
        return values[-1] if values else None

    @property
    def basis(self) -> dict[str, tuple[str, ...]]:
        """Element -> shells, from the `basisfunctions` lines."""
        lines = [value.split() for value in self.all("basisfunctions")]
        return {words[0]: tuple(words[1:]) for words in lines if words}

    @property
    def generators(self) -> tuple[Generator, ...]:
        """The windows of bonds that are asked for.

        Raises:
            InputError: a `cohpGenerator` line is not understood.
        """
        return tuple(_generator(value) for value in self.all("cohpGenerator"))


def read_lobsterin(path: Path) -> LobsterInput:
    """Read a lobsterin, plain or gzipped; comments and blank lines are left out.

    Raises:
        InputError: it cannot be read, or a line does not begin with a keyword.
    """
    entries: list[tuple[str, str]] = []
    for number, line in enumerate(read_text(path, _LONGEST).splitlines(), start=1):
        words = _COMMENT.split(line, maxsplit=1)[0].split()
        if not words:
            continue
        if not words[0][0].isalpha():
            raise InputError(f"{path}, line {number}: {words[0][:30]!r} is no keyword of LOBSTER.")
        entries.append((words[0], " ".join(words[1:])))
    if not entries:
        raise InputError(f"{path} holds no keyword; it is not a lobsterin.")
    return LobsterInput(tuple(entries))


def lobsterin_text(given: LobsterInput) -> str:
    """Return the text of a lobsterin, one keyword a line; `structure.write.write_text` keeps it."""
    return "".join(f"{keyword} {value}".rstrip() + "\n" for keyword, value in given.entries)


def _generator(value: str) -> Generator:
    words = value.split()
    small = [word.casefold() for word in words]
    ends = {
        name: read_number(words[small.index(name) + 1]) if name in small[:-1] else None
        for name in ("from", "to")
    }
    if ends["from"] is None or ends["to"] is None:
        raise InputError(f"cohpGenerator {value!r}: write 'from <Å> to <Å> [type A type B]'.")
    kinds = [words[k + 1] for k, word in enumerate(small[:-1]) if word == "type"]
    if len(kinds) not in (0, 2):
        raise InputError(f"cohpGenerator {value!r}: two types are needed, or none.")
    return Generator(
        shortest_A=ends["from"],
        longest_A=ends["to"],
        elements=(kinds[0], kinds[1]) if kinds else None,
        orbitalwise="orbitalwise" in small,
    )
