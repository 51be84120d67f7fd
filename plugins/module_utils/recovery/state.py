# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of one mounted machine, kept outside it so that any later process can take it down again.

It lives under /run, which a reboot empties together with the mounts. It is written before each step; what is really mounted is
always read from the kernel, so a record that says too much does no harm.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from typing import NamedTuple, Tuple

from ..errors import MachineError, TargetError
from ..machine.data import from_data, to_data
from ..machine.model import Disk
from .model import Missing, MountedVolume, RestoredDisk, Volume

STATE_FOLDER = "/run/agnostic.recovery/mounts"
LOCK_PATIENCE = 300.0       # seconds; another process may be starting an appliance


class Staged(NamedTuple):
    """A complete copy of a file system, to be written back when it is unmounted."""
    folder: str     # on this worker
    volume: Volume


class Record(NamedTuple):
    mount_point: str
    disks: Tuple[RestoredDisk, ...]
    backend: str                                # as asked for
    read_only: bool
    root: str = ""                              # as asked for
    status: str = "mounting"                    # mounting, mounted, unmounting
    created: bool = False                       # the mount point's folder is ours to remove
    mounts: Tuple[MountedVolume, ...] = ()      # begun or done, in this order
    staged: Tuple[Staged, ...] = ()
    missing: Tuple[Missing, ...] = ()
    layouts: Tuple[Disk, ...] = ()
    appliance: int = 0                          # process number of the appliance's server


def tag_of(mount_point):
    """A short name for all that belongs to this mount point: record, loop devices, helper processes."""
    return hashlib.sha256(os.fsencode(mount_point)).hexdigest()[:16]


class State:
    """Reads and writes the record of one mount point."""

    def __init__(self, mount_point, folder=STATE_FOLDER):
        self.tag = tag_of(mount_point)
        self.folder = folder
        self.path = os.path.join(folder, self.tag + ".json")
        self.log = os.path.join(folder, self.tag + ".log")      # what helpers say

    def load(self):
        """The Record, or None. TargetError where it cannot be read."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                return from_data(Record, json.load(stream))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, MachineError) as error:
            raise TargetError(f"The record of a mounted machine, {self.path}, cannot be read: {error}. "
                              "Unmount what it stood for by hand, then delete it.") from error

    def save(self, record):
        temporary = f"{self.path}.new"
        try:
            with open(temporary, "w", encoding="utf-8", opener=_private) as stream:
                json.dump(to_data(record), stream)
            os.replace(temporary, self.path)
        except OSError as error:
            raise TargetError(f"The record of a mounted machine, {self.path}, cannot be written: {error.strerror}.") from error

    def remove(self):
        for path in (self.log, self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes away from this mount point. TargetError after LOCK_PATIENCE seconds."""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            descriptor = os.open(os.path.join(self.folder, self.tag + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TargetError(f"The records of mounted machines cannot be kept in {self.folder}: {error.strerror}. "
                              "Mounting needs root.") from error
        try:
            deadline = time.monotonic() + LOCK_PATIENCE
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TargetError("Another process has been mounting or unmounting there for too long: see who holds "
                                          f"{os.path.join(self.folder, self.tag)}.lock.") from None
                    time.sleep(0.1)
            yield
        finally:
            os.close(descriptor)


def other_records(folder, tag):
    """The records of all other mount points, unreadable ones left out."""
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.endswith(".json") and name != tag + ".json":
            with contextlib.suppress(OSError, ValueError, MachineError), open(os.path.join(folder, name), encoding="utf-8") as stream:
                found.append(from_data(Record, json.load(stream)))
    return found


def _private(path, flags):
    return os.open(path, flags, 0o600)
