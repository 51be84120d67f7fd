# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture: from disks and their used ranges to a committed image.

    used ranges -> read -> zero? -> id -> known? -> compress -> encrypt -> put

runs per chunk on a pool of threads; pages are stored as they fill, the manifest last. Nothing is locked against other captures.
"""

import json
import threading
import time
from typing import Callable, Iterator, NamedTuple, Optional, Sequence

from ..errors import DamagedObjectError, SourceError
from ..repository.repository import Repository
from .codec import new_compressor
from .envelope import CHUNK, NO_KEY_ID, OVERHEAD, Sealer
from .index import ENTRIES_PER_PAGE, STORED, Page, PageBuilder, PageStore, chunk_name
from .manifest import (CONSISTENCIES, DiskInfo, ImageInfo, Manifest, ManifestDisk, chunk_count, image_ids, iso_time, merkle_root,
                       new_image_id, read_manifest, write_manifest)
from .pace import UNLIMITED, Pace
from .pool import run, worker_count

# A free gap below this is read along: cheaper than one more system call.
_SMALL_GAP = 32 << 10


class CaptureDisk(NamedTuple):
    """A disk to capture.

    `read_at(offset, length)` returns exactly that many bytes and is called by several threads; `ranges` (source/ranges.py) are
    the used bytes; `map` is plain data on how they were found, for the manifest.
    """
    name: str
    size: int
    sector_size: int
    read_at: Callable[[int, int], bytes]
    ranges: object
    map: tuple = ()


def capture_image(repository: Repository, machine_name: str, machine: dict, disks: Sequence[CaptureDisk], consistency: str, evidence: dict,
                  progress, workers: int = 0, reading: Pace = UNLIMITED) -> ImageInfo:
    """Store one consistent image of all `disks` and commit it. `reading` keeps the bytes read from the disks below a rate.

    Raises SourceError when a disk cannot be read, RepositoryError when the repository cannot take it, CancelledError; in each
    case there is no image, and what was stored so far is found again by the next capture.
    """
    _check(disks, consistency)
    json.dumps((machine, evidence, [disk.map for disk in disks]))    # what no manifest can hold is told now, not after hours
    started = time.time()
    monotonic = time.monotonic()
    warnings = []
    parent = _find_parent(repository, machine_name, warnings)
    work = _Capture(repository, disks, parent, progress, reading)
    progress.phase("capture", sum(disk.ranges.total for disk in disks))
    run(work.items(), work.make_worker, worker_count(workers, repository.chunk_size, repository.store.parallel), progress.cancelled)
    repository.store.flush()
    stored = tuple(_manifest_disk(disk, bytes(pages), data) for disk, pages, data in zip(disks, work.pages, work.data))
    while True:
        info = ImageInfo(
            id=new_image_id(machine_name, started), machine=machine_name, created=iso_time(started), consistency=consistency,
            parent=parent.info.id if parent else "", disks=tuple(disk.info for disk in stored),
            size=sum(disk.size for disk in disks), used=sum(disk.ranges.total for disk in disks),
            stored_new=work.stored_new, stored_new_objects=work.stored_new_objects,
            seconds=round(time.monotonic() - monotonic, 3), warnings=tuple(warnings + work.warnings))
        manifest = Manifest(info, repository.chunk_size, ENTRIES_PER_PAGE, stored, machine, evidence,
                            merkle_root([(disk.info.name, disk.info.size, disk.pages) for disk in stored]))
        if write_manifest(repository, manifest):
            return info


def _check(disks: Sequence[CaptureDisk], consistency: str) -> None:
    if consistency not in CONSISTENCIES:
        raise SourceError(f"{consistency!r} is no consistency; there are: {', '.join(CONSISTENCIES)}.")
    names = [disk.name for disk in disks]
    if not names or len(set(names)) != len(names) or not all(names):
        raise SourceError("A capture needs at least one disk, and every disk a name of its own.")
    for disk in disks:
        if disk.size <= 0:
            raise SourceError(f"Disk {disk.name} is empty.")


def _find_parent(repository: Repository, machine: str, warnings: list) -> Optional[Manifest]:
    """The machine's newest image, to compare with. A damaged one only costs speed."""
    newest = None
    for newest in image_ids(repository, machine):
        pass
    if newest is None:
        return None
    try:
        parent = read_manifest(repository, newest)
    except DamagedObjectError as error:
        warnings.append(f"Compared with no earlier image: {error}")
        return None
    return parent if parent.chunk_size == repository.chunk_size and parent.entries_per_page == ENTRIES_PER_PAGE else None


