# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One more partition in a table, and a GPT in place of an MBR. Nothing is written here: the results are bytes with their place.

GPT after the UEFI specification 2.10, sections 5.2.3 (protective MBR) and 5.3; MBR after section 5.2.1. What is there keeps number, place,
identifiers, attributes and the bytes that nobody here understands; a backup that does not lie at the end of the disk, because the disk has
grown, comes to lie there. `read_at(offset, length)`, `size` and `sector_size` are as in `partitions`.
"""

import struct
import uuid
import zlib

from typing import List, NamedTuple, Sequence, Tuple

from ..errors import MachineError
from .model import Partition
from .partitions import BOOT_CODE_SIZE, GPT_ENTRY, GPT_HEADER, LEGACY_BIOS_BOOTABLE, MBR_ENTRY, PROTECTIVE_TYPE, GptCopy

EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"       # UEFI 5.3.3
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"        # GRUB manual, "BIOS installation"
LINUX_DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"       # this and the next: the UAPI group's discoverable partitions specification
# What a partition of an MBR holds, as GPT says it. util-linux include/pt-mbr-partnames.h and pt-gpt-partnames.h.
GPT_TYPES = {
    "0x82": "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f",
    "0x8e": "e6d6d379-f507-44c2-a23c-238f2a3df928",
    "0xfd": "a19d880f-05fc-4d3b-a006-743f0f84911e",
    "0xef": EFI_SYSTEM,
    **dict.fromkeys(("0x01", "0x04", "0x06", "0x07", "0x0b", "0x0c", "0x0e"), "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
}
EFI_SYSTEM_IN_MBR = 0xEF
GPT_ENTRIES = 128                     # of a table that is made
MBR_LIMIT = 1 << 32                   # sectors
MIB = 1 << 20

_NO_CHS = b"\xfe\xff\xff"             # a place that cylinder, head and sector cannot name
_FROM_MBR = uuid.UUID("5e2a60d4-6a0f-4c5c-9a0c-0e9a4a7d6f11")


class Write(NamedTuple):
    offset: int                       # bytes
    data: bytes


class NewPartition(NamedTuple):
    start: int                        # bytes
    size: int                         # bytes
    type: str                         # type GUID
    uuid: str
    name: str


def partuuid_after_conversion(partuuid: str) -> str:
    """What a partition is called by its GPT that was "d1c2a3b4-02" by its MBR: so whoever meets the old name can tell the new one."""
    return str(uuid.uuid5(_FROM_MBR, partuuid.lower()))


def table_end(size: int, sector_size: int) -> int:
    """Where the backup of a GPT with 128 entries begins, in bytes. No new partition goes beyond, in an MBR neither: it may become a GPT."""
    return size - (_array_sectors(GPT_ENTRIES * GPT_ENTRY.size, sector_size) + 1) * sector_size


def free_ranges(used: Sequence[Tuple[int, int]], first: int, end: int) -> Tuple[Tuple[int, int], ...]:
    """What [first, end) holds outside of the `used` stretches [start, end), in bytes and in order."""
    found = []
    for start, stop in sorted(used) + [(end, end)]:
        if start > first:
            found.append((first, min(start, end)))
        first = max(first, stop)
    return tuple((start, stop) for start, stop in found if stop > start)


# GPT

def used_in_gpt(gpt: GptCopy, sector_size: int) -> List[Tuple[int, int]]:
    """The stretches [start, end) in bytes that the entries claim."""
    return [(first * sector_size, (last + 1) * sector_size) for _index, first, last in _used_entries(gpt)]


def first_of_gpt(gpt: GptCopy, sector_size: int) -> int:
    """The first byte that a partition may have. Many tools call only what lies behind the first MiB usable."""
    return (2 + _array_sectors(len(gpt.array), sector_size)) * sector_size


def add_to_gpt(gpt: GptCopy, sector: bytes, size: int, sector_size: int, new: NewPartition) -> Tuple[int, Tuple[Write, ...]]:
    """(number of the new partition, what to write); `sector` is the first one of the disk, as it shall be but for the protective entry.

    MachineError where the table has no free entry.
    """
    entry_size = gpt.header[12]
    taken = [index for index, _first, _last in _used_entries(gpt)]
    free = [index for index in range(gpt.header[11]) if index not in taken]
    if not free:
        raise MachineError("The partition table has no free entry.")
    # Behind all others, so that no name of a partition that was removed once comes to mean the new one.
    index = next((index for index in free if index > max(taken, default=-1)), free[0])
    array = bytearray(gpt.array)
    array[index * entry_size:(index + 1) * entry_size] = _gpt_entry(new, sector_size).ljust(entry_size, b"\0")
    return index + 1, _gpt_writes(gpt.header, bytes(array), sector, size, sector_size)


def gpt_from_mbr(disk_uuid: str, partitions: Sequence[Partition], sector_size: int) -> GptCopy:
    """A GPT with the partitions of an MBR under their numbers. MachineError where one lies where the GPT has to."""
    count = GPT_ENTRIES
    array = bytearray(count * GPT_ENTRY.size)
    begin = (2 + _array_sectors(len(array), sector_size)) * sector_size
    for partition in partitions:
        if partition.start < begin:
            raise MachineError(f"Partition {partition.number} begins {partition.start // sector_size} sectors behind the start of the "
                               f"disk, where a GPT needs {begin // sector_size}.")
        new = NewPartition(
            partition.start, partition.size, GPT_TYPES.get(partition.type, LINUX_DATA),
            partuuid_after_conversion(partition.uuid) if partition.uuid else str(uuid.uuid4()), "",
        )
        at = (partition.number - 1) * GPT_ENTRY.size
        array[at:at + GPT_ENTRY.size] = _gpt_entry(new, sector_size, LEGACY_BIOS_BOOTABLE if partition.bootable else 0)
    own = partuuid_after_conversion(disk_uuid) if disk_uuid else str(uuid.uuid4())
    header = (b"EFI PART", 0x10000, GPT_HEADER.size, 0, 0, 1, 0, begin // sector_size, 0, uuid.UUID(own).bytes_le, 2, count,
              GPT_ENTRY.size, 0)
    return GptCopy(header, bytes(array))


def protective_sector() -> bytes:
    """The first sector of a disk with a GPT: without boot code, since what an MBR's boot code would load is overwritten by the GPT."""
    return bytes(446) + MBR_ENTRY.pack(0, PROTECTIVE_TYPE, 1, 0).ljust(64, b"\0") + b"\x55\xaa"


