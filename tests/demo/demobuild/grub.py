# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts GRUB for BIOS on a disk file: boot.img into the MBR, core.img into the BIOS boot partition.

What grub-bios-setup does, without a device node for the disk. Offsets: GRUB 2.06, include/grub/i386/pc/boot.h and
include/grub/offsets.h; steps: util/setup.c, setup() with a contiguous embedding area; all numbers are little endian.
"""

import struct

SECTOR = 512
KERNEL_SECTOR = 0x5C  # boot.img: u64, first sector of core.img
BOOT_DRIVE = 0x64  # boot.img: u8, 0xff = the drive that the BIOS booted from
DRIVE_CHECK = 0x66  # boot.img: a 2-byte jump that becomes 2 NOPs on hard disks, for BIOSes that pass a wrong drive
BPB_START, BPB_END = 0x03, 0x5A  # kept: a FAT boot sector's parameters
NT_MAGIC, PARTITIONS_END = 0x1B8, 0x1FE  # kept: disk signature and partition table
SIGNATURE = b"\x55\xaa"
# diskboot.img, the first sector of core.img, ends with its block lists, which grow downwards; the first is the last 12 bytes.
BLOCK_LIST = struct.Struct("<QHH")  # first sector, sectors, load segment
BLOCK_LIST_AT = SECTOR - BLOCK_LIST.size
LOAD_SEGMENT = 0x800 + (SECTOR >> 4)  # diskboot.img itself is loaded at segment 0x800


def patched_boot(boot: bytes, old: bytes, core_sector: int) -> bytes:
    """The new MBR: GRUB's code that loads the sector core_sector, around the partition table of the old MBR."""
    if len(boot) != SECTOR or boot[-2:] != SIGNATURE or len(old) != SECTOR:
        raise ValueError("boot.img and the disk's first sector must be boot sectors of %d bytes" % SECTOR)
    sector = bytearray(boot)
    sector[BPB_START:BPB_END] = old[BPB_START:BPB_END]
    sector[NT_MAGIC:PARTITIONS_END] = old[NT_MAGIC:PARTITIONS_END]
    sector[KERNEL_SECTOR:KERNEL_SECTOR + 8] = struct.pack("<Q", core_sector)
    sector[BOOT_DRIVE] = 0xFF
    sector[DRIVE_CHECK:DRIVE_CHECK + 2] = b"\x90\x90"
    return bytes(sector)


def patched_core(core: bytes, core_sector: int) -> bytes:
    """core.img, padded to whole sectors, whose first sector loads the others from the sectors that follow it."""
    if len(core) < 2 * SECTOR:
        raise ValueError("core.img is too short: %d bytes" % len(core))
    padded = bytearray(core + bytes(-len(core) % SECTOR))
    # A second list that is not empty would mean that this core.img was laid out for another disk.
    if any(padded[BLOCK_LIST_AT - BLOCK_LIST.size:BLOCK_LIST_AT]):
        raise ValueError("core.img has more than one block list")
    BLOCK_LIST.pack_into(padded, BLOCK_LIST_AT, core_sector + 1, len(padded) // SECTOR - 1, LOAD_SEGMENT)
    return bytes(padded)


def embed(disk: str, boot: bytes, core: bytes, first_sector: int, sectors: int) -> None:
    """Writes GRUB to the disk file, whose BIOS boot partition has that many sectors from first_sector on."""
    image = patched_core(core, first_sector)
    if len(image) > sectors * SECTOR:
        raise ValueError("core.img has %d bytes, the BIOS boot partition %d" % (len(image), sectors * SECTOR))
    with open(disk, "r+b") as file:
        old = file.read(SECTOR)
        file.seek(first_sector * SECTOR)
        file.write(image)
        file.seek(0)
        file.write(patched_boot(boot, old, first_sector))
