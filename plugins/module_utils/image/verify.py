# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify: does the repository hold all that its images need, unaltered?

"structure" checks manifests, index pages, and that every chunk and every data key is there, of the right kind and size; the
capture credential suffices. "full" also decrypts every chunk and checks its id, which proves that it restores. "sampled" does that with one
of `parts` equal parts of the chunks; all parts together are all chunks, so whoever takes them in turn has read everything.
"""

import threading
import time
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from ..repository.repository import Repository
from .envelope import NO_KEY_ID
from .index import STORED, Location, Page, PageStore, page_name
from .keyset import KeySet, chunk_key, page_key
from .manifest import ImageInfo, image_ids, object_name, read_manifest
from .pool import run, worker_count
from .progress import CancelledError, NoProgress
from .reading import ChunkReader, Place, disk_pages

LEVELS = ("structure", "sampled", "full")
PARTS = 14
_MAX_PROBLEMS = 10000            # a repository that is gone altogether need not be told chunk by chunk


class Problem(NamedTuple):
    """One thing that is wrong, at one place. `offset` is a byte of the disk, -1 (and `disk` empty) where the whole image is concerned."""
    image: str
    machine: str
    disk: str
    offset: int
    object: str
    message: str


class VerifyResult(NamedTuple):
    level: str
    images: Tuple[str, ...]              # all that were looked at
    damaged_images: Tuple[str, ...]
    problems: Tuple[Problem, ...]
    chunks: int                          # that were looked at: each distinct one once
    bytes: int                           # of plain data in them
    read: int                            # how many of them were read and decrypted
    seconds: float


class _Item(NamedTuple):
    """A distinct chunk to check, at the first place that needs it."""
    place: Place
    location: Location
    chunk_id: bytes
    length: int


def verify(repository: Repository, image_ids_wanted: Optional[Sequence[str]] = None, level: str = "structure", progress=None,
           workers: int = 0, parts: int = PARTS, part: Optional[int] = None) -> VerifyResult:
    """Verify all images, or those given. Problems are collected, not raised. `part`: 1 to `parts`; by default another one each day.

    Raises KeyAccessError (a level that reads with a key that may not read), RepositoryError (no such image, or the store itself fails),
    CancelledError.
    """
    started = time.monotonic()
    progress = progress or NoProgress()
    if level not in LEVELS:
        raise RepositoryError(f"{level!r} is no level of verification; there are: {', '.join(LEVELS)}.")
    if level != "structure" and not repository.can_read:
        raise KeyAccessError("Verification that reads chunks needs a passphrase or key file; the capture credential can verify "
                             "the structure.")
    part = int(time.time() // 86400) % parts + 1 if part is None else part
    if not 1 <= part <= parts:
        raise RepositoryError(f"There is no part {part} of {parts}.")
    ids = tuple(image_ids(repository) if image_ids_wanted is None else image_ids_wanted)
    work = _Verify(repository, {"structure": (0, 0), "sampled": (part, parts), "full": (1, 1)}[level], progress)
    progress.phase("verify", sum(info.size for info in work.read_all(ids, image_ids_wanted is not None)))
    run(work.items(ids), work.make_worker, worker_count(workers, repository.chunk_size, repository.store.parallel), progress.cancelled)
    work.locate(ids)
    work.leave_out_pruned()
    return VerifyResult(level, ids, tuple(sorted({problem.image for problem in work.problems})), tuple(sorted(work.problems)),
                        work.chunks, work.bytes, work.read, round(time.monotonic() - started, 3))


class _Verify:
    """What the threads of one verification share.

    The first pass checks every page and chunk once and remembers the bad ones; only if there are any, a second pass over the pages tells
    all places that need them. Good ones are remembered in some bytes each.
    """

    def __init__(self, repository: Repository, part: Tuple[int, int], progress):
        """`part`: (number, parts) of the chunks that are read; (1, 1) is all, (0, 0) is none."""
        self._repository = repository
        self._part = part
        self._progress = progress
        self._pages = PageStore(repository)
        self._lock = threading.Lock()
        self._unreadable = set()         # images without an intact manifest
        self._pages_seen, self._chunks_seen = KeySet(), KeySet()         # that were, or are being, checked
        self._good_keys = set()
        self._bad = {}                   # id of a bad page, location of a bad chunk -> (object name, what is wrong)
        self.problems = []
        self.chunks = 0
        self.bytes = 0
        self.read = 0

    # -- first pass ---------------------------------------------------------------------------------------------------------

    def read_all(self, ids: Sequence[str], named: bool) -> Iterator[ImageInfo]:
        """Read every manifest; those that cannot be read are problems. One that is gone is none, unless it was asked for by name."""
        for image_id in ids:
            try:
                yield read_manifest(self._repository, image_id).info
            except DamagedObjectError as error:
                self._unreadable.add(image_id)
                self.problems.append(Problem(image_id, image_id.rpartition("/")[0], "", -1, object_name(image_id), str(error)))
            except RepositoryError:
                if named or self._repository.store.size(object_name(image_id)) is not None:
                    raise

    def items(self, ids: Sequence[str]) -> Iterator[_Item]:
        for place, page_id, count, chunk_size, size in self._page_places(ids):
            span = min(count * chunk_size, size - place.offset)
            page = self._load(page_id, count) if self._pages_seen.add(page_key(page_id)) else None
            if page is None:
                self._progress.advance(span)
                continue
            for entry in range(page.count):
                offset = place.offset + entry * chunk_size
                length = min(chunk_size, size - offset)
                if page.state(entry) == STORED and self._chunks_seen.add(
                        chunk_key(page.chunk_id(entry), page.chunk_generation(entry) or 0)):
                    yield _Item(place._replace(offset=offset), page.location(entry), page.chunk_id(entry), length)
                else:
                    self._progress.advance(length)

    def make_worker(self):
        reader = ChunkReader(self._repository)

        def work(item: _Item) -> None:
            try:
                self._check_key(reader.check(item.location, item.length))
                if self._is_to_be_read(item.chunk_id):
                    reader.read(item.location, item.chunk_id, item.length)
                    with self._lock:
                        self.read += 1
            except DamagedObjectError as error:
                self._note(item.location, item.location.name, str(error))
            with self._lock:
                self.chunks += 1
                self.bytes += item.length
            self._progress.advance(item.length)

        return work

    def _is_to_be_read(self, chunk_id: bytes) -> bool:
        """Ids are spread evenly, so equal ranges of them are equal parts."""
        number, parts = self._part
        return parts and int.from_bytes(chunk_id[:8], "big") * parts >> 64 == number - 1

    def _page_places(self, ids: Sequence[str]):
        """(place, page id, entries, chunk size, disk size) of every page of every readable image."""
        for image_id in ids:
            if image_id not in self._unreadable and self._repository.store.size(object_name(image_id)) is not None:
                manifest = read_manifest(self._repository, image_id)
                for disk in manifest.disks:
                    for place, page_id, count in disk_pages(manifest, disk):
                        yield place, page_id, count, manifest.chunk_size, disk.info.size

    def _load(self, page_id: bytes, count: int) -> Optional[Page]:
        try:
            return self._pages.load(page_id, count)
        except DamagedObjectError as error:
            self._note(page_id, page_name(page_id), str(error))
            return None

    def _check_key(self, key_id: bytes) -> None:
        if key_id != NO_KEY_ID and key_id not in self._good_keys:
            self._repository.check_data_key(key_id)
            self._good_keys.add(key_id)

    def _note(self, bad, name: str, message: str) -> None:
        with self._lock:
            self._bad[bad] = (name, message)

    # -- second pass --------------------------------------------------------------------------------------------------------

    def locate(self, ids: Sequence[str]) -> None:
        """Turn bad objects into problems: one for each place of each image that needs them."""
        if not self._bad:
            return
        for place, page_id, count, chunk_size, _size in self._page_places(ids):
            if self._progress.cancelled():
                raise CancelledError("Cancelled on request.")
            if page_id in self._bad:
                self._add_problem(place, *self._bad[page_id])
                continue
            page = self._pages.load(page_id, count)
            for entry in range(page.count):
                if page.state(entry) == STORED and page.location(entry) in self._bad:
                    self._add_problem(place._replace(offset=place.offset + entry * chunk_size), *self._bad[page.location(entry)])

    def leave_out_pruned(self) -> None:
        """What an image lacks that was removed meanwhile is no problem."""
        gone = {image for image in {problem.image for problem in self.problems} if self._repository.store.size(object_name(image)) is None}
        self.problems = [problem for problem in self.problems if problem.image not in gone]

    def _add_problem(self, place: Place, name: str, message: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(place.image, place.machine, place.disk, place.offset, name, f"Data of {place}: {message}"))
