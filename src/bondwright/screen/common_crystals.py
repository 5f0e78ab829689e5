"""Well-known crystals by prototype, for a reference whose structure table lacks them.

Tables gathered from calculations skip many of the best-known crystals, and a hull without rock-salt
MgO or rutile calls poor oxides stable. This table fills that gap with compounds of every common
prototype. Elements come with their own file (`reference_energies.read_element_rows`).

Lattice parameters (Å, degrees) and free coordinates are those of the standard literature at room
temperature: R. W. G. Wyckoff, Crystal Structures, 2nd ed., vols. 1-4 (1963-1968); W. B. Pearson,
Handbook of Lattice Spacings and Structures of Metals and Alloys (1958, 1967); P. Villars and L. D.
Calvert, Pearson's Handbook of Crystallographic Data (1991). They are approximate, good to about
1 % and not compared entry by entry with these books: every structure is relaxed by the potential
before its energy counts, so only the basin matters. Where a coordinate hardly varies within a
prototype, one value serves all its compounds. Some entries are high-temperature or high-pressure
forms (cubic BaTiO3, rutile-type SiO2); the hull picks the lowest form. Inverse spinels are
written as normal ones, and magnetic order is not described.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ase import Atoms
from ase.formula import Formula
from ase.spacegroup import crystal

from bondwright.screen.reference_energies import Row, table_row
from bondwright.structure.write import cif_text

_Site = tuple[int, float, float, float]
_T = 1 / 3


@dataclass(frozen=True)
class Prototype:
    """A structure type and the compounds that have it.

    Attributes:
        group: space-group number.
        sites: the occupied orbits, as functions of the free coordinates. Each is the place of its
            element in the formula as the table writes it, and fractional coordinates.
        table: per compound its formula, the independent cell parameters (a; a c; a b c; or
            a b c beta, by crystal system; Å and degrees), then the free coordinates. A formula
            that names an element twice puts it on two sites.
        setting: origin choice; rhombohedral groups are on hexagonal axes.
    """

    group: int
    sites: Callable[..., list[_Site]]
    table: str
    setting: int = 1


# fmt: off
PROTOTYPES: dict[str, Prototype] = {
    "rocksalt": Prototype(225, lambda: [(0, 0, 0, 0), (1, .5, .5, .5)], """
        LiH 4.084; LiF 4.028; LiCl 5.140; LiBr 5.501; LiI 6.000; NaF 4.634; NaCl 5.640; NaBr 5.973;
        NaI 6.473; KF 5.347; KCl 6.293; KBr 6.600; KI 7.066; RbF 5.652; RbCl 6.581; CsF 6.008;
        AgF 4.920; AgCl 5.549; AgBr 5.775; MgO 4.211; CaO 4.811; SrO 5.160; BaO 5.539; CdO 4.695;
        TiO 4.177; MnO 4.445; FeO 4.310; CoO 4.260; NiO 4.177; MgS 5.200; CaS 5.695; SrS 6.020;
        BaS 6.389; MnS 5.224; PbS 5.936; MgSe 5.460; CaSe 5.916; SrSe 6.236; PbSe 6.124;
        BaTe 7.001; SnTe 6.320; PbTe 6.462; TiC 4.328; ZrC 4.698; HfC 4.641; VC 4.166; NbC 4.470;
        TaC 4.455; ScN 4.500; YN 4.877; TiN 4.240; ZrN 4.578; VN 4.139; CrN 4.149"""),
    "cscl": Prototype(221, lambda: [(0, 0, 0, 0), (1, .5, .5, .5)], """
        CsCl 4.123; CsBr 4.286; CsI 4.567; TlCl 3.834; NiAl 2.887; CoAl 2.862; FeAl 2.909;
        CuZn 2.950; AgMg 3.311; NiTi 3.015; FeTi 2.976"""),
    "zincblende": Prototype(216, lambda: [(0, 0, 0, 0), (1, .25, .25, .25)], """
        BN 3.615; BP 4.538; BAs 4.777; AlP 5.460; AlAs 5.661; AlSb 6.136; GaP 5.451; GaAs 5.653;
        GaSb 6.096; InP 5.869; InAs 6.058; InSb 6.479; BeS 4.865; ZnS 5.409; ZnSe 5.668;
        ZnTe 6.101; CdS 5.818; CdSe 6.050; CdTe 6.480; HgTe 6.460; CuCl 5.416; CuBr 5.690;
        CuI 6.051; SiC 4.360"""),
    "wurtzite": Prototype(186, lambda u: [(0, _T, 2 * _T, 0), (1, _T, 2 * _T, u)], """
        ZnO 3.250 5.207 .382; BeO 2.698 4.380 .378; AlN 3.111 4.978 .382; GaN 3.190 5.187 .377;
        InN 3.540 5.700 .377; ZnS 3.823 6.261 .375; CdS 4.135 6.749 .377; CdSe 4.300 7.010 .376;
        SiC 3.076 5.048 .375"""),
    "fluorite": Prototype(225, lambda: [(0, 0, 0, 0), (1, .25, .25, .25)], """
        CaF2 5.463; SrF2 5.800; BaF2 6.200; CdF2 5.388; PbF2 5.940; SrCl2 6.977; ZrO2 5.090;
        HfO2 5.115; CeO2 5.411; ThO2 5.600; UO2 5.468; YH2 5.205; TiH2 4.450; ZrH2 4.780;
        CoSi2 5.365"""),
    "antifluorite": Prototype(225, lambda: [(1, 0, 0, 0), (0, .25, .25, .25)], """
        Li2O 4.619; Na2O 5.550; K2O 6.436; Li2S 5.710; Na2S 6.530; K2S 7.400; Li2Se 6.003;
        Li2Te 6.510; Be2C 4.330; Mg2Si 6.351; Mg2Ge 6.390; Mg2Sn 6.763"""),
    "rutile": Prototype(136, lambda u: [(0, 0, 0, 0), (1, u, u, 0)], """
        TiO2 4.594 2.959 .305; VO2 4.550 2.860 .300; CrO2 4.421 2.917 .301; MnO2 4.398 2.873 .302;
        RuO2 4.492 3.107 .306; IrO2 4.498 3.154 .307; SiO2 4.179 2.665 .306; GeO2 4.395 2.859 .307;
        SnO2 4.737 3.186 .307; PbO2 4.955 3.383 .308; MgF2 4.623 3.052 .303; MnF2 4.873 3.310 .305;
        FeF2 4.697 3.309 .300; CoF2 4.695 3.180 .306; NiF2 4.651 3.084 .302; ZnF2 4.703 3.134 .303;
        MgH2 4.517 3.021 .304"""),
    "anatase": Prototype(141, lambda u: [(0, 0, 0, 0), (1, 0, 0, u)], "TiO2 3.785 9.514 .208"),
    "brookite": Prototype(61,
        lambda: [(0, .129, .097, .863), (1, .010, .149, .184), (1, .230, .110, .537)],
        "TiO2 9.184 5.447 5.145"),
    "baddeleyite": Prototype(14,
        lambda: [(0, .275, .040, .208), (1, .070, .332, .345), (1, .449, .757, .479)],
        "ZrO2 5.150 5.212 5.317 99.23; HfO2 5.117 5.175 5.291 99.22"),
    "quartz": Prototype(154, lambda u, x, y, z: [(0, u, 0, 2 * _T), (1, x, y, z + 2 * _T)],
        "SiO2 4.913 5.405 .470 .414 .267 .119; GeO2 4.987 5.652 .451 .397 .302 .091"),
    "cristobalite": Prototype(92, lambda: [(0, .300, .300, 0), (1, .239, .104, .179)],
        "SiO2 4.978 6.948"),
    "corundum": Prototype(167, lambda z, x: [(0, 0, 0, z), (1, x, 0, .25)], """
        Al2O3 4.759 12.991 .352 .306; Ga2O3 4.979 13.429 .355 .305; Ti2O3 5.149 13.642 .345 .313;
        V2O3 4.952 14.002 .346 .311; Cr2O3 4.958 13.594 .348 .306; Fe2O3 5.035 13.740 .355 .306"""),
    "ilmenite": Prototype(148,
        lambda: [(0, 0, 0, .355), (1, 0, 0, .146), (2, .317, .023, .245)],
        "MgTiO3 5.054 13.898; MnTiO3 5.139 14.280; FeTiO3 5.088 14.086; NiTiO3 5.028 13.785"),
    "lithium-niobate": Prototype(161,
        lambda: [(0, 0, 0, .279), (1, 0, 0, 0), (2, .049, .345, .065)],
        "LiNbO3 5.148 13.863; LiTaO3 5.154 13.783"),
    "bixbyite": Prototype(206,
        lambda: [(0, .25, .25, .25), (0, .967, 0, .25), (1, .391, .152, .380)],
        "Sc2O3 9.845; Y2O3 10.604; In2O3 10.117"),
    "lanthana": Prototype(164,
        lambda: [(0, _T, 2 * _T, .246), (1, 0, 0, 0), (1, _T, 2 * _T, .646)],
        "La2O3 3.937 6.129"),
    "cuprite": Prototype(224, lambda: [(0, 0, 0, 0), (1, .25, .25, .25)],
        "Cu2O 4.270; Ag2O 4.730", setting=2),
    "litharge": Prototype(129, lambda u: [(0, 0, .5, u), (1, 0, 0, 0)],
        "SnO 3.800 4.830 .238; PbO 3.970 5.020 .238"),
    "cooperite": Prototype(131, lambda: [(0, 0, .5, 0), (1, 0, 0, .25)], "PdO 3.040 5.335"),
    "tenorite": Prototype(15, lambda: [(0, .25, .25, 0), (1, 0, .418, .25)],
        "CuO 4.684 3.423 5.129 99.54"),
    "perovskite": Prototype(221, lambda: [(0, 0, 0, 0), (1, .5, .5, .5), (2, .5, .5, 0)], """
        SrTiO3 3.905; BaTiO3 4.010; CaTiO3 3.870; PbTiO3 3.960; BaZrO3 4.192; SrZrO3 4.120;
        BaHfO3 4.171; BaSnO3 4.116; NaNbO3 3.915; KNbO3 4.015; NaTaO3 3.900; KTaO3 3.989;
        LaAlO3 3.790; SrVO3 3.842; KMgF3 3.985; KMnF3 4.190; KNiF3 4.012; KZnF3 4.055;
        CsCaF3 4.523; BaLiF3 3.996; CsPbCl3 5.605; CsPbBr3 5.874; CsPbI3 6.289"""),
    "rhenium-trioxide": Prototype(221, lambda: [(0, 0, 0, 0), (1, .5, 0, 0)],
        "ReO3 3.745; ScF3 4.011"),
    "spinel": Prototype(227, lambda u: [(0, .125, .125, .125), (1, .5, .5, .5), (2, u, u, u)], """
        MgAl2O4 8.083 .262; ZnAl2O4 8.086 .264; FeAl2O4 8.119 .265; CoAl2O4 8.105 .264;
        MgCr2O4 8.333 .261; ZnCr2O4 8.327 .262; ZnGa2O4 8.330 .262; ZnFe2O4 8.441 .260;
        CoCo2O4 8.084 .263; FeFe2O4 8.396 .255; LiMn2O4 8.247 .263;
        SiMg2O4 8.065 .244""", setting=2),
    "delafossite": Prototype(166, lambda u: [(0, 0, 0, 0), (1, 0, 0, .5), (2, 0, 0, u)], """
        CuAlO2 2.857 16.950 .110; CuGaO2 2.977 17.171 .107; CuFeO2 3.035 17.166 .107;
        PdCoO2 2.830 17.743 .111"""),
    "layered-rocksalt": Prototype(166, lambda u: [(0, 0, 0, 0), (1, 0, 0, .5), (2, 0, 0, u)],
        "LiCoO2 2.816 14.054 .240; LiNiO2 2.878 14.190 .242; NaCoO2 2.888 15.609 .231"),
    "zircon": Prototype(141, lambda: [(0, 0, .75, .125), (1, 0, .25, .375), (2, 0, .066, .195)],
        "ZrSiO4 6.605 5.980", setting=2),
    "scheelite": Prototype(88, lambda: [(0, 0, 0, .5), (1, 0, 0, 0), (2, .241, .151, .086)],
        "CaWO4 5.243 11.376; CaMoO4 5.226 11.430"),
    "calcite": Prototype(167, lambda u: [(0, 0, 0, 0), (1, 0, 0, .25), (2, u, 0, .25)], """
        CaCO3 4.990 17.061 .257; MgCO3 4.633 15.015 .278; MnCO3 4.768 15.635 .270;
        FeCO3 4.692 15.380 .274; ZnCO3 4.653 15.028 .276; NaNO3 5.070 16.820 .245"""),
    "brucite": Prototype(164,
        lambda u, v: [(0, 0, 0, 0), (1, _T, 2 * _T, u), (2, _T, 2 * _T, v)],
        "MgO2H2 3.145 4.768 .220 .425; CaO2H2 3.590 4.905 .234 .425"),
    "nias": Prototype(194, lambda: [(0, 0, 0, 0), (1, _T, 2 * _T, .25)], """
        NiAs 3.610 5.025; NiS 3.439 5.348; NiSe 3.661 5.356; NiSb 3.935 5.137; CoS 3.367 5.160;
        FeS 3.438 5.880; MnAs 3.710 5.691; MnTe 4.143 6.703"""),
    "cdi2": Prototype(164, lambda u: [(0, 0, 0, 0), (1, _T, 2 * _T, u)], """
        CdI2 4.240 6.840 .250; PbI2 4.555 6.977 .265; MgI2 4.145 6.890 .250; TiS2 3.408 5.701 .250;
        TiSe2 3.535 6.004 .255; ZrS2 3.662 5.813 .250; HfS2 3.635 5.837 .250;
        SnS2 3.645 5.890 .250; PtSe2 3.727 5.075 .255"""),
    "cdcl2": Prototype(166, lambda u: [(0, 0, 0, 0), (1, 0, 0, u)], """
        CdCl2 3.850 17.460 .252; MgCl2 3.610 17.650 .258; MnCl2 3.700 17.530 .257;
        FeCl2 3.590 17.536 .257"""),
    "mos2-2h": Prototype(194, lambda: [(0, _T, 2 * _T, .25), (1, _T, 2 * _T, .621)], """
        MoS2 3.160 12.295; MoSe2 3.288 12.900; MoTe2 3.519 13.964; WS2 3.154 12.362;
        WSe2 3.286 12.976"""),
    "pyrite": Prototype(205, lambda u: [(0, 0, 0, 0), (1, u, u, u)], """
        FeS2 5.416 .385; CoS2 5.530 .389; NiS2 5.683 .394; MnS2 6.103 .401; RuS2 5.610 .388;
        PtAs2 5.967 .383"""),
    "matlockite": Prototype(129, lambda u, v: [(0, 0, .5, u), (1, 0, 0, 0), (2, 0, .5, v)],
        "BiOCl 3.885 7.360 .171 .645; PbFCl 4.100 7.220 .205 .650"),
    "tetradymite": Prototype(166, lambda u, v: [(0, 0, 0, u), (1, 0, 0, 0), (1, 0, 0, v)], """
        Bi2Te3 4.384 30.480 .400 .211; Bi2Se3 4.140 28.640 .399 .209;
        Sb2Te3 4.264 30.450 .399 .211"""),
    "chalcopyrite": Prototype(122, lambda u: [(0, 0, 0, 0), (1, 0, 0, .5), (2, u, .25, .125)], """
        CuFeS2 5.289 10.423 .257; CuGaS2 5.353 10.470 .254; CuInS2 5.523 11.141 .220;
        CuGaSe2 5.614 11.022 .250; CuInSe2 5.782 11.619 .226; ZnSiP2 5.400 10.438 .269;
        ZnGeP2 5.464 10.760 .258"""),
    "half-heusler": Prototype(216, lambda: [(0, .5, .5, .5), (1, .25, .25, .25), (2, 0, 0, 0)], """
        TiNiSn 5.935; ZrNiSn 6.110; HfNiSn 6.082; TiCoSb 5.882; ZrCoSb 6.068; HfCoSb 6.038;
        NbFeSb 5.950; NbCoSn 5.947; MnNiSb 5.920"""),
    "filled-zincblende": Prototype(216,
        lambda: [(0, .5, .5, .5), (1, 0, 0, 0), (2, .25, .25, .25)],
        "LiMgN 4.960; LiZnN 4.880; LiZnP 5.760; LiZnAs 5.940; LiMgAs 6.185"),
    "heusler": Prototype(225, lambda: [(0, .25, .25, .25), (1, .5, .5, .5), (2, 0, 0, 0)],
        "Cu2MnAl 5.949; Co2MnSi 5.654; Ni2MnGa 5.825; Fe2VAl 5.761; Li2LiBi 6.715; Fe2FeSi 5.650"),
    "l1_2": Prototype(221, lambda: [(0, 0, .5, .5), (1, 0, 0, 0)],
        "Cu3Au 3.749; Ni3Al 3.570; Ni3Fe 3.555; Pt3Fe 3.866; Al3Sc 4.105"),
    "l1_0": Prototype(123, lambda: [(0, 0, 0, 0), (1, .5, .5, .5)],
        "CuAu 2.800 3.672; FePt 2.724 3.713; CoPt 2.687 3.690; TiAl 2.833 4.070"),
    "alb2": Prototype(191, lambda: [(0, 0, 0, 0), (1, _T, 2 * _T, .5)],
        "MgB2 3.085 3.523; AlB2 3.007 3.260; TiB2 3.030 3.230; ZrB2 3.169 3.530; HfB2 3.141 3.473"),
    "cab6": Prototype(221, lambda: [(0, 0, 0, 0), (1, .202, .5, .5)], "CaB6 4.150; LaB6 4.155"),
    "tungsten-carbide": Prototype(187, lambda: [(0, 0, 0, 0), (1, _T, 2 * _T, .5)],
        "WC 2.906 2.837"),
    "hexagonal-bn": Prototype(194, lambda: [(0, _T, 2 * _T, .25), (1, 2 * _T, _T, .25)],
        "BN 2.504 6.661"),
    "lithium-nitride": Prototype(191, lambda: [(0, 0, 0, .5), (0, _T, 2 * _T, 0), (1, 0, 0, 0)],
        "Li3N 3.650 3.875"),
    "k2ptcl6": Prototype(225, lambda u: [(0, .25, .25, .25), (1, 0, 0, 0), (2, u, 0, 0)],
        "K2PtCl6 9.753 .240"),
}
# fmt: on


def common_crystals() -> Iterator[tuple[str, Atoms]]:
    """Yield every crystal of the table.

    Yields:
        An identifier such as "common-MgO-rocksalt", and the periodic atoms of the primitive cell
        (Å).
    """
    for name, prototype in PROTOTYPES.items():
        for entry in prototype.table.split(";"):
            formula, *numbers = entry.split()
            count = Formula(formula).count()
            written = "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in count.items())
            yield f"common-{written}-{name}", _build(prototype, formula, [*map(float, numbers)])


def common_rows() -> list[Row]:
    """Return the crystals as rows of a structure table, shortest text first."""
    rows = [table_row(name, cif_text(atoms, name=name)) for name, atoms in common_crystals()]
    return sorted(rows, key=lambda row: (len(row.cif), row.id))


def _build(prototype: Prototype, formula: str, numbers: list[float]) -> Atoms:
    elements = re.findall("[A-Z][a-z]?", formula)
    cell, free = _cell(prototype.group, numbers)
    sites = prototype.sites(*free)
    atoms = crystal(
        [elements[site[0]] for site in sites],
        [site[1:] for site in sites],
        spacegroup=prototype.group,
        setting=prototype.setting,
        cellpar=cell,
        primitive_cell=True,
    )
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def _cell(group: int, numbers: list[float]) -> tuple[list[float], list[float]]:
    """Split a table entry into a, b, c, alpha, beta, gamma and the free coordinates."""
    a = numbers[0]
    if group >= 195:
        return [a, a, a, 90, 90, 90], numbers[1:]
    if group >= 75:
        return [a, a, numbers[1], 90, 90, 120 if 143 <= group < 195 else 90], numbers[2:]
    if group >= 16:
        return [*numbers[:3], 90, 90, 90], numbers[3:]
    return [*numbers[:3], 90, numbers[3], 90], numbers[4:]
