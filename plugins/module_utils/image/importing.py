# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Import: one image from a ZIA file into the repository it comes from, or into an empty place, which becomes that repository.

The file is read once, from front to end. An object gets its name in the repository only after it has proved itself: chunks and pages
by decryption and id. The manifest is put last, after all that it names was found to be there; before that there is no image.
"""

import re
import threading
import time
from itertools import chain
from typing import BinaryIO, Dict, Iterator, NamedTuple, Optional, Tuple

from ..errors import DamagedObjectError, KeyAccessError, RepositoryError
from ..repository import datakey
from ..repository.crypto import AuthenticationError
from ..repository.keyring import GRANTS, RINGS
from ..repository.keys import Key
from ..repository.repository import Repository, open_repository, read_info
from ..repository.sessions import Session
from ..repository.slots import PREFIX as SLOTS
from ..repository.store import ROOT, ObjectStore, Peek, missing
from ..repository.tombstones import GivenUp, read_lists
from .container import read_container
from .envelope import OVERHEAD
from .index import STORED, PageStore, chunk_name, page_name
from .manifest import PREFIX as IMAGES, ImageInfo, Manifest, image_id_of, open_manifest
from .pace import UNLIMITED, Pace
from .pool import run, worker_count
from .reading import ChunkReader, disk_pages

_CHUNK_NAME = re.compile(r"chunks/[0-9a-f]{2}/([0-9a-f]{64})(?:\.([1-9][0-9]{0,9}))?\Z")
_PAGE_NAME = re.compile(r"index/[0-9a-f]{2}/([0-9a-f]{64})\Z")
_KEY_NAME = re.compile(re.escape(datakey.PREFIX) + r"([0-9a-f]{64})\Z")
_KNOWN = (ROOT, "keys", "images", "index", "chunks", "packs")     # other objects are ignored
_KEYS = (SLOTS, GRANTS, RINGS)   # what opens a repository, in the order in which it is written
_MAX_HEAD_OBJECTS = 1000


class ImportResult(NamedTuple):
    image: ImageInfo
    changed: bool                # False: the repository has the image already
    made: bool                   # the repository was made, or would be
    stored: int                  # bytes that this added, and in how many objects
    stored_objects: int
    seconds: float


def import_image(store: ObjectStore, is_repository: bool, key: Key, file: BinaryIO, label: str, progress, total: int = 0, workers: int = 0,
                 reading: Pace = UNLIMITED, check: bool = False) -> ImportResult:
    """Import the image in the open ZIA file `file`, called `label` and `total` bytes long (0: not known), into `store`.

    `is_repository` tells whether there is a repository in the store; if not, it is made from the file, with the file's keys.
    `key` must open it for reading. With `check` only the head of the file is read, and nothing is written.
    Raises SourceError: the file cannot be read; DamagedObjectError: the file was altered or cut short; KeyAccessError;
    RepositoryError: the file is of another repository, or the store fails; CancelledError. In each case there is no image; what was
    stored so far is not stored again by the next import.
    """
    started = time.monotonic()
    objects = read_container(file, label)
    head, objects = _read_head(objects, label)
    inside = open_repository(head, key)
    if not inside.can_read:
        raise KeyAccessError("The capture credential cannot read data: importing needs a passphrase or key file.")
    if is_repository:
        there = read_info(store)
        if there.id != inside.info.id:
            raise RepositoryError(
                f"The file {label} is of repository {inside.info.id}, and the repository at {store.label} is {there.id}: an image can be "
                "imported into the repository it comes from, or into an empty place.")
        repository = open_repository(store, key)
    else:
        repository = inside
    manifest = open_manifest(inside, head.image_id, head.objects[head.manifest_name])
    changed = not (is_repository and store.size(head.manifest_name) is not None)
    if check or not changed:
        return ImportResult(manifest.info, changed, not is_repository, 0, 0, round(time.monotonic() - started, 3))
    if not is_repository:
        repository = _make_repository(store, head, key)
    session = Session(store)                 # before anything is looked at that the image may use
    try:
        progress.phase("import", total)
        work = _Import(repository, objects, label, progress, reading, GivenUp(read_lists(store)))
        count = worker_count(workers, repository.chunk_size)
        run(work.items(), work.make_worker, count, progress.cancelled)
        progress.phase("check", sum(disk.size for disk in manifest.info.disks))
        run(work.needed(manifest), work.make_looker, count, progress.cancelled)
        store.flush()
        session.commit(head.manifest_name, head.objects[head.manifest_name])
    except BaseException:
        session.give_up()
        raise
    return ImportResult(manifest.info, True, not is_repository, work.stored, work.stored_objects, round(time.monotonic() - started, 3))


def read_identity(file: BinaryIO, label: str) -> Tuple[str, str]:
    """(repository id, image id) of a ZIA file, from its head. Raises RepositoryError: it is none; SourceError: it cannot be read."""
    head, _objects = _read_head(read_container(file, label), label)
    return read_info(head).id, head.image_id


class _Head(ObjectStore):
    """The first objects of a ZIA file as a store that can be read: root object, keys, manifest."""

    def __init__(self, label: str):
        self.label = label
        self.objects = {}                # type: Dict[str, bytes]
        self.manifest_name = ""
        self.image_id = ""

    def get(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        if name not in self.objects:
            raise missing(self.label, name)
        return self.objects[name][offset:] if length is None else self.objects[name][offset:offset + length]

    def peek(self, name: str, length: int) -> Optional[Peek]:
        data = self.objects.get(name)
        return None if data is None else Peek(data[:length], len(data))

    def size(self, name: str) -> Optional[int]:
        return len(self.objects[name]) if name in self.objects else None

    def list(self, prefix: str) -> Iterator[str]:
        return (name for name in sorted(self.objects) if name.startswith(prefix))


def _read_head(objects: Iterator[Tuple[str, bytes]], label: str) -> Tuple[_Head, Iterator[Tuple[str, bytes]]]:
    """The head of a file, and what follows it."""
    head = _Head(label)
    for name, data in objects:
        wanted = ROOT if not head.objects else _KEYS + (IMAGES,)
        if not name.startswith(wanted) or len(head.objects) > _MAX_HEAD_OBJECTS:
            break
        head.objects[name] = data
        if name.startswith(IMAGES):
            head.manifest_name = name
            head.image_id = image_id_of(name)
            break
    if not head.image_id:
        raise DamagedObjectError(f"The file {label} is damaged: it does not begin with repository.json, keys and a manifest.")
    return head, objects


def _make_repository(store: ObjectStore, head: _Head, key: Key) -> Repository:
    """Put the root object, after the keys that open it: of two imports at once both go on with the same repository."""
    store.create()
    for name in chain(*map(head.list, _KEYS), (ROOT,)):
        store.put_new(name, head.objects[name])
    return open_repository(store, key)


class _Import:
    """What the threads of one import share."""

    def __init__(self, repository: Repository, objects: Iterator[Tuple[str, bytes]], label: str, progress, reading: Pace,
                 given_up: GivenUp):
        self._repository = repository
        self._given_up = given_up
        self._objects = objects
        self._label = label
        self._progress = progress
        self._reading = reading
        self._pages = PageStore(repository)      # used by the two generators only, which the pool serialises
        self._lock = threading.Lock()
        self.stored = 0
        self.stored_objects = 0

    # -- taking in the objects of the file ----------------------------------------------------------------------------------

    def items(self) -> Iterator[Tuple[str, bytes, bytes]]:
        """(object name, content, chunk id) of every chunk. Data keys and pages, which are small, are dealt with on the way."""
        for name, data in self._objects:
            self._reading.spend(len(data))
            chunk, page, key = _CHUNK_NAME.match(name), _PAGE_NAME.match(name), _KEY_NAME.match(name)
            if chunk:
                chunk_id, generation = bytes.fromhex(chunk.group(1)), int(chunk.group(2) or 0)
                if generation < 1 << 32 and name == chunk_name(chunk_id, generation):
                    self._check_name(name, self._given_up.has_chunk(chunk_id, generation))
                    yield name, data, chunk_id
                    continue
            elif page and name == page_name(bytes.fromhex(page.group(1))):
                self._check_name(name, self._given_up.has_page(bytes.fromhex(page.group(1))))
                self._take_page(name, data, bytes.fromhex(page.group(1)))
                continue
            elif key and self._repository.secrets is not None:
                self._take_data_key(name, data, bytes.fromhex(key.group(1)))
                continue
            if name.partition("/")[0] in _KNOWN:
                raise DamagedObjectError(f"The file {self._label} is damaged: it must not hold an object {name} there.")

    def _check_name(self, name: str, is_given_up: bool) -> None:
        if is_given_up:
            raise RepositoryError(
                f"The repository at {self._repository.store.label} has pruned the object {name} and does not use that name again. "
                "Import the file into an empty place, and bring the image from there by image_replicate.")

    def make_worker(self):
        reader = ChunkReader(self._repository)

        def work(item: Tuple[str, bytes, bytes]) -> None:
            name, data, chunk_id = item
            if not self._is_there(name):
                self._prove(reader.open, name, data, chunk_id)
                self._put(name, data)
            self._progress.advance(len(data))

        return work

    def _take_page(self, name: str, data: bytes, page_id: bytes) -> None:
        if not self._is_there(name):
            self._prove(self._pages.open, page_id, data)
            self._put(name, data)
        self._progress.advance(len(data))

    def _take_data_key(self, name: str, data: bytes, key_id: bytes) -> None:
        """A data key is durable before the first chunk that names it is stored."""
        if not self._is_there(name):
            try:
                datakey.open_data_key(data, key_id, self._repository.id, self._repository.secrets)
            except AuthenticationError as error:
                raise DamagedObjectError(f"The file {self._label} is damaged: the data key {name}: {error}.") from error
            self._repository.store.put_new(name, data)
            self._count(data)
        self._progress.advance(len(data))

    def _prove(self, proof, *arguments) -> None:
        try:
            proof(*arguments)
        except DamagedObjectError as error:
            raise DamagedObjectError(f"The file {self._label} is damaged. {error}") from error

    def _is_there(self, name: str) -> bool:
        """As a capture sees it: an object that is shorter than any can be is stored again."""
        size = self._repository.store.size(name)
        return size is not None and size > OVERHEAD

    def _put(self, name: str, data: bytes) -> None:
        self._repository.store.put(name, data)
        self._count(data)

    def _count(self, data: bytes) -> None:
        with self._lock:
            self.stored += len(data)
            self.stored_objects += 1

    # -- is all there? --------------------------------------------------------------------------------------------------------

    def needed(self, manifest: Manifest) -> Iterator[Tuple[str, int]]:
        """(object name, bytes of the disk) of every chunk that the image needs; the pages are read here."""
        for disk in manifest.disks:
            for place, page_id, count in disk_pages(manifest, disk):
                page = self._pages.load(page_id, count)
                for entry in range(count):
                    length = min(manifest.chunk_size, disk.info.size - place.offset - entry * manifest.chunk_size)
                    if page.state(entry) == STORED:
                        yield page.location(entry).name, length
                    else:
                        self._progress.advance(length)

    def make_looker(self):
        def look(item: Tuple[str, int]) -> None:
            name, length = item
            if not self._is_there(name):
                raise DamagedObjectError(f"The file {self._label} is not complete: it lacks {name}, which its image needs.")
            self._progress.advance(length)

        return look
