"""Campaigns for the tests of the report: real crystals, judged by the real checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal

from bondwright.campaign.view import CampaignView, CandidateView, StageSummary
from bondwright.screen.novelty import NoveltyItem, assess_novelty
from bondwright.screen.reference import build_index
from bondwright.screen.validity import ValiditySettings, check_validity
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import Candidate, Origin, Problem, candidate_key
from bondwright.structure.write import cif_text

STAGES = ["read", "validity", "novelty", "stability", "property"]
VALIDITY = ValiditySettings(published=False)

# Cell parameters and sites: rutile and anatase C. J. Howard et al., Acta Cryst. B 47 (1991) 462;
# TiO2-II (columbite) I. E. Grey et al., Mater. Res. Bull. 23 (1988) 743.
RUTILE = (("Ti", "O"), [(0, 0, 0), (0.3048, 0.3048, 0)], 136, [4.5937, 4.5937, 2.9587])
ANATASE = (("Ti", "O"), [(0, 0, 0), (0, 0, 0.2081)], 141, [3.7842, 3.7842, 9.5146])
COLUMBITE = (
    ("Ti", "O"),
    [(0, 0.171, 0.25), (0.286, 0.376, 0.412)],
    60,
    [4.541, 5.493, 4.906],
)


def make(recipe: tuple) -> Atoms:
    """Return a mineral from its asymmetric unit."""
    symbols, basis, group, lengths = recipe
    atoms = crystal(symbols, basis, spacegroup=group, cellpar=[*lengths, 90, 90, 90])
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)


def candidate(name: str, atoms: Atoms, *, control: bool = False, **more: object) -> Candidate:
    """Return a candidate as the reader makes it of a CIF file."""
    origin = Origin(f"{name}.cif")
    text = cif_text(atoms, name=name)
    made = Candidate(candidate_key(text, origin), name, origin, text=text, atoms=atoms)
    return replace(made, control=control, **more)


def unreadable(name: str, code: str = "truncated", message: str = "the text ends") -> Candidate:
    """Return a candidate that could not be read."""
    origin = Origin(f"{name}.cif")
    return Candidate(candidate_key(name, origin), name, origin, problem=Problem(code, message))


def squeezed(atoms: Atoms, distance: float) -> Atoms:
    """Return a copy whose first O atom stands `distance` Å from the first Ti atom."""
    copy = atoms.copy()
    oxygen = next(a.index for a in copy if a.symbol == "O")
    step = copy.positions[oxygen] - copy.positions[0]
    copy.positions[oxygen] = copy.positions[0] + distance * step / np.linalg.norm(step)
    return copy


def read_verdict(c: Candidate) -> Verdict:
    """Return the verdict of the read stage."""
    if c.problem is not None:
        return Verdict("read", Outcome.REJECTED, c.problem.code, c.problem.message)
    return Verdict("read", Outcome.PASSED, value=float(len(c.atoms or ())), unit="atoms")


def stability_verdict(above: float, *, relaxed_volume: float = 1.0) -> Verdict:
    """Return a verdict of the stability stage for a given energy above the hull (eV/atom)."""
    limit = 0.163
    rejected = above > limit
    return Verdict(
        "stability",
        Outcome.REJECTED if rejected else Outcome.PASSED,
        "above-hull" if rejected else "",
        f"{above:.3f} eV/atom above the hull, limit {limit:.3f}",
        above,
        "eV/atom",
        {
            "e_above_hull_eV_per_atom": above,
            "energy_eV_per_atom": -8.95 + above,
            "initial_energy_eV_per_atom": -8.90 + above,
            "energies_eV_per_atom": [-8.90 + above - 0.0025 * n for n in range(21)],
            "volume_ratio": relaxed_volume,
            "hull": {
                "potential": "chgnet-0.3.0",
                "limit_eV_per_atom": limit,
                "potential_error_eV_per_atom": 0.063,
            },
        },
        "stability/1",
        {"fmax_eV_per_A": 0.05},
    )


def property_verdict(gap: float) -> Verdict:
    """Return a verdict of the property stage for a given band gap (eV)."""
    return Verdict(
        "property",
        Outcome.PASSED,
        value=gap,
        unit="eV",
        details={
            "band_gap_eV": gap,
            "band_gap_sigma_eV": 0.4,
            "targets": {},
            "properties": {"band_gap": {"value": gap, "sigma": 0.4, "unit": "eV"}},
        },
    )


def judged(
    c: Candidate, later: Sequence[Verdict] = (), relaxed: Atoms | None = None
) -> CandidateView:
    """Read and validate a candidate, then add the verdicts of later stages while it passes."""
    verdicts = {"read": read_verdict(c)}
    if c.atoms is not None:
        verdicts["validity"] = check_validity(c, VALIDITY)
    for verdict in later:
        if c.control or all(v.outcome is Outcome.PASSED for v in verdicts.values()):
            verdicts[verdict.stage] = verdict
    survived = len(verdicts) == len(STAGES) and all(
        v.outcome is Outcome.PASSED for v in verdicts.values()
    )
    return CandidateView(c, verdicts, relaxed if "stability" in verdicts else None, survived)


def summaries(candidates: Sequence[CandidateView]) -> list[StageSummary]:
    """Count the funnel as the campaign does, controls left out."""
    entering = [c for c in candidates if not c.candidate.control]
    rows = []
    for stage in STAGES:
        counts: dict[Outcome, dict[str, int]] = {o: {} for o in Outcome}
        for c in entering:
            if stage in c.verdicts:
                verdict = c.verdicts[stage]
                reasons = counts[verdict.outcome]
                reasons[verdict.reason] = reasons.get(verdict.reason, 0) + 1
        done = sum(sum(r.values()) for r in counts.values())
        rows.append(
            StageSummary(
                name=stage,
                entered=len(entering),
                passed=sum(counts[Outcome.PASSED].values()),
                rejected=counts[Outcome.REJECTED],
                unknown=counts[Outcome.UNKNOWN],
                failed=counts[Outcome.FAILED],
                waiting=len(entering) - done,
                seconds=0.25 * done,
                seconds_per_candidate=0.25 if done else None,
                peak_memory_mb=512.0 if done else None,
            )
        )
        entering = [
            c
            for c in entering
            if stage in c.verdicts and c.verdicts[stage].outcome is Outcome.PASSED
        ]
    return rows


def campaign(candidates: Sequence[CandidateView], **more: object) -> CampaignView:
    """Return a campaign of these candidates."""
    view = CampaignView(
        name="minerals",
        description="",
        stages=summaries(candidates),
        candidates=list(candidates),
        targets={},
        provenance={"seed": 7, "versions": {"bondwright": "0.1.0"}},
    )
    return replace(view, **more)


def minerals() -> CampaignView:
    """Return TiO2 minerals and spoiled copies: a survivor and one rejection of every stage.

    Validity and novelty are the real checks, against a reference that holds rutile and anatase.
    """
    rutile, anatase, columbite = make(RUTILE), make(ANATASE), make(COLUMBITE)
    swollen = columbite.copy()
    swollen.set_cell(1.02 * columbite.cell.array, scale_atoms=True)
    known = [candidate("rutile", rutile, control=True), candidate("anatase", anatase, control=True)]
    reference = build_index(known, name="two minerals")
    fresh = [
        candidate("columbite", swollen, asked={"band_gap": 1.5}),
        candidate("rutile supercell", rutile * (1, 1, 2), asked={"band_gap": 4.5}),
        candidate("columbite supercell", columbite * (2, 1, 1), asked={"band_gap": 4.5}),
    ]
    new = assess_novelty([NoveltyItem(c.key, c.atoms) for c in fresh], reference)
    old = assess_novelty([NoveltyItem(c.key, c.atoms) for c in known], reference)
    stable = stability_verdict(0.021, relaxed_volume=1.02**-3)
    views = [
        judged(fresh[0], [new[fresh[0].key], stable, property_verdict(2.6)], columbite),
        judged(fresh[1], [new[fresh[1].key]]),
        judged(fresh[2], [new[fresh[2].key]]),
        judged(candidate("overlapping", squeezed(rutile, 0.9), asked={"band_gap": 1.5})),
        judged(unreadable("broken")),
        judged(
            known[0], [old[known[0].key], stability_verdict(0.03), property_verdict(1.8)], rutile
        ),
        judged(
            known[1], [old[known[1].key], stability_verdict(0.0), property_verdict(2.1)], anatase
        ),
    ]
    return campaign(views, targets={"band_gap": 1.5})


def nothing_survived() -> CampaignView:
    """Return a campaign whose candidates were all stopped, at different stages."""
    rutile, columbite = make(RUTILE), make(COLUMBITE)
    novel = Verdict("novelty", Outcome.PASSED, value=0.0, details={"unique": True})
    return campaign(
        [
            judged(
                candidate("far", columbite * (1, 1, 2)), [novel, stability_verdict(0.9)], columbite
            ),
            judged(candidate("near", columbite), [novel, stability_verdict(0.31)], columbite),
            judged(candidate("overlapping", squeezed(rutile, 0.9))),
            judged(unreadable("broken")),
        ]
    )
