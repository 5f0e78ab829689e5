"""The script that builds GPAW: what it finds, what it writes, and what it says where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bondwright.dft import gpaw_build
from bondwright.dft.gpaw_build import Machine, probe, works

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "src/bondwright/dft/gpaw_build.py"
COMPILER = shutil.which("gcc") or ""
needs_compiler = pytest.mark.skipif(not COMPILER, reason="NO COMPILER HERE")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script by its path, without bondwright on the path (-I)."""
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@needs_compiler
def test_the_file_it_writes_says_what_was_found(tmp_path: Path) -> None:
    target = tmp_path / "siteconfig.py"
    done = run("--write", str(target))
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = {}
    exec(target.read_text(), said)  # the way GPAW's setup reads it
    assert works(str(said["compiler"]), "int main(void) { return 0; }\n", [])
    assert said["mpi"] is False, "MPI is used where it is asked for only"
    libraries = said["libraries"]
    assert isinstance(libraries, list)
    for name, option, unused in (("xc", "nolibxc", True), ("fftw3", "fftw", False)):
        assert (name in libraries) == (said[option] is not unused)
    for library in libraries:  # what is named must link
        assert works(str(said["compiler"]), "int main(void) { return 0; }\n", [f"-l{library}"])


@needs_compiler
def test_a_library_that_links_but_is_wrong_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A libopenblas whose dgemm computes nothing links, and must not be taken for a BLAS."""
    stub = tmp_path / "stub.c"
    stub.write_text("void dgemm_(void) {}\n")
    library = tmp_path / "libopenblas.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", str(stub), "-o", str(library)], check=True)
    monkeypatch.setenv("LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    calls = "void dgemm_(void); int main(void) { dgemm_(); return 0; }\n"
    assert works("gcc", calls, ["-lopenblas"]), "the stub does not even link: nothing is tested"
    assert probe().blas != "openblas"


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path) -> None:
    done = run("--write", str(tmp_path / "x.py"), PATH=str(tmp_path), CC="", CXX="")
    assert done.returncode == 1
    assert "apt install g++" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "x.py").exists()


def test_missing_headers_of_python_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if not COMPILER:
        pytest.skip("NO COMPILER HERE")
    monkeypatch.setattr(gpaw_build.sysconfig, "get_paths", lambda: {"include": "/nowhere"})
    with pytest.raises(gpaw_build.BuildError, match="python3-dev"):
        probe()


def test_mpi_replaces_the_compiler() -> None:
    machine = Machine("g++", mpi="mpic++", blas="openblas", libraries=["openblas"])
    said: dict[str, object] = {}
    exec(machine.config(), said)
    assert said["compiler"] == "mpic++"
    assert said["mpi"] is True
    assert said["noblas"] is False
    assert said["nolibxc"] is True


def test_an_installed_gpaw_is_left_alone() -> None:
    pytest.importorskip("gpaw", reason="GPAW IS NOT INSTALLED")
    done = run()
    assert done.returncode == 0
    assert "is installed" in done.stdout
    assert "Building" not in done.stdout


def test_the_versions_agree_with_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(extras["optional-dependencies"]["dft"])
    assert wanted == {gpaw_build.REQUIREMENT, gpaw_build.DATA_REQUIREMENT}


def test_without_gpaw_the_engine_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from bondwright.dft.engines import get_engine
    from bondwright.errors import InputError

    monkeypatch.setitem(sys.modules, "gpaw", None)
    with pytest.raises(InputError, match=r"python -m bondwright\.dft\.gpaw_build"):
        get_engine("gpaw").version()
