"""Pseudopotential files: headers, choice, and those that ld1.x makes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bondwright.dft.espresso.ld1 import RECIPES, generate_pseudopotential
from bondwright.dft.espresso.pseudopotentials import (
    choose_pseudopotentials,
    pseudopotential_folder,
    read_pseudopotential,
)
from bondwright.errors import InputError

NEW = """<UPF version="2.0.1">
<PP_HEADER generated='by a "program"' element=" {element}" pseudo_type="{kind}"
 has_so="{spin_orbit}" functional="{functional}" z_valence="4.0E+00" wfc_cutoff="30.0"
 rho_cutoff="0.0"/>
<PP_MESH mesh="1"></PP_MESH>
</UPF>
"""
OLD = """<PP_INFO>
</PP_INFO>
<PP_HEADER>
   0                   Version Number
  Ge                   Element
   US                  Ultrasoft
    T                  Nonlinear Core Correction
 SLA  PW   PBX  PBC    PBE  Exchange-Correlation functional
    4.00000000000      Z valence
   -7.1                Total energy
  25.0   200.0         Suggested cutoff for wfc and rho
</PP_HEADER>
<PP_MESH>
</PP_MESH>
<PP_RHOATOM>
</PP_RHOATOM>
"""


def put(folder: Path, name: str, **fields: str) -> None:
    given = {"element": "Si", "kind": "NC", "spin_orbit": "F", "functional": "PBE", **fields}
    (folder / name).write_text(NEW.format(**given))


def test_headers_of_both_versions(tmp_path: Path) -> None:
    put(tmp_path, "Si.UPF", functional=" SLA  PW   PBX  PBC", kind="PAW")
    new = read_pseudopotential(tmp_path / "Si.UPF")
    assert (new.element, new.functional, new.kind, new.valence) == ("Si", "PBE", "PAW", 4.0)
    assert new.cutoff_eV == pytest.approx(30 * 13.605693, rel=1e-6)
    assert new.density_cutoff_eV is None
    assert new.sha256 == hashlib.sha256((tmp_path / "Si.UPF").read_bytes()).hexdigest()
    (tmp_path / "Ge.upf").write_text(OLD)
    old = read_pseudopotential(tmp_path / "Ge.upf")
    assert (old.element, old.functional, old.kind, old.valence) == ("Ge", "PBE", "US", 4.0)
    assert old.density_cutoff_eV == pytest.approx(200 * 13.605693, rel=1e-6)


def test_choice_looks_into_the_files(tmp_path: Path) -> None:
    put(tmp_path, "Si.a.UPF")
    put(tmp_path, "Si.b.UPF", kind="USPP")
    put(tmp_path, "Si.c.UPF", kind="PAW", functional="PBESOL")
    put(tmp_path, "Si.d.UPF", kind="PAW", spin_orbit="T")
    put(tmp_path, "S.UPF", element="S", functional="LDA")
    chosen = choose_pseudopotentials(["Si", "Si"], tmp_path)
    assert chosen["Si"].path.name == "Si.b.UPF"  # ultrasoft before norm-conserving
    named = choose_pseudopotentials(["Si"], tmp_path, names={"Si": "Si.a.UPF"})
    assert named["Si"].path.name == "Si.a.UPF"
    with pytest.raises(InputError, match=r"no PBE pseudopotential for S .*LDA"):
        choose_pseudopotentials(["S"], tmp_path)
    with pytest.raises(InputError, match="made for Si and PBEsol"):
        choose_pseudopotentials(["Si"], tmp_path, names={"Si": "Si.c.UPF"})


def test_what_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "Si.UPF")
    whole = (tmp_path / "Si.UPF").read_text()
    (tmp_path / "Si.UPF").write_text(whole[: -len("</UPF>\n")])
    with pytest.raises(InputError, match="cut off"):
        read_pseudopotential(tmp_path / "Si.UPF")
    (tmp_path / "Al.UPF").write_text("hello")
    with pytest.raises(InputError, match="not a pseudopotential"):
        read_pseudopotential(tmp_path / "Al.UPF")
    for variable in ("BONDWRIGHT_PSEUDO", "ESPRESSO_PSEUDO"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match="BONDWRIGHT_PSEUDO"):
        pseudopotential_folder()
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path))
    assert pseudopotential_folder() == tmp_path
    with pytest.raises(InputError, match="no recipe for Zr; C, O, Al, Si"):
        generate_pseudopotential("Zr", tmp_path)


@pytest.mark.espresso
def test_generated_potentials_state_what_they_are(potentials: Path) -> None:
    for element in ("Si", "Al"):
        made = read_pseudopotential(potentials / f"{element}.UPF")
        assert (made.element, made.functional, made.kind) == (element, "PBE", "NC")
        assert made.cutoff_eV == pytest.approx(RECIPES[element].cutoff_eV, rel=1e-5)
        assert made.valence == RECIPES[element].s + RECIPES[element].p
