# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the images of a repository need: all their chunks and pages, in 9 bytes or so each."""

import threading
from typing import Iterable, Iterator, Tuple

from ..errors import DamagedObjectError
from ..repository.repository import Repository
from ..repository.tombstones import split_chunk_record
from .index import STORED, PageStore
from .keyset import KeySet, chunk_key, page_key
from .manifest import Manifest
from .pool import run, worker_count
from .reading import disk_pages

_SEEN_PAGES = 400000             # ids of pages that need not be read again; some 50 MB


class Live:
    """Marks all that images need. Only a part of each id is remembered, so something that nobody needs may rarely look needed, never the
    other way round.
    """

    def __init__(self, repository: Repository, progress):
        self._repository = repository
        self._progress = progress
        self._lock = threading.Lock()
        self._chunks = KeySet()
        self._pages = KeySet()
        self._seen = set()

    def mark(self, manifests: Iterable[Manifest], workers: int = 0) -> None:
        """Read all pages of these images. Raises DamagedObjectError when one cannot be read: then nothing may be removed."""
        count = worker_count(workers, self._repository.chunk_size, self._repository.store.parallel)
        run(self._new_pages(manifests), self._make_worker, count, self._progress.cancelled)

    def has_chunk(self, record: bytes) -> bool:
        return chunk_key(*split_chunk_record(record)) in self._chunks

    def has_page(self, page_id: bytes) -> bool:
        return page_key(page_id) in self._pages

    @property
    def counts(self) -> Tuple[int, int]:
        """Chunks and pages that are needed."""
        return len(self._chunks), len(self._pages)

    def _new_pages(self, manifests: Iterable[Manifest]) -> Iterator[tuple]:
        for manifest in manifests:
            for disk in manifest.disks:
                for place, page_id, count in disk_pages(manifest, disk):
                    if page_id not in self._seen:
                        if len(self._seen) >= _SEEN_PAGES:
                            self._seen.clear()       # read once more where it comes again: slower, never wrong
                        self._seen.add(page_id)
                        yield place, page_id, count

    def _make_worker(self):
        pages = PageStore(self._repository)

        def work(item) -> None:
            place, page_id, count = item
            try:
                page = pages.load(page_id, count)
            except DamagedObjectError as error:
                raise DamagedObjectError(f"Nothing can be pruned while it is not known what image {place.image} needs: {error} "
                                         "Repair or remove that image first.") from error
            keys = {chunk_key(page.chunk_id(entry), page.chunk_generation(entry) or 0)
                    for entry in range(count) if page.state(entry) == STORED}
            with self._lock:
                self._pages.add(page_key(page_id))
                for key in keys:
                    self._chunks.add(key)

        return work
