"""Campaigns that make their own candidates: stopped, killed, repeated, enlarged, compared."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import multiprocessing
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import alloys
import psutil
import pyarrow.parquet as pq
import pytest

from bondwright.campaign.config import load_config, parse_config
from bondwright.campaign.config_text import default_config_text
from bondwright.campaign.driver import Progress, run_campaign
from bondwright.campaign.generating import Making, Workshop, plan_arms
from bondwright.campaign.load import load_view
from bondwright.campaign.report.arms import Tally, _compared, find_arms, share, tally
from bondwright.campaign.report.asking import asked_effects
from bondwright.campaign.report.page import render_page
from bondwright.crystals.generate import GenerationError
from bondwright.crystals.generate_wish import Wish
from bondwright.errors import InputError
from bondwright.run import LocalPool

spec = importlib.util.spec_from_file_location(
    "unigram", Path(__file__).parents[1] / "cli" / "unigram.py"
)
assert spec is not None
assert spec.loader is not None
unigram = importlib.util.module_from_spec(spec)
spec.loader.exec_module(unigram)

CONFIG = """
name = "generated"
seed = 3

[[generate]]
formula = "TiO2"
n = 24
max_atoms = 12
model = "model"
asked = { band_gap = 3.0 }
label = "gap 3"

[[generate]]
formula = "TiO2"
n = 24
max_atoms = 12
model = "model"

[[generate]]
formula = "TiO2"
n = 8
max_atoms = 12
method = "random"

[[input]]
files = ["rutile.cif"]
control = true

[stages.validity]
published = false

[stages.novelty]
reference = "none"

[stages.stability]
enabled = false

[stages.property]
enabled = false

[run]
workers = 1
"""

RUTILE = """data_rutile
_symmetry_space_group_name_H-M   'P4_2/mnm'
_cell_length_a   4.594
_cell_length_b   4.594
_cell_length_c   2.959
_cell_angle_alpha   90
_cell_angle_beta   90
_cell_angle_gamma   90
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 Ti Ti 0 0 0
 O O 0.3048 0.3048 0
"""


def make_folder(folder: Path, text: str = CONFIG) -> Path:
    folder.mkdir(parents=True)
    unigram.make_model(folder / "model")
    (folder / "rutile.cif").write_text(RUTILE)
    (folder / "campaign.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that made its candidates and screened them."""
    folder = make_folder(tmp_path_factory.mktemp("made") / "tio2")
    summary = run_campaign(folder)
    assert summary.new["generate"] == 56
    assert summary.new["read"] == 57
    return folder


def test_one_go_from_formula_to_report(finished: Path) -> None:
    view = load_view(finished)
    made = [c.candidate for c in view.candidates if not c.candidate.control]
    assert len(made) == 56
    assert Counter(c.extra["label"] for c in made) == {
        "gap 3": 24,
        "model, asked for nothing": 24,
        "random": 8,
    }
    assert Counter(c.asked.get("band_gap") for c in made) == {3.0: 24, None: 32}
    model = [c for c in made if c.extra["method"] == "model"]
    sha256 = json.loads((finished / "model" / "model.json").read_text())["sha256"]
    assert {c.origin.generator for c in model} == {f"model tio2 ({sha256[:12]})"}
    assert {c.origin.seed for c in made} == {3}
    assert all(c.name == c.extra["arm"] + f"-{c.extra['number']}" for c in made)
    passed = next(s for s in view.stages if s.name == "validity").passed
    assert passed > 20  # random crystals are valid by construction, the model's mostly


def test_same_command_again_does_nothing(finished: Path) -> None:
    told: list[Progress] = []
    summary = run_campaign(finished, progress=told.append)
    assert summary.idle
    assert [(p.done, p.total) for p in told if p.stage == "generate"] == [(56, 56)]
    assert [p.name for p in (finished / "generated").iterdir() if p.is_dir()] == []


def test_arms_are_compared_and_named(finished: Path) -> None:
    view = load_view(finished)
    arms = find_arms(view)
    assert [row.label for row in arms.rows] == ["gap 3", "model, asked for nothing", "random"]
    assert [row.asked for row in arms.rows] == ["Band gap 3.00 eV", "nothing", "nothing"]
    assert [row.tally.made for row in arms.rows] == [24, 24, 8]
    for row in arms.rows:
        assert row.tally.made >= row.tally.crystals >= row.tally.valid >= row.tally.new > 0
        assert row.tally.stable is None
        assert "seed 3" in row.settings
    assert arms.conclusion.startswith("Distinct crystals that are new, of all that were made: ")
    assert "Whether they are stable was not asked." in arms.conclusion
    page = render_page(view)
    assert "Who made what" in page
    assert arms.rows[0].maker in page


