# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicate: images of one repository into another place, which is or becomes the same repository (same id, same keys).

Objects travel as they are, and only those that are missing: keys, chunks, pages, and last the manifest of each image. A replica has a
retention of its own; where it has given up an object name for good, the chunk gets its next generation there, and pages and manifest
follow.
"""

import threading
import time
from itertools import chain, islice
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import DamagedObjectError, RepositoryError
from ..repository import datakey
from ..repository.keys import Key
from ..repository.repository import Repository, open_repository, read_info
from ..repository.sessions import Session
from ..repository.store import ROOT, RUNS, SETTINGS, ObjectStore
from ..repository.tombstones import GivenUp, read_lists
from .envelope import NO_KEY_ID, OVERHEAD
from .index import STORED, Page, PageBuilder, PageStore, chunk_name, page_name
from .manifest import Manifest, image_ids, merkle_root, object_name, open_manifest, read_manifest, seal_manifest
from .pace import UNLIMITED, Pace
from .pool import run, worker_count
from .reading import ChunkReader, disk_pages

_PAGES_AT_ONCE = 32


class ReplicateResult(NamedTuple):
    """`images` were copied (with check: are missing), `gone` were pruned at the source meanwhile. Bytes and objects: what was stored."""
    images: Tuple[str, ...]
    gone: Tuple[str, ...]
    made: bool                   # the target became a repository
    stored: int
    stored_objects: int
    seconds: float


class _Item(NamedTuple):
    """A chunk that may have to be copied."""
    name: str
    target: str
    chunk_id: bytes
    length: int


def replicate(source: Repository, target: ObjectStore, key: Key, progress, wanted: Optional[Sequence[str]] = None, workers: int = 0,
              pace: Pace = UNLIMITED, check: bool = False) -> ReplicateResult:
    """Bring images (all, or those wanted) of `source` to `target`. `key` is the one that opened the source.

    A key that may read proves every chunk on the way (decryption and id); with the capture credential header and length are checked.
    Raises RepositoryError: the target holds another repository, or a store fails; DamagedObjectError: the source is damaged;
    CancelledError.
    An image is complete at the target, or not there; what was stored so far is not copied again.
    """
    started = time.monotonic()
    is_there = target.examine() and target.size(ROOT) is not None
    if is_there and read_info(target).id != source.info.id:
        raise RepositoryError(f"{target.label} holds another repository ({read_info(target).id}, not {source.info.id}): a replica has "
                              "the id of its source. Give an empty place.")
    present = set(target.list("images/")) if is_there else set()
    missing = [image for image in (image_ids(source) if wanted is None else wanted) if object_name(image) not in present]
    if check:
        return ReplicateResult(tuple(missing), (), not is_there, 0, 0, round(time.monotonic() - started, 3))
    progress.phase("keys", 0)
    _copy_keys(source.store, target, is_there)
    _copy_records(source.store, target)
    work = _Replicate(source, open_repository(target, key), progress, workers, pace)
    done, gone = work.images(missing)
    return ReplicateResult(tuple(done), tuple(gone), not is_there, work.stored, work.stored_objects, round(time.monotonic() - started, 3))


def _copy_keys(source: ObjectStore, target: ObjectStore, is_there: bool) -> None:
    """What opens the repository, and then the root object, which makes one of the place. Data keys come with the chunks that need them."""
    if not is_there:
        target.create()
    present = set(target.list("keys/"))
    for name in source.list("keys/"):
        if not name.startswith(datakey.PREFIX) and name not in present:
            target.put_new(name, source.get(name))
    if not is_there:
        target.put_new(ROOT, source.get(ROOT))


def _copy_records(source: ObjectStore, target: ObjectStore) -> None:
    """What is kept of machines and runs, as sealed: no key is needed for it."""
    for folder in (SETTINGS, RUNS):
        present = set(target.list(folder))
        for name in source.list(folder):
            if name not in present:
                target.put_new(name, source.get(name))


class _Replicate:
    """What the threads of one replication share."""

    def __init__(self, source: Repository, target: Repository, progress, workers: int, pace: Pace):
        self._source = source
        self._target = target
        self._progress = progress
        self._workers = worker_count(workers, source.chunk_size, max(source.store.parallel, target.store.parallel))
        self._pace = pace
        self._source_pages = PageStore(source)       # by the thread that walks the images only
        self._target_pages = PageStore(target)
        self._keys = set()                           # data keys that are at the target
        self._lock = threading.Lock()
        self.stored = 0
        self.stored_objects = 0

    def images(self, missing: Sequence[str]) -> Tuple[List[str], List[str]]:
        """(copied, gone at the source meanwhile)"""
        done, gone = [], []
        for image_id in missing:
            name = object_name(image_id)
            try:
                if self._source.store.size(name) is not None:
                    self._image(image_id, self._source.store.get(name))
                    done.append(image_id)
                    continue
            except DamagedObjectError:
                if self._source.store.size(name) is not None:
                    raise
            gone.append(image_id)
        return done, gone

    def _image(self, image_id: str, sealed: bytes) -> None:
        manifest = open_manifest(self._source, image_id, sealed)
        self._progress.phase("replicate", sum(disk.data for disk in manifest.info.disks))
        session = Session(self._target.store)        # before anything is looked at that the image may use
        try:
            lists = read_lists(self._target.store)
            given_up = GivenUp(lists)
            # While a list is not decided on, it may name what that image needs.
            is_settled = all(item.kept is not None for item in lists)
            trusted = self._pages_of_an_earlier_image(manifest.info.machine) if is_settled else set()
            disks = []
            for disk in manifest.disks:
                pages = self._pages(manifest, disk, given_up, trusted, session)
                disks.append(disk._replace(pages=b"".join(pages)))
            self._target.store.flush()
            if tuple(disks) != manifest.disks:       # the target had given up some names
                root = merkle_root([(disk.info.name, disk.info.size, disk.pages) for disk in disks])
                sealed = seal_manifest(self._target, manifest._replace(disks=tuple(disks), root=root))
            if session.commit(object_name(image_id), sealed):
                self._count(len(sealed))
        except BaseException:
            session.give_up()
            raise

    def _pages_of_an_earlier_image(self, machine: str) -> set:
        """Ids of pages that an image of the machine at the target needs: all of their chunks are there."""
        for image_id in sorted(image_ids(self._target, machine), reverse=True):
            try:
                earlier = read_manifest(self._target, image_id)
            except RepositoryError:
                continue                             # damaged, or pruned in this moment
            return {disk.pages[at:at + 32] for disk in earlier.disks for at in range(0, len(disk.pages), 32)}
        return set()

    def _pages(self, manifest: Manifest, disk, given_up: GivenUp, trusted: set, session: Session) -> Iterator[bytes]:
        """The page ids of a disk at the target; on the way their chunks and pages are stored there, some pages at a time."""
        places = disk_pages(manifest, disk)
        while True:
            some = list(islice(places, _PAGES_AT_ONCE))
            if not some:
                return
            stores = []                              # what is to be done when the chunks are stored
            items = []                               # type: List[Iterator[_Item]]
            for place, page_id, count in some:
                if page_id in trusted and not given_up.has_page(page_id):
                    stores.append(lambda page_id=page_id: page_id)
                    continue
                page = self._source_pages.load(page_id, count)
                stores.append(lambda page_id=page_id, page=page: self._store_page(page_id, page, given_up))
                items.append(self._items(page, given_up, manifest.chunk_size, disk.info.size - place.offset))
            run(chain.from_iterable(items), self._make_worker, self._workers, self._progress.cancelled)
            for store in stores:
                yield store()
            session.beat()

    def _store_page(self, page_id: bytes, page: Page, given_up: GivenUp) -> bytes:
        """Store a page with the names that its chunks have at the target; its id there."""
        builder = PageBuilder(page.count, page)
        for entry in range(page.count):
            if page.state(entry) == STORED:
                builder.set_stored(entry, page.chunk_id(entry), self._generation(page, entry, given_up))
        if builder.data() == page.data() and not given_up.has_page(page_id):
            name = page_name(page_id)
            if self._target.store.size(name) is None:
                sealed = self._source.store.get(name)
                self._target.store.put(name, sealed)
                self._count(len(sealed))
            return page_id
        generation = given_up.base
        while True:
            builder.set_generation(generation)
            page_id = self._target.page_ids.of(builder.data())
            if not given_up.has_page(page_id):
                self._count(self._target_pages.store(page_id, builder.data()))
                return page_id
            generation += 1

    @staticmethod
    def _generation(page, entry: int, given_up: GivenUp) -> int:
        generation = page.chunk_generation(entry)
        if generation is None:
            raise RepositoryError("An image with packs cannot be replicated by this version.")
        return given_up.generation(page.chunk_id(entry)) if given_up.has_chunk(page.chunk_id(entry), generation) else generation

    def _items(self, page, given_up: GivenUp, chunk_size: int, left: int) -> Iterator[_Item]:
        for entry in range(page.count):
            if page.state(entry) == STORED:
                chunk_id = page.chunk_id(entry)
                yield _Item(page.location(entry).name, chunk_name(chunk_id, self._generation(page, entry, given_up)), chunk_id,
                            min(chunk_size, left - entry * chunk_size))

    def _make_worker(self) -> Callable[[_Item], None]:
        reader = ChunkReader(self._source)

        def work(item: _Item) -> None:
            size = self._target.store.size(item.target)
            if size is None or size <= OVERHEAD:
                data = self._source.store.get(item.name)
                self._pace.spend(len(data))
                key_id = reader.check_header(item.name, data, len(data), item.length)
                if self._source.can_read:
                    reader.open(item.name, data, item.chunk_id)
                self._bring_key(key_id)
                self._target.store.put(item.target, data)
                self._count(len(data))
            self._progress.advance(item.length)

        return work

    def _bring_key(self, key_id: bytes) -> None:
        """See that a data key is durable at the target before a chunk that names it."""
        if key_id == NO_KEY_ID or key_id in self._keys:
            return
        name = datakey.PREFIX + key_id.hex()
        if self._target.store.size(name) is None:
            self._source.check_data_key(key_id)
            self._target.store.put_new(name, self._source.store.get(name))
        self._target.store.flush()
        self._keys.add(key_id)

    def _count(self, stored: int) -> None:
        if stored:
            with self._lock:
                self.stored += stored
                self.stored_objects += 1
