"""Install GPAW from its source with what this machine has: a compiler is enough.

    python -m bondwright.dft.gpaw_build

GPAW comes from PyPI as source. Its defaults want MPI, BLAS, libxc and ScaLAPACK; this script tries
each with the compiler, writes a GPAW_CONFIG file that names what compiles, links and runs, and has
pip build GPAW with it. It is plain standard library, so that it can be run by its path before
anything else is installed.
"""

# ruff: noqa: T201, S603 (a script that prints, and that runs compilers and pip)
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENT = "gpaw>=26.7,<26.8"
DATA_REQUIREMENT = "gpaw-data>=1.2"
_TIMEOUT_S = 60
_AGAIN = "then run 'python -m bondwright.dft.gpaw_build --force'"

_PYTHON = "#include <Python.h>\nint main(void) { return 0; }\n"
_LIBXC = """#include <xc.h>
int main(void) {
  xc_func_type f;
  return xc_func_init(&f, 101, XC_UNPOLARIZED);
}
"""
_BLAS = """#ifdef __cplusplus
extern "C"
#endif
void dgemm_(const char*, const char*, int*, int*, int*, double*, double*, int*, double*, int*,
            double*, double*, int*);
int main(void) {
  int n = 1;
  double one = 1.0, zero = 0.0, a = 2.0, b = 3.0, c = 0.0;
  dgemm_("n", "n", &n, &n, &n, &one, &a, &n, &b, &n, &zero, &c, &n);
  return c == 6.0 ? 0 : 1;
}
"""
_FFTW = """#include <fftw3.h>
int main(void) {
  fftw_complex x[4];
  fftw_plan p = fftw_plan_dft_1d(4, x, x, FFTW_FORWARD, FFTW_ESTIMATE);
  return p ? 0 : 1;
}
"""
_MPI = "#include <mpi.h>\nint main(int n, char** a) { return MPI_Init(&n, &a); }\n"
_SCALAPACK = """#ifdef __cplusplus
extern "C"
#endif
void pdpotrf_(void);
int main(void) { return (void*)pdpotrf_ == 0; }
"""
# The reference BLAS is left out: it is slower than the OpenBLAS inside numpy that GPAW then uses.
_BLAS_LIBRARIES = ("openblas", "flexiblas", "mkl_rt")
_MPI_COMPILERS = ("mpic++", "mpicxx", "mpicc")
_SCALAPACK_LIBRARIES = ("scalapack-openmpi", "scalapack-mpich", "scalapack")


class BuildError(Exception):
    """GPAW cannot be built here; the message says what to install."""


@dataclass
class Machine:
    """What GPAW can be built with.

    Attributes:
        compiler: command of the C++ (or C) compiler.
        libraries: names of the libraries to link.
        libxc: more functionals than LDA, PBE, revPBE, RPBE and PW91.
        blas: name of the BLAS library; empty for the one inside numpy and scipy.
        fftw: FFTW instead of the FFT inside scipy.
        mpi: command of MPI's compiler, which then replaces `compiler`; empty for none.
        scalapack: name of the ScaLAPACK library; empty for none.
    """

    compiler: str
    libxc: bool = False
    blas: str = ""
    fftw: bool = False
    mpi: str = ""
    scalapack: str = ""
    libraries: list[str] = field(default_factory=list)

    def config(self) -> str:
        """Return the text of the GPAW_CONFIG file."""
        return "\n".join(
            [
                "# Written by bondwright.dft.gpaw_build",
                f"compiler = {(self.mpi or self.compiler)!r}",
                f"libraries = {self.libraries!r}",
                "library_dirs = []",
                f"mpi = {bool(self.mpi)}",
                f"fftw = {self.fftw}",
                f"scalapack = {bool(self.scalapack)}",
                f"nolibxc = {not self.libxc}",
                f"noblas = {not self.blas}",
                "",
            ]
        )

    def summary(self) -> str:
        """Return one line for people."""
        return (
            f"compiler {self.compiler}, libxc {'yes' if self.libxc else 'no'}, "
            f"BLAS {self.blas or 'from numpy'}, FFT {'FFTW' if self.fftw else 'from scipy'}, "
            f"MPI {'yes' if self.mpi else 'no'}, ScaLAPACK {self.scalapack or 'no'}"
        )