def test_asking_is_judged_against_those_asked_for_nothing_by_the_same_model(
    finished: Path,
) -> None:
    """The model is blind to its condition; random crystals are no control for it."""
    (effect,) = asked_effects(load_view(finished))
    assert effect.whose.startswith("TiO2, by model tio2 (")
    assert [row.label for row in effect.rows] == ["nothing", "3 eV"]
    assert [row.made for row in effect.rows] == [24, 24]
    asked = effect.rows[1]
    assert asked.against is not None
    assert asked.against.test == "two-sample Kolmogorov-Smirnov"
    assert asked.against.p_value > 0.001
    nothing = effect.rows[0].values
    near = sum(abs(value - 3.0) <= 0.5 for value in nothing) / len(nothing)
    assert asked.control_rate == pytest.approx(near)
    page = render_page(load_view(finished))
    assert "Of those asked for nothing" in page


def test_more_crystals_are_the_same_and_then_some(finished: Path, tmp_path: Path) -> None:
    """n is no part of what a crystal is: those that are there are not made again."""
    text = CONFIG.replace("n = 8", "n = 10")
    folder = make_folder(tmp_path / "tio2", text)
    random = next((finished / "generated").glob("*.parquet")).parent
    for path in random.glob("*.parquet"):
        (folder / "generated").mkdir(exist_ok=True)
        (folder / "generated" / path.name).write_bytes(path.read_bytes())
    config = load_config(folder / "campaign.toml")
    arms = plan_arms(config.generate, config.seed)
    told: list[Progress] = []
    with LocalPool(1) as pool:
        shop = Workshop(folder / "generated", Making(1), lambda: pool, told.append, lambda: False)
        assert shop.make_all(arms) == 2
        tables = [pq.read_table(shop.table(arm)).to_pylist() for arm in arms]
    assert (told[0].done, told[0].total) == (56, 58)
    before = pq.read_table(finished / "generated" / f"{arms[2].name}.parquet").to_pylist()
    assert [row["cif"] for row in tables[2][:8]] == [row["cif"] for row in before]
    assert [row["number"] for row in tables[2]] == list(range(10))


def _run(folder: Path) -> None:
    run_campaign(folder)


def test_killed_while_generating_loses_no_finished_part(tmp_path: Path) -> None:
    """kill -9 of the driver: the parts that have landed are not made again."""
    text = CONFIG.replace("n = 24", "n = 96", 1)
    folder = make_folder(tmp_path / "tio2", text)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(folder,))
    process.start()
    parts: list[Path] = []
    end = time.monotonic() + 300
    while not parts and time.monotonic() < end:
        time.sleep(0.02)
        parts = list((folder / "generated").glob("*/*.json"))
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.join()
    psutil.wait_procs(children, timeout=20)
    kept = sum(int(p.stem.partition("-")[2]) for p in (folder / "generated").glob("*/*.json"))
    assert 0 < kept < 128
    summary = run_campaign(folder, without=["novelty"])
    assert summary.new["generate"] == 128 - kept
    assert len(load_view(folder).candidates) == 129


def _kill_workers(times: int, stop: threading.Event) -> int:
    """Kill the first workers of this process, as the kernel does when memory runs out."""
    killed: set[int] = set()
    while len(killed) < times and not stop.is_set():
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.pid not in killed and any("spawn_main" in w for w in child.cmdline()):
                    child.kill()
                    killed.add(child.pid)
        time.sleep(0.01)
    return len(killed)


@contextlib.contextmanager
def killing(times: int) -> Iterator[None]:
    """Kill so many workers that are started in the block."""
    stop = threading.Event()
    killer = threading.Thread(target=_kill_workers, args=(times, stop))
    killer.start()
    try:
        yield
    finally:
        stop.set()
        killer.join()


