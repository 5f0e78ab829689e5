"""The words of the two published CIF dialects: tokens, element facts, formulas.

CrystaLLM (371 tokens; Antunes et al., Nat. Commun. 2024, doi:10.1038/s41467-024-54639-7) and its
successor CrystaLLM-pi (377 tokens). The order of the tokens is a contract: a token's id is its
place here, and trained weights know tokens by id only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

_ELEMENTS = """
Si C Pb I Br Cl Eu O Fe Sb In S N U Mn Lu Se Tl Hf Ir Ca Ta Cr K Pm Mg Zn Cu Sn Ti B W P H Pd As
Co Np Tc Hg Pu Al Tm Tb Ho Nb Ge Zr Cd V Sr Ni Rh Th Na Ru La Re Y Er Ce Pt Ga Li Cs F Ba Te Mo Gd
Pr Bi Sc Ag Rb Dy Yb Nd Au Os Pa Sm Be Ac Xe Kr He Ne Ar
"""

_TAGS = """
_cell_length_b _atom_site_occupancy _atom_site_attached_hydrogens _cell_length_a _cell_angle_beta
_symmetry_equiv_pos_as_xyz _cell_angle_gamma _atom_site_fract_x _symmetry_space_group_name_H-M
_symmetry_Int_Tables_number _chemical_formula_structural _chemical_name_systematic
_atom_site_fract_y _atom_site_symmetry_multiplicity _chemical_formula_sum _atom_site_label
_atom_site_type_symbol _cell_length_c _atom_site_B_iso_or_equiv _symmetry_equiv_pos_site_id
_cell_volume _atom_site_fract_z _cell_angle_alpha _cell_formula_units_Z loop_ data_
_atom_type_symbol _atom_type_electronegativity _atom_type_radius _atom_type_ionic_radius
_atom_type_oxidation_number
"""

_PUNCTUATION = ["x", "y", "z", ".", "(", ")", "+", "-", "/", "'", ",", " ", "\n"]

# Number and symbol of each space group, in the order of the ids. 93, 168 and 207 are absent.
_GROUPS = """
191 P6/mmm 74 Imma 96 P4_32_12 136 P4_2/mnm 227 Fd-3m 156 P3m1 147 P-3 99 P4mm 212 P4_332
126 P4/nnc 18 P2_12_12 34 Pnn2 60 Pbcn 86 P4_2/n 8 Cm 160 R3m 64 Cmce 41 Aea2 113 P-42_1m
111 P-42m 198 P2_13 148 R-3 202 Fm-3 35 Cmm2 222 Pn-3n 192 P6/mcc 187 P-6m2 145 P3_2 164 P-3m1
153 P3_212 197 I23 189 P-62m 102 P4_2nm 28 Pma2 51 Pmma 121 I-42m 163 P-31c 205 Pa-3 59 Pmmn
47 Pmmm 138 P4_2/ncm 140 I4/mcm 119 I-4m2 144 P3_1 27 Pcc2 63 Cmcm 23 I222 70 Fddd 149 P312
66 Cccm 169 P6_1 219 F-43c 182 P6_322 200 Pm-3 152 P3_121 172 P6_4 230 Ia-3d 221 Pm-3m 14 P2_1/c
20 C222_1 7 Pc 85 P4/n 32 Pba2 40 Ama2 57 Pbcm 157 P31m 54 Pcca 16 P222 218 P-43n 49 Pccm
181 P6_422 196 F23 90 P42_12 21 C222 48 Pnnn 185 P6_3cm 92 P4_12_12 175 P6/m 42 Fmm2 88 I4_1/a
127 P4/mbm 31 Pmn2_1 106 P4_2bc 94 P4_22_12 220 I-43d 87 I4/m 100 P4bm 43 Fdd2 143 P3 178 P6_122
30 Pnc2 132 P4_2/mcm 91 P4_122 36 Cmc2_1 188 P-6c2 155 R32 76 P4_1 208 P4_232 52 Pnna 89 P422
50 Pban 9 Cc 98 I4_122 176 P6_3/m 186 P6_3mc 141 I4_1/amd 77 P4_2 129 P4/nmm 53 Pmna 83 P4/m
225 Fm-3m 123 P4/mmm 44 Imm2 130 P4/ncc 190 P-62c 46 Ima2 170 P6_5 13 P2/c 125 P4/nbm 72 Ibam
179 P6_522 194 P6_3/mmc 139 I4/mmm 69 Fmmm 10 P2/m 117 P-4b2 82 I-4 12 C2/m 131 P4_2/mmc 75 P4
228 Fd-3c 78 P4_3 11 P2_1/m 217 I-43m 112 P-42c 210 F4_132 6 Pm 56 Pccn 118 P-4n2 213 P4_132
195 P23 108 I4cm 161 R3c 38 Amm2 71 Immm 45 Iba2 79 I4 203 Fd-3 1 P1 55 Pbam 133 P4_2/nbc 204 Im-3
134 P4_2/nnm 26 Pmc2_1 162 P-31m 166 R-3m 206 Ia-3 177 P622 22 F222 3 P2 2 P-1 25 Pmm2 81 P-4
39 Aem2 180 P6_222 165 P-3c1 95 P4_322 97 I422 62 Pnma 173 P6_3 158 P3c1 201 Pn-3 104 P4nc 174 P-6
124 P4/mcc 24 I2_12_12_1 135 P4_2/mbc 159 P31c 37 Ccc2 137 P4_2/nmc 193 P6_3/mcm 5 C2 61 Pbca
116 P-4c2 110 I4_1cd 4 P2_1 151 P3_112 105 P4_2mc 224 Pn-3m 15 C2/c 146 R3 215 P-43m 211 I432
17 P222_1 122 I-42d 120 I-4c2 184 P6cc 171 P6_2 154 P3_221 150 P321 29 Pca2_1 142 I4_1/acd
214 I4_132 209 F432 33 Pna2_1 68 Ccce 73 Ibca 128 P4/mnc 109 I4_1md 19 P2_12_12_1 167 R-3c
199 I2_13 115 P-4m2 223 Pm-3n 107 I4mm 216 F-43m 58 Pnnm 114 P-42_1c 65 Cmmm 183 P6mm 101 P4_2cm
84 P4_2/m 229 Im-3m 226 Fm-3c 80 I4_1 103 P4cc 67 Cmme
"""

GROUP_SYMBOLS: dict[int, str] = {
    int(number): symbol for number, symbol in zip(*[iter(_GROUPS.split())] * 2, strict=True)
}
"""Symbol of every space group that the vocabularies hold, by International Tables number."""

GROUP_SUFFIX = "_sg"
"""Ending of a space group's token, which tells "P1" the group from "P" and "1"."""

