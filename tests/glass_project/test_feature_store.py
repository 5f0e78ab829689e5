"""The feature store: what it holds, and that nothing stale stays."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from projects import add_labelled, alloy, project

from bondwright.campaign.glass.folder import GlassFolder
from bondwright.campaign.glass.labels import cells, read_records, remove_label
from bondwright.campaign.glass.store import read_features, update_features
from bondwright.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> GlassFolder:
    folder, _ = project(tmp_path)
    for number in (1, 2, 3):
        add_labelled(folder, f"Zr50Cu50/{number}/0", alloy(number))
    return folder


def test_rows_are_the_labelled_bonds_with_a_descriptor_each(folder: GlassFolder) -> None:
    done = update_features(folder)
    assert (done.new, done.removed, len(done.entries)) == (3, 0, 3)
    cell = cells(folder)[1]
    found = read_features(folder.features / done.entries[1]["file"])
    assert found.header["name"] == cell.name
    assert found.bonds["pair"].tolist() == cell.bonds.pairs().tolist()
    assert (found.bonds[["i", "j", "image_a", "image_b", "image_c"]] == cell.bonds.keys()).all(
        axis=None
    )
    assert np.allclose(found.bonds["minus_icohp_eV"], cell.bonds.icohp_eV)
    assert found.descriptors.dtype == np.float32
    assert found.descriptors.shape == (
        len(cell.bonds),
        sum(width for _, width in found.header["descriptor"]["blocks"]),
    )
    assert np.isfinite(found.descriptors).all()
    assert found.descriptors.std(axis=0).max() > 0.1


def test_the_manifest_names_every_file_with_its_checksum(folder: GlassFolder) -> None:
    update_features(folder)
    manifest = json.loads((folder.features / "manifest.json").read_text())
    files = {str(p.relative_to(folder.features)) for p in folder.features.rglob("*.parquet")}
    assert {entry["file"] for entry in manifest["files"]} == files
    for entry in manifest["files"]:
        data = (folder.features / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_only_what_changed_is_made_again(folder: GlassFolder) -> None:
    first = update_features(folder)
    assert update_features(folder).new == 0
    damaged = folder.features / first.entries[0]["file"]
    damaged.write_bytes(damaged.read_bytes()[:-10])
    again = update_features(folder)
    assert again.new == 1
    assert again.entries == first.entries
    # Another label moves the curves by which the descriptor weights neighbours: all is stale.
    add_labelled(folder, "Zr75Cu25/1/0", alloy(4, 6))
    assert update_features(folder).new == 4
    # A label that is gone takes its features along.
    remove_label(folder, read_records(folder)[0].key)
    assert update_features(folder).removed == 1
    assert len(list(folder.features.rglob("*.parquet"))) == 3


def test_a_manifest_cannot_point_outside(folder: GlassFolder, tmp_path: Path) -> None:
    precious = folder.root / "precious.parquet"
    precious.write_text("keep me")
    update_features(folder)
    path = folder.features / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"].append({**manifest["files"][0], "file": "../precious.parquet"})
    path.write_text(json.dumps(manifest))
    assert update_features(folder).removed == 0
    assert precious.read_text() == "keep me"


def test_without_labels_there_is_nothing_to_describe(tmp_path: Path) -> None:
    empty, _ = project(tmp_path / "empty")
    with pytest.raises(InputError, match="no labels"):
        update_features(empty)
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InputError, match="no features"):
        read_features(tmp_path / "x.parquet")