def test_killed_workers_halve_the_batch_and_the_work_goes_on(tmp_path: Path) -> None:
    """Fault 27, by signal 9: two attempts die, then the halves of the part are made."""
    (arm,) = plan_arms([Wish(8, formula="TiO2", method="random", max_atoms=12)], 0)
    with LocalPool(1) as pool, killing(2):
        shop = Workshop(tmp_path, Making(1, batch=4), lambda: pool, lambda _: None, lambda: False)
        assert shop.make_all([arm]) == 8
    sizes = [path.stem for path in sorted((tmp_path / arm.name).glob("*.json"))]
    assert sizes == ["000000000-4", "000000004-4"]
    assert [row["number"] for row in shop.rows(arm)] == list(range(8))


def test_worker_that_dies_over_one_text_ends_the_command(tmp_path: Path) -> None:
    """Fault 27, when nothing is left to halve: one line, and exit code 4."""
    (arm,) = plan_arms([Wish(1, formula="TiO2", method="random", max_atoms=12)], 0)
    with LocalPool(1) as pool, killing(2):
        shop = Workshop(tmp_path, Making(1, batch=1), lambda: pool, lambda _: None, lambda: False)
        with pytest.raises(GenerationError, match="one text at a time") as refused:
            shop.make_all([arm])
    assert refused.value.exit_code == 4


def test_table_is_explained_in_a_new_campaign_file(tmp_path: Path) -> None:
    wish = Wish(5, formula="TiO2", asked={"band_gap": 3.0}, space_group="P42/mnm", top_k=9)
    config = parse_config(default_config_text("c", generate=[wish]), tmp_path)
    assert config.generate == (wish,)
    # Every setting stands there with its default, and as it stands there it can be read.
    text = default_config_text("c")
    start = text.index("# [[generate]]")
    block = text[start : text.index("\n\n", start)]
    lines = [line.removeprefix("# ") for line in block.splitlines() if "not set" not in line]
    table = "\n".join(["name = 'c'", *lines])
    assert parse_config(table, tmp_path).generate == (Wish(200),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("formular = 'TiO2'", "unknown key 'formular'. Did you mean 'formula'?"),
        ("formula = 'Xx'", "generate 1: 'Xx': there is no element 'Xx'"),
        ("method = 'modle'", "one of model, ion-exchange, random"),
        ("asked = { band_gap = 'wide' }", "expected a number"),
        ("space_group = 500", "no space group"),
    ],
)
def test_wrong_table_is_refused_by_name(line: str, said: str, tmp_path: Path) -> None:
    text = f"name = 'c'\n[[generate]]\nn = 3\n{line}\n"
    with pytest.raises(InputError, match=re.escape(said)):
        parse_config(text, tmp_path)


def test_two_tables_for_the_same_crystals_are_refused(tmp_path: Path) -> None:
    wishes = [
        Wish(3, formula="TiO2", method="random"),
        Wish(9, formula="O2Ti", method="random", label="b"),
    ]
    with pytest.raises(InputError, match="the same crystals"):
        plan_arms(wishes, 0)
    assert len(plan_arms([wishes[0], Wish(3, formula="TiO2", method="random", seed=1)], 0)) == 2


def test_campaign_without_generators_has_no_arms(tmp_path: Path) -> None:
    folder = alloys.make_campaign(tmp_path / "alloys", alloys.LIGHT)
    run_campaign(folder)
    view = load_view(folder)
    assert find_arms(view).rows == []
    assert "Who made what" not in render_page(view)


def _tally(stable: int, made: int) -> Tally:
    return Tally(made, made, made, made, stable, None)


def test_generators_are_compared_with_fishers_exact_test() -> None:
    """15 of 40 against 4 of 40: p = 0.0075 two-sided by the hypergeometric sum."""
    more = _compared("model m", _tally(15, 40), "ion exchange", _tally(4, 40))
    assert more.startswith("Model m gives more than ion exchange")
    odds = [math.comb(19, k) * math.comb(61, 40 - k) for k in range(20)]
    by_hand = sum(o for o in odds if o <= odds[15]) / sum(odds)
    assert f"p = {by_hand:.2g}" in more
    same = _compared("model m", _tally(15, 40), "ion exchange", _tally(14, 40))
    assert "no difference is seen" in same


def test_share_has_the_interval_of_wilson() -> None:
    """15 of 100: 9.3 to 23.3 % (Newcombe, Stat. Med. 17 (1998) 857, gives 0.0931 to 0.2328)."""
    assert share(15, 100) == "15 % (9 to 23)"
    assert share(0, 10) == "0 % (0 to 28)"
    assert share(0, 0) == "–"


def test_tally_of_nothing() -> None:
    assert tally([], ["read", "validity"], {}).best == (0, "valid")
