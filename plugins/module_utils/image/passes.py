# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pass over the disks of an image that is being written: which chunks are read, and what becomes of their pages.

    used ranges -> read -> zero? -> id -> known? -> compress -> encrypt -> put

runs per chunk on a pool of threads; pages are stored as they fill.
"""

import threading
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import DamagedObjectError
from ..repository.repository import Repository
from .codec import new_compressor
from .diskread import CaptureDisk, read_chunk, used_entries
from ..repository.sessions import Session
from ..repository.tombstones import GivenUp
from .envelope import CHUNK, NO_KEY_ID, OVERHEAD, Sealer
from .index import STORED, Page, PageBuilder, PageStore, chunk_name
from .manifest import chunk_count
from .pace import Limits


class PassDisk(NamedTuple):
    """What a pass does with one disk.

    `base`: page ids of the pass before over the same disk, or b"", then all that is used is read. Chunks that `touched` overlaps are
    read again, the others keep the entry of the base. `known`: page ids of an earlier image of the disk, to compare with, or b"".
    """
    disk: CaptureDisk
    base: bytes = b""
    touched: Optional[object] = None
    known: bytes = b""


class _PageWork:
    """One page on its way: its entries, and how many chunks are still to come."""

    def __init__(self, disk: int, number: int, builder: PageBuilder, base: Optional[Page], stored_id: bytes, known: Sequence[Page]):
        self.disk = disk
        self.number = number
        self.builder = builder
        self.base = base
        self.stored_id = stored_id       # id of the first of the pages to compare with, which need not be stored again
        self.known = known               # pages to compare with
        self.left = 0


class _Item(NamedTuple):
    """One chunk to read."""
    page: _PageWork
    entry: int
    offset: int
    length: int


class Counts:
    """What all passes of an image have stored."""

    def __init__(self, disks: int):
        self.stored_new = 0              # bytes of objects
        self.stored_new_objects = 0
        self.data = [0] * disks          # bytes in stored chunks, per disk
        self.warnings = []               # type: List[str]


class Pass:
    """What the threads of one pass share. `pages` holds the page ids of each disk when the pass has ended."""

    def __init__(self, repository: Repository, disks: Sequence[PassDisk], entries_per_page: int, counts: Counts, data_key: Callable,
                 progress, limits: Limits, session: Session, given_up: GivenUp):
        self.repository = repository
        self.given_up = given_up
        self._session = session
        self.disks = disks
        self.counts = counts
        self.data_key = data_key
        self.progress = progress
        self.limits = limits
        self.pages = [bytearray(item.base) or self._no_pages(item.disk.size, entries_per_page) for item in disks]
        self.zeros = bytes(repository.chunk_size)
        self._span = repository.chunk_size * entries_per_page
        self._page_store = PageStore(repository)          # used by `items` only, which the pool serialises
        self._empty_pages = {}                            # entries -> id of the page that is all UNALLOCATED
        self._lock = threading.Lock()
        self._in_flight = set()                           # ids of chunks that a thread is about to store

    def _no_pages(self, size: int, entries_per_page: int) -> bytearray:
        return bytearray(32 * chunk_count(chunk_count(size, self.repository.chunk_size), entries_per_page))

    # -- the stream of chunks ---------------------------------------------------------------------------------------------

    def items(self) -> Iterator[_Item]:
        """The chunks to read, page by page; pages in which nothing is to be read are dealt with on the way."""
        size = self.repository.chunk_size
        for number, item in enumerate(self.disks):
            for page_number, start in enumerate(range(0, item.disk.size, self._span)):
                end = min(start + self._span, item.disk.size)
                count = chunk_count(end - start, size)
                used = used_entries(item.disk.ranges, start, end, size)
                if not used and not item.base:
                    self._set_page(number, page_number, self._empty_page(count))
                    continue
                touched = used_entries(item.touched, start, end, size) if item.base else used
                if not touched:
                    continue
                page = self._open_page(number, page_number, count)
                reads = list(_common(touched, used)) if item.base else used
                page.left = sum(last - first for first, last in reads)
                if item.base:
                    self._drop(page, touched, end - start - (count - 1) * size)
                if not reads:
                    self.finish_page(page, self._page_store)
                for first, last in reads:
                    for entry in range(first, last):
                        offset = start + entry * size
                        yield _Item(page, entry, offset, min(size, item.disk.size - offset))

    def _open_page(self, disk: int, number: int, count: int) -> _PageWork:
        base_id, known_id = (ids[32 * number:32 * number + 32] for ids in (self.disks[disk].base, self.disks[disk].known))
        base = self._page_store.load(base_id, count) if base_id else None
        known = [base] if base else []
        if known_id and known_id != base_id:
            try:
                known.append(self._page_store.load(known_id, count))
            except DamagedObjectError as error:
                known_id = b""
                self.counts.warnings.append(
                    f"A stretch of disk {self.disks[disk].disk.name} was compared with no earlier image: {error}")
        return _PageWork(disk, number, PageBuilder(count, base), base, base_id or known_id, known)

    def _drop(self, page: _PageWork, touched: List[List[int]], last_length: int) -> None:
        """Take the touched entries out of the base: what of them is still used comes in again."""
        for first, last in touched:
            for entry in range(first, last):
                if page.base.state(entry) == STORED:
                    length = last_length if entry == page.base.count - 1 else self.repository.chunk_size
                    with self._lock:
                        self.counts.data[page.disk] -= length
                page.builder.set_unallocated(entry)

    def _empty_page(self, count: int) -> bytes:
        if count not in self._empty_pages:
            page_id, data = self._name_page(PageBuilder(count))
            self._count_stored(self._page_store.store(page_id, data))
            self._empty_pages[count] = page_id
        return self._empty_pages[count]

    # -- what threads report ----------------------------------------------------------------------------------------------

    def make_worker(self) -> Callable[[_Item], None]:
        return _Worker(self)

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
                self.counts.data[item.page.disk] += item.length
            if stored:
                self.counts.stored_new += stored
                self.counts.stored_new_objects += 1
            item.page.left -= 1
            return not item.page.left

    def finish_page(self, page: _PageWork, store: PageStore) -> None:
        if page.known:
            page.builder.set_generation(page.known[0].generation)
        if page.known and page.known[0].data() == page.builder.data() and not self.given_up.has_page(page.stored_id):
            page_id = page.stored_id
        else:
            page_id, data = self._name_page(page.builder)
            self._count_stored(store.store(page_id, data))
        self._set_page(page.disk, page.number, page_id)
        self._session.beat()

    def _name_page(self, builder: PageBuilder) -> Tuple[bytes, bytes]:
        """The id and content of a page under the first generation that was not given up."""
        generation = self.given_up.base
        while True:
            builder.set_generation(generation)
            data = builder.data()
            page_id = self.repository.page_ids.of(data)
            if not self.given_up.has_page(page_id):
                return page_id, data
            generation += 1

    def _set_page(self, disk: int, number: int, page_id: bytes) -> None:
        self.pages[disk][32 * number:32 * number + 32] = page_id

    def _count_stored(self, stored: int) -> None:
        if stored:
            with self._lock:
                self.counts.stored_new += stored
                self.counts.stored_new_objects += 1


class _Worker:
    """One thread's part: buffers and compressor of its own."""

    def __init__(self, shared: Pass):
        self._shared = shared
        self._repository = shared.repository
        self._page_store = PageStore(shared.repository)
        self._sealer = None                      # type: Optional[Sealer]

    def __call__(self, item: _Item) -> None:
        shared, page = self._shared, item.page
        shared.limits.reading.spend(item.length)
        data, used = read_chunk(shared.disks[page.disk].disk, item.offset, item.length)
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
        for known in page.known:
            generation = known.chunk_generation(item.entry) if known.chunk_id(item.entry) == chunk_id else None
            if generation is not None and not self._shared.given_up.has_chunk(chunk_id, generation):
                page.builder.set_stored(item.entry, chunk_id, generation)
                return 0
        generation = self._shared.given_up.generation(chunk_id)
        page.builder.set_stored(item.entry, chunk_id, generation)
        name = chunk_name(chunk_id, generation)
        if not self._shared.claim(chunk_id):
            return 0
        try:
            size = self._repository.store.size(name)
            if size is not None and size > OVERHEAD:      # shorter than any chunk can be: stored again
                return 0
            sealed = self._new_sealer().seal(chunk_id, data)
            self._shared.limits.sending.spend(len(sealed))
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


def _common(some: List[List[int]], others: List[List[int]]) -> Iterator[Tuple[int, int]]:
    """What two ascending lists of pairs [first, last) have in common."""
    mine, theirs = 0, 0
    while mine < len(some) and theirs < len(others):
        first = max(some[mine][0], others[theirs][0])
        last = min(some[mine][1], others[theirs][1])
        if first < last:
            yield first, last
        if some[mine][1] < others[theirs][1]:
            mine += 1
        else:
            theirs += 1
