"""lobsterout, lobsterin, folders of runs, and labels that are rejected (fault 44)."""

from __future__ import annotations

import gzip
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lobster_data import GLASS_SUBS, glass, glass_atoms, lobster, poscar

from bondwright.bonding.acceptance import accept_label
from bondwright.bonding.lobster import (
    Generator,
    LobsterInput,
    lobsterin_text,
    read_lobster_folder,
    read_lobsterin,
    read_lobsterout,
)
from bondwright.errors import InputError


@pytest.mark.data
def test_every_lobsterout_agrees_with_pymatgens_reader(data_dir: Path) -> None:
    from pymatgen.io.lobster import Lobsterout

    files = [*sorted(lobster(data_dir).rglob("lobsterout*"))]
    files += [glass(data_dir, sub) / "lobsterout" for sub in GLASS_SUBS]
    assert len(files) == 19 + 14
    for path in files:
        ours, theirs = read_lobsterout(path), Lobsterout(str(path))
        assert f"v{ours.version or ''}" == theirs.lobster_version, path
        assert list(ours.charge_spilling) == pytest.approx(theirs.charge_spilling), path
        if ours.total_spilling:
            assert list(ours.total_spilling) == pytest.approx(theirs.total_spilling), path
        assert (ours.program or "").split(" ")[0] == (theirs.dft_program or ""), path
        assert ours.finished
        assert list(ours.basis) == (theirs.elements or []), path
        assert [list(b) for b in ours.basis.values()] == (theirs.basis_functions or []), path
        time = theirs.timing["wall_time"]
        assert ours.wall_seconds == pytest.approx(
            3600 * int(time["h"]) + 60 * int(time["min"]) + int(time["s"]) + int(time["ms"]) / 1000
        )
        joined = " ".join(ours.warnings)
        assert all(line.strip() in joined for line in theirs.warning_lines), path


@pytest.mark.data
def test_the_glass_runs_tell_what_they_are(data_dir: Path) -> None:
    """Charge spilling 1.4-1.6 %, total 3.7-4.5 %, Gaussian smearing 0.2 eV (published)."""
    for sub in GLASS_SUBS:
        table = read_lobster_folder(glass(data_dir, sub), glass_atoms(data_dir, sub))
        run = table.details["lobster"]
        assert table.method == "LOBSTER 3.0.0"
        assert 0.0135 < (table.charge_spilling or 0) < 0.0165
        assert 0.0365 < run["total_spilling_by_spin"][0] < 0.0455
        assert run["smearing_eV"] == 0.2
        assert run["basis_set"] == "Bunge"
        assert run["basis"]["Al"] == ["3s", "3p_y", "3p_z", "3p_x"]
        assert any("tetrahedron" in warning for warning in run["warnings"])
        assert accept_label(table).accepted


@pytest.mark.data
def test_the_cell_whose_run_never_happened_is_refused(data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"21-13 has no ICOHPLIST\.lobster"):
        read_lobster_folder(glass(data_dir, 13), glass_atoms(data_dir, 13))


