# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tombstones: lists of object names that are given up, published before anything is removed (docs/format.md, "Tombstones").

`gc/<number>` is a list; `gc/<number>.kept`, stored once and conditionally, is the decision on it: what of the list is kept after all.
A name that is given up is never written again: a writer takes the next generation. Names are kept as packed records.
"""

import hashlib
import os
import re
import struct
from typing import Iterable, Iterator, List, NamedTuple, Optional

from ..errors import DamagedObjectError
from .store import ObjectStore

PREFIX = "gc/"
CLOCK = "gc/clock"
REMEMBERED = 1 << 20             # names; older decided lists are forgotten where there are more

CHUNK_RECORD = 36                # chunk id and generation
PAGE_RECORD = 32                 # page id
_MAGIC = b"ZIAG"
_FORMAT = 1
_HEADER = struct.Struct(">4sB3xIII16s")      # magic, format, base, chunks, pages, random
_GENERATION = struct.Struct(">I")
_NAME = re.compile(r"gc/([0-9]{8})(\.kept)?\Z")


class Names(NamedTuple):
    """Names of objects: sorted records without separators."""
    chunks: bytes
    pages: bytes

    @property
    def count(self) -> int:
        return len(self.chunks) // CHUNK_RECORD + len(self.pages) // PAGE_RECORD


class TombstoneList(NamedTuple):
    """A list: its number, the base it was published with, when (the store's clock), and what is kept of it (None: not decided)."""
    number: int
    base: int
    published: float
    names: Names
    kept: Optional[Names]


def chunk_record(chunk_id: bytes, generation: int) -> bytes:
    return chunk_id + _GENERATION.pack(generation)


def split_chunk_record(record: bytes):
    """(chunk id, generation)"""
    return record[:32], _GENERATION.unpack(record[32:])[0]


def records(packed: bytes, width: int) -> Iterator[bytes]:
    for at in range(0, len(packed), width):
        yield packed[at:at + width]


def pack(chunks: Iterable[bytes], pages: Iterable[bytes]) -> Names:
    return Names(b"".join(sorted(chunks)), b"".join(sorted(pages)))


def read_lists(store: ObjectStore) -> List[TombstoneList]:
    """All lists that count, by number: those above the newest base."""
    while True:
        try:
            return _read_lists(store)
        except _Forgotten:
            continue             # a pruner has removed lists meanwhile, and published a newer one


class _Forgotten(Exception):
    pass


def _read_lists(store: ObjectStore) -> List[TombstoneList]:
    published, kept = {}, set()
    for entry in store.scan(PREFIX):
        match = _NAME.match(entry.name)
        if match and match.group(2):
            kept.add(int(match.group(1)))
        elif match:
            published[int(match.group(1))] = entry.modified
    found = []
    base = 0
    for number in sorted(published, reverse=True):       # the newest knows the base, so that forgotten ones are not read
        if number > base:
            its_base, names = _get(store, _list_name(number))
            base = max(base, its_base)
            decision = _get(store, _list_name(number) + ".kept")[1] if number in kept else None
            found.append(TombstoneList(number, its_base, published[number], names, decision))
    return sorted(item for item in found if item.number > base)


def newest_base(lists: List[TombstoneList]) -> int:
    return max([item.base for item in lists] or [0])


def publish(store: ObjectStore, number: int, base: int, names: Names) -> bool:
    """Store a list. False: another pruner has taken the number."""
    return store.put_new(_list_name(number), _encode(base, names))


def decide(store: ObjectStore, number: int, kept: Names) -> Names:
    """Store the decision on a list; returns the one that holds, which is another pruner's if that was first."""
    name = _list_name(number) + ".kept"
    return kept if store.put_new(name, _encode(0, kept)) else _get(store, name)[1]


def forget(store: ObjectStore, base: int) -> None:
    """Remove the lists up to `base`."""
    for name in list(store.list(PREFIX)):
        match = _NAME.match(name)
        if match and int(match.group(1)) <= base:
            store.delete(name)


class GivenUp:
    """What a writer must not use: all names in the lists that count, but those that were kept."""

    def __init__(self, lists: List[TombstoneList]):
        self.base = newest_base(lists)
        chunks, pages = set(), set()
        for item in lists:
            kept = item.kept or Names(b"", b"")
            chunks.update(set(records(item.names.chunks, CHUNK_RECORD)) - set(records(kept.chunks, CHUNK_RECORD)))
            pages.update(set(records(item.names.pages, PAGE_RECORD)) - set(records(kept.pages, PAGE_RECORD)))
        self.names = pack(chunks, pages)

    def has_chunk(self, chunk_id: bytes, generation: int) -> bool:
        return self.holds_chunk(chunk_record(chunk_id, generation))

    def holds_chunk(self, record: bytes) -> bool:
        return _holds(self.names.chunks, record)

    def has_page(self, page_id: bytes) -> bool:
        return _holds(self.names.pages, page_id)

    def generation(self, chunk_id: bytes) -> int:
        """The generation under which a chunk is looked for, and stored if it is not there."""
        generation = self.base
        while self.has_chunk(chunk_id, generation):
            generation += 1
        return generation


def _holds(packed: bytes, record: bytes) -> bool:
    """Binary search: as objects of their own a million names would take a hundred megabytes."""
    width = len(record)
    low, high = 0, len(packed) // width
    while low < high:
        middle = (low + high) // 2
        if packed[middle * width:(middle + 1) * width] < record:
            low = middle + 1
        else:
            high = middle
    return packed[low * width:(low + 1) * width] == record


def _list_name(number: int) -> str:
    return f"{PREFIX}{number:08d}"


def _encode(base: int, names: Names) -> bytes:
    header = _HEADER.pack(_MAGIC, _FORMAT, base, len(names.chunks) // CHUNK_RECORD, len(names.pages) // PAGE_RECORD, os.urandom(16))
    body = header + names.chunks + names.pages
    return body + hashlib.sha256(body).digest()


def _get(store: ObjectStore, name: str):
    """(base, names) of a list or decision. Raises DamagedObjectError."""
    if store.size(name) is None:
        raise _Forgotten()
    data = store.get(name)
    damaged = DamagedObjectError(f"The object {name} of the repository at {store.label} is damaged. Without it nothing can be stored or "
                                 "pruned safely: put back a copy of it.")
    if len(data) < _HEADER.size + 32 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise damaged
    magic, version, base, chunks, pages, _random = _HEADER.unpack_from(data)
    middle = _HEADER.size + CHUNK_RECORD * chunks
    if magic != _MAGIC or version != _FORMAT or len(data) != middle + PAGE_RECORD * pages + 32:
        raise damaged
    return base, Names(data[_HEADER.size:middle], data[middle:-32])
