# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables, sound and damaged, made byte by byte."""

import struct
import uuid
import zlib

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partitions import read_partition_table

SIZE = 8 * 1024 * 1024
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
DISK = uuid.UUID("11111111-2222-3333-4444-555555555555")
OWN = uuid.UUID("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeee01")


class Bytes:
    """A disk in memory with the `read_at` of a source."""

    def __init__(self, size=SIZE):
        self.data = bytearray(size)

    def put(self, offset, data):
        self.data[offset:offset + len(data)] = data

    def read_at(self, offset, length):
        return bytes(self.data[offset:offset + length])

    def table(self, sector_size=512):
        return read_partition_table(self.read_at, len(self.data), sector_size)


def mbr_sector(entries, signature=0xD1C2A3B4, code=b""):
    """entries: (status, type, start, count)"""
    packed = b"".join(struct.pack("<B3xB3xII", *entry) for entry in entries)
    return code.ljust(440, b"\0") + struct.pack("<IH", signature, 0) + packed.ljust(64, b"\0") + b"\x55\xaa"


def gpt_header(own, other, first, last, array, count=128, entry_size=128, array_crc=0, size=92):
    fields = [b"EFI PART", 0x10000, size, 0, 0, own, other, first, last, DISK.bytes_le, array, count, entry_size, array_crc]
    raw = struct.pack("<8sIIIIQQQQ16sQIII", *fields)
    fields[3] = zlib.crc32(raw.ljust(size, b"\0"))
    return struct.pack("<8sIIIIQQQQ16sQIII", *fields).ljust(size, b"\0")


def gpt_entry(start, end, name="", attributes=0, kind=LINUX, own=OWN):
    return kind.bytes_le + own.bytes_le + struct.pack("<QQQ", start, end, attributes) + name.encode("utf-16-le").ljust(72, b"\0")


def gpt_disk(entries, sector_size=512, entry_size=128, mbr=None, size=SIZE, table_size=None):
    """A disk with a GPT; `table_size` puts the backup where a smaller disk would end."""
    disk = Bytes(size)
    last = (table_size or size) // sector_size - 1
    array = b"".join(entry.ljust(entry_size, b"\0") for entry in entries).ljust(128 * entry_size, b"\0")
    sectors = len(array) // sector_size
    crc = zlib.crc32(array)
    disk.put(0, mbr or mbr_sector([(0, 0xEE, 1, 0xFFFFFFFF)], 0))
    disk.put(sector_size, gpt_header(1, last, sectors + 2, last - sectors - 1, 2, 128, entry_size, crc))
    disk.put(2 * sector_size, array)
    disk.put((last - sectors) * sector_size, array)
    disk.put(last * sector_size, gpt_header(last, 1, sectors + 2, last - sectors - 1, last - sectors, 128, entry_size, crc))
    return disk


ENTRIES = [gpt_entry(2048, 4095, "EFI System"), bytes(128), gpt_entry(4096, 4096, "one sector", attributes=4)]


# GPT

@pytest.mark.parametrize("sector_size,entry_size", [(512, 128), (4096, 128), (512, 256)])
def test_gpt(sector_size, entry_size):
    entries = [gpt_entry(100, 199, "EFI System"), bytes(128), gpt_entry(200, 200, "one sector", attributes=4)]
    table = gpt_disk(entries, sector_size, entry_size).table(sector_size)
    assert (table.table, table.uuid, table.boot_code, table.notes) == ("gpt", str(DISK), False, ())
    first, third = table.partitions
    assert (first.number, first.start, first.size) == (1, 100 * sector_size, 100 * sector_size)
    assert (first.type, first.uuid, first.name, first.bootable) == (str(LINUX), str(OWN), "EFI System", False)
    assert (third.number, third.start, third.size, third.bootable) == (3, 200 * sector_size, sector_size, True)


def test_gpt_with_the_wrong_sector_size_is_not_found():
    assert gpt_disk(ENTRIES, 512).table(4096).table == "none"


def test_hybrid_mbr_is_gpt_and_keeps_its_boot_code():
    mbr = mbr_sector([(0x80, 0x83, 2048, 2048), (0, 0xEE, 1, 2047)], code=b"\xeb\x63\x90")
    table = gpt_disk(ENTRIES, mbr=mbr).table()
    assert table.table == "gpt" and table.boot_code and len(table.partitions) == 2