@pytest.mark.data
def test_a_list_cut_between_two_lines_is_found_by_its_count(data_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(glass(data_dir, 0), tmp_path / "run")
    text = (folder / "ICOHPLIST.lobster").read_text().splitlines(keepends=True)
    (folder / "ICOHPLIST.lobster").write_text("".join(text[:700]))
    with pytest.raises(InputError, match="lists 699 bonds but lobsterout found 738"):
        read_lobster_folder(folder, glass_atoms(data_dir, 0))


@pytest.mark.data
def test_counts_of_spin_polarised_runs_are_understood(data_dir: Path) -> None:
    """LOBSTER 4 and 5 count a bond once for each spin."""
    for name in ("BaTe_low_quality", "BeTe", "C", "CsH", "NaCl", "NaCl_comp_range"):
        folder = lobster(data_dir) / "lobsterpy-tests" / name
        structure = sorted([*folder.glob("CONTCAR*"), *folder.glob("POSCAR*")])[0]
        table = read_lobster_folder(folder, poscar(structure))
        assert table.method == "LOBSTER 4.1.0"
        assert table.details["rows_listed"] > len(table)


@pytest.mark.data
def test_labels_are_rejected_with_numbers(data_dir: Path) -> None:
    table = read_lobster_folder(glass(data_dir, 0), glass_atoms(data_dir, 0))
    strict = accept_label(table, max_charge_spilling=0.01)
    assert (strict.accepted, strict.reason) == (False, "charge-spilling")
    assert "1.60%" in strict.message
    assert "1.00%" in strict.message
    unknown = accept_label(replace(table, charge_spilling=None))
    assert unknown.reason == "charge-spilling-unknown"
    for key, value, reason in (
        ("finished", False, "unfinished"),
        ("too_few_bands", True, "too-few-bands"),
    ):
        run = {**table.details["lobster"], key: value}
        assert accept_label(replace(table, details={"lobster": run})).reason == reason


@pytest.mark.data
def test_bad_and_unfinished_outputs(data_dir: Path, tmp_path: Path) -> None:
    two = read_lobsterout(lobster(data_dir) / "pymatgen-cohp" / "lobsterout.twospins")
    assert two.charge_spilling == (0.3662, 0.3662)
    text = (glass(data_dir, 0) / "lobsterout").read_text()
    path = tmp_path / "lobsterout"
    path.write_text(text[: text.index("calculating pDOS")])
    part = read_lobsterout(path)
    assert not part.finished
    assert part.wall_seconds is None
    assert part.charge_spilling == (0.016,)
    path.write_text(text[: text.index("projecting")])
    assert read_lobsterout(path).charge_spilling == ()
    path.write_text("WARNING: You are employing too few bands in your PAW calculation.\n")
    with pytest.raises(InputError, match="line 1: not a lobsterout"):
        read_lobsterout(path)
    path.write_text(text + "WARNING: You are employing too few bands in your PAW calculation.\n")
    assert read_lobsterout(path).too_few_bands
    path.write_bytes(gzip.compress(text.encode())[:200])
    with pytest.raises(InputError, match="gzip"):
        read_lobsterout(path)


@pytest.mark.data
def test_every_lobsterin_is_read_and_written_without_loss(data_dir: Path, tmp_path: Path) -> None:
    from pymatgen.io.lobster import Lobsterin

    files = [p for p in lobster(data_dir).rglob("lobsterin*") if p.name.startswith("lobsterin")]
    files = [*sorted(files), *(glass(data_dir, sub) / "lobsterin" for sub in range(15))]
    assert len(files) == 6 + 15
    for path in files:
        given = read_lobsterin(path)
        copy = tmp_path / "lobsterin"
        copy.write_text(lobsterin_text(given))
        assert read_lobsterin(copy) == given
        theirs = Lobsterin.from_file(str(copy))
        assert theirs["cohpGenerator"].split() == given.generators[0].text().split() or (
            np.isclose(given.generators[0].longest_A, float(theirs["cohpGenerator"].split()[3]))
        )
        assert {b.split()[0]: tuple(b.split()[1:]) for b in theirs["basisfunctions"]} == given.basis
        assert theirs["basisSet"] == given.get("basisset")
    glassy = read_lobsterin(glass(data_dir, 0) / "lobsterin")
    assert glassy.generators == (Generator(1.8, 4.2),)
    assert glassy.basis["Cu"] == ("3s", "4s", "3p", "3d")
    assert glassy.get("skipDOS") == ""
    assert glassy.get("LSODOS") is None


def test_an_input_for_new_bonds(tmp_path: Path) -> None:
    from pymatgen.io.lobster import Lobsterin

    given = LobsterInput.for_bonds(
        {"Na": ("2p", "3s"), "Cl": ("3s", "3p")},
        Generator(0.1, 5.0, ("Na", "Cl"), orbitalwise=True),
    )
    path = tmp_path / "lobsterin"
    path.write_text("! made by hand\n" + lobsterin_text(given).replace("basisSet", "basisset"))
    assert read_lobsterin(path).generators == given.generators
    theirs = Lobsterin.from_file(str(path))
    assert theirs["cohpGenerator"] == "from 0.1 to 5.0 type Na type Cl orbitalwise"
    assert theirs["basisfunctions"] == ["Na 2p 3s", "Cl 3s 3p"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no keyword"),
        ("-17 5\n", "line 1: '-17' is no keyword"),
    ],
)
def test_damaged_inputs(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lobsterin"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_lobsterin(path)


@pytest.mark.data
def test_no_damage_ends_in_a_traceback(data_dir: Path, tmp_path: Path) -> None:
    """Seeded damage to a real lobsterout and a real lobsterin: cut out, garbled, doubled."""
    random = np.random.default_rng(11)
    for name, read in (("lobsterout", read_lobsterout), ("lobsterin", read_lobsterin)):
        data = (glass(data_dir, 0) / name).read_bytes()
        path = tmp_path / name
        for _ in range(150):
            first, last = np.sort(random.integers(0, len(data), 2))
            middle = random.choice([b"", random.bytes(5), data[first:last] * 2])
            path.write_bytes(data[:first] + middle + data[last:])
            with suppress(InputError):  # anything else is a bug
                result = read(path)
                if isinstance(result, LobsterInput):
                    _ = result.generators, result.basis


@pytest.mark.parametrize("value", ["from 1 to", "from a to 3", "to 3", "from 1 to 2 type Na"])
def test_windows_that_make_no_sense(value: str) -> None:
    with pytest.raises(InputError, match="cohpGenerator"):
        _ = LobsterInput((("cohpGenerator", value),)).generators
