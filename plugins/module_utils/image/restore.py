# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore: from an image to raw files or block devices.

Chunks are fetched, opened, checked and written by a pool of threads, in disk order but finished in any. What fails the check is
never written. The first error stops the restore.
"""

import time
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..errors import DamagedObjectError, KeyAccessError, RecoveryError, TargetError
from ..repository.repository import Repository
from .index import STORED, Location, PageStore
from .manifest import Manifest, ManifestDisk, read_manifest
from .pace import UNLIMITED, Pace
from .pool import run, worker_count
from .reading import ChunkReader, Place, disk_pages
from .target import open_target

_ZERO_RUN = 1 << 30              # bytes; the longest range that is zeroed in one go, so that progress and cancelling work


class RestoredDisk(NamedTuple):
    name: str
    path: str
    size: int
    data: int            # bytes that came from chunks


class RestoreResult(NamedTuple):
    image: str
    disks: Tuple[RestoredDisk, ...]
    bytes: int           # that came from chunks
    seconds: float


class _Item(NamedTuple):
    """A stretch to write: a chunk, or zeros where `location` is None."""
    target: object
    place: Place
    length: int
    location: Optional[Location]
    chunk_id: bytes


def restore_image(repository: Repository, image_id: str, targets: Dict[str, str], progress, workers: int = 0,
                  overwrite: bool = False, writing: Pace = UNLIMITED) -> RestoreResult:
    """Restore the disks named in `targets` (disk name -> path of a raw file to make, or of a block device).

    `writing` keeps the bytes that come from chunks below a rate.
    An existing file is refused unless `overwrite` is set; a device that is in use or too small always.
    A file appears under its name only when it is complete and durable; until then, and after a failure, it is `<path>.partial`.
    Raises RepositoryError (DamagedObjectError for stored data that is missing or altered; nothing of that chunk is written),
    KeyAccessError (the key may not read), TargetError, CancelledError.
    """
    started = time.monotonic()
    if not repository.can_read:
        raise KeyAccessError("The capture credential cannot read data: restoring needs a passphrase or key file.")
    manifest = read_manifest(repository, image_id)
    disks = _choose(manifest, targets)
    progress.phase("restore", sum(disk.info.data for disk in disks))
    opened = []                  # type: List
    try:
        _open_targets(disks, targets, overwrite, opened)
        work = _Restore(repository, manifest, progress, writing)
        run(work.items(disks, opened), work.make_worker, worker_count(workers, manifest.chunk_size, repository.store.parallel),
            progress.cancelled)
        for target in opened:
            target.finish()
    except RecoveryError as error:
        left = [target.left_behind for target in opened if target.left_behind]
        if left:
            raise type(error)(f"{error} Incomplete and not to be used: {', '.join(left)}.") from error
        raise
    finally:
        for target in opened:
            target.close()
    restored = tuple(RestoredDisk(disk.info.name, target.path, disk.info.size, disk.info.data) for disk, target in zip(disks, opened))
    return RestoreResult(image_id, restored, sum(disk.info.data for disk in disks), round(time.monotonic() - started, 3))


def _choose(manifest: Manifest, targets: Dict[str, str]) -> List[ManifestDisk]:
    there = {disk.info.name: disk for disk in manifest.disks}
    unknown = sorted(set(targets) - set(there))
    if unknown or not targets:
        asked = ", ".join(unknown) or "(none was asked for)"
        raise TargetError(f"Image {manifest.info.id} has no disk {asked}; it has: {', '.join(there)}.")
    paths = list(targets.values())
    if len(set(paths)) != len(paths):
        raise TargetError("Two disks cannot be restored to one path.")
    return [disk for disk in manifest.disks if disk.info.name in targets]


def _open_targets(disks: List[ManifestDisk], targets: Dict[str, str], overwrite: bool, opened: list) -> None:
    """Add the open target of every disk to `opened`. When one cannot be used, nothing is left of the others."""
    try:
        for disk in disks:
            opened.append(open_target(targets[disk.info.name], disk.info.name, disk.info.size, overwrite))
        _check_space(disks, opened)
    except TargetError:
        for target in opened:
            target.discard()
        raise


def _check_space(disks: List[ManifestDisk], targets: list) -> None:
    """Refuse before the first byte when a file system cannot hold the used bytes of the disks that go there."""
    needed, free, where = {}, {}, {}
    for disk, target in zip(disks, targets):
        if target.is_file:
            device, free_bytes = target.free_space()
            needed[device] = needed.get(device, 0) + disk.info.used
            free[device] = free_bytes
            where.setdefault(device, []).append(target.path)
    for device, count in needed.items():
        if count > free[device]:
            raise TargetError(f"Not enough space for {', '.join(where[device])}: {count} bytes are needed and {free[device]} are free.")


class _Restore:
    """What the threads of one restore share."""

    def __init__(self, repository: Repository, manifest: Manifest, progress, writing: Pace):
        self._repository = repository
        self._manifest = manifest
        self._progress = progress
        self._writing = writing
        self._pages = PageStore(repository)

    def items(self, disks: List[ManifestDisk], targets: list) -> Iterator[_Item]:
        """All stretches to write, disk by disk, page by page."""
        for disk, target in zip(disks, targets):
            yield from self._disk_items(disk, target)

    def _disk_items(self, disk: ManifestDisk, target) -> Iterator[_Item]:
        chunk_size, size = self._manifest.chunk_size, disk.info.size
        place = Place(self._manifest.info.id, self._manifest.info.machine, disk.info.name, 0)
        zeros_from = 0                   # start of the current run of what is not stored
        for place, page_id, count in disk_pages(self._manifest, disk):
            try:
                page = self._pages.load(page_id, count)
            except DamagedObjectError as error:
                raise _located(error, place) from error
            for entry in range(count):
                if page.state(entry) == STORED:
                    offset = place.offset + entry * chunk_size
                    yield from self._zero_items(target, place, zeros_from, offset)
                    length = min(chunk_size, size - offset)
                    yield _Item(target, place._replace(offset=offset), length, page.location(entry), page.chunk_id(entry))
                    zeros_from = offset + length
        yield from self._zero_items(target, place, zeros_from, size)

    @staticmethod
    def _zero_items(target, place: Place, start: int, end: int) -> Iterator[_Item]:
        if target.needs_zeros:
            for offset in range(start, end, _ZERO_RUN):
                yield _Item(target, place._replace(offset=offset), min(_ZERO_RUN, end - offset), None, b"")

    def make_worker(self):
        reader = ChunkReader(self._repository)

        def work(item: _Item) -> None:
            if item.location is None:
                item.target.zero(item.place.offset, item.length)
                return
            self._writing.spend(item.length)
            try:
                chunk = reader.read(item.location, item.chunk_id, item.length)
            except DamagedObjectError as error:
                raise _located(error, item.place) from error
            item.target.write(item.place.offset, chunk)
            self._progress.advance(item.length)

        return work


def _located(error: DamagedObjectError, place: Place) -> DamagedObjectError:
    return DamagedObjectError(f"Data of {place} cannot be restored: {error}")
