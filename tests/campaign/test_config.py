"""`campaign.toml`: what is taken, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bondwright.campaign.config import (
    InputSetting,
    RunSetting,
    TargetSetting,
    load_config,
    parse_config,
)
from bondwright.campaign.config_text import default_config_text, toml_value
from bondwright.campaign.stages import ON_REQUEST, STAGES, default_settings
from bondwright.errors import InputError

MINIMAL = 'name = "x"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.cif", "b.cif", "known.cif"):
        (tmp_path / name).write_text(f"data_{name}\n")
    return tmp_path


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        parse_config(text, folder)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("campaign.toml: ")
    return message


@pytest.mark.parametrize(
    ("text", "named", "remedy"),
    [
        ('nmae = "x"', "'nmae'", "'name'"),
        (MINIMAL + "[run]\nworker = 2", "'worker'", "'workers'"),
        (MINIMAL + "[run]\ntime_limits = 2", "'time_limits'", "'time_limit_s'"),
        (MINIMAL + "[stages.stabilty]\n", "'stabilty'", "'stability'"),
        (MINIMAL + "[stages.stability]\npotental = 'chgnet'", "'potental'", "'potential'"),
        (MINIMAL + "[stages.validity]\nreference = 'a'", "'reference'", ""),
        (MINIMAL + "[[input]]\nfile = ['a.cif']", "'file'", "'files'"),
        (MINIMAL + "[targets.band_gap]\nvalue = 1\ntolerence = 1", "'tolerence'", "'tolerance'"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest(
    folder: Path, text: str, named: str, remedy: str
) -> None:
    """Fault 74."""
    message = refusal(text, folder)
    assert f"unknown key {named}" in message
    assert remedy in message


@pytest.mark.parametrize(
    ("text", "where", "wanted"),
    [
        ("name = 3", "name", "text in quotes"),
        (MINIMAL + "seed = 1.5", "seed", "a whole number"),
        (MINIMAL + "seed = true", "seed", "a whole number"),
        (MINIMAL + "[run]\nworkers = 'two'", "workers", "a whole number"),
        (MINIMAL + "[run]\nworkers = -1", "run", "0 (all cores) or more"),
        (MINIMAL + "[run]\ntime_limit_s = inf", "time_limit_s", "a finite number"),
        (MINIMAL + "[run]\ntime_limit_s = nan", "time_limit_s", "a finite number"),
        (MINIMAL + "[run]\nmemory_mb = 1", "run", "at least 256"),
        (MINIMAL + "[[input]]\nfiles = 'a.cif'", "files", "a list"),
        (MINIMAL + "[[input]]\nfiles = [1]", "files", "text in quotes"),
        (MINIMAL + "[[input]]\ncontrol = true", "input 1", "'files' is missing"),
        (MINIMAL + "[input]\nfiles = ['a.cif']", "'input'", "[[input]]"),
        (MINIMAL + "[[input]]\nfiles = ['a.cif']\nasked = 2", "asked", "a table"),
        (
            MINIMAL + "[[input]]\nfiles = ['a.cif']\nasked = {band_gap = 'x'}",
            "asked.band_gap",
            "a number",
        ),
        (MINIMAL + "[targets.band_gap]\nvalue = 1.0", "targets.band_gap", "'tolerance' is missing"),
        (MINIMAL + "[targets]\nband_gap = 2", "targets.band_gap", "a table"),
        (MINIMAL + "[stages.novelty]\nenabled = 1", "stages.novelty: enabled", "true or false"),
        (MINIMAL + "[stages.novelty]\nltol = '0.2'", "stages.novelty: ltol", "a number"),
        (MINIMAL + "[stages.read]\nenabled = false", "stages.read", "cannot be left out"),
        (MINIMAL + "[stages.property]\nsigmas = -1", "stages.property", "0 or more"),
        (MINIMAL + "[stages.novelty]\nreference = 'no.parquet'", "reference", "no file"),
        ("description = 'nameless'", "campaign.toml", "'name' is missing"),
        ("name = ", "campaign.toml", "not valid TOML"),
    ],
)
def test_wrong_values_name_the_key_and_what_is_expected(
    folder: Path, text: str, where: str, wanted: str
) -> None:
    message = refusal(text, folder)
    assert where in message
    assert wanted in message


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bondwright init"):
        load_config(tmp_path / "campaign.toml")
    (tmp_path / "campaign.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as text"):
        load_config(tmp_path / "campaign.toml")


def test_defaults_are_those_of_the_checks(folder: Path) -> None:
    config = parse_config(MINIMAL, folder)
    assert config.funnel == [s for s in STAGES if s not in ON_REQUEST]
    for name, stage in config.stages.items():
        assert stage.settings == default_settings(name)
    assert config.run == RunSetting()
    assert config.run.worker_count >= 1


def test_settings_reach_their_checks(folder: Path) -> None:
    config = parse_config(
        MINIMAL
        + """
        [stages.novelty]
        ltol = 1
        reference = "none"
        [stages.novelty-relaxed]
        stol = 0.4
        [stages.validity]
        symprecs_A = [0.2, 0.05]
        """,
        folder,
    )
    assert config.stages["novelty"].settings.ltol == 1.0
    assert isinstance(config.stages["novelty"].settings.ltol, float)
    # The second novelty check takes from the first what it is not told.
    assert config.stages["novelty-relaxed"].settings.ltol == 1.0
    assert config.stages["novelty-relaxed"].settings.stol == 0.4
    assert config.stages["novelty"].settings.stol == default_settings("novelty").stol
    assert config.stages["validity"].settings.symprecs_A == (0.2, 0.05)


def test_novelty_after_relaxation_needs_relaxation(folder: Path) -> None:
    config = parse_config(MINIMAL + "[stages.stability]\nenabled = false", folder)
    assert config.funnel == ["read", "validity", "novelty", "property"]


def test_patterns_are_expanded_in_order_and_files_listed_once(folder: Path) -> None:
    config = parse_config(
        MINIMAL
        + '[[input]]\nfiles = ["[ab].cif"]\n[[input]]\nfiles = ["known.cif"]\ncontrol = true',
        folder,
    )
    (first, paths), (second, known) = config.input_paths()
    assert [p.name for p in paths] == ["a.cif", "b.cif"]
    assert [p.name for p in known] == ["known.cif"]
    assert (first.control, second.control) == (False, True)
    twice = parse_config(MINIMAL + '[[input]]\nfiles = ["*.cif", "a.cif"]', folder)
    with pytest.raises(InputError, match="list every file once"):
        twice.input_paths()
    nothing = parse_config(MINIMAL + '[[input]]\nfiles = ["*.xyz"]', folder)
    with pytest.raises(InputError, match=r"no file matches '\*\.xyz'"):
        nothing.input_paths()


def test_file_with_wildcard_characters_in_its_name_is_taken_by_name(folder: Path) -> None:
    (folder / "[ab].cif").write_text("data_strange\n")
    config = parse_config(MINIMAL + '[[input]]\nfiles = ["[ab].cif"]', folder)
    assert [p.name for p in config.input_paths()[0][1]] == ["[ab].cif"]


@pytest.mark.parametrize(
    "name", ["plain", 'quotes " and \\ slashes', "tab\tnewline\nend", "Ångström 晶体", "\x00\x7f"]
)
def test_written_file_reads_back(folder: Path, name: str) -> None:
    inputs = (
        InputSetting(("a.cif", "b.cif"), asked={"band_gap": 1.5}, label="low"),
        InputSetting(("known.cif",), control=True, column="my cif", asked_columns={"gap eV": "g"}),
    )
    targets = {"band_gap": TargetSetting(1.5, 0.25), "odd name": TargetSetting(4.0, 1e-3)}
    text = default_config_text(
        name,
        inputs,
        description=name * 2,
        seed=12,
        targets=targets,
        run=RunSetting(workers=3, time_limit_s=12.5, memory_mb=512),
        enabled={"property": False, "validity": True},
        reference="none",
    )
    config = parse_config(text, folder)
    assert (config.name, config.description, config.seed) == (name, name * 2, 12)
    assert config.inputs == inputs
    assert config.targets == targets
    assert config.run == RunSetting(workers=3, time_limit_s=12.5, memory_mb=512)
    assert config.funnel == [s for s in STAGES if s != "property"]


def test_written_comments_are_valid_settings(folder: Path) -> None:
    """Every commented default, uncommented, must be accepted and change nothing."""
    text = default_config_text("x")
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_setting = " = " in bare and bare.split(" = ")[0].isidentifier()
        is_table = bare.startswith("[stages.") and bare.endswith("]")
        if line.startswith("#") and (is_setting or is_table):
            lines.append(bare)
        elif not line.startswith("#"):
            lines.append(line)
    # The examples of inputs and targets stand outside their tables once uncommented.
    start = next(i for i, line in enumerate(lines) if line.startswith("[stages."))
    uncommented = "\n".join(["name = 'x'", *lines[start:]])
    config = parse_config(uncommented, folder)
    for name, stage in config.stages.items():
        assert stage.settings == default_settings(name)
    assert uncommented.count("\n") > 40


def test_toml_values() -> None:
    assert toml_value(True) == "true"
    assert toml_value((1, 2.5, "a")) == '[1, 2.5, "a"]'
    assert toml_value({"a b": 1}) == '{"a b" = 1}'
