# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Index pages: which chunk is where, for one stretch of a disk each.

A page is a header, a table of packs and up to 4,096 entries of 52 bytes. It is named by its content and knows nothing of its position, so
an unchanged stretch of a disk has the same page in every image and costs nothing. Entries stay packed in memory.
"""

import struct
from typing import NamedTuple, Optional

from ..errors import DamagedObjectError
from ..repository.repository import Repository
from .codec import Zlib
from .envelope import NO_KEY_ID, PAGE, EnvelopeError, Opener, Sealer

UNALLOCATED = 0          # the source said that nothing is there; restores as zeros
ZERO = 1                 # read, and all zeros
STORED = 2

OWN_OBJECT = 0           # the chunk is an object of its own; number: generation
PACK = 1                 # the chunk is `length` bytes at `offset` of pack `number` of the page's table

ENTRIES_PER_PAGE = 1024
MAX_ENTRIES_PER_PAGE = 4096
MAX_PACKS = 4096
MAX_PAGE_SIZE = 1 << 20

_HEADER = struct.Struct(">BxHI")                 # version, packs, entries
_ENTRY = struct.Struct(">BBHIQI32s")             # state, locator kind, reserved, number, offset, length, chunk id
_VERSION = 1
_NO_ID = bytes(32)


class Location(NamedTuple):
    """Where a chunk's bytes are: an object, or a part of one (`length` None: all of it)."""
    name: str
    offset: int
    length: Optional[int]


class PageBuilder:
    """A page under construction: all entries UNALLOCATED at first, or a copy of a page that a builder has made.

    Different entries may be set by different threads.
    """

    def __init__(self, count: int, base: Optional["Page"] = None):
        if base is not None:
            self._data = bytearray(base.data())
            return
        self._data = bytearray(_HEADER.size + count * _ENTRY.size)
        _HEADER.pack_into(self._data, 0, _VERSION, 0, count)

    def set_unallocated(self, index: int) -> None:
        _ENTRY.pack_into(self._data, _HEADER.size + index * _ENTRY.size, UNALLOCATED, 0, 0, 0, 0, 0, _NO_ID)

    def set_zero(self, index: int) -> None:
        _ENTRY.pack_into(self._data, _HEADER.size + index * _ENTRY.size, ZERO, 0, 0, 0, 0, 0, _NO_ID)

    def set_stored(self, index: int, chunk_id: bytes, generation: int = 0) -> None:
        _ENTRY.pack_into(self._data, _HEADER.size + index * _ENTRY.size, STORED, OWN_OBJECT, 0, generation, 0, 0, chunk_id)

    def data(self) -> bytes:
        return bytes(self._data)


class Page:
    """A page that was read and checked."""

    def __init__(self, data: bytes):
        """Raises ValueError in words that follow "is damaged: "."""
        if len(data) < _HEADER.size:
            raise ValueError("it is cut short")
        version, packs, self.count = _HEADER.unpack_from(data)
        if version != _VERSION or data[1]:
            raise ValueError(f"it is an index page of version {version}, which this version does not know")
        self._entries = _HEADER.size + 32 * packs
        if not 1 <= self.count <= MAX_ENTRIES_PER_PAGE or packs > MAX_PACKS or len(data) != self._entries + self.count * _ENTRY.size:
            raise ValueError("its length is not what its header says")
        self._data = data
        self._packs = packs
        for state, kind, reserved, number, offset, length, chunk_id in _ENTRY.iter_unpack(memoryview(data)[self._entries:]):
            if state == STORED:
                valid = (kind == OWN_OBJECT and not offset and not length) or (kind == PACK and number < packs and length)
            else:
                valid = state in (UNALLOCATED, ZERO) and not (kind or number or offset or length) and chunk_id == _NO_ID
            if reserved or not valid:
                raise ValueError("an entry is not valid")

    def data(self) -> bytes:
        return self._data

    def state(self, index: int) -> int:
        return self._data[self._entries + index * _ENTRY.size]

    def chunk_id(self, index: int) -> bytes:
        end = self._entries + (index + 1) * _ENTRY.size
        return self._data[end - 32:end]

    def generation(self, index: int) -> Optional[int]:
        """The generation of a chunk that is an object of its own, else None."""
        state, kind, _reserved, number, _offset, _length, _id = _ENTRY.unpack_from(self._data, self._entries + index * _ENTRY.size)
        return number if state == STORED and kind == OWN_OBJECT else None

    def location(self, index: int) -> Location:
        """Where a STORED entry's chunk is."""
        _state, kind, _reserved, number, offset, length, chunk_id = _ENTRY.unpack_from(self._data, self._entries + index * _ENTRY.size)
        if kind == OWN_OBJECT:
            return Location(chunk_name(chunk_id, number), 0, None)
        pack = self._data[_HEADER.size + 32 * number:_HEADER.size + 32 * (number + 1)].hex()
        return Location(f"packs/{pack[:2]}/{pack}", offset, length)


def chunk_name(chunk_id: bytes, generation: int = 0) -> str:
    """The object name of a chunk. A generation above 0 is a chunk that was stored again after its first object was given up."""
    digits = chunk_id.hex()
    return f"chunks/{digits[:2]}/{digits}" + (f".{generation}" if generation else "")


def page_name(page_id: bytes) -> str:
    digits = page_id.hex()
    return f"index/{digits[:2]}/{digits}"


class PageStore:
    """Stores and loads pages. For one thread."""

    def __init__(self, repository: Repository):
        self._repository = repository
        self._sealer = Sealer(PAGE, repository, repository.page_key, NO_KEY_ID, Zlib())
        self._opener = Opener(PAGE, repository, MAX_PAGE_SIZE)

    def store(self, page_id: bytes, data: bytes) -> int:
        """Store a page unless it is there; the bytes that this added."""
        name = page_name(page_id)
        if self._repository.store.size(name) is not None:
            return 0
        sealed = self._sealer.seal(page_id, data)
        self._repository.store.put(name, sealed)
        return len(sealed)

    def load(self, page_id: bytes, count: int) -> Page:
        """The page, of `count` entries. Raises DamagedObjectError when it is missing or not what its name says."""
        name = page_name(page_id)
        sealed = self._repository.store.get(name)
        try:
            data = bytes(self._opener.open(page_id, sealed, self._key_of))
            if self._repository.page_ids.of(data) != page_id:
                raise EnvelopeError("its content is not what its name says")
            page = Page(data)
            if page.count != count:
                raise EnvelopeError("it has a wrong number of entries")
            return page
        except ValueError as error:
            raise DamagedObjectError(f"The index page {name} is damaged: {error}.") from error

    def _key_of(self, key_id: bytes) -> bytes:
        if key_id != NO_KEY_ID:
            raise EnvelopeError("it names a key")
        return self._repository.page_key
