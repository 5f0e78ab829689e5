"""What to cite for the methods that a campaign used."""

from __future__ import annotations

from dataclasses import dataclass

from bondwright.campaign.view import CampaignView


@dataclass(frozen=True)
class Source:
    """A work to cite and what it was used for."""

    used_for: str
    reference: str
    doi: str


_VALIDITY = Source(
    "validity test as published with CrystaLLM",
    "L. M. Antunes, K. T. Butler, R. Grau-Crespo, Nature Communications 15, 10570 (2024)",
    "10.1038/s41467-024-54639-7",
)
_SYMMETRY = Source(
    "space groups (spglib)",
    "A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822 (2024)",
    "10.1080/27660400.2024.2384822",
)
_MATCHING = Source(
    "matching of structures and convex hulls (pymatgen)",
    "S. P. Ong et al., Computational Materials Science 68, 314 (2013)",
    "10.1016/j.commatsci.2012.10.028",
)
_CHGNET = Source(
    "relaxation and energies (CHGNet)",
    "B. Deng et al., Nature Machine Intelligence 5, 1031 (2023)",
    "10.1038/s42256-023-00716-3",
)
_ATOMS = Source(
    "atoms and relaxation (ASE)",
    "A. H. Larsen et al., Journal of Physics: Condensed Matter 29, 273002 (2017)",
    "10.1088/1361-648X/aa680e",
)
_VIEWER = Source(
    "3D views on this page (3Dmol.js)",
    "N. Rego, D. Koes, Bioinformatics 31, 1322 (2015)",
    "10.1093/bioinformatics/btu829",
)


def sources_for(view: CampaignView) -> list[Source]:
    """Return the works behind the checks that this campaign ran."""
    ran = {stage for c in view.candidates for stage in c.verdicts}
    sources = []
    if "validity" in ran:
        sources += [_VALIDITY, _SYMMETRY]
    if ran & {"novelty", "novelty-relaxed", "stability"}:
        sources.append(_MATCHING)
    if "stability" in ran:
        sources += [_ATOMS, *([_CHGNET] if _potential(view).startswith("chgnet") else [])]
    return [*sources, _VIEWER]


def _potential(view: CampaignView) -> str:
    """Return the name of the potential that the stability checks used, in lower case."""
    for c in view.candidates:
        verdict = c.verdicts.get("stability")
        hull = verdict.details.get("hull") if verdict else None
        if isinstance(hull, dict) and hull.get("potential"):
            return str(hull["potential"]).lower()
    return ""
