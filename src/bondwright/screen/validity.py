"""Is a candidate a crystal at all, and the one that its text declares?

Two tests run side by side. The strict one decides: it looks at the expanded crystal. The
published one (`validity_published`) is reported for comparison with the literature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bondwright.screen.charge import charge_balanced
from bondwright.screen.validity_composition import (
    check_composition,
    check_multiplicity,
)
from bondwright.screen.validity_geometry import (
    ContactLimits,
    check_contacts,
    check_metric,
    check_space_group,
    check_volume,
)
from bondwright.screen.validity_published import published_validity
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate
from bondwright.structure.cif import FULL_OCCUPANCY
from bondwright.structure.identity import composition

VERSION = "validity/1"


@dataclass(frozen=True)
class ValiditySettings:
    """Limits of the strict test, chosen on 46,345 real crystals (benchmarks/validity_on_real.py).

    Attributes:
        contact_factor: smallest distance over the sum of covalent radii. With the next three
            limits it keeps 99.94 % of the real crystals; all but one of the others lie more than
            0.1 eV/atom above the hull.
        f_block_contact_factor: the same for pairs with a lanthanide or actinide, whose tabulated
            radii belong to much larger distances than the 1.77 Å of U=O in uranyl (0.68).
        floor_A: smallest distance without hydrogen, Å; the shortest real one is 1.06 Å.
        hydrogen_floor_A: smallest distance to hydrogen, Å; the shortest real one is 0.74 Å.
        smallest_volume_A3: smallest volume per atom, Å³; the smallest real one is 4.45 (FeH3).
        largest_volume_A3: largest volume per atom, Å³; 0.06 % of the real ones are larger, all
            of them blown-up cells more than 0.4 eV/atom above the hull.
        volume_tolerance: relative difference allowed between declared and real cell volume; the
            cell decides, and language models are a few per cent off in this product.
        symprecs_A: tolerances at which the space group is looked for, Å.
        metric_length_tolerance: relative difference of lengths that should be equal.
        metric_angle_tolerance_deg: deviation of angles that should be 60, 90 or 120 degrees or
            equal.
        published: run the published test, too (most of the time goes there).
        published_max_sites: largest cell for the published test's bonds.
    """

    contact_factor: float = 0.7
    f_block_contact_factor: float = 0.6
    floor_A: float = 1.0  # noqa: N815
    hydrogen_floor_A: float = 0.5  # noqa: N815
    smallest_volume_A3: float = 4.0  # noqa: N815
    largest_volume_A3: float = 250.0  # noqa: N815
    volume_tolerance: float = 0.05
    symprecs_A: tuple[float, ...] = (0.1, 0.01)  # noqa: N815
    metric_length_tolerance: float = 0.005
    metric_angle_tolerance_deg: float = 0.5
    published: bool = True
    published_max_sites: int = 64

    @property
    def contacts(self) -> ContactLimits:
        """The limits of distances."""
        return ContactLimits(
            self.contact_factor, self.f_block_contact_factor, self.floor_A, self.hydrogen_floor_A
        )


def check_validity(
    candidate: Candidate, settings: ValiditySettings = ValiditySettings()
) -> Verdict:
    """Test one candidate; every sub-result is kept, whatever the outcome.

    Args:
        candidate: what the reader made of one structure. Without a declaration (extended XYZ,
            POSCAR) only what concerns the atoms themselves is asked.
        settings: limits.

    Returns:
        A verdict whose value is the shortest contact over the sum of covalent radii. Passed when
        no strict sub-result is False; otherwise rejected with the first failing test as reason
        and all of them in `details["reasons"]`. Failed, with the reader's code, when there are
        no atoms.
    """
    stored = {**asdict(settings), "symprecs_A": list(settings.symprecs_A)}
    atoms, declared = candidate.atoms, candidate.declared
    if atoms is None or len(atoms) == 0:
        problem = candidate.problem
        return Verdict(
            stage="validity",
            outcome=Outcome.FAILED,
            reason=problem.code if problem else "empty",
            message=problem.message if problem else "no atoms",
            version=VERSION,
            settings=stored,
        )
    disordered = [
        {"site": row.label, "occupancy": row.occupancy}
        for row in (declared.sites if declared is not None else ())
        if FULL_OCCUPANCY < row.occupancy < 1 - FULL_OCCUPANCY
    ]
    strict = {
        "order": {"passed": not disordered, "partial": disordered[:10]},
        "composition": check_composition(atoms, declared),
        "multiplicity": check_multiplicity(atoms, declared),
        "contact": check_contacts(atoms, settings.contacts),
        "volume": check_volume(
            atoms,
            declared,
            smallest_A3=settings.smallest_volume_A3,
            largest_A3=settings.largest_volume_A3,
            tolerance=settings.volume_tolerance,
        ),
        "space_group": check_space_group(atoms, declared, symprecs=settings.symprecs_A),
        "metric": check_metric(
            declared,
            length_tolerance=settings.metric_length_tolerance,
            angle_tolerance_deg=settings.metric_angle_tolerance_deg,
        ),
    }
    failed = [name for name, result in strict.items() if result["passed"] is False]
    published = None
    if settings.published:
        published = published_validity(candidate, max_sites=settings.published_max_sites)
    return Verdict(
        stage="validity",
        outcome=Outcome.REJECTED if failed else Outcome.PASSED,
        reason=_REASONS[failed[0]] if failed else "",
        message="; ".join(_SENTENCES[name](strict[name]) for name in failed),
        value=strict["contact"]["ratio"],
        unit="contact / covalent radii",
        details={
            "reasons": [_REASONS[name] for name in failed],
            "strict": strict,
            "published": published,
            "charge_balanced": charge_balanced(composition(atoms)),
        },
        version=VERSION,
        settings=stored,
    )


_REASONS = {
    "order": "disordered",
    "composition": "wrong-composition",
    "multiplicity": "multiplicity",
    "contact": "short-contact",
    "volume": "volume",
    "space_group": "space-group",
    "metric": "cell-metric",
}


def _composition_sentence(result: dict[str, Any]) -> str:
    cell = " ".join(f"{symbol}{n}" for symbol, n in result["found"].items())
    return f"the cell holds {cell}, against its {', '.join(result['contradicted_by'])}"


def _multiplicity_sentence(result: dict[str, Any]) -> str:
    rows = ", ".join(
        f"{w['site']} declares {w['declared']} and makes {w['generated']}" for w in result["wrong"]
    )
    return f"site multiplicities: {rows}"


def _contact_sentence(result: dict[str, Any]) -> str:
    if "problem" in result:
        return str(result["problem"])
    return (
        f"{result['ratio_pair']} at {result['ratio_distance_A']:.2f} Å is {result['ratio']:.2f} "
        f"of the covalent radii; shortest contact {result['shortest_pair']} "
        f"{result['shortest_A']:.2f} Å"
    )


def _volume_sentence(result: dict[str, Any]) -> str:
    stated = "" if result["declared_A3"] is None else f", declared {result['declared_A3']:.1f} Å³"
    return (
        f"{result['per_atom_A3']:.1f} Å³ per atom in a cell of {result['cell_A3']:.1f} Å³{stated}"
    )


def _space_group_sentence(result: dict[str, Any]) -> str:
    found = ", ".join(f"{number} at {s} Å" for s, number in result["found"].items())
    return f"space group {result['declared']} declared ({result['relation']}), found {found}"


def _metric_sentence(result: dict[str, Any]) -> str:
    cell = ", ".join(f"{x:g}" for x in (*result["lengths_A"], *result["angles_deg"]))
    return f"the cell {cell} is not {result['system']} as its space group asks"


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "order": lambda result: f"{len(result['partial'])} sites are partly occupied",
    "composition": _composition_sentence,
    "multiplicity": _multiplicity_sentence,
    "contact": _contact_sentence,
    "volume": _volume_sentence,
    "space_group": _space_group_sentence,
    "metric": _metric_sentence,
}
