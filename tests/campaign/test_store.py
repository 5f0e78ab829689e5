"""The database: layouts old and new, disks that are full, read-only or far away, damaged files."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ase
import pytest
from ase.build import bulk

from bondwright.campaign import database as database_module
from bondwright.campaign.codec import (
    Record,
    candidate_from_json,
    candidate_to_json,
    content_of,
    digest,
)
from bondwright.campaign.folder import NETWORK_FILE_SYSTEMS, CampaignFolder, file_system_type
from bondwright.campaign.landing import land, landed
from bondwright.campaign.migrations import MIGRATIONS, migrate, version_of
from bondwright.campaign.store import Store
from bondwright.errors import BusyError, InputError
from bondwright.screen.verdict import Outcome, Verdict
from bondwright.structure.candidate import (
    Candidate,
    Declared,
    Origin,
    Problem,
    SiteRow,
    candidate_key,
)


def a_candidate(row: int = 0, atoms: ase.Atoms | None = None) -> Candidate:
    origin = Origin("some.csv", row=row)
    return Candidate(
        key=candidate_key("text", origin),
        name=f"some.csv#{row}",
        origin=origin,
        text="data_x\n# \udce9 undecodable\n",
        atoms=bulk("NaCl", "rocksalt", a=5.64) if atoms is None else atoms,
        declared=Declared(
            block="x",
            lengths=(1.0, 2.0, 0.1 + 0.2),
            sites=(SiteRow("Na", "Na1", 4, (0.0, 1 / 3, 0.5), 1.0),),
            operations=("x,y,z",),
        ),
        notes=("first", "second"),
        asked={"band_gap": 1.5},
        extra={"gap": float("nan"), "nested": [float("inf"), {"a": 1}]},
    )


def a_record(key: str = "k1", **changes: object) -> Record:
    verdict = Verdict("validity", Outcome.REJECTED, "volume", "too large", 1 / 3, "Å", {"a": [1]})
    values = {
        "content_key": key,
        "verdict": verdict,
        "atoms": None,
        "seconds": 0.5,
        "peak_memory_mb": None,
        "worker": 12,
        "attempt": 1,
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "campaign.sqlite")
    yield opened
    opened.close()


def test_candidates_and_verdicts_come_back_as_they_went(store: Store) -> None:
    candidate = a_candidate()
    record = a_record("k0", verdict=Verdict("read", Outcome.PASSED, value=2.0))
    with store.transaction():
        number = store.add_input("f", "some.csv", [(candidate, record)])
        store.place_inputs([number])
        store.add_records([a_record()])
        store.point("validity", {candidate.key: "k1"})
    (back,) = store.candidates()
    assert back.atoms == candidate.atoms
    assert back.declared == candidate.declared
    assert back.text == candidate.text
    assert (back.notes, back.asked, back.origin) == (
        candidate.notes,
        candidate.asked,
        candidate.origin,
    )
    assert back.extra == {"gap": None, "nested": [None, {"a": 1}]}  # an unknown is never NaN
    assert store.verdicts("validity") == {candidate.key: a_record().verdict}
    assert store.input_size(number) == 1


def test_unreadable_candidate_is_kept_with_its_reason(store: Store) -> None:
    origin = Origin("x.cif")
    candidate = Candidate("0" * 16, "x", origin, text="", problem=Problem("empty", "no structure"))
    data = candidate_to_json(candidate)
    assert candidate_from_json(data) == candidate


def test_equal_content_is_told_apart_from_other_content() -> None:
    one, same = candidate_to_json(a_candidate(0)), candidate_to_json(a_candidate(1))
    assert content_of(one) == content_of(same)
    moved = bulk("NaCl", "rocksalt", a=5.64)
    moved.positions[0, 0] += 1e-9
    assert content_of(candidate_to_json(a_candidate(0, moved))) != content_of(one)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        digest(float("nan"))


def test_broken_transaction_leaves_nothing(store: Store) -> None:
    def stumble() -> None:
        with store.transaction():
            store.set_meta("a", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stumble()
    assert store.meta("a") is None
    with store.transaction():
        store.set_meta("a", {"b": [1, None]})
    assert store.meta("a") == {"b": [1, None]}


# --- layouts ----------------------------------------------------------------------------------


def add_a_note(database: sqlite3.Connection) -> None:
    """A step that a later version might add."""
    database.execute("ALTER TABLE candidates ADD COLUMN note TEXT NOT NULL DEFAULT 'none'")


def test_old_database_is_copied_then_brought_up_to_date(tmp_path: Path) -> None:
    """Fault 66."""
    path = tmp_path / "campaign.sqlite"
    old = Store.open(path)
    with old.transaction():
        old.place_inputs([old.add_input("f", "s", [(a_candidate(), a_record())])])
    old.close()
    database = sqlite3.connect(path, isolation_level=None)
    migrate(database, path, (*MIGRATIONS, add_a_note))
    assert version_of(database) == len(MIGRATIONS) + 1
    assert database.execute("SELECT note FROM candidates").fetchall() == [("none",)]
    database.close()
    copy = sqlite3.connect(f"{path}.layout{len(MIGRATIONS)}.bak")
    assert version_of(copy) == len(MIGRATIONS)
    assert copy.execute("SELECT count(*) FROM candidates").fetchone() == (1,)
    copy.close()


def test_broken_migration_changes_nothing(tmp_path: Path) -> None:
    def stumble(database: sqlite3.Connection) -> None:
        add_a_note(database)
        raise RuntimeError

    path = tmp_path / "campaign.sqlite"
    Store.open(path).close()
    database = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(RuntimeError):
        migrate(database, path, (*MIGRATIONS, stumble))
    database.close()
    store = Store.open(path)
    with store.transaction():
        store.add_input("f", "s", [(a_candidate(), a_record())])
    store.close()


def test_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Fault 66."""
    path = tmp_path / "campaign.sqlite"
    Store.open(path).close()
    database = sqlite3.connect(path, isolation_level=None)
    migrate(database, path, (*MIGRATIONS, add_a_note))
    database.close()
    for opening in (Store.open, Store.open_read_only):
        with pytest.raises(InputError, match=r"newer bondwright .* upgrade"):
            opening(path)


