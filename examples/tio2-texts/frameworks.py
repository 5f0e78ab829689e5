"""Crystal structures of TiO2: the known minerals, and frameworks known from other compounds.

Lengths in Å, angles in degrees, positions fractional; one row per site of the asymmetric unit.
`hall` is the Hall number (spglib's numbering) of the setting that the coordinates are given in.
"""

from __future__ import annotations

from dataclasses import dataclass

Site = tuple[str, float, float, float]


@dataclass(frozen=True)
class Crystal:
    """A crystal as the literature gives it.

    Attributes:
        name: short label.
        source: where cell and coordinates are from.
        hall: Hall number of the space-group setting, 1-530.
        cell: a, b, c in Å and alpha, beta, gamma in degrees.
        sites: element and fractional position of each site of the asymmetric unit.
    """

    name: str
    source: str
    hall: int
    cell: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]


MINERALS = (
    Crystal(
        "rutile",
        "Meagher & Lager, Can. Mineral. 17 (1979) 77, 25 °C",
        419,
        (4.593, 4.593, 2.959, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0.3051, 0.3051, 0)),
    ),
    Crystal(
        "anatase",
        "Horn, Schwerdtfeger & Meagher, Z. Kristallogr. 136 (1972) 273, 25 °C",
        426,
        (3.7842, 3.7842, 9.5146, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0, 0, 0.2081)),
    ),
    Crystal(
        "brookite",
        "Meagher & Lager, Can. Mineral. 17 (1979) 77, 25 °C",
        290,
        (9.174, 5.449, 5.138, 90, 90, 90),
        (
            ("Ti", 0.1289, 0.0972, 0.8628),
            ("O", 0.0095, 0.1491, 0.1835),
            ("O", 0.2314, 0.1110, 0.5366),
        ),
    ),
)

# Frameworks that TiO2 takes under pressure or through soft chemistry, and frameworks of other AX2
# compounds with the cell set so that Ti-O is near 1.9-2.1 Å. The coordinates are starting points
# for a relaxation, as a generator's are.
FRAMEWORKS = (
    Crystal(
        "columbite",
        "TiO2-II, after Simons & Dachille, Acta Cryst. 23 (1967) 334",
        284,
        (4.515, 5.497, 4.939, 90, 90, 90),
        (("Ti", 0, 0.171, 0.25), ("O", 0.286, 0.376, 0.412)),
    ),
    Crystal(
        "baddeleyite",
        "ZrO2 coordinates (after Howard et al., Acta Cryst. B44 (1988) 116), cell set for TiO2",
        81,
        (4.77, 4.85, 4.96, 90, 99.2, 90),
        (
            ("Ti", 0.2754, 0.0395, 0.2083),
            ("O", 0.0700, 0.3317, 0.3447),
            ("O", 0.4496, 0.7569, 0.4792),
        ),
    ),
    Crystal(
        "fluorite",
        "CaF2 type, cell set for TiO2",
        523,
        (4.87, 4.87, 4.87, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0.25, 0.25, 0.25)),
    ),
    Crystal(
        "pyrite",
        "modified fluorite (PdF2) type, cell set for TiO2",
        501,
        (4.90, 4.90, 4.90, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0.345, 0.345, 0.345)),
    ),
    Crystal(
        "cotunnite",
        "PbCl2 type (after Dubrovinsky et al., Nature 410 (2001) 653), expanded",
        292,
        (5.40, 3.13, 6.24, 90, 90, 90),
        (("Ti", 0.264, 0.25, 0.110), ("O", 0.346, 0.25, 0.422), ("O", 0.012, 0.75, 0.325)),
    ),
    Crystal(
        "hollandite",
        "TiO2(H), after Latroche et al., J. Solid State Chem. 81 (1989) 78",
        363,
        (10.161, 10.161, 2.970, 90, 90, 90),
        (("Ti", 0.3514, 0.1670, 0), ("O", 0.1547, 0.2049, 0), ("O", 0.5410, 0.1653, 0)),
    ),
    Crystal(
        "ramsdellite",
        "TiO2(R) cell (Akimoto et al., J. Solid State Chem. 113 (1994) 27), MnO2 coordinates",
        294,
        (4.902, 9.459, 2.9585, 90, 90, 90),
        (("Ti", 0.022, 0.136, 0.25), ("O", 0.17, 0.77, 0.25), ("O", 0.79, 0.967, 0.25)),
    ),
    Crystal(
        "bronze",
        "TiO2(B), after Feist & Davies, J. Solid State Chem. 101 (1992) 275",
        63,
        (12.1787, 3.7412, 6.5249, 90, 107.054, 90),
        (
            ("Ti", 0.1970, 0, 0.2870),
            ("Ti", 0.1000, 0, 0.7069),
            ("O", 0.1340, 0, 0.0040),
            ("O", 0.2570, 0, 0.6560),
            ("O", 0.0570, 0, 0.3730),
            ("O", 0.3610, 0, 0.2970),
        ),
    ),
    Crystal(
        "cdi2-layers",
        "CdI2 type, cell set for TiO2",
        456,
        (2.97, 2.97, 4.80, 90, 90, 120),
        (("Ti", 0, 0, 0), ("O", 1 / 3, 2 / 3, 0.205)),
    ),
    Crystal(
        "cdcl2-layers",
        "CdCl2 type (three layers), cell set for TiO2",
        458,
        (2.97, 2.97, 14.4, 90, 90, 120),
        (("Ti", 0, 0, 0), ("O", 0, 0, 0.2639)),
    ),
    Crystal(
        "cacl2",
        "CaCl2 type: rutile with tilted octahedra",
        275,
        (4.50, 4.70, 2.96, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0.28, 0.325, 0)),
    ),
    Crystal(
        "marcasite",
        "FeS2 type, cell set for TiO2",
        275,
        (4.10, 5.00, 3.12, 90, 90, 90),
        (("Ti", 0, 0, 0), ("O", 0.21, 0.367, 0)),
    ),
    Crystal(
        "fe2p",
        "Fe2P type (after Dekura et al., Phys. Rev. Lett. 107 (2011) 045701), expanded",
        483,
        (5.45, 5.45, 3.03, 90, 90, 120),
        (
            ("Ti", 0, 0, 0.5),
            ("Ti", 1 / 3, 2 / 3, 0),
            ("O", 0.26, 0, 0),
            ("O", 0.60, 0, 0.5),
        ),
    ),
    Crystal(
        "lepidocrocite",
        "FeOOH layers without H (after Zhukhlistov, Crystallogr. Rep. 46 (2001) 730), scaled",
        298,
        (3.02, 12.5, 3.80, 90, 90, 90),
        (("Ti", 0, 0.678, 0.25), ("O", 0, 0.290, 0.25), ("O", 0, 0.075, 0.25)),
    ),
    Crystal(
        "low-cristobalite",
        "SiO2 coordinates (after Downs & Palmer, Am. Mineral. 79 (1994) 9), cell set for TiO2",
        369,
        (5.65, 5.65, 7.88, 90, 90, 90),
        (("Ti", 0.3003, 0.3003, 0), ("O", 0.2392, 0.1044, 0.1787)),
    ),
    Crystal(
        "high-cristobalite",
        "ideal SiO2 type, cell set for TiO2",
        526,
        (8.45, 8.45, 8.45, 90, 90, 90),
        (("Ti", 0.125, 0.125, 0.125), ("O", 0, 0, 0)),
    ),
)