def probe(*, mpi: bool = False) -> Machine:
    """Find out by compiling small programs what GPAW can be built with.

    Args:
        mpi: look for MPI too. A GPAW with MPI starts the MPI library in every process that imports
            it, so it is for those who run GPAW on many cores themselves.

    Raises:
        BuildError: there is no working compiler, or Python's headers are missing.
    """
    machine = Machine(_compiler())
    include = sysconfig.get_paths()["include"]
    if not works(machine.compiler, _PYTHON, [f"-I{include}"]):
        raise BuildError(
            f"Python's C headers are missing ({include}/Python.h); on Debian or Ubuntu 'apt "
            f"install python3-dev', on Fedora 'dnf install python3-devel', {_AGAIN}."
        )
    machine.blas = next(
        (name for name in _BLAS_LIBRARIES if works(machine.compiler, _BLAS, [f"-l{name}"])), ""
    )
    machine.fftw = works(machine.compiler, _FFTW, ["-lfftw3", "-lm"])
    machine.libxc = works(machine.compiler, _LIBXC, ["-lxc", "-lm"])
    wrapper = next((name for name in _MPI_COMPILERS if mpi and shutil.which(name)), "")
    if wrapper and works(wrapper, _MPI, [], run=False):
        machine.mpi = wrapper
        machine.scalapack = next(
            (
                name
                for name in _SCALAPACK_LIBRARIES
                if machine.blas and works(wrapper, _SCALAPACK, [f"-l{name}"], run=False)
            ),
            "",
        )
    wanted = (machine.blas, machine.fftw and "fftw3", machine.libxc and "xc", machine.scalapack)
    machine.libraries = [name for name in wanted if name]
    return machine


def works(compiler: str, source: str, flags: Sequence[str], *, run: bool = True) -> bool:
    """Return whether a program compiles, links and, where asked, runs and returns 0."""
    with tempfile.TemporaryDirectory() as folder:
        text, program = Path(folder) / "probe.c", Path(folder) / "probe"
        text.write_text(source)
        commands = [[compiler, str(text), "-o", str(program), *flags]]
        if run:
            commands.append([str(program)])
        for command in commands:
            try:
                done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
            except (OSError, subprocess.TimeoutExpired):
                return False
            if done.returncode:
                return False
    return True


def _compiler() -> str:
    """Return a command that compiles; a C++ compiler where there is one, as GPAW prefers it."""
    for name in (os.environ.get("CXX"), "g++", "c++", os.environ.get("CC"), "gcc", "cc"):
        if name and shutil.which(name) and works(name, "int main(void) { return 0; }\n", []):
            return name
    raise BuildError(
        "GPAW needs a C compiler and none works here; on Debian or Ubuntu 'apt install g++', on "
        f"Fedora 'dnf install gcc-c++', on a cluster load its compiler module, {_AGAIN}."
    )


def installed() -> str:
    """Return the version of a GPAW that can be imported, or an empty string."""
    code = "import gpaw, gpaw.cgpaw; print(gpaw.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def install(config: str, constraint: Path | None = None) -> None:
    """Have pip build and install GPAW with a configuration, and its PAW data.

    pip's cache is passed by for GPAW itself: it would give back a build with another configuration.

    Raises:
        BuildError: pip failed.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if constraint is not None:
        pip += ["--constraint", str(constraint)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "siteconfig.py"
        file.write_text(config)
        environment = {**os.environ, "GPAW_CONFIG": str(file)}
        rebuild = ["--no-deps", "--no-cache-dir", "--force-reinstall", REQUIREMENT]
        for arguments in (rebuild, [REQUIREMENT, DATA_REQUIREMENT]):
            done = subprocess.run(
                [*pip, *arguments], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
                raise BuildError(f"{tail}\npip could not install {arguments[-1]}; see above.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-c", "--constraint", type=Path, help="pip's file of exact versions")
    parser.add_argument("--force", action="store_true", help="build again if already installed")
    parser.add_argument("--mpi", action="store_true", help="use MPI and ScaLAPACK where found")
    parser.add_argument(
        "--write", type=Path, help="write the GPAW_CONFIG file here; install nothing"
    )
    asked = parser.parse_args(arguments)
    version = "" if asked.force or asked.write else installed()
    if version:
        print(f"GPAW {version} is installed.")
        return 0
    try:
        machine = probe(mpi=asked.mpi)
        if asked.write:
            asked.write.write_text(machine.config())
            print(f"{asked.write}: {machine.summary()}")
            return 0
        print(f"Building GPAW (a minute or two): {machine.summary()}", flush=True)
        install(machine.config(), asked.constraint)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"GPAW {installed()} is installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
