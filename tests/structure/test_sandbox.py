"""Texts parsed in children: limits, crashes, order; faults 3, 10 and 11."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import psutil
import pytest

from bondwright.errors import InputError
from bondwright.structure.parsed import ReadLimits
from bondwright.structure.sandbox import parse_texts

GOOD = """data_{name}
_cell_length_a {a}
_cell_length_b 4
_cell_length_c 5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ti 0 0 0
"""
GENEROUS = ReadLimits(text_bytes=10**9, seconds=300, memory_mb=8000)


def good(index: int = 0) -> tuple[str, str]:
    return "cif", GOOD.format(name=index, a=3 + index / 1000)


def heavy(megabytes: int) -> tuple[str, str]:
    """A text that takes seconds and gigabytes per ten megabytes to take apart."""
    return "cif", "data_heavy\nloop_\n_a\n" + "1 2 3 4 5 6 7\n" * (megabytes * 75_000)


def codes(texts, limits, **options):
    return [
        results[0].problem.code if results[0].problem else len(results[0].atoms)
        for results in parse_texts(texts, limits, **options)
    ]


def workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if "bondwright.structure.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


@pytest.mark.parametrize("processes", [1, 3])
def test_order_does_not_depend_on_the_number_of_processes(processes):
    lengths = [
        results[0].atoms.cell.lengths()[0]
        for results in parse_texts(map(good, range(300)), ReadLimits(), processes=processes)
    ]
    assert lengths == pytest.approx([3 + index / 1000 for index in range(300)])


def test_only_the_culprit_runs_out_of_time():
    limits = ReadLimits(text_bytes=10**9, seconds=1.5, memory_mb=8000)
    texts = [good(1), good(2), heavy(10), good(3), ("cif", "nonsense")]
    assert codes(texts, limits, processes=2) == [1, 1, "timeout", 1, "syntax"]


def test_only_the_culprit_runs_out_of_memory():
    limits = ReadLimits(text_bytes=10**9, seconds=300, memory_mb=60)
    assert codes([good(1), heavy(2), good(2)], limits, processes=1) == [1, "memory", 1]


def test_a_worker_that_always_dies_is_a_crash_of_its_text_only():
    """Whatever kills the child (a fault in a library, the kernel) costs one row its atoms."""
    done = threading.Event()

    def kill_for_ever():
        while not done.wait(0.05):
            for worker in workers():
                worker.kill()

    killer = threading.Thread(target=kill_for_ever)
    killer.start()
    try:
        [[result]] = parse_texts([heavy(10)], GENEROUS, processes=1)
    finally:
        done.set()
        killer.join()
    assert result.problem.code == "crashed"
    assert "SIGKILL" in result.problem.message
    assert codes([good()], ReadLimits()) == [1]


def test_a_worker_killed_once_costs_nothing():
    results = parse_texts(map(good, range(200)), ReadLimits(), processes=2)
    first = next(results)
    for worker in workers():
        worker.kill()
    assert [r[0].problem for r in (first, *results)] == [None] * 200


def test_size_is_capped_before_a_child_is_asked():
    """Fault 3: nothing of a 50 MB text reaches a parser."""
    limits = ReadLimits()
    assert codes([("cif", "x" * 50_000_000), ("cif", " \n"), good()], limits) == [
        "too-large",
        "empty",
        1,
    ]
    assert codes([("cif", "é" * 6)], ReadLimits(text_bytes=10)) == ["too-large"]


@pytest.mark.parametrize("expression", ["9**9**9**9", "().__class__.__base__.__subclasses__()"])
def test_expressions_are_not_evaluated(expression):
    """Faults 10 and 11: refused at once, not after the time cap."""
    kind, text = good()
    operation = f"loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'{expression},y,z'\n"
    length = text.replace("_a 3", f"_a {expression} #")
    texts = [(kind, text.replace("loop_\n", operation + "loop_\n")), (kind, length), good()]
    assert codes(texts, ReadLimits()) == ["bad-operation", "bad-cell", 1]


def test_stopping_early_leaves_no_child_at_work():
    results = parse_texts([good(), heavy(20), heavy(20)], GENEROUS, processes=2)
    next(results)
    results.close()
    for worker in workers():  # the idle one may stay; none may be at work
        before = worker.cpu_times().user
        time.sleep(0.5)
        assert worker.cpu_times().user - before < 0.1
    assert codes([good()], ReadLimits()) == [1]


def test_what_a_user_must_mend_is_raised():
    text = (
        "t\n\n1 atoms\n1 atom types\n0 3 xlo xhi\n0 3 ylo yhi\n0 3 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n"
    )
    with pytest.raises(InputError, match="Masses"):
        list(parse_texts([("lammps-data", text)], ReadLimits()))


def test_a_plain_script_needs_no_main_guard(tmp_path):
    """Nothing of the caller's program is imported again in the children."""
    script = tmp_path / "script.py"
    (tmp_path / "one.cif").write_text(good()[1])
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the data folder')")
    script.write_text(
        "import sys; sys.path.pop(0)\n"
        "from pathlib import Path\n"
        "from bondwright.structure.read import read_candidates\n"
        "print([str(c.atoms.symbols) for c in read_candidates(Path('one.cif'))])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "['Ti']", done.stderr