def test_looking_where_nothing_ran_or_at_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bondwright run"):
        Store.open_read_only(tmp_path / "campaign.sqlite")
    (tmp_path / "campaign.sqlite").write_bytes(b"not a database at all" * 100)
    for opening in (Store.open, Store.open_read_only):
        with pytest.raises(InputError, match="damaged or not a campaign database"):
            opening(tmp_path / "campaign.sqlite")
    (tmp_path / "campaign.sqlite").write_bytes(b"")
    with pytest.raises(InputError, match="old layout"):
        Store.open_read_only(tmp_path / "campaign.sqlite")


def test_reader_sees_the_last_commit_while_a_writer_writes(store: Store) -> None:
    with store.transaction():
        store.set_meta("a", 1)
    with store.transaction():
        store.set_meta("a", 2)
        reader = Store.open_read_only(store.path)
        assert reader.meta("a") == 1
        with pytest.raises(InputError, match="cannot be opened or written"), reader.transaction():
            reader.set_meta("a", 3)
        reader.close()


# --- disks ------------------------------------------------------------------------------------


def write_a_megabyte(store: Store) -> None:
    with store.transaction():
        for row in range(1000):
            store.set_meta(str(row), "x" * 1000)


def land_a_thousand(folder: Path) -> None:
    for number in range(1000):
        land(folder, "validity", f"k{number}", [a_record(f"k{number}")])


def test_full_disk_is_a_clear_stop(store: Store) -> None:
    """Fault 59: SQLite's own answer when no page can be added."""
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InputError, match="disk is full") as raised:
        write_a_megabyte(store)
    assert "\n" not in str(raised.value)
    assert store.meta("0") is None
    store._database.execute("PRAGMA max_page_count = 100000")
    with store.transaction():
        store.set_meta("again", 1)


