# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading an image: where its pages are, and its chunks, fetched and checked."""

from typing import Iterator, NamedTuple, Tuple

from ..errors import DamagedObjectError
from ..repository.repository import Repository
from ..repository.store import missing
from .envelope import CHUNK, HEADER_SIZE, EnvelopeError, Opener, read_header
from .index import Location
from .manifest import Manifest, ManifestDisk, chunk_count


class Place(NamedTuple):
    """A stretch of a disk in an image, for messages."""
    image: str
    machine: str
    disk: str
    offset: int

    def __str__(self):
        return f"machine {self.machine}, disk {self.disk}, byte {self.offset}, image {self.image}"


def disk_pages(manifest: Manifest, disk: ManifestDisk) -> Iterator[Tuple[Place, bytes, int]]:
    """The index pages of a disk in order: where each begins, its id, and how many entries it must have."""
    span = manifest.chunk_size * manifest.entries_per_page
    for number, start in enumerate(range(0, disk.info.size, span)):
        place = Place(manifest.info.id, manifest.info.machine, disk.info.name, start)
        yield place, disk.pages[32 * number:32 * number + 32], chunk_count(min(span, disk.info.size - start), manifest.chunk_size)


class ChunkReader:
    """Reads and checks chunks; DamagedObjectError says what is wrong with which object.

    For one thread: a chunk may lie in a buffer that the next call uses again.
    """

    def __init__(self, repository: Repository):
        self._repository = repository
        self._opener = Opener(CHUNK, repository, repository.chunk_size)

    def read(self, location: Location, chunk_id: bytes, length: int):
        """The plain chunk of `length` bytes, authenticated and its id checked. Raises DamagedObjectError, KeyAccessError."""
        chunk = self.open(location.name, self.fetch(location), chunk_id)
        if len(chunk) != length:
            raise DamagedObjectError(f"The object {location.name} is damaged: it holds a chunk of another length.")
        return chunk

    def fetch(self, location: Location) -> bytes:
        """The chunk as it is stored."""
        return self._repository.store.get(location.name, location.offset, location.length)

    def open(self, name: str, sealed: bytes, chunk_id: bytes):
        """The plain content of a stored chunk, authenticated and its id checked. Raises DamagedObjectError, KeyAccessError."""
        try:
            chunk = self._opener.open(chunk_id, sealed, self._repository.data_key)
            if self._repository.chunk_ids.of(chunk) != chunk_id:
                raise EnvelopeError("its content is not what its name says")
            return chunk
        except EnvelopeError as error:
            raise DamagedObjectError(f"The object {name} is damaged: {error}.") from error
        except DamagedObjectError as error:
            raise DamagedObjectError(f"The object {name} cannot be opened. {error}") from error

    def check(self, location: Location, length: int) -> bytes:
        """Check all of a chunk that can be checked without its key; returns the id of its data key. Raises DamagedObjectError."""
        store = self._repository.store
        if location.length is None:
            peek = store.peek(location.name, HEADER_SIZE)
            if peek is None:
                raise missing(store.label, location.name)
            head, size = peek
        else:
            head, size = store.get(location.name, location.offset, min(HEADER_SIZE, location.length)), location.length
        return self.check_header(location.name, head, size, length)

    def check_header(self, name: str, head: bytes, size: int, length: int) -> bytes:
        """As `check`, of a stored chunk of `size` bytes of which `head` is at least the header."""
        try:
            header = read_header(CHUNK, head, size, self._repository.suite, self._repository.chunk_size)
            if header.length != length:
                raise EnvelopeError("it holds a chunk of another length")
            return header.key_id
        except EnvelopeError as error:
            raise DamagedObjectError(f"The object {name} is damaged: {error}.") from error
