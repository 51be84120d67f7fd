# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export: one image of a repository as one file, `name.zia`.

Pages and chunks are fetched and checked by a pool of threads and written in disk order, so the same image gives the same file. Every
object is copied as it is stored: nothing is compressed or encrypted anew.
"""

import errno
import os
import time
from contextlib import contextmanager
from typing import Iterator, NamedTuple, Tuple

from ..errors import KeyAccessError, RepositoryError, TargetError
from ..repository.datakey import PREFIX as DATA_KEYS
from ..repository.repository import Repository
from ..repository.keyring import GRANTS, MAX_RING_SIZE, RINGS
from ..repository.slots import MAX_SLOT_SIZE, PREFIX as SLOTS
from ..repository.store import ROOT
from .container import ContainerWriter
from .envelope import CHUNK, NO_KEY_ID, read_header
from .index import STORED, Location, PageStore, page_name
from .manifest import ImageInfo, Manifest, object_name, read_manifest
from .pace import UNLIMITED, Pace
from .pool import ordered, worker_count
from .reading import ChunkReader, disk_pages
from .target import rename_new, take_lock

_REMEMBERED = 1000000            # ids of objects that are in the file; beyond (some 100 MB) one may get into it twice


class ExportResult(NamedTuple):
    image: ImageInfo
    path: str
    size: int                    # bytes of the file
    objects: int
    seconds: float


def export_image(repository: Repository, image_id: str, path: str, progress, workers: int = 0, reading: Pace = UNLIMITED,
                 overwrite: bool = False) -> ExportResult:
    """Write one image to the file `path`. `reading` keeps the bytes read from the repository below a rate.

    The file is `<path>.partial` until it is complete and durable; after an error it is removed.
    Raises RepositoryError, KeyAccessError (the key may not read, so nothing could be checked), TargetError, CancelledError.
    """
    started = time.monotonic()
    if not repository.can_read:
        raise KeyAccessError("The capture credential cannot read data: exporting needs a passphrase or key file.")
    manifest = read_manifest(repository, image_id)
    progress.phase("export", sum(disk.info.data for disk in manifest.disks))
    export = _Export(repository, manifest, progress, reading)
    with _new_file(path, overwrite) as file:
        writer = ContainerWriter(file)
        for name, data in export.objects(worker_count(workers, repository.chunk_size)):
            writer.add(name, data)
        writer.finish()
    return ExportResult(manifest.info, path, writer.size, writer.objects, round(time.monotonic() - started, 3))


class _Item(NamedTuple):
    """An object to fetch: an index page (`location` None), or a chunk of `length` plain bytes."""
    object_id: bytes
    count: int
    location: Location
    length: int


class _Export:

    def __init__(self, repository: Repository, manifest: Manifest, progress, reading: Pace):
        self._repository = repository
        self._manifest = manifest
        self._progress = progress
        self._reading = reading
        self._pages = PageStore(repository)      # used by _items only, one thread at a time
        self._written = set()

    def objects(self, workers: int) -> Iterator[Tuple[str, bytes]]:
        """Name and content of all that the image needs, in the order of docs/format.md section 15."""
        store = self._repository.store
        yield ROOT, store.get(ROOT)
        for prefix, limit in ((SLOTS, MAX_SLOT_SIZE), (GRANTS, MAX_SLOT_SIZE), (RINGS, MAX_RING_SIZE)):
            for name in store.list(prefix):
                if (store.size(name) or 0) <= limit:
                    yield name, store.get(name)
        name = object_name(self._manifest.info.id)
        yield name, store.get(name)
        for name, data, key_id in ordered(self._items(), self._make_worker, workers, self._progress.cancelled):
            if key_id != NO_KEY_ID and self._is_new(key_id):
                key_name = DATA_KEYS + key_id.hex()
                yield key_name, store.get(key_name)
            yield name, data

    def _items(self) -> Iterator[_Item]:
        chunk_size = self._manifest.chunk_size
        for disk in self._manifest.disks:
            for place, page_id, count in disk_pages(self._manifest, disk):
                page = self._pages.load(page_id, count)
                if self._is_new(page_id):
                    yield _Item(page_id, count, None, 0)
                for entry in range(count):
                    if page.state(entry) != STORED:
                        continue
                    length = min(chunk_size, disk.info.size - place.offset - entry * chunk_size)
                    if self._is_new(page.chunk_id(entry)):
                        yield _Item(page.chunk_id(entry), 0, page.location(entry), length)
                    else:
                        self._progress.advance(length)

    def _make_worker(self):
        reader = ChunkReader(self._repository)

        def work(item: _Item) -> Tuple[str, bytes, bytes]:
            if item.location is None:
                name = page_name(item.object_id)
                return name, self._repository.store.get(name), NO_KEY_ID
            if item.location.length is not None:
                raise RepositoryError(f"The image has chunks in packs ({item.location.name}), which this version does not export.")
            self._reading.spend(item.length)
            sealed = reader.fetch(item.location)
            reader.open(item.location.name, sealed, item.object_id)
            self._progress.advance(item.length)
            header = read_header(CHUNK, sealed, len(sealed), self._repository.suite, self._repository.chunk_size)
            return item.location.name, sealed, header.key_id

        return work

    def _is_new(self, object_id: bytes) -> bool:
        if object_id in self._written:
            return False
        if len(self._written) < _REMEMBERED:
            self._written.add(object_id)
        return True


@contextmanager
def _new_file(path: str, overwrite: bool):
    """A file to write that gets its name when the context ends well. Errors of the operating system become TargetError."""
    partial = path + ".partial"
    try:
        # Not truncated before it is locked: another export may be writing it.
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TargetError(f"The file {partial} cannot be made: {error.strerror}.") from error
    if not take_lock(fd):
        os.close(fd)
        raise TargetError(f"Another export is writing {partial}.")
    try:
        with os.fdopen(fd, "wb") as file:        # closing it writes too, so it may fail as writing may
            os.ftruncate(fd, 0)
            yield file
            file.flush()
            os.fsync(fd)
            if overwrite:
                os.rename(partial, path)
            else:
                rename_new(partial, path)
            _sync_folder(os.path.dirname(path))
    except FileExistsError:
        _remove(partial)
        raise TargetError(f"The file {path} exists already. Remove it, or allow it to be replaced.")
    except OSError as error:
        _remove(partial)
        advice = " Make room there and export again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise TargetError(f"The file {partial} cannot be written: {error.strerror}.{advice}") from error
    except BaseException:
        _remove(partial)
        raise


def _sync_folder(path: str) -> None:
    folder = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
