# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image in the making: any number of passes over its disks, then the commit.

The first pass reads all that is used. A later one reads again what may have changed since, and keeps the entries of the pass before for
the rest, so that the last pass can be short: all others may run while the disks are in use.
"""

import json
import threading
import time
from typing import List, NamedTuple, Optional, Sequence

from ..errors import DamagedObjectError, RepositoryError, SourceError
from ..repository.repository import Repository
from ..repository.sessions import Session
from ..repository.tombstones import GivenUp, read_lists
from .diskread import CaptureDisk
from .index import ENTRIES_PER_PAGE
from .manifest import (CONSISTENCIES, DiskInfo, ImageInfo, Manifest, ManifestDisk, image_ids, iso_time, merkle_root, new_image_id,
                       object_name, read_manifest, seal_manifest, verdicts)
from .pace import NO_LIMITS, Limits
from .passes import Counts, Pass, PassDisk
from .pool import run, worker_count


class DiskState(NamedTuple):
    """A disk as a pass finds it: `disk.ranges` are the bytes used now, `dirty` those of them that may have changed since the pass before.

    Bytes that came into use or fell out of it need not be in `dirty`: a chunk in which the used ranges differ is read again in any case.
    """
    disk: CaptureDisk
    dirty: object


class ImageWriter:
    """Writes one image of a machine. For one thread, save that its passes run on threads of their own.

    Errors of a pass or of the commit (SourceError, RepositoryError, CancelledError) end the image: it then does not exist, and what was
    stored so far is found again by the next capture.
    """

    def __init__(self, repository: Repository, machine_name: str, progress, workers: int = 0):
        self._repository = repository
        self._machine_name = machine_name
        self._progress = progress
        self.chunk_size = repository.chunk_size
        self._workers = worker_count(workers, repository.chunk_size, repository.store.parallel)
        self._started = time.time()
        self._monotonic = time.monotonic()
        self._warnings = []                      # type: List[str]
        self._session = Session(repository.store)         # before anything is looked at that the image may use
        self._given_up = GivenUp(read_lists(repository.store))
        self._parent = self._find_parent()
        self._disks = []                         # type: List[CaptureDisk]   # as the last pass had them
        self._pages = []                         # type: List[bytes]
        self._counts = Counts(0)
        self._data_key = None
        self._lock = threading.Lock()

    def _find_parent(self) -> Optional[Manifest]:
        """The machine's newest image, to compare with. A damaged one only costs speed."""
        for newest in sorted(image_ids(self._repository, self._machine_name), reverse=True):
            try:
                parent = read_manifest(self._repository, newest)
            except DamagedObjectError as error:
                self._warnings.append(f"Compared with no earlier image: {error}")
                return None
            except RepositoryError:
                if self._repository.store.size(object_name(newest)) is not None:
                    raise
                continue                         # pruned in this moment
            fits = parent.chunk_size == self._repository.chunk_size and parent.entries_per_page == ENTRIES_PER_PAGE
            return parent if fits else None
        return None

    def first_pass(self, disks: Sequence[CaptureDisk], limits: Limits = NO_LIMITS) -> None:
        """Read all that is used."""
        _check(disks)
        self._counts = Counts(len(disks))
        self._run([PassDisk(disk, known=_same_disk(self._parent, disk)) for disk in disks], sum(disk.ranges.total for disk in disks),
                  limits)

    def next_pass(self, states: Sequence[DiskState], limits: Limits = NO_LIMITS) -> None:
        """Read again what may have changed. The disks are those of the first pass, in its order."""
        self._run([PassDisk(state.disk, pages, _touched(before, state), _same_disk(self._parent, state.disk))
                   for before, state, pages in zip(self._disks, states, self._pages)], self.bytes_to_read(states), limits)

    def bytes_to_read(self, states: Sequence[DiskState]) -> int:
        """How much `next_pass` would read of these disks."""
        return sum(_touched(before, state).align_out(self._repository.chunk_size).intersect(state.disk.ranges).total
                   for before, state in zip(self._disks, states))

    def _run(self, disks: List[PassDisk], total: int, limits: Limits) -> None:
        json.dumps([item.disk.map for item in disks])     # what no manifest can hold is told now, not after hours
        work = Pass(self._repository, disks, ENTRIES_PER_PAGE, self._counts, self._key, self._progress, limits, self._session,
                    self._given_up)
        self._progress.phase("capture", total)
        try:
            run(work.items(), work.make_worker, self._workers, self._progress.cancelled)
        except BaseException:
            self.give_up()
            raise
        self._disks = [item.disk for item in disks]
        self._pages = [bytes(pages) for pages in work.pages]

    def _key(self):
        """The data key of this image, made when the first new chunk needs it."""
        with self._lock:
            if self._data_key is None:
                self._data_key = self._repository.new_data_key()
            return self._data_key

    def give_up(self) -> None:
        """Say that there will be no image, so that no pruner waits for it. A pass that fails does so itself."""
        self._session.give_up()

    def commit(self, machine: dict, consistency: str, evidence: dict, recoverability: Optional[dict] = None) -> ImageInfo:
        """Write the manifest; on return the image exists. `recoverability`: where the machine can be recovered (docs/format.md)."""
        check_manifest_data(consistency, machine, evidence)
        self._repository.store.flush()
        stored = tuple(
            ManifestDisk(DiskInfo(disk.name, disk.size, disk.sector_size, disk.ranges.total, data), pages, tuple(disk.map))
            for disk, pages, data in zip(self._disks, self._pages, self._counts.data))
        info = ImageInfo(
            id=new_image_id(self._machine_name, self._started), machine=self._machine_name, created=iso_time(self._started),
            consistency=consistency, parent=self._parent.info.id if self._parent else "", disks=tuple(disk.info for disk in stored),
            size=sum(disk.info.size for disk in stored), used=sum(disk.info.used for disk in stored),
            stored_new=self._counts.stored_new, stored_new_objects=self._counts.stored_new_objects,
            seconds=round(time.monotonic() - self._monotonic, 3), warnings=tuple(self._warnings + self._counts.warnings),
            recoverable=verdicts(recoverability or {}))
        manifest = Manifest(info, self._repository.chunk_size, ENTRIES_PER_PAGE, stored, machine, evidence,
                            merkle_root([(disk.info.name, disk.info.size, disk.pages) for disk in stored]), recoverability or {})
        if not self._session.commit(object_name(info.id), seal_manifest(self._repository, manifest)):
            raise RepositoryError(f"There is an image {info.id} already. Run the capture again.")
        return info


def check_manifest_data(consistency: str, machine: dict, evidence: dict) -> None:
    """Raise now what `commit` would raise. SourceError: no such consistency; TypeError: no plain data."""
    if consistency not in CONSISTENCIES:
        raise SourceError(f"{consistency!r} is no consistency; there are: {', '.join(CONSISTENCIES)}.")
    json.dumps((machine, evidence))


def _check(disks: Sequence[CaptureDisk]) -> None:
    names = [disk.name for disk in disks]
    if not names or len(set(names)) != len(names) or not all(names):
        raise SourceError("A capture needs at least one disk, and every disk a name of its own.")
    for disk in disks:
        if disk.size <= 0:
            raise SourceError(f"Disk {disk.name} is empty.")


def _touched(before: CaptureDisk, state: DiskState):
    """What may have changed, and where the used ranges differ."""
    return state.dirty.union(state.disk.ranges.minus(before.ranges)).union(before.ranges.minus(state.disk.ranges))


def _same_disk(parent: Optional[Manifest], disk: CaptureDisk) -> bytes:
    """The page ids of the disk of the same name and size in the parent image."""
    for candidate in parent.disks if parent else ():
        if candidate.info.name == disk.name and candidate.info.size == disk.size:
            return candidate.pages
    return b""
