# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a disk and a boot loader to the bytes that are written: which room is taken, and what becomes of the partition table.

UEFI: an EFI system partition behind the last partition, else in a gap before; a disk file grows where there is none. A GPT stays one. An
MBR stays one too where it has a free entry: firmware has to start from it (UEFI specification 2.10, sections 5.2.1 and 13.3.1.1; EDK II
reads it in MdeModulePkg/Universal/Disk/PartitionDxe/Mbr.c, so OVMF and what clouds make of it), BIOS still starts the disk as well, and no
name of a partition changes. Where all entries are taken, or the target starts from GPT only, the MBR becomes a GPT: partitions keep their
numbers and places, their PARTUUIDs change to ones that can be told from the old ones, and what was embedded in front of the first partition
is lost.

BIOS: on a GPT the core image lies in a BIOS boot partition, one that is there or a new one, which fits in front of the first partition on
nearly all disks; on an MBR in the gap there. No file system shrinks, no data move.
"""

import uuid

from typing import NamedTuple

from ...errors import MachineError, TargetError
from ...machine import partition_edit as edit
from ...machine.model import Disk
from ...machine.partitions import read_gpt
from .grub import SECTOR, placed_loader
from .journal import DiskChange
from .system_partition import SIZES, make_system_partition

MIB = edit.MIB
PARTITION_NAME = "agnostic.recovery"     # of GPT partitions that are made here


class Open(NamedTuple):
    """A disk that can be read."""
    name: str                            # at the source
    path: str
    size: int                            # bytes that it has now
    sector_size: int
    layout: Disk
    read_at: object                      # read_at(offset, length)
    can_grow: bool                       # it is a file


def plan_uefi(disk: Open, program: bytes, gpt_only: bool) -> DiskChange:
    """What to write so that UEFI starts `program`. TargetError where there is no room."""
    sector = disk.read_at(0, SECTOR)
    wanted = SIZES.get(disk.sector_size)
    if wanted is None:
        raise TargetError(f"Disk {disk.name} has sectors of {disk.sector_size} bytes, for which no EFI system partition can be made.")
    gpt, used, steps = None, edit.used_in_mbr(sector, disk.sector_size), []
    if disk.layout.table == "gpt":
        gpt = _gpt(disk)
        used = edit.used_in_gpt(gpt, disk.sector_size)
    size = disk.size
    starts = _starts(disk, used, wanted)
    # What lies in room that does not read as zeros was once written by somebody: it is taken last.
    start = next((start for start in starts if _is_empty(disk, start, wanted)), None)
    if start is None and disk.can_grow:
        start = _up(disk.size, MIB)
        size = start + wanted + MIB
        steps.append(f"The disk file grows by {(size - disk.size) // MIB} MiB.")
    elif start is None and starts:
        start = starts[0]
    if start is None:
        raise TargetError(f"{_named(disk)} has no room for an EFI system partition: {wanted // MIB} MiB in one piece outside of all "
                          f"partitions are needed. Restore it to a disk that is {wanted // MIB + 2} MiB larger.")
    if gpt is None and (gpt_only or not edit.has_room_in_mbr(sector, start + wanted, disk.sector_size)):
        gpt = _made_gpt(disk)
        sector = edit.protective_sector()
        steps.append("The MBR becomes a GPT; partitions keep their numbers and places, and get new PARTUUIDs.")
    identity = f"{disk.layout.table_uuid}/{start}"
    if gpt is None:
        number, table = edit.add_to_mbr(sector, edit.EFI_SYSTEM_IN_MBR, start, wanted, disk.sector_size)
    else:
        new = edit.NewPartition(start, wanted, edit.EFI_SYSTEM, str(uuid.uuid4()), PARTITION_NAME)
        number, table = _added(disk, gpt, sector, size, new)
    content = edit.Write(start, make_system_partition(program, start, disk.sector_size, identity))
    steps.append(f"Partition {number} is added, an EFI system partition of {wanted // MIB} MiB with the worker's GRUB.")
    return DiskChange(disk.name, disk.path, disk.size, size, (content,), table, "uefi", tuple(steps))


def plan_bios(disk: Open, core: bytes) -> DiskChange:
    """What to write so that BIOS starts this core image of GRUB. TargetError where there is no room."""
    if disk.sector_size != SECTOR:
        raise TargetError(f"Disk {disk.name} has sectors of {disk.sector_size} bytes, and BIOS starts disks with sectors of {SECTOR} only.")
    sector = disk.read_at(0, SECTOR)
    if disk.layout.table == "mbr":
        gap = min([start for start, _end in edit.used_in_mbr(sector, SECTOR)] + [disk.size]) - SECTOR
        if gap < len(core):
            raise TargetError(f"{_named(disk)} has no room for a boot loader for BIOS: {len(core) // 1024} KiB are needed in front of the "
                              f"first partition, and there are {gap // 1024}. Choose a target with UEFI firmware.")
        return _bios_change(disk, core, SECTOR, sector, (), ("The worker's GRUB is put in front of the first partition.",))
    gpt = _gpt(disk)
    there = [part for part in disk.layout.partitions if part.type == edit.BIOS_BOOT and part.size >= len(core)]
    if there:
        steps = (f"The worker's GRUB is put into partition {there[0].number}, the BIOS boot partition.",)
        return _bios_change(disk, core, there[0].start, sector, (), steps)
    free = edit.free_ranges(edit.used_in_gpt(gpt, SECTOR), edit.first_of_gpt(gpt, SECTOR), edit.table_end(disk.size, SECTOR))
    fitting = [(start, min(end, start + MIB)) for start, end in free if end - start >= len(core)]
    if not fitting:
        raise TargetError(f"{_named(disk)} has no room for a BIOS boot partition: {len(core) // 1024} KiB in one piece outside of all "
                          "partitions are needed. Restore it to a disk that is 2 MiB larger.")
    start, end = fitting[0]
    new = edit.NewPartition(start, end - start, edit.BIOS_BOOT, str(uuid.uuid4()), PARTITION_NAME)
    number, table = _added(disk, gpt, sector, disk.size, new)
    return _bios_change(disk, core, start, sector, table,
                        (f"Partition {number} is added, a BIOS boot partition of {(end - start) // 1024} KiB with the worker's GRUB.",))


def _bios_change(disk, core, start, sector, table, steps):
    loader = placed_loader(core, start // SECTOR)
    first = next((write.data for write in table if write.offset == 0), sector)
    boot = edit.Write(0, edit.with_boot_code(first, loader.boot_code))
    rest = tuple(write for write in table if write.offset)
    return DiskChange(disk.name, disk.path, disk.size, disk.size, (edit.Write(start, loader.core),), rest + (boot,), "bios", steps)


def _starts(disk, used, wanted):
    """Where a partition of this size can begin, on a whole MiB: behind the last partition, then in the gaps before."""
    free = edit.free_ranges(used, MIB, edit.table_end(disk.size, disk.sector_size))
    return [_up(start, MIB) for start, end in reversed(free) if end - _up(start, MIB) >= wanted]


def _is_empty(disk, start, length):
    return not any(any(disk.read_at(at, MIB)) for at in range(start, start + length, MIB))


def _added(disk, gpt, sector, size, new):
    try:
        return edit.add_to_gpt(gpt, sector, size, disk.sector_size, new)
    except MachineError as error:
        raise TargetError(f"{_named(disk)} cannot be converted: {error}") from error


def _gpt(disk):
    try:
        return read_gpt(disk.read_at, disk.size, disk.sector_size)
    except MachineError as error:
        raise TargetError(f"{_named(disk)} cannot be converted: {error}") from error


def _made_gpt(disk):
    try:
        return edit.gpt_from_mbr(disk.layout.table_uuid, disk.layout.partitions, disk.sector_size)
    except MachineError as error:
        raise TargetError(f"{_named(disk)} cannot get a GPT, which it needs: {error}") from error


def _named(disk):
    return f"Disk {disk.name} ({disk.path})"


def _up(value, unit):
    return (value + unit - 1) // unit * unit