def test_file_that_cannot_grow_leaves_no_half_result(tmp_path: Path) -> None:
    """Fault 59: the system refuses to write more than 100 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(InputError, match="disk is full or the quota"):
            land(tmp_path, "validity", "k1", [a_record()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*/*"))
    land(tmp_path, "validity", "k1", [a_record()])
    assert [records for _, records in landed(tmp_path)] == [[a_record()]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_really_full_disk(tmp_path: Path) -> None:
    """Fault 59, on a file system of 512 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(InputError, match="disk is full"):
            land_a_thousand(disk / "results")
        kept = [records[0].content_key for _, records in landed(disk / "results")]
        assert kept
        assert not list(disk.glob("results/*/*.part"))
        for name in kept[: len(kept) - 5]:  # room for the database, but not for a megabyte
            (disk / "results" / "validity" / f"{name}.json").unlink()
        store = Store.open(disk / "campaign.sqlite")
        with pytest.raises(InputError, match="disk is full"):
            write_a_megabyte(store)
        assert store.meta("0") is None
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_looking_at_a_read_only_disk(tmp_path: Path) -> None:
    """Fault 59: what is finished can be looked at there; driving is refused in one line."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        store = Store.open(disk / "campaign.sqlite")
        with store.transaction():
            store.set_meta("a", 1)
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        reader = Store.open_read_only(disk / "campaign.sqlite")
        assert reader.meta("a") == 1
        reader.close()
        with pytest.raises(InputError, match="cannot be opened or written"):
            Store.open(disk / "campaign.sqlite")
        with (
            pytest.raises(InputError, match="cannot be written"),
            CampaignFolder(disk).driver_lock(),
        ):
            pass
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_half_written_results_are_ignored(tmp_path: Path) -> None:
    """Faults 47, 59."""
    whole = land(tmp_path, "validity", "whole", [a_record("whole")])
    for name, content in {
        "torn.json": whole.read_bytes()[:-5],
        "empty.json": b"",
        "zeros.json": b"\0" * 300,
        "other.json": b'[{"content_key": "x"}]',
        "list.json": b"[1]",
        "whole.99.part": whole.read_bytes(),
    }.items():
        (tmp_path / "validity" / name).write_bytes(content)
    found = list(landed(tmp_path))
    assert [(path.name, records) for path, records in found] == [
        ("whole.json", [a_record("whole")])
    ]
    assert [p.name for p in (tmp_path / "validity").iterdir()] == ["whole.json"]


def test_a_number_that_is_not_finite_is_never_landed(tmp_path: Path) -> None:
    verdict = Verdict("validity", Outcome.PASSED, value=float("nan"))
    with pytest.raises(ValueError, match="JSON compliant"):
        land(tmp_path, "validity", "k", [a_record(verdict=verdict)])
    assert not list(tmp_path.glob("*/*"))


def test_file_system_type_agrees_with_the_system(tmp_path: Path) -> None:
    """Fault 61, against the `stat` command."""
    for path in (Path("/proc"), tmp_path, Path("/dev/shm")):
        if not path.exists() or shutil.which("stat") is None:
            continue
        said = subprocess.run(
            ["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=True
        ).stdout.strip()
        names = {"ext2/ext3": {"ext2", "ext3", "ext4"}, "overlayfs": {"overlay"}}
        assert file_system_type(path) in names.get(said, {said}), (path, said)


@pytest.mark.parametrize(
    ("kind", "journal"), [("nfs4", "delete"), ("lustre", "delete"), ("ext4", "wal")]
)
def test_no_write_ahead_log_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, journal: str
) -> None:
    """Fault 61. Only the answer of the system is replaced: there is no such disk at hand."""
    assert (kind in NETWORK_FILE_SYSTEMS) == (journal == "delete")
    monkeypatch.setattr(database_module, "file_system_type", lambda _: kind)
    store = Store.open(tmp_path / "campaign.sqlite")
    assert store._database.execute("PRAGMA journal_mode").fetchone()[0] == journal
    with store.transaction():
        store.set_meta("a", 1)
    store.close()
    # A database made on a local disk and then moved is changed, too.
    monkeypatch.setattr(database_module, "file_system_type", lambda _: "nfs")
    moved = Store.open(tmp_path / "campaign.sqlite")
    assert moved._database.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert moved.meta("a") == 1
    moved.close()


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    """Faults 60, 62: the lock is the kernel's and ends with its holder."""
    folder = CampaignFolder(tmp_path)
    for _ in range(2):
        with (
            folder.driver_lock(),
            pytest.raises(BusyError, match=str(os.getpid())),
            folder.driver_lock(),
        ):
            pass
