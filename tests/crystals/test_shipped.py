"""Which model a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from bondwright.crystals import shipped
from bondwright.crystals.shipped import DEFAULT, SHIPPED, model_place, shipped_models
from bondwright.errors import InputError


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an installation keeps its models; the working folder is another, empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    return tmp_path / "models"


def ship(models: Path, *names: str) -> None:
    for name in names:
        (models / name).mkdir(parents=True)
        (models / name / "model.json").write_text("{}")


def test_shipped_means_the_default_one_however_many_there_are(models: Path) -> None:
    ship(models, "aaa", DEFAULT, "zzz")
    assert list(shipped_models()) == ["aaa", DEFAULT, "zzz"]
    assert model_place(SHIPPED) == models / DEFAULT
    assert model_place("aaa") == models / "aaa"
    assert model_place("zzz") == models / "zzz"


def test_folder_of_the_user_comes_before_a_shipped_model(models: Path) -> None:
    ship(models, DEFAULT)
    Path(DEFAULT).mkdir()
    assert model_place(DEFAULT) == Path(DEFAULT)
    assert model_place(SHIPPED) == models / DEFAULT


def test_no_model_or_others_only_is_said_in_one_line(models: Path) -> None:
    with pytest.raises(InputError, match="no model is shipped with this installation; name one"):
        model_place(SHIPPED)
    (models / "half").mkdir(parents=True)  # without its card it is no model
    ship(models, "aaa", "zzz")
    with pytest.raises(InputError, match="under its usual name; there are aaa, zzz;") as refused:
        model_place(SHIPPED)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(InputError, match="half: there is no such model"):
        model_place("half")
    with pytest.raises(InputError, match="Did you mean 'zzz'"):
        model_place("zzy")


def test_what_this_installation_ships_includes_the_default() -> None:
    assert not shipped_models() or DEFAULT in shipped_models()
