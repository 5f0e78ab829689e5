"""Write the known crystals that ion exchange may start from; the same file every time.

    python examples/tio2/make_known.py [file]

They are bondwright's well-known crystals (`screen.common_crystals`, with the literature they are
from) in which two elements stand one to two, but not titania itself.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

from bondwright.screen.common_crystals import common_crystals
from bondwright.structure.write import cif_text


def main(file: Path) -> None:
    """Write the table."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["name", "cif"])
        for name, atoms in common_crystals():
            counts = Counter(atoms.get_chemical_symbols())
            few, many = min(counts.values()), max(counts.values())
            if len(counts) == 2 and many == 2 * few and set(counts) != {"Ti", "O"}:
                writer.writerow([name, cif_text(atoms)])


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here / "known.csv")
