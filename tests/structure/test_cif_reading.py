"""CIF text, good and bad: faults 1 and 4 to 18."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cif_texts import IDENTITY_LOOP, PI, RUTILE, V1

from bondwright.structure.cif import parse_cif
from bondwright.structure.identity import composition
from bondwright.structure.neighbours import shortest_contact
from bondwright.structure.parsed import Parsed, ReadLimits
from bondwright.structure.symmetry import find_space_group


def read(text: str, **limits: int) -> Parsed:
    [parsed] = parse_cif(text, ReadLimits(**limits))
    assert (parsed.atoms is None) == (parsed.problem is not None)
    return parsed


def problem(text: str, **limits: int) -> str:
    parsed = read(text, **limits)
    assert parsed.problem is not None, parsed.atoms
    assert parsed.problem.message
    return parsed.problem.code


def is_rutile(parsed: Parsed) -> bool:
    assert parsed.problem is None, parsed.problem
    return (
        composition(parsed.atoms) == {"O": 4, "Ti": 2}
        and find_space_group(parsed.atoms, 0.01).number == 136
        and 1.94 < shortest_contact(parsed.atoms).distance < 1.96
    )


def test_rutile_is_expanded_from_its_symbol():
    parsed = read(RUTILE)
    assert is_rutile(parsed)
    assert parsed.declared.expanded_from == "space group"
    assert parsed.declared.space_group_symbol == "P 42/m n m"
    assert parsed.declared.formula_sum == "Ti2 O4"
    assert parsed.declared.formula_units == 2
    assert [s.multiplicity for s in parsed.declared.sites] == [2, 4]
    assert any("supplied" in note for note in parsed.notes)


@pytest.mark.parametrize("text", [V1, PI], ids=["v1", "pi"])
def test_both_dialects_of_the_language_model(text):
    """The identity is the only operation listed, so the declared space group fills the cell."""
    parsed = read(text)
    assert composition(parsed.atoms) == {"O": 4, "Ti": 2}
    assert find_space_group(parsed.atoms, 0.01).symbol == "P4_2/mnm"
    declared = parsed.declared
    assert (declared.block, declared.formula_sum) == ("Ti2O4", "Ti2 O4")
    assert (declared.formula_structural, declared.space_group_symbol) == ("TiO2", "P4_2/mnm")
    assert declared.operations == ("x, y, z",)
    assert declared.lengths == (4.5998, 4.5998, 2.9592)
    assert declared.volume == 62.6125
    assert declared.expanded_from == "space group"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'P 42/m n m'", "P42/mnm"),
        ("'P 42/m n m'", "'P4_2/mnm'"),
        ("'P 42/m n m'", "P 42/m n m"),  # blanks without quotes
        ("'P 42/m n m'", '"P 42 / m n m"'),
        ("'P 42/m n m'", "?"),  # the number is left
        ("_symmetry_space_group_name_H-M 'P 42/m n m'", "_space_group_name_H-M_alt 'P 42/m n m'"),
        ("_symmetry_Int_Tables_number", "_space_group_IT_number"),
        ("_symmetry_space_group_name_H-M 'P 42/m n m'", "_space_group_name_Hall '-P 4n 2n'"),
        ("_symmetry_Int_Tables_number 136", IDENTITY_LOOP),
        ("_cell_length_a 4.594", "_CELL_LENGTH_A\n\n   4.594(2) # Angstrom"),  # fault 12
        ("_cell_length_a 4.594", "_cell_length_a\t\t+4.594e0"),
        ("_cell_length_a 4.594", "_cell.length_a 4.594"),
        ("4 0.3048 0.3048 0 1", "4 .3048(11) 0.3048(11) 0. ."),  # fault 12
        ("4 0.3048 0.3048 0 1", "?\n0.3048\n 0.3048 0\n 1"),
        (" Ti1 Ti 2", " Ti1 Ti4+ 2"),
        (" O1 O 4", " O1 O2- 4"),
        (" Ti1 Ti 2", " TI1 TI 2"),
        (" Ti1 Ti 2", " Ti1 ? 2"),
        ("_chemical_formula_sum 'Ti2 O4'", "_chemical_formula_sum ?"),
        ("_cell_formula_units_Z 2", "_cell_formula_units_Z 2\n_cell_length_a 4.594"),
        ("_cell_formula_units_Z 2", "_publ_text\n;\n it says data_other and loop_ here\n;"),
        ("_cell_formula_units_Z 2", "# data_comment\n_note 'data_quoted loop_'"),  # fault 6
        ("_cell_formula_units_Z 2", "_journal_year\n_cell_formula_units_Z 2"),  # no value
        (" 0 0 0 1\n", " 0 0 0 1.0004\n"),
        ("\n", "\r\n"),
    ],
)  # fmt: skip
def test_spellings_of_one_crystal(old, new):
    assert old in RUTILE
    text = RUTILE.replace(old, new)
    assert is_rutile(read(text.replace("\r\n", "\n") if old == "\n" else text))


def test_listed_operations_win():
    """Fault 17: the operations count, the contradiction is noted and left to validity."""
    loop = "loop_\n_space_group_symop_operation_xyz\n 'x,y,z'\n '-x,-y,-z'\n"
    parsed = read(RUTILE.replace("_symmetry_Int_Tables_number 136\n", loop))
    assert parsed.declared.expanded_from == "operations"
    assert composition(parsed.atoms) == {"O": 2, "Ti": 1}
    assert any("P4_2/mnm has 16" in note for note in parsed.notes)


@pytest.mark.parametrize(
    "row", ["2 x, y, z+0", "2 'X,Y,Z'", "2 +x,+y,+z", "2 ' x , y , z '", "2 x+1,y,z-2"]
)
def test_spellings_of_operations(row):
    loop = f"loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n1 -x,-y,z\n{row}\n"
    parsed = read(RUTILE.replace("_symmetry_Int_Tables_number 136\n", loop))
    assert parsed.problem is None, parsed.problem
    assert composition(parsed.atoms) == {"O": 2, "Ti": 1}


def test_number_and_symbol_contradict():
    """Fault 17."""
    parsed = read(RUTILE.replace("number 136", "number 227"))
    assert is_rutile(parsed)
    assert any("different space groups" in note for note in parsed.notes)


def test_declared_formula_and_multiplicity_are_kept_as_written():
    """Fault 18: reading corrects nothing; validity compares."""
    parsed = read(RUTILE.replace("'Ti2 O4'", "'Ti2 O5'").replace(" O1 O 4", " O1 O 8"))
    assert parsed.declared.formula_sum == "Ti2 O5"
    assert parsed.declared.sites[1].multiplicity == 8
    assert composition(parsed.atoms) == {"O": 4, "Ti": 2}


def test_special_positions_with_rounded_coordinates():
    """0.3333 is 1/3: the multiplicity is that of the special position, and so is the place."""
    text = (
        "data_Mg\n_symmetry_space_group_name_H-M 'P 63/m m c'\n_cell_length_a 3.2094\n"
        "_cell_length_b 3.2094\n_cell_length_c 5.2108\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 120\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n"
        "_atom_site_fract_z\nMg1 {} {} 0.25\n"
    )
    for x, y in (("0.333", "0.667"), ("0.3333", "0.6667"), ("0.33333333", "0.66666667")):
        parsed = read(text.format(x, y))
        assert len(parsed.atoms) == 2
        np.testing.assert_allclose(
            np.sort(parsed.atoms.get_scaled_positions()[:, 0]), [1 / 3, 2 / 3], atol=1e-6
        )


@pytest.mark.parametrize(
    ("symbol", "angles", "lengths", "count"),
    [
        ("R -3 m", "90 90 120", "3.0 3.0 14.0", 3),
        ("R -3 m", "33 33 33", "5.0 5.0 5.0", 1),
        ("R -3 m :R", "33 33 33", "5.0 5.0 5.0", 1),
        ("F d -3 m", "90 90 90", "5.43 5.43 5.43", 8),
        ("F d -3 m :2", "90 90 90", "5.43 5.43 5.43", 16),
        ("I m -3 m", "90 90 90", "3.2 3.2 3.2", 2),
    ],
)
def test_settings(symbol, angles, lengths, count):
    """An atom at the origin: its multiplicity tells axes and origin apart."""
    a, b, c = lengths.split()
    alpha, beta, gamma = angles.split()
    parsed = read(
        f"data_x\n_space_group_name_H-M_alt '{symbol}'\n_cell_length_a {a}\n_cell_length_b {b}\n"
        f"_cell_length_c {c}\n_cell_angle_alpha {alpha}\n_cell_angle_beta {beta}\n"
        f"_cell_angle_gamma {gamma}\nloop_\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\nSi 0 0 0\n"
    )
    assert len(parsed.atoms) == count
    assert any("leaves" in n for n in parsed.notes) == (symbol in ("R -3 m", "F d -3 m"))


def test_several_blocks():
    """Fault 6: every block is read, and says which it is."""
    other = RUTILE.replace("data_rutile", "data_strained").replace("2.959", "3.1")
    results = parse_cif("data_global\n_journal_year 2020\n" + RUTILE + other)
    assert [r.block for r in results] == [1, 2]
    assert [r.declared.block for r in results] == ["rutile", "strained"]
    assert [round(r.atoms.cell.lengths()[2], 3) for r in results] == [2.959, 3.1]
    assert results[0].notes[0] == "data block 2 of 3, 1 of them without a structure"


def test_a_bad_block_leaves_the_others():
    bad = RUTILE.replace("4.594", "nan")
    first, second = parse_cif(bad + RUTILE)
    assert first.problem.code == "bad-cell"
    assert is_rutile(second)


@pytest.mark.parametrize("text", ["", "  \n\t\n"])
def test_empty(text):
    """Fault 1."""
    assert problem(text) == "empty"


@pytest.mark.parametrize("text", ["hello", "{'a': 1}", "<html><body>404</body></html>", "\x01\x02"])
def test_no_cif(text):
    assert problem(text) == "syntax"


@pytest.mark.parametrize("keep", range(20, len(RUTILE) - 3, 7))
def test_truncated_anywhere(keep):
    """Fault 4: no prefix is taken for the whole crystal, unless only whole rows are missing."""
    parsed = read(RUTILE[:keep])
    if parsed.problem is None:  # cut behind a complete row: the declared formula tells
        assert composition(parsed.atoms) != {"O": 4, "Ti": 2} or keep >= len(RUTILE) - 4
        assert parsed.declared.formula_sum == "Ti2 O4"
    else:
        assert parsed.problem.code in ("truncated", "syntax", "no-sites", "no-cell", "bad-site")


def test_truncated_in_the_site_loop():
    """Fault 4."""
    assert problem(RUTILE[: RUTILE.rindex("0.3048")]) == "truncated"
    assert problem(RUTILE[: RUTILE.index("_cell_angle_gamma") + 12]) == "truncated"


@pytest.mark.parametrize(
    ("old", "new"),
    [("'Ti2 O4'", "'Ti2 O4"), ("'Ti2 O4'", '"Ti2 O4'), ("'Ti2 O4'", "\n;Ti2 O4\nfor ever")],
)
def test_unclosed(old, new):
    """Fault 5."""
    assert problem(RUTILE.replace(old, new)) == "syntax"


@pytest.mark.parametrize(
    "value",
    ["nan", "NaN", "inf", "-inf", "-4.594", "0", "0.0", "1e300", "1e-9", "1e99999", "9" * 400,
     "9**9", "abc", "4,594", "4.594.1", "0x10", "٣"],
)  # fmt: skip
def test_bad_lengths(value):
    """Faults 7 and 8."""
    assert problem(RUTILE.replace("_a 4.594", f"_a {value}")) == "bad-cell"


@pytest.mark.parametrize("value", ["nan", "0", "180", "-90", "270", "1e300"])
def test_bad_angles(value):
    """Faults 7 and 8."""
    assert problem(RUTILE.replace("_gamma 90", f"_gamma {value}")) == "bad-cell"


def test_flat_cells():
    """Fault 9: angles that close no volume, a nearly flat cell, a cell of a millionth of an Å³."""
    assert problem(RUTILE.replace("_gamma 90", "_gamma 0.0001")) == "bad-cell"
    assert problem(RUTILE.replace("_alpha 90", "_alpha 10").replace("_beta 90", "_beta 10")) == (
        "bad-cell"
    )
    assert problem(RUTILE.replace("4.594", "0.01")) == "bad-cell"


@pytest.mark.parametrize("missing", ["_cell_length_b 4.594\n", "_cell_angle_beta 90\n"])
def test_missing_cell(missing):
    assert problem(RUTILE.replace(missing, "")) == "no-cell"


@pytest.mark.parametrize(
    "operation",
    ["9**9**9**9,y,z", "().__class__,y,z", "__import__('os').system('x'),y,z", "x,y", "x,y,z,x",
     "x,x,x", "1/2*x,y,z", "x+1/7,y,z", "x;y;z", "2x,y,z", "0,0,0", "x,y,z" * 1000, "xyz"],
)  # fmt: skip
def test_bad_operations_are_never_evaluated(operation):
    """Faults 10 and 11: an operation is parsed, not run."""
    loop = f'loop_\n_symmetry_equiv_pos_as_xyz\n"x,y,z"\n"{operation}"\n'
    assert problem(RUTILE.replace("_cell_formula_units_Z 2\n", loop)) == "bad-operation"


def test_too_many_operations():
    loop = "loop_\n_symmetry_equiv_pos_as_xyz\n" + "x,y,z\n" * 5000
    assert problem(RUTILE + loop) == "bad-operation"


def test_unknown_space_group():
    text = RUTILE.replace("'P 42/m n m'", "'Q 7'").replace("number 136", "number 999")
    assert problem(text) == "unknown-space-group"
    nothing = RUTILE.replace("'P 42/m n m'", "?").replace("number 136", "number ?")
    assert composition(read(nothing).atoms) == {"O": 1, "Ti": 1}
    assert read(nothing).declared.expanded_from == "none"


def test_two_close_atoms_stay_two():
    """Fault 13: for validity to reject; the reader merges only what is one site."""
    parsed = read(RUTILE.replace("0.3048 0.3048 0 1", "0.02 0.02 0 1"))
    assert composition(parsed.atoms) == {"O": 4, "Ti": 2}
    assert shortest_contact(parsed.atoms).distance == pytest.approx(0.02 * 4.594 * 2**0.5)


def test_partial_occupancy_is_disorder():
    """Fault 14."""
    assert problem(RUTILE.replace("0.3048 0 1", "0.3048 0 0.5")) == "disordered"
    mixed = RUTILE.replace(" Ti1 Ti 2 0 0 0 1", " Ti1 '0.8Nb + 0.2Zr' 2 0 0 0 1")
    assert problem(mixed) == "disordered"
    assert read(mixed).problem.message.count("0.8Nb + 0.2Zr") == 1


@pytest.mark.parametrize("value", ["1.5", "-0.2", "nan", "1e9", "abc"])
def test_bad_occupancy_names_the_site(value):
    """Fault 15."""
    text = RUTILE.replace("0.3048 0 1", f"0.3048 0 {value}")
    assert problem(text) == "bad-occupancy"
    assert "O1" in read(text).problem.message


def test_unoccupied_sites_are_left_out():
    parsed = read(RUTILE + " Ti9 Ti 2 0.5 0.5 0 0\n")
    assert is_rutile(parsed)
    assert any("Ti9" in note for note in parsed.notes)


@pytest.mark.parametrize("symbol", ["Xx", "X", "Vac", "Q", "1", "*", "NH3", "OH2", "M"])
def test_unknown_elements(symbol):
    """Fault 16."""
    assert problem(RUTILE.replace(" Ti1 Ti 2", f" Ti1 {symbol} 2")) == "unknown-element"


def test_deuterium_is_hydrogen_with_a_note():
    """Fault 16."""
    parsed = read(RUTILE.replace(" O1 O 4", " D1 D 4"))
    assert composition(parsed.atoms) == {"H": 4, "Ti": 2}
    assert "D is read as H" in parsed.notes


@pytest.mark.parametrize(
    ("label", "element"),
    [("Ti", "Ti"), ("Ti12", "Ti"), ("CA1", "Ca"), ("OW1", "O"), ("O1A", "O"), ("Cl-1", "Cl")],
)
def test_elements_from_labels(label, element):
    parsed = read(RUTILE.replace(" Ti1 Ti 2", f" {label} ? 2"))
    assert composition(parsed.atoms)[element] >= 2


@pytest.mark.parametrize("place", ["? 0 0", "nan 0 0", "1e300 0 0", "0.1 0.2 abc", "0 0 1/0"])
def test_bad_sites(place):
    assert problem(RUTILE.replace("Ti 2 0 0 0", f"Ti 2 {place}")) == "bad-site"


def test_no_sites():
    head = RUTILE[: RUTILE.index("loop_")]
    assert problem(head) == "no-sites"
    assert problem(head + "loop_\n_atom_site_label\n_atom_site_fract_x\n? ?\n") == "no-sites"


def test_repeated_sites_are_one():
    """A full list of atoms under a full list of operations is each atom once."""
    parsed = read(RUTILE + " Ti2 Ti 2 0.5 0.5 0.5 1\n O2 O 4 0.6952 0.6952 0 1\n")
    assert is_rutile(parsed)
    assert sum("repeats site" in note for note in parsed.notes) == 2


def test_atom_limit():
    """Fault 3."""
    assert problem(RUTILE, atoms=5) == "too-many-atoms"
    grid = [(i % 20 / 20, i // 20 % 20 / 20, i // 400 / 12) for i in range(4800)]
    rows = "".join(f" O O 1 {x:.4f} {y:.4f} {z:.4f} 1\n" for x, y, z in grid)
    assert problem(RUTILE + rows) == "too-many-atoms"


def test_notes_do_not_flood():
    parsed = read(RUTILE + " O O 4 0.3048 0.3048 0 1\n" * 100)
    assert is_rutile(parsed)
    assert parsed.notes[-1] == "81 more notes"


def test_results_travel_as_json():
    for text in (RUTILE, V1, "", RUTILE.replace("4.594", "nan")):
        for parsed in parse_cif(text):
            back = Parsed.from_json(json.loads(json.dumps(parsed.to_json())))
            assert back.declared == parsed.declared
            assert back.problem == parsed.problem
            assert back.notes == parsed.notes
            assert back.atoms == parsed.atoms