@pytest.mark.parametrize("offset", [512, 512 + 16, 512 + 40, 512 + 91, 1024, 1024 + 56])
def test_the_backup_is_used_when_the_primary_is_damaged(offset):
    disk = gpt_disk(ENTRIES)
    sound = disk.table()
    disk.data[offset] ^= 1
    table = disk.table()
    assert table.partitions == sound.partitions and table.uuid == sound.uuid
    assert len(table.notes) == 1 and "backup" in table.notes[0]


def test_the_backup_of_a_disk_that_has_grown_is_found():
    disk = gpt_disk(ENTRIES, table_size=SIZE // 2)
    assert disk.table().notes == ()
    disk.data[1024 + 8] ^= 1    # the header still says where the backup is
    table = disk.table()
    assert len(table.partitions) == 2 and "backup" in table.notes[0]


def test_without_any_good_copy_there_is_no_table_but_a_note():
    disk = gpt_disk(ENTRIES)
    disk.data[512 + 16] ^= 1
    disk.data[SIZE - 512 + 16] ^= 1
    table = disk.table()
    assert (table.table, table.partitions) == ("none", ())
    assert "no readable GPT" in table.notes[0]
    assert read_disk("sda", disk.read_at, SIZE).notes == table.notes


def test_a_gpt_for_a_larger_disk_is_refused():
    disk = gpt_disk(ENTRIES)
    del disk.data[SIZE // 2:]
    assert disk.table().table == "none"


def test_gpt_needs_its_protective_mbr():
    disk = gpt_disk(ENTRIES)
    disk.put(0, bytes(512))
    table = disk.table()
    assert table.table == "none" and "no protective MBR" in table.notes[0]


def test_gpt_partitions_off_the_disk_are_left_out():
    entries = [gpt_entry(2048, 4095), gpt_entry(5000, SIZE // 512 + 1), gpt_entry(6000, 5000), gpt_entry(2 ** 63, 2 ** 64 - 1)]
    table = gpt_disk(entries).table()
    assert [partition.number for partition in table.partitions] == [1]
    assert len(table.notes) == 3


@pytest.mark.parametrize("changes", [
    {"count": 0xFFFFFFFF}, {"entry_size": 0}, {"entry_size": 127}, {"size": 91}, {"size": 5000}, {"own": 7}, {"array": 2 ** 63},
    {"first": 9, "last": 8},
])
def test_impossible_headers_are_refused_though_their_checksum_is_right(changes):
    fields = dict(own=1, other=SIZE // 512 - 1, first=34, last=SIZE // 512 - 34, array=2, array_crc=zlib.crc32(bytes(128 * 128)))
    fields.update(changes)
    disk = Bytes()
    disk.put(0, mbr_sector([(0, 0xEE, 1, 0xFFFFFFFF)], 0))
    disk.put(512, gpt_header(**fields)[:512])
    assert disk.table().table == "none"


# MBR

@pytest.mark.parametrize("sector_size", [512, 4096])
def test_mbr(sector_size):
    disk = Bytes()
    disk.put(0, mbr_sector([(0x80, 0x83, 64, 100), (0, 0, 0, 0), (0, 0x82, 200, 50)], code=b"\xfa\x31"))
    table = disk.table(sector_size)
    assert (table.table, table.uuid, table.boot_code, table.notes) == ("mbr", "d1c2a3b4", True, ())
    assert [tuple(partition)[:7] for partition in table.partitions] == [
        (1, 64 * sector_size, 100 * sector_size, "0x83", "d1c2a3b4-01", "", True),
        (3, 200 * sector_size, 50 * sector_size, "0x82", "d1c2a3b4-03", "", False),
    ]


def test_mbr_without_signature_has_no_uuids():
    disk = Bytes()
    disk.put(0, mbr_sector([(0, 0x83, 64, 100)], 0))
    assert disk.table().uuid == "" and disk.table().partitions[0].uuid == ""


def chain_disk(links):
    """A disk with an extended partition at sector 1000; links: (sector of the record, start of data, next link relative to 1000 or None)"""
    disk = Bytes()
    disk.put(0, mbr_sector([(0, 0x83, 64, 100), (0, 0x05, 1000, 9000)]))
    for position, start, following in links:
        entries = [(0, 0x83, start, 50)]
        if following is not None:
            entries.append((0, 0x05, following, 60))
        disk.put(position * 512, mbr_sector(entries, 0))
    return disk


def starts(table):
    return [(partition.number, partition.start // 512) for partition in table.partitions]


def test_logical_partitions():
    table = chain_disk([(1000, 8, 500), (1500, 8, 100), (1100, 16, None)]).table()
    assert starts(table) == [(1, 64), (5, 1008), (6, 1508), (7, 1116)]
    assert table.partitions[1].uuid == "d1c2a3b4-05" and table.notes == ()


@pytest.mark.parametrize("links,expected,word", [
    ([(1000, 8, 500), (1500, 8, 0)], [(1, 64), (5, 1008), (6, 1508)], "again"),
    ([(1000, 8, 0)], [(1, 64), (5, 1008)], "again"),
    ([(1000, 8, 2 ** 31)], [(1, 64), (5, 1008)], "outside"),
    ([(1000, 8, 500)], [(1, 64), (5, 1008)], "damaged"),
])
def test_a_broken_chain_ends_with_a_note(links, expected, word):
    table = chain_disk(links).table()
    assert starts(table) == expected
    assert len(table.notes) == 1 and word in table.notes[0]


def test_partitions_over_the_end_are_cut_or_left_out():
    disk = Bytes()
    disk.put(0, mbr_sector([(0, 0x83, SIZE // 512 - 10, 100), (0, 0x83, SIZE // 512, 100)]))
    table = disk.table()
    assert [(partition.number, partition.size) for partition in table.partitions] == [(1, 5120)]
    assert len(table.notes) == 2


def test_bad_status_bytes_are_no_table():
    disk = Bytes()
    disk.put(0, mbr_sector([(0x17, 0x83, 64, 100)]))
    assert disk.table().table == "none"


@pytest.mark.parametrize("oem", [b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"])
def test_a_boot_sector_of_a_file_system_is_no_mbr(oem):
    disk = Bytes()
    disk.put(0, mbr_sector([(0, 0x83, 64, 100)], code=b"\xeb\x52\x90" + oem))
    assert disk.table().table == "none"


def test_a_fat_boot_sector_is_no_mbr():
    disk = Bytes()
    fat = b"\xeb\x58\x90mkfs.fat" + struct.pack("<HBHBHHBHHHII", 512, 4, 1, 2, 512, 16384, 0xF8, 16, 32, 2, 0, 0)
    disk.put(0, mbr_sector([(0, 0x83, 64, 100)], code=fat))
    assert disk.table().table == "none"
    found = read_disk("sda", disk.read_at, SIZE)
    assert (found.table, found.content.kind) == ("none", "vfat")


def test_disks_without_anything():
    assert Bytes().table() == Bytes(0).table() == Bytes(512).table()
    assert read_disk("sda", Bytes().read_at, SIZE).content.kind == "empty"
    assert read_disk("sda", Bytes(0).read_at, 0).content.kind == "empty"


def test_an_empty_mbr_before_a_file_system_is_its_boot_sector():
    disk = Bytes()
    disk.put(0, mbr_sector([], 0, code=b"\xeb\x5e"))
    disk.put(1024 + 56, b"\x53\xef")
    found = read_disk("sda", disk.read_at, SIZE)
    assert (found.table, found.content.kind, found.boot_code) == ("none", "ext2", True)
    disk.put(1024 + 56, b"\0\0")
    assert read_disk("sda", disk.read_at, SIZE).table == "mbr"


def test_contents_are_probed_relative_to_their_partition():
    disk = gpt_disk(ENTRIES)
    disk.put(2048 * 512 + 1024 + 56, b"\x53\xef")
    assert [partition.content.kind for partition in read_disk("sda", disk.read_at, SIZE).partitions] == ["ext2", "empty"]


def test_random_bytes_never_break_the_reader():
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies

    @hypothesis.settings(max_examples=200, deadline=None)
    @hypothesis.given(strategies.binary(max_size=6000), strategies.booleans())
    def check(data, signed):
        disk = Bytes(16384)
        disk.put(0, data)
        if signed:
            disk.put(510, b"\x55\xaa")
        found = read_disk("sda", disk.read_at, 16384)
        assert all(0 <= partition.start < partition.start + partition.size <= 16384 for partition in found.partitions)

    check()
