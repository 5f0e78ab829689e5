"""Fetching public tables from a real HTTP server on loopback (fault 75)."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase.spacegroup import crystal
from pymatgen.io.ase import AseAtomsAdaptor

from bondwright.errors import InputError
from bondwright.structure import datasets

RUTILE = crystal(
    ["Ti", "O"],
    [(0, 0, 0), (0.3053, 0.3053, 0)],
    spacegroup=136,
    cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
)


def matbench_file() -> bytes:
    """A table as Matbench publishes them, made of a real crystal."""
    structure = AseAtomsAdaptor.get_structure(RUTILE).as_dict()
    table = {"index": [0, 1], "columns": ["structure", "gap pbe"], "data": [[structure, 1.78]] * 2}
    return gzip.compress(json.dumps(table).encode(), mtime=0)


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; the first answer breaks off after `break_after` bytes."""

    content = b""
    break_after: int | None = None
    ranges: list[str | None]
    resumes = True


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = (
            int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.resumes else 0
        )
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.break_after is not None:
            body, self.server.break_after = body[: self.server.break_after], None
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.content, server.ranges = matbench_file(), []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/table.json.gz"


def test_download_that_dies_at_21_percent_resumes(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "table.json.gz"
    right = hashlib.sha256(server.content).hexdigest()
    server.break_after = int(0.21 * len(server.content))
    with pytest.raises(InputError, match="run the same command again to resume"):
        datasets.fetch(url(server), target, right)
    assert not target.exists()
    datasets.fetch(url(server), target, right)
    assert target.read_bytes() == server.content
    assert server.ranges == [None, f"bytes={int(0.21 * len(server.content))}-"]


def test_server_that_cannot_resume_gives_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "table.json.gz.part").write_bytes(b"the beginning of something else")
    right = hashlib.sha256(server.content).hexdigest()
    assert (
        datasets.fetch(url(server), tmp_path / "table.json.gz", right).read_bytes()
        == server.content
    )


def test_wrong_checksum_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="checksum"):
        datasets.fetch(url(server), tmp_path / "table.json.gz", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="broke off"):
        datasets.fetch("http://127.0.0.1:9/x", tmp_path / "x", "0" * 64)


def test_matbench_table_becomes_a_table_of_cifs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = datasets.Dataset(
        name="small", url=url(server), sha256=hashlib.sha256(server.content).hexdigest(),
        rows=2, target="gap", about="", citation="", licence="",
    )  # fmt: skip
    monkeypatch.setitem(datasets.DATASETS, "small", pinned)
    table = datasets.get("small", tmp_path)
    from bondwright.structure.read import read_candidates

    candidates = list(read_candidates(table))
    assert [c.name for c in candidates] == ["small-0", "small-1"]
    assert candidates[0].extra["value"] == 1.78
    atoms = candidates[0].atoms
    assert atoms is not None
    assert np.allclose(atoms.cell.lengths(), RUTILE.cell.lengths(), atol=1e-4)
    assert sorted(atoms.symbols) == sorted(RUTILE.symbols)
    before = table.stat().st_mtime_ns
    assert datasets.get("small", tmp_path).stat().st_mtime_ns == before
    assert len(server.ranges) == 1


def test_typo_names_the_nearest_data_set() -> None:
    with pytest.raises(InputError, match="Did you mean 'matbench_mp_gap'"):
        datasets.find_dataset("matbench_mp_gp")
