# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM2 physical volumes: label, header, metadata areas (lvm2 lib/label/label.h, lib/format_text/layout.h). Little endian.

A metadata area is a ring of texts behind a header of 512 bytes that points to the current one.
"""

import struct
import zlib
from typing import Dict, Iterator, NamedTuple, Tuple

from . import lvmtext
from .mapread import MapUnknown, ReadAt, read_exactly
from .ranges import Ranges

SECTOR = 512
LABEL_SECTORS = 4
LABEL_ID, LABEL_TYPE = b"LABELONE", b"LVM2 001"
AREA_MAGIC = b" LVM2 x[5A%r0N*>"
AREA_HEADER = 512                # bytes; the ring begins behind it
LOCATION_IGNORED = 0x1           # of a raw_locn: LVM does not keep this copy up to date
CHECKSUM_START = 0xF597A6CF      # lvm2 lib/misc/crc.h: CRC-32 without final inversion
MAX_LOCATIONS = 16


class Label(NamedTuple):
    uuid: str                                # without its dashes
    fixed: Ranges                            # label sectors and metadata areas
    texts: Tuple[Dict[str, object], ...]     # the current metadata as each of its areas has it, parsed
    damage: str                              # why one of the areas could not be read, "" if all could


def checksum(data: bytes) -> int:
    return zlib.crc32(data, CHECKSUM_START ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def read_label(read_at: ReadAt, size: int) -> Label:
    """The label of a physical volume of `size` bytes. MapUnknown where there is none or it is damaged; damaged metadata areas are told."""
    sector, header = _find_label(read_at)
    uuid = header[:32].decode("ascii")
    _data_areas, position = _locations(header, 40)          # the metadata says them again
    areas, position = _locations(header, position)
    fixed = [(0, max(LABEL_SECTORS * SECTOR, (sector + 1) * SECTOR))] + [(start, start + length) for start, length in areas]
    if position + 8 <= len(header) and struct.unpack_from("<I", header, position)[0]:
        boot_areas, position = _locations(header, position + 8)
        fixed += [(start, start + length) for start, length in boot_areas]
    texts, damage = [], ""
    for start, length in areas:
        try:
            texts += _area(read_at, start, length)
        except MapUnknown as reason:
            damage = str(reason)
    return Label(uuid, Ranges(fixed).clip(0, size), tuple(texts), damage)


def _find_label(read_at: ReadAt) -> Tuple[int, bytes]:
    """(sector of the label, the physical volume's header)."""
    head = read_exactly(read_at, 0, LABEL_SECTORS * SECTOR, "LVM label")
    for number in range(LABEL_SECTORS):
        sector = head[number * SECTOR:(number + 1) * SECTOR]
        if sector[:8] != LABEL_ID or sector[24:32] != LABEL_TYPE:
            continue
        own, found, offset = struct.unpack_from("<QII", sector, 8)
        if own != number or found != checksum(sector[20:]) or not 32 <= offset <= SECTOR - 40:
            raise MapUnknown("the LVM label is damaged")
        return number, sector[offset:]
    raise MapUnknown("no LVM label")


def _locations(header: bytes, position: int) -> Tuple[Tuple[Tuple[int, int], ...], int]:
    """((offset, size) in bytes ..., position behind the list): a list that a zero offset ends."""
    found = []
    for _location in range(MAX_LOCATIONS):
        offset, length = struct.unpack_from("<QQ", header, position)
        position += 16
        if not offset:
            return tuple(found), position
        found.append((offset, length))
    raise MapUnknown("the header of the LVM physical volume is damaged")


def _area(read_at: ReadAt, start: int, length: int) -> Iterator[Dict[str, object]]:
    """The current metadata of the area; nothing where there is none yet, or where LVM ignores the area."""
    header = read_exactly(read_at, start, AREA_HEADER, "LVM metadata area")
    found, magic, version, own, own_length = struct.unpack_from("<I16sIQQ", header)
    if magic != AREA_MAGIC or version != 1 or own != start or own_length != length or found != checksum(header[4:]):
        raise MapUnknown("the header of an LVM metadata area is damaged")
    offset, size, text_checksum, flags = struct.unpack_from("<QQII", header, 40)
    if not offset or flags & LOCATION_IGNORED:
        return
    if not AREA_HEADER <= offset < length or not 0 < size <= length - AREA_HEADER:
        raise MapUnknown("an LVM metadata area points outside itself")
    before_end = min(size, length - offset)
    data = read_exactly(read_at, start + offset, before_end, "LVM metadata")
    data += read_exactly(read_at, start + AREA_HEADER, size - before_end, "LVM metadata")
    if checksum(data) != text_checksum:
        raise MapUnknown("the LVM metadata has a wrong checksum")
    yield lvmtext.parse(data.rstrip(b"\0").decode("utf-8", "surrogateescape"))