def _manifest_disk(disk: CaptureDisk, pages: bytes, data: int) -> ManifestDisk:
    return ManifestDisk(DiskInfo(disk.name, disk.size, disk.sector_size, disk.ranges.total, data), pages, tuple(disk.map))


class _PageWork:
    """One page on its way: its entries, and how many chunks are still to come."""

    def __init__(self, disk: int, number: int, count: int, parent: Optional[Page], parent_id: bytes):
        self.disk = disk
        self.number = number
        self.builder = PageBuilder(count)
        self.parent = parent
        self.parent_id = parent_id
        self.left = 0


class _Item(NamedTuple):
    """One chunk to read."""
    page: _PageWork
    entry: int
    offset: int
    length: int


class _Capture:
    """What the threads of one capture share."""

    def __init__(self, repository: Repository, disks: Sequence[CaptureDisk], parent: Optional[Manifest], progress,
                 reading: Pace):
        self.repository = repository
        self.disks = disks
        self.progress = progress
        self.reading = reading
        self.warnings = []
        self.stored_new = 0
        self.stored_new_objects = 0
        self.data = [0] * len(disks)             # bytes in stored chunks, per disk
        self.pages = [bytearray(32 * chunk_count(chunk_count(disk.size, repository.chunk_size), ENTRIES_PER_PAGE)) for disk in disks]
        self.zeros = bytes(repository.chunk_size)
        self._parents = [_same_disk(parent, disk) for disk in disks]
        self._page_store = PageStore(repository)          # used by `items` only, which the pool serialises
        self._empty_pages = {}                   # entries -> id of the page that is all UNALLOCATED
        self._lock = threading.Lock()
        self._in_flight = set()                  # ids of chunks that a thread is about to store
        self._data_key = None

    # -- the stream of chunks ---------------------------------------------------------------------------------------------

    def items(self) -> Iterator[_Item]:
        """All chunks that hold something used, page by page; pages that hold nothing are dealt with on the way."""
        size = self.repository.chunk_size
        for number, disk in enumerate(self.disks):
            span = size * ENTRIES_PER_PAGE
            for page_number, start in enumerate(range(0, disk.size, span)):
                end = min(start + span, disk.size)
                count = chunk_count(end - start, size)
                entries = _used_entries(disk.ranges, start, end, size)
                if not entries:
                    self._set_page(number, page_number, self._empty_page(count))
                    continue
                page = _PageWork(number, page_number, count, *self._load_parent(number, page_number, count))
                page.left = sum(last - first for first, last in entries)
                for first, last in entries:
                    for entry in range(first, last):
                        offset = start + entry * size
                        yield _Item(page, entry, offset, min(size, disk.size - offset))

    def _empty_page(self, count: int) -> bytes:
        if count not in self._empty_pages:
            data = PageBuilder(count).data()
            page_id = self.repository.page_ids.of(data)
            self._count_stored(self._page_store.store(page_id, data))
            self._empty_pages[count] = page_id
        return self._empty_pages[count]

    def _load_parent(self, disk: int, page_number: int, count: int):
        """The page of the parent image at this place and its id, or (None, b"")."""
        pages = self._parents[disk]
        page_id = pages[32 * page_number:32 * page_number + 32]
        if not page_id:
            return None, b""
        try:
            return self._page_store.load(page_id, count), page_id
        except DamagedObjectError as error:
            self.warnings.append(f"A stretch of disk {self.disks[disk].name} was compared with no earlier image: {error}")
            return None, b""

    # -- what threads report ----------------------------------------------------------------------------------------------

    def make_worker(self) -> Callable[[_Item], None]:
        return _Worker(self)

    def data_key(self):
        """The data key of this capture, made when the first new chunk needs it."""
        with self._lock:
            if self._data_key is None:
                self._data_key = self.repository.new_data_key()
            return self._data_key

    def claim(self, chunk_id: bytes) -> bool:
        """True: the caller stores this chunk. False: another thread is storing it right now."""
        with self._lock:
            if chunk_id in self._in_flight:
                return False
            self._in_flight.add(chunk_id)
            return True

    def release(self, chunk_id: bytes) -> None:
        with self._lock:
            self._in_flight.discard(chunk_id)

    def finish_chunk(self, item: _Item, stored: int, is_data: bool) -> bool:
        """Count a chunk; True for the last one of its page."""
        with self._lock:
            if is_data:
                self.data[item.page.disk] += item.length
            if stored:
                self.stored_new += stored
                self.stored_new_objects += 1
            item.page.left -= 1
            return not item.page.left

    def finish_page(self, page: _PageWork, store: PageStore) -> None:
        data = page.builder.data()
        page_id = self.repository.page_ids.of(data)
        if page_id != page.parent_id:
            self._count_stored(store.store(page_id, data))
        self._set_page(page.disk, page.number, page_id)

    def _set_page(self, disk: int, number: int, page_id: bytes) -> None:
        self.pages[disk][32 * number:32 * number + 32] = page_id

    def _count_stored(self, stored: int) -> None:
        if stored:
            with self._lock:
                self.stored_new += stored
                self.stored_new_objects += 1


