"""A campaign's folder: where its files are, who may drive it, and what kind of disk it is on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bondwright.campaign.landing import disk_error
from bondwright.errors import BusyError, InputError

# Locks and shared memory are not reliable there, and SQLite's write-ahead log needs both.
NETWORK_FILE_SYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
        "wekafs",
    ]
)


@dataclass(frozen=True)
class CampaignFolder:
    """The files of one campaign.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The campaign file that the user writes."""
        return self.root / "campaign.toml"

    @property
    def store(self) -> Path:
        """The database."""
        return self.root / "campaign.sqlite"

    @property
    def results(self) -> Path:
        """Where results land before they are in the database."""
        return self.root / "results"

    @property
    def generated(self) -> Path:
        """Where crystals lie that were made for the campaign."""
        return self.root / "generated"

    @property
    def lock(self) -> Path:
        """The file whose lock the driver holds."""
        return self.root / ".lock"

    @property
    def log(self) -> Path:
        """What the workers printed, tracebacks of crashes included."""
        return self.root / "workers.log"

    @contextmanager
    def driver_lock(self) -> Iterator[None]:
        """Hold the right to drive this campaign.

        The kernel gives the lock back when the process ends, however it ends, so a lock is never
        stale.

        Raises:
            BusyError: another process drives it.
            InputError: the folder cannot be written.
        """
        try:
            handle = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise disk_error(error, self.lock) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
                raise BusyError(
                    f"{self.root}: another bondwright (process {holder or 'unknown'}) already "
                    "drives this campaign; wait for it or stop it."
                ) from error
            except OSError as error:
                raise InputError(
                    f"{self.root}: this file system does not support locks ({error.strerror}); "
                    "put the campaign on a local disk."
                ) from error
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)


def file_system_type(path: Path) -> str:
    """Return the name of the file system that holds `path`, such as "ext4" or "nfs4"."""
    target = path.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    for folder in (target, *target.parents):
        if folder in mounts:
            return mounts[folder].lower()
    return ""
