"""What to cite for the methods that a campaign used."""

from __future__ import annotations

from dataclasses import dataclass

from bondwright.campaign.report.dft import dft_verdict
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
_GPAW = Source(
    "DFT energies, relaxation and bands (GPAW)",
    "J. J. Mortensen et al., The Journal of Chemical Physics 160, 092503 (2024)",
    "10.1063/5.0182685",
)
_ESPRESSO = Source(
    "DFT energies, relaxation and bands (Quantum ESPRESSO)",
    "P. Giannozzi et al., Journal of Physics: Condensed Matter 29, 465901 (2017)",
    "10.1088/1361-648X/aa8f79",
)
_PBE = Source(
    "exchange and correlation (PBE)",
    "J. P. Perdew, K. Burke, M. Ernzerhof, Physical Review Letters 77, 3865 (1996)",
    "10.1103/PhysRevLett.77.3865",
)
_COHP = Source(
    "bond strengths (COHP)",
    "R. Dronskowski, P. E. Blöchl, The Journal of Physical Chemistry 97, 8617 (1993)",
    "10.1021/j100135a014",
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
    return [*sources, *_dft_sources(view), _VIEWER]


def _dft_sources(view: CampaignView) -> list[Source]:
    """Return the works behind what DFT found."""
    seen = [v.details for c in view.candidates if (v := dft_verdict(c)) is not None]
    engines = {str(details.get("engine", "")).split(" ")[0] for details in seen}
    functionals = {(details.get("settings") or {}).get("functional") for details in seen}
    bonds = any((details.get("bonds") or {}).get("method") for details in seen)
    found = [_GPAW] if "gpaw" in engines or bonds else []
    found += [_ESPRESSO] if "espresso" in engines else []
    found += [_PBE] if "PBE" in functionals else []
    return [*found, *([_COHP] if bonds else [])]


def _potential(view: CampaignView) -> str:
    """Return the name of the potential that the stability checks used, in lower case."""
    for c in view.candidates:
        verdict = c.verdicts.get("stability")
        hull = verdict.details.get("hull") if verdict else None
        if isinstance(hull, dict) and hull.get("potential"):
            return str(hull["potential"]).lower()
    return ""