class _Worker:
    """One thread's part: buffers and compressor of its own."""

    def __init__(self, shared: _Capture):
        self._shared = shared
        self._repository = shared.repository
        self._page_store = PageStore(shared.repository)
        self._sealer = None                      # type: Optional[Sealer]

    def __call__(self, item: _Item) -> None:
        shared, page = self._shared, item.page
        shared.reading.spend(item.length)
        data, used = _read_chunk(shared.disks[page.disk], item.offset, item.length)
        stored = 0
        is_zero = data == (shared.zeros if item.length == len(shared.zeros) else bytes(item.length))
        if is_zero:
            page.builder.set_zero(item.entry)
        else:
            stored = self._store_chunk(item, data)
        if shared.finish_chunk(item, stored, not is_zero):
            shared.finish_page(page, self._page_store)
        shared.progress.advance(used)

    def _store_chunk(self, item: _Item, data) -> int:
        """Enter a chunk into its page and store it if the repository does not have it; the bytes that this added."""
        page = item.page
        chunk_id = self._repository.chunk_ids.of(data)
        parent = page.parent
        if parent is not None and parent.state(item.entry) == STORED and parent.chunk_id(item.entry) == chunk_id:
            generation = parent.generation(item.entry)
            if generation is not None:
                page.builder.set_stored(item.entry, chunk_id, generation)
                return 0
        page.builder.set_stored(item.entry, chunk_id)
        name = chunk_name(chunk_id)
        if not self._shared.claim(chunk_id):
            return 0
        try:
            size = self._repository.store.size(name)
            if size is not None and size > OVERHEAD:      # shorter than any chunk can be: stored again
                return 0
            sealed = self._new_sealer().seal(chunk_id, data)
            self._repository.store.put(name, sealed)
            return len(sealed)
        finally:
            self._shared.release(chunk_id)

    def _new_sealer(self) -> Sealer:
        if self._sealer is None:
            key = self._shared.data_key()
            self._sealer = Sealer(CHUNK, self._repository, key.key if key else None, key.id if key else NO_KEY_ID,
                                  new_compressor(self._repository.chunk_size))
        return self._sealer


def _same_disk(parent: Optional[Manifest], disk: CaptureDisk) -> bytes:
    """The page ids of the disk of the same name and size in the parent image."""
    for candidate in parent.disks if parent else ():
        if candidate.info.name == disk.name and candidate.info.size == disk.size:
            return candidate.pages
    return b""


def _used_entries(ranges, start: int, end: int, size: int) -> list:
    """Which chunks of [start, end) hold something used: pairs of entry numbers [first, last) relative to start."""
    entries = []
    for used_start, used_end in ranges.overlapping(start, end):
        first, last = (used_start - start) // size, (used_end - 1 - start) // size + 1
        if entries and first <= entries[-1][1]:
            entries[-1][1] = max(last, entries[-1][1])
        else:
            entries.append([first, last])
    return entries


def _read_chunk(disk: CaptureDisk, offset: int, length: int):
    """The content of a chunk with zeros where nothing is used, and how many bytes are used."""
    used = list(disk.ranges.overlapping(offset, offset + length))
    if used == [(offset, offset + length)]:
        return _read(disk, offset, length), length
    data = bytearray(length)
    total = 0
    start = 0
    while start < len(used):
        end = start + 1
        while end < len(used) and used[end][0] - used[end - 1][1] < _SMALL_GAP:
            end += 1
        base = used[start][0]
        piece = memoryview(_read(disk, base, used[end - 1][1] - base))
        for first, last in used[start:end]:
            data[first - offset:last - offset] = piece[first - base:last - base]
            total += last - first
        start = end
    return data, total


def _read(disk: CaptureDisk, offset: int, length: int) -> bytes:
    try:
        data = disk.read_at(offset, length)
    except OSError as error:
        raise SourceError(f"Disk {disk.name} cannot be read at byte {offset}: {error.strerror}.") from error
    if len(data) != length:
        raise SourceError(f"Disk {disk.name} gave {len(data)} instead of {length} bytes at byte {offset}: it has become shorter.")
    return data
