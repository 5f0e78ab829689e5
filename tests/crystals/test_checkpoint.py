"""Models on disk: what was saved comes back, and a damaged or foreign file is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from bondwright.crystals.checkpoint import load_model, save_model
from bondwright.crystals.conditioning import ConditionConfig
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.normaliser import Normaliser
from bondwright.errors import InputError

GAP = Normaliser("band_gap", "eV", "log", 0.0, 9.2, 0.8)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    condition = ConditionConfig("prefix", variables=1, hidden=8, inner=8)
    return Network(NetworkConfig(17, 32, 2, 2, 16, condition=condition)).eval()


@pytest.fixture
def folder(tmp_path: Path, network: Network) -> Path:
    save_model(tmp_path, network, "wyckoff", [GAP], {"data": "none"})
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | changes))


def test_a_model_comes_back(folder: Path, network: Network) -> None:
    model = load_model(folder)
    assert (model.dialect, model.normalisers, model.card) == ("wyckoff", (GAP,), {"data": "none"})
    assert model.network.config == network.config
    assert model.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    ids, condition = torch.tensor([[1, 2, 3]]), torch.tensor([[0.4]])
    with torch.no_grad():
        expected = network(ids, condition=condition)
        torch.testing.assert_close(
            model.network(ids, condition=condition), expected, rtol=0, atol=0
        )


def test_half_precision_halves_the_file(folder: Path, network: Network, tmp_path: Path) -> None:
    save_model(tmp_path / "half", network, "wyckoff", [GAP], {}, half=True)
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, tmp_path / "half")]
    weights = sum(p.numel() for p in network.parameters())
    assert sizes[0] - sizes[1] == pytest.approx(2 * weights, rel=0.01)
    model = load_model(tmp_path / "half")
    assert model.network.tokens.weight.dtype == torch.float32
    for name, value in model.network.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name].half().float(), rtol=0, atol=0)


def test_computing_in_half_precision(folder: Path) -> None:
    ids, condition = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[0.4]])
    with torch.no_grad():
        exact = load_model(folder).network(ids, condition=condition)
        half = load_model(folder, half=True).network(ids, condition=condition)
    assert half.dtype == torch.bfloat16
    # bfloat16 has 8 bits: the weights are rounded by up to 0.4 %.
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0.02)


def test_truncated_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        load_model(folder)


def test_changed_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="changed or belongs to another model"):
        load_model(folder)


def test_pickle_in_place_of_weights_is_not_opened(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    data = pickle.dumps(Evil())
    (folder / "model.safetensors").write_bytes(data)
    rewrite(folder, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 3}, "blocks.2.down.weight is missing"),
        ({"layers": 1}, "blocks.1.down.weight is not part"),
        ({"vocabulary": 18}, r"tokens.weight has shape \(17, 16\)"),
        ({"heads": 3}, "not a multiple of heads"),
        ({"layers": -1}, "layers is -1"),
        ({"width": "16"}, "width is '16'"),
        ({"experts": 8}, "experts"),
        ({"activation": "relu"}, "activation"),
        ({"condition": None}, "0 values as its condition, but 1"),
    ],
)
def test_wrong_architecture(folder: Path, change: dict[str, object], message: str) -> None:
    card = json.loads((folder / "model.json").read_text())
    rewrite(folder, network=card["network"] | change)
    with pytest.raises(InputError, match=message):
        load_model(folder)


def test_missing_and_foreign_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a crystal model"):
        load_model(tmp_path / "nowhere")
    rewrite(folder, format="bondwright bond model 3")
    with pytest.raises(InputError, match="does not describe"):
        load_model(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        load_model(folder)


def test_unusable_weights_are_not_written(network: Network, tmp_path: Path) -> None:
    with torch.no_grad():
        network.norm.weight[0] = 1e6
    with pytest.raises(InputError, match="within float16"):
        save_model(tmp_path, network, "wyckoff", [GAP], {}, half=True)
    with torch.no_grad():
        network.norm.weight[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        save_model(tmp_path, network, "wyckoff", [GAP], {})
    assert not list(tmp_path.iterdir())


def test_unknown_device(folder: Path) -> None:
    with pytest.raises(InputError, match="abacus"):
        load_model(folder, "abacus")


def test_normalisers_match_the_condition(network: Network, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes 1 values as its condition, but 0"):
        save_model(tmp_path, network, "wyckoff", [], {})