UNKNOWN = "<unk>"


@dataclass(frozen=True, eq=False)
class CifVocabulary:
    """The tokens of one dialect.

    Attributes:
        name: name of the dialect.
        tokens: all tokens; a token's id is its place.
        pad: id that fills rows.
    """

    name: str
    tokens: tuple[str, ...] = field(repr=False)
    pad: int

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each token."""
        return {token: index for index, token in enumerate(self.tokens)}

    @cached_property
    def group_numbers(self) -> dict[int, int]:
        """Space-group number by token id."""
        return {self.ids[symbol + GROUP_SUFFIX]: number for number, symbol in GROUP_SYMBOLS.items()}


_BASE = (
    *_ELEMENTS.split(),
    *"0123456789",
    *_TAGS.split(),
    *_PUNCTUATION,
    *(symbol + GROUP_SUFFIX for symbol in GROUP_SYMBOLS.values()),
    UNKNOWN,
)

# The first vocabulary has no padding token: a row is filled with line breaks, as after its end.
CRYSTALLM = CifVocabulary("crystallm", _BASE, pad=_BASE.index("\n"))
CRYSTALLM_PI = CifVocabulary(
    "crystallm-pi",
    (*_BASE, "<pad>", "<bos>", "<eos>", "[", "]", "<prop>"),
    pad=len(_BASE),
)

ELEMENTS: frozenset[str] = frozenset(_ELEMENTS.split())
"""Elements that both vocabularies hold."""


# Pauling electronegativity, atomic radius and average ionic radius (Å) as pymatgen tabulates them.
# In the published texts noble gases without these have Allen's electronegativity and the van der
# Waals radius, printed without padding: hence text, not numbers.
_FACTS = """
Si 1.9000 1.1000 0.5400      C 2.5500 0.7000 0.3000       Pb 2.3300 1.8000 1.1225
I 2.6600 1.4000 1.2733       Br 2.9600 1.1500 0.8825      Cl 3.1600 1.0000 0.7800
Eu 1.2000 1.8500 1.1985      O 3.4400 0.6000 1.2600       Fe 1.8300 1.4000 0.8525
Sb 2.0500 1.4500 0.8300      In 1.7800 1.5500 0.9400      S 2.5800 1.0000 0.8800
N 3.0400 0.6500 0.6300       U 1.3800 1.7500 0.9913       Mn 1.5500 1.4000 0.8775
Lu 1.2700 1.7500 1.0010      Se 2.5500 1.1500 1.0133      Tl 1.6200 1.9000 1.3325
Hf 1.3000 1.5500 0.8500      Ir 2.2000 1.3500 0.7650      Ca 1.0000 1.8000 1.1400
Ta 1.5000 1.4500 0.8200      Cr 1.6600 1.4000 0.9400      K 0.8200 2.2000 1.5200
Pm 1.1300 1.8500 1.1100      Mg 1.3100 1.5000 0.8600      Zn 1.6500 1.3500 0.8800
Cu 1.9000 1.3500 0.8200      Sn 1.9600 1.4500 0.8300      Ti 1.5400 1.4000 0.8517
B 2.0400 0.8500 0.4100       W 2.3600 1.3500 0.7667       P 2.1900 1.0000 0.5500
H 2.2000 0.2500 0.0000       Pd 2.2000 1.4000 0.8462      As 2.1800 1.1500 0.6600
Co 1.8800 1.3500 0.7683      Np 1.3600 1.7500 1.0000      Tc 1.9000 1.3500 0.7417
Hg 2.0000 1.5000 1.2450      Pu 1.2800 1.7500 0.9675      Al 1.6100 1.2500 0.6750
Tm 1.2500 1.7500 1.0950      Tb 1.1000 1.7500 0.9815      Ho 1.2300 1.7500 1.0410
Nb 1.6000 1.4500 0.8200      Ge 2.0100 1.2500 0.7700      Zr 1.3300 1.5500 0.8600
Cd 1.6900 1.5500 1.0900      V 1.6300 1.3500 0.7775       Sr 0.9500 2.0000 1.3200
Ni 1.9100 1.3500 0.7400      Rh 2.2800 1.3500 0.7450      Th 1.3000 1.8000 1.0800
Na 0.9300 1.8000 1.1600      Ru 2.2000 1.3000 0.6610      La 1.1000 1.9500 1.1720
Re 1.9000 1.3500 0.7125      Y 1.2200 1.8000 1.0400       Er 1.2400 1.7500 1.0300
Ce 1.1200 1.8500 1.0800      Pt 2.2800 1.3500 0.8050      Ga 1.8100 1.3000 0.7600
Li 0.9800 1.4500 0.9000      Cs 0.7900 2.6000 1.8100      F 3.9800 0.5000 0.7050
Ba 0.8900 2.1500 1.4900      Te 2.1000 1.4000 1.2933      Mo 2.1600 1.4500 0.7750
Gd 1.2000 1.8000 1.0750      Pr 1.1300 1.8500 1.0600      Bi 2.0200 1.6000 1.0350
Sc 1.3600 1.6000 0.8850      Ag 1.9300 1.6000 1.0867      Rb 0.8200 2.3500 1.6600
Dy 1.2200 1.7500 1.1310      Yb 1.1000 1.7500 1.0840      Nd 1.1400 1.8500 1.2765
Au 2.5400 1.3500 1.0700      Os 2.2000 1.3000 0.6730      Pa 1.5000 1.8000 1.0400
Sm 1.1700 1.8500 1.2290      Be 1.5700 1.0500 0.5900      Ac 1.1000 1.9500 1.2600
Xe 2.6000 2.16 0.6200        Kr 3.0000 2.02 0.0000        He 4.16 1.4 0.0000
Ne 4.79 1.54 0.0000          Ar 3.24 0.7100 0.0000
"""

ELEMENT_FACTS: dict[str, tuple[str, str, str]] = {
    symbol: (x, radius, ionic)
    for symbol, x, radius, ionic in zip(*[iter(_FACTS.split())] * 4, strict=True)
}
"""Electronegativity, atomic radius and average ionic radius of each element, as printed."""

# He, Ne and Ar have no Pauling value: they come after everything else, in alphabetical order.
PAULING: dict[str, float] = {
    symbol: float("inf") if symbol in ("He", "Ne", "Ar") else float(facts[0])
    for symbol, facts in ELEMENT_FACTS.items()
}
"""Electronegativity by which elements are ordered in formulas and site lists."""

# Formulas that chemists do not reduce: as many atoms as they show are one unit.
_UNREDUCED = frozenset({"LiO", "NaO", "KO", "HO", "CsO", "RbO", "O", "N", "F", "Cl", "H"})
# A last pair of elements closer than this in electronegativity is written as a group: Ca(NO3)2.
_GROUP_LIMIT = 1.65


def formula_order(elements: Iterable[str]) -> list[str]:
    """Return elements as formulas list them: by electronegativity, then by name."""
    return sorted(elements, key=lambda element: (PAULING[element], element))


def cell_formula(counts: Mapping[str, int], separator: str = "") -> str:
    """Return the formula of the whole cell, such as "Ti2O4"."""
    return separator.join(f"{element}{counts[element]}" for element in formula_order(counts))


def structural_formula(counts: Mapping[str, int]) -> tuple[str, int]:
    """Return the reduced formula as pymatgen spells it, and how many units the cell holds.

    Args:
        counts: atoms of each element in the cell.

    Returns:
        The formula ("TiO2", "Ca(NO3)2", "O2"), and the units. Zero units where the cell holds half
        a unit of a formula that is not reduced further, such as one atom of oxygen.
    """
    divisor = math.gcd(*counts.values())
    order = formula_order(counts)
    group = ""
    if len(order) >= 3 and PAULING[order[-1]] - PAULING[order[-2]] < _GROUP_LIMIT:
        pair = {element: counts[element] // divisor for element in order[-2:]}
        times = math.gcd(*pair.values())
        if times > 1:
            group = f"({_reduced(pair, order[-2:], times)}){times}"
            order = order[:-2]
    formula = _reduced(counts, order, divisor) + group
    if formula not in _UNREDUCED:
        return formula, divisor
    return _reduced(dict.fromkeys(order, 2), order, 1), divisor // 2


def _reduced(counts: Mapping[str, int], order: Iterable[str], divisor: int) -> str:
    """Return a formula with its counts divided; a count of one is not written."""
    numbers = ((element, counts[element] // divisor) for element in order)
    return "".join(element + (str(n) if n > 1 else "") for element, n in numbers)