def with_boot_code(sector: bytes, code: bytes) -> bytes:
    """The first sector with other boot code. Disk signature and entries stay."""
    return code[:BOOT_CODE_SIZE].ljust(BOOT_CODE_SIZE, b"\0") + sector[BOOT_CODE_SIZE:]


def _used_entries(gpt):
    """(index, first sector, last sector) of each entry in use."""
    entry_size = gpt.header[12]
    for index in range(gpt.header[11]):
        kind, _own, first, last = GPT_ENTRY.unpack_from(gpt.array, index * entry_size)[:4]
        if any(kind):
            yield index, first, last


def _gpt_entry(new, sector_size, attributes=0):
    return GPT_ENTRY.pack(
        uuid.UUID(new.type).bytes_le, uuid.UUID(new.uuid).bytes_le, new.start // sector_size, (new.start + new.size) // sector_size - 1,
        attributes, new.name.encode("utf-16-le"),
    )


def _gpt_writes(header, array, sector, size, sector_size):
    """Backup first, the protective MBR last: a table is good in every moment in between, the old one or the new one."""
    last = size // sector_size - 1
    sectors = _array_sectors(len(array), sector_size)
    first_usable, last_usable = 2 + sectors, last - sectors - 1
    backup = _gpt_header(header, array, last, 1, first_usable, last_usable, last - sectors, sector_size)
    primary = _gpt_header(header, array, 1, last, first_usable, last_usable, 2, sector_size)
    padded = array.ljust(sectors * sector_size, b"\0")
    return (
        Write((last - sectors) * sector_size, padded), Write(last * sector_size, backup),
        Write(2 * sector_size, padded), Write(sector_size, primary), Write(0, _protected(sector, last)),
    )


def _gpt_header(header, array, own, other, first_usable, last_usable, array_at, sector_size):
    fields = list(header)
    fields[2:9] = [GPT_HEADER.size, 0, 0, own, other, first_usable, last_usable]
    fields[10], fields[13] = array_at, zlib.crc32(array) & 0xFFFFFFFF
    fields[3] = zlib.crc32(GPT_HEADER.pack(*fields)) & 0xFFFFFFFF
    return GPT_HEADER.pack(*fields).ljust(sector_size, b"\0")


def _protected(sector, last):
    """A protective entry covers the whole disk, or as much as it can say. In a hybrid MBR it covers what its maker wanted."""
    found = [MBR_ENTRY.unpack_from(sector, 446 + 16 * index) for index in range(4)]
    for index, (_status, kind, start, _count) in enumerate(found):
        if kind == PROTECTIVE_TYPE and start == 1 and sum(1 for entry in found if entry[3] or entry[1]) == 1:
            entry = bytearray(sector[446 + 16 * index:462 + 16 * index])
            entry[1:4], entry[5:8] = b"\x00\x02\x00", b"\xff\xff\xff"
            entry[12:16] = struct.pack("<I", min(last, 0xFFFFFFFF))
            return sector[:446 + 16 * index] + bytes(entry) + sector[462 + 16 * index:]
    return sector


def _array_sectors(length, sector_size):
    return (length + sector_size - 1) // sector_size


# MBR

def used_in_mbr(sector: bytes, sector_size: int) -> List[Tuple[int, int]]:
    """The stretches [start, end) in bytes of the four entries; that of an extended partition holds all its logical ones."""
    found = [MBR_ENTRY.unpack_from(sector, 446 + 16 * index) for index in range(4)]
    return [(start * sector_size, (start + count) * sector_size) for _status, _kind, start, count in found if count]


def has_room_in_mbr(sector: bytes, end: int, sector_size: int) -> bool:
    """Whether one of the four entries is free and can name a partition that ends at byte `end`."""
    return _free_entry(sector) is not None and end // sector_size <= MBR_LIMIT


def add_to_mbr(sector: bytes, kind: int, start: int, size: int, sector_size: int) -> Tuple[int, Tuple[Write, ...]]:
    """(number of the new primary partition, what to write). Only where `has_room_in_mbr`."""
    index = _free_entry(sector)
    entry = bytearray(MBR_ENTRY.pack(0, kind, start // sector_size, size // sector_size))
    entry[1:4] = entry[5:8] = _NO_CHS
    at = 446 + 16 * index
    return index + 1, (Write(0, sector[:at] + bytes(entry) + sector[at + 16:]),)


def _free_entry(sector):
    """Behind all others where that is possible; None where all four are in use."""
    free = [index for index in range(4) if not any(sector[446 + 16 * index:462 + 16 * index])]
    behind = [index for index in free if not any(sector[446 + 16 * index:510])]
    return (behind or free or [None])[0]
