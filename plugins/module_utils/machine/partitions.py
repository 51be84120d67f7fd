# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables: GPT and MBR, read the way the Linux kernel reads them.

GPT after the UEFI specification 2.10, chapter 5; MBR and its chain of extended boot records after the same chapter (legacy
MBR) and the kernel's block/partitions/msdos.c, whose numbering decides what /dev/sda5 means. A table is never guessed: what
the kernel would not take is reported in `notes` and left out.
"""

import struct
import uuid
import zlib
from typing import NamedTuple, Tuple

from ..errors import MachineError
from .model import Partition

BOOT_CODE_SIZE = 440                 # bytes of an MBR in front of the disk signature
# Where a conversion for BIOS marks GRUB's boot code as its own. GRUB keeps these bytes free for the parameters of FAT (boot.S).
ADDED_LOADER_AT, ADDED_LOADER = 0x40, b"DR-GRUB"
EXTENDED_TYPES = (0x05, 0x0F, 0x85)
PROTECTIVE_TYPE = 0xEE
MAX_LOGICAL = 100                    # links of a chain; the kernel's own bound
MAX_GPT_ENTRIES = 16 * 1024 * 1024   # bytes; a usual array has 16 KiB
UNUSED_TYPE = "00000000-0000-0000-0000-000000000000"
LEGACY_BIOS_BOOTABLE = 1 << 2        # partition attribute, UEFI 5.3.3

GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
MBR_ENTRY = struct.Struct("<B3xB3xII")


class PartitionTable(NamedTuple):
    table: str                                # gpt mbr none
    uuid: str = ""                            # disk GUID, or the MBR's disk signature as eight hex digits
    partitions: Tuple[Partition, ...] = ()    # by number; contents are not probed
    boot_code: bool = False
    notes: Tuple[str, ...] = ()               # sentences for the operator


class GptCopy(NamedTuple):
    """One sound copy of a GPT as it stands on the disk."""
    header: tuple                             # the fields of GPT_HEADER
    array: bytes                              # all entries, used or not
    note: str = ""                            # sentence for the operator where it is the backup


class _Entry(NamedTuple):
    """One of the four entries of an MBR or extended boot record, in sectors as written."""
    status: int
    type: int
    start: int
    count: int


def read_partition_table(read_at, size, sector_size=512):
    """The `PartitionTable` of a disk of `size` bytes.

    `read_at(offset, length)` gives bytes of the disk. `sector_size` is the logical sector size in bytes: it is the unit of
    every number in both kinds of table. A disk without a table, with an unreadable one, or with a file system directly
    in its first sector has table "none".
    """
    sector = read_at(0, 512).ljust(512, b"\0")
    boot_code = any(sector[:BOOT_CODE_SIZE]) and sector[510:512] == b"\x55\xaa"
    if sector[510:512] != b"\x55\xaa" or _is_boot_sector_of_file_system(sector):
        return PartitionTable("none", notes=_orphan_gpt(read_at, sector_size))
    entries = _mbr_entries(sector)
    if any(entry.type == PROTECTIVE_TYPE and entry.start == 1 for entry in entries):
        return _read_gpt(read_at, size, sector_size, boot_code)
    if any(entry.status not in (0x00, 0x80) or entry.type == PROTECTIVE_TYPE for entry in entries):
        return PartitionTable("none", notes=_orphan_gpt(read_at, sector_size))
    return _read_mbr(read_at, size, sector_size, sector, boot_code)


def _mbr_entries(sector):
    return [_Entry(*MBR_ENTRY.unpack_from(sector, 446 + 16 * index)) for index in range(4)]


def _is_boot_sector_of_file_system(sector):
    """FAT, NTFS, exFAT and BitLocker end their boot sector with 55AA too, where an MBR would have its entries."""
    if sector[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"):
        return True
    bytes_per_sector, sectors_per_cluster, reserved, copies = struct.unpack_from("<HBHB", sector, 11)
    return (sector[0] in (0xEB, 0xE9)
            and bytes_per_sector in (512, 1024, 2048, 4096)
            and sectors_per_cluster > 0 and sectors_per_cluster & (sectors_per_cluster - 1) == 0
            and reserved > 0 and copies in (1, 2)
            and (sector[21] >= 0xF8 or sector[21] == 0xF0))


def _orphan_gpt(read_at, sector_size):
    if read_at(sector_size, 8) == b"EFI PART":
        return ("The disk holds a GPT but no protective MBR, so neither firmware nor kernel uses it. "
                "It is taken as a disk without partitions.",)
    return ()


# GPT

class _DamagedHeader(Exception):
    """This copy of the GPT cannot be used; says why."""


def read_gpt(read_at, size, sector_size=512):
    """The `GptCopy` that counts on a disk with a protective MBR: the primary, else the backup. MachineError where neither can be read."""
    last = size // sector_size - 1
    try:
        return GptCopy(*_gpt_copy(read_at, 1, last, sector_size))
    except _DamagedHeader as damage:
        for position in _backup_positions(read_at, last, sector_size):
            try:
                header, array = _gpt_copy(read_at, position, last, sector_size)
            except _DamagedHeader:
                continue
            return GptCopy(header, array, f"The primary GPT is damaged ({damage}); its backup in sector {position} was used.")
        raise MachineError(f"The disk has a protective MBR but no readable GPT ({damage}, and no good backup).") from damage


def _read_gpt(read_at, size, sector_size, boot_code):
    last = size // sector_size - 1
    try:
        header, array, note = read_gpt(read_at, size, sector_size)
    except MachineError as error:
        return PartitionTable("none", boot_code=boot_code, notes=(f"{error} It is taken as a disk without partitions.",))
    notes = [note] if note else []
    partitions = []
    entry_size = header[12]
    for index in range(header[11]):
        partition = _gpt_partition(array, index, entry_size, sector_size)
        if partition is None:
            continue
        if partition.size <= 0 or partition.start + partition.size > (last + 1) * sector_size:
            notes.append(f"GPT partition {partition.number} does not lie on the disk and is left out.")
            continue
        partitions.append(partition)
    return PartitionTable("gpt", _guid(header[9]), tuple(partitions), boot_code, tuple(notes))


def _backup_positions(read_at, last, sector_size):
    """The last sector, and where the damaged primary says its backup is: a disk that has grown keeps the backup at its old end."""
    positions = [last]
    primary = read_at(sector_size, GPT_HEADER.size)
    if len(primary) == GPT_HEADER.size and primary[:8] == b"EFI PART":
        said = GPT_HEADER.unpack(primary)[6]
        if 1 < said < last:
            positions.append(said)
    return positions


def _gpt_copy(read_at, position, last, sector_size):
    """The header fields and entry array of the GPT whose header lies in sector `position`."""
    if position < 1 or position > last:
        raise _DamagedHeader("the disk is too small")
    raw = read_at(position * sector_size, sector_size)
    if len(raw) < GPT_HEADER.size or raw[:8] != b"EFI PART":
        raise _DamagedHeader(f"no header in sector {position}")
    header = GPT_HEADER.unpack_from(raw)
    header_size, header_crc, own_position, first_usable, last_usable = header[2], header[3], header[5], header[7], header[8]
    array_position, count, entry_size, array_crc = header[10:14]
    if not GPT_HEADER.size <= header_size <= len(raw):
        raise _DamagedHeader("impossible header size")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:header_size]) & 0xFFFFFFFF != header_crc:
        raise _DamagedHeader("wrong checksum of the header")
    if own_position != position:
        raise _DamagedHeader("the header names another sector as its own")
    if first_usable > last_usable or last_usable > last:
        raise _DamagedHeader("the table is for a larger disk")
    if entry_size < 128 or entry_size % 8 or count * entry_size > MAX_GPT_ENTRIES:
        raise _DamagedHeader("impossible size of the entry array")
    array = read_at(array_position * sector_size, count * entry_size) if array_position <= last else b""
    if len(array) != count * entry_size:
        raise _DamagedHeader("the entry array does not lie on the disk")
    if zlib.crc32(array) & 0xFFFFFFFF != array_crc:
        raise _DamagedHeader("wrong checksum of the entry array")
    return header, array


def _gpt_partition(array, index, entry_size, sector_size):
    kind, own, first, last, attributes, name = GPT_ENTRY.unpack_from(array, index * entry_size)
    if _guid(kind) == UNUSED_TYPE:
        return None
    return Partition(
        number=index + 1,
        start=first * sector_size,
        size=(last - first + 1) * sector_size,
        type=_guid(kind),
        uuid=_guid(own),
        name=name.decode("utf-16-le", "replace").split("\0", 1)[0],
        bootable=bool(attributes & LEGACY_BIOS_BOOTABLE),
    )


def _guid(raw):
    return str(uuid.UUID(bytes_le=raw))


# MBR

def _read_mbr(read_at, size, sector_size, sector, boot_code):
    signature = struct.unpack_from("<I", sector, 440)[0]
    notes = []
    found = []
    containers = []
    for index, entry in enumerate(_mbr_entries(sector)):
        if entry.count == 0:
            continue
        if entry.type in EXTENDED_TYPES:
            containers.append(entry)
        else:
            found.append((index + 1, entry))
    for container in containers:
        logical = _logical_entries(read_at, size, sector_size, container, notes)
        first_number = max([4] + [number for number, _entry in found]) + 1
        found.extend(enumerate(logical, first_number))
    partitions = []
    for number, entry in found:
        start, length = entry.start * sector_size, entry.count * sector_size
        if start >= size:
            notes.append(f"MBR partition {number} begins behind the end of the disk and is left out.")
            continue
        if start + length > size:
            notes.append(f"MBR partition {number} is cut short by the end of the disk.")
            length = size - start
        partitions.append(Partition(
            number=number,
            start=start,
            size=length,
            type=f"0x{entry.type:02x}",
            uuid=f"{signature:08x}-{number:02x}" if signature else "",
            bootable=entry.status == 0x80,
        ))
    return PartitionTable("mbr", f"{signature:08x}" if signature else "", tuple(partitions), boot_code, tuple(notes))


def _lies_inside(container, start, count):
    """The third and fourth entry of a record often hold rubbish; the kernel believes them only inside the extended partition."""
    return container.start <= start and start + count <= container.start + container.count


def _logical_entries(read_at, size, sector_size, container, notes):
    """The logical partitions of one extended partition, with starts relative to the disk.

    Links are relative to the extended partition, starts of logical partitions to the record that names them. The chain is
    followed until it ends or stops making sense: a link back or out of the disk, or a record without its signature.
    """
    found = []
    seen = set()
    position = container.start
    while len(seen) < MAX_LOGICAL:
        if position in seen or position * sector_size + 512 > size:
            where = "again" if position in seen else "outside the disk"
            notes.append(f"The chain of logical partitions links to sector {position}, {where}; what follows is left out.")
            break
        seen.add(position)
        record = read_at(position * sector_size, 512)
        if record[510:512] != b"\x55\xaa":
            notes.append(f"The record of a logical partition in sector {position} is damaged; what follows is left out.")
            break
        link = None
        for index, entry in enumerate(_mbr_entries(record)):
            if entry.count == 0:
                continue
            if entry.type in EXTENDED_TYPES:
                link = link or entry
            elif index < 2 or _lies_inside(container, position + entry.start, entry.count):
                found.append(entry._replace(start=position + entry.start))
        if link is None:
            break
        position = container.start + link.start
    return found
