"""The validity test on real structures: what it keeps of crystals, what it finds in candidates.

    python benchmarks/validity_on_real.py [--sample 1000] [--published 100] [--seed 0]

Reads `BONDWRIGHT_DATA` (default ../shared/data). Random rows of structures.csv.gz are tested as
they are (P 1) and after a round trip through symmetrised CIF text; the TiO2 candidates of a
crystal language model and the minerals rutile and anatase follow.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bondwright.errors import InputError
from bondwright.screen.validity import ValiditySettings, check_validity
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate, Origin, Problem, candidate_key
from bondwright.structure.cif import parse_cif
from bondwright.structure.read import read_candidates
from bondwright.structure.write import cif_text

STRICT = ValiditySettings(published=False)
LOW, HIGH = "TiO2_lowBG_candidates_10T15K.parquet", "TiO2_highBG_candidates_10T15K.parquet"


def from_text(text: str, name: str) -> Candidate:
    """Parse a CIF text that this project wrote or ships."""
    parsed = parse_cif(text)[0]
    origin = Origin(name)
    return Candidate(
        candidate_key(text, origin),
        name,
        origin,
        text,
        parsed.atoms,
        parsed.declared,
        parsed.problem,
    )


def symmetrised(candidate: Candidate) -> Candidate:
    """Send a structure through symmetrised CIF text."""
    try:
        block = candidate.atoms.get_chemical_formula()  # the published test compares it, too
        return from_text(cif_text(candidate.atoms, name=block, symprec=0.1), candidate.name)
    except InputError as error:
        return replace(candidate, atoms=None, problem=Problem("not-written", str(error)))


def judge(
    title: str, candidates: Sequence[Candidate], settings: ValiditySettings
) -> dict[str, Verdict]:
    """Test candidates, print a line of counts, and return the verdicts by name."""
    start = time.perf_counter()
    verdicts = {c.name: check_validity(c, settings) for c in candidates}
    seconds = time.perf_counter() - start
    passed = sum(v.outcome is Outcome.PASSED for v in verdicts.values())
    reasons = Counter(r for v in verdicts.values() for r in v.details.get("reasons", [v.reason]))
    print(
        f"{title:48s} {len(verdicts):5d} {passed:6d} {100 * passed / len(verdicts):7.2f} % "
        f"{1000 * seconds / len(verdicts):8.1f} ms   {dict(reasons.most_common())}"
    )
    return verdicts


def show_failures(verdicts: dict[str, Verdict], table: pd.DataFrame) -> None:
    for name, verdict in verdicts.items():
        if verdict.outcome is not Outcome.PASSED:
            row = table.loc[name]
            print(
                f"    {name} {row.formula_reduced}, {row.e_above_hull:.2f} eV/atom above hull: "
                f"{verdict.reason}: {verdict.message}"
            )


def published_line(title: str, verdicts: dict[str, Verdict]) -> None:
    parts = ("formula", "multiplicity", "space_group", "bonds", "valid")
    results = [v.details["published"] for v in verdicts.values()]
    results = [r for r in results if r["bonds"] is not None]  # cells too large for the bond test
    shares = ", ".join(f"{p} {100 * np.mean([r[p] for r in results]):.1f} %" for p in parts)
    print(f"{title:48s} {len(results):5d} {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=1000, help="random real structures")
    parser.add_argument("--published", type=int, default=100, help="of them, for the bond test")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = Path(os.environ.get("BONDWRIGHT_DATA", "../shared/data"))
    table = pd.read_csv(data / "crystals" / "structures.csv.gz").set_index("id")
    rng = np.random.default_rng(options.seed)
    names = [str(n) for n in rng.choice(table.index.to_numpy(), options.sample, replace=False)]
    print(f"{'strict test':48s} {'n':>5s} {'passed':>6s} {'':9s} {'per one':>8s}      reasons")

    plain = [from_text(table.cif[name], name) for name in names]
    show_failures(judge("real crystals, P 1", plain, STRICT), table)
    written = [symmetrised(c) for c in plain]
    show_failures(judge("the same through symmetrised CIF", written, STRICT), table)

    folder = data / "tio2-candidates"
    tio2 = [
        replace(c, name=f"{c.name} {source}#{c.origin.row}")
        for source in (LOW, HIGH)
        for c in read_candidates(folder / source)
    ]
    verdicts = judge("TiO2 candidates of a language model", tio2, ValiditySettings())
    strict = [v.details["strict"] for v in verdicts.values()]
    wrong = [v for v in verdicts.values() if v.details["strict"]["composition"]["passed"] is False]
    near = [v for v in verdicts.values() if v.details["strict"]["contact"]["shortest_A"] < 1.0]
    print(
        f"    wrong composition: {len(wrong)}, "
        f"with that reason {sum('wrong-composition' in v.details['reasons'] for v in wrong)}; "
        f"contact under 1.0 Å: {len(near)}, "
        f"with that reason {sum('short-contact' in v.details['reasons'] for v in near)}; "
        f"under 1.4 Å: {sum(s['contact']['shortest_A'] < 1.4 for s in strict)}"
    )
    minerals = [
        from_text(path.read_text(), path.stem) for path in (folder / "polymorphs").glob("*.cif")
    ]
    judge("rutile and anatase", minerals, STRICT)

    print(f"\n{'published test':48s} {'n':>5s}")
    published_line("TiO2 candidates of a language model", verdicts)
    few = [c for c in written if c.atoms is not None][: options.published]
    real = {c.name: check_validity(c, ValiditySettings()) for c in few}
    published_line("real crystals through symmetrised CIF", real)


if __name__ == "__main__":
    main()
