# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partitions added to tables and an MBR made a GPT, read back by the reader of partition tables."""

import struct
import uuid
import zlib

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import partition_edit as edit
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partitions import read_gpt, read_partition_table

MIB = 1 << 20
SIZE = 64 * MIB
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
NEW = edit.NewPartition(40 * MIB, 8 * MIB, edit.EFI_SYSTEM, "99999999-aaaa-4bbb-8ccc-dddddddddddd", "added")


class Bytes:
    """A disk in memory."""

    def __init__(self, size=SIZE, sector_size=512):
        self.data = bytearray(size)
        self.sector_size = sector_size

    def read_at(self, offset, length):
        return bytes(self.data[offset:offset + length])

    def write(self, writes):
        for offset, data in writes:
            assert offset + len(data) <= len(self.data)
            self.data[offset:offset + len(data)] = data

    def table(self):
        return read_partition_table(self.read_at, len(self.data), self.sector_size)

    @property
    def sector(self):
        return self.read_at(0, 512)


def mbr(entries, signature=0xD1C2A3B4, code=b"\xeb\x63"):
    """A disk; entries: (status, type, first sector, sectors)."""
    disk = Bytes()
    packed = b"".join(struct.pack("<B3xB3xII", *entry) for entry in entries).ljust(64, b"\0")
    disk.data[:512] = code.ljust(440, b"\0") + struct.pack("<IH", signature, 0) + packed + b"\x55\xaa"
    return disk


def gpt(partitions, size=SIZE, sector_size=512):
    """A disk with a GPT of these partitions, (number, first byte, bytes)."""
    disk = Bytes(size, sector_size)
    made = edit.gpt_from_mbr("", (), sector_size)
    array = bytearray(made.array)
    for number, start, length in partitions:
        own = uuid.UUID(int=number)
        array[128 * (number - 1):128 * number] = uuid.UUID(LINUX).bytes_le + own.bytes_le + struct.pack(
            "<QQQ", start // sector_size, (start + length) // sector_size - 1, 1 << 60) + "dätä".encode("utf-16-le").ljust(72, b"\0")
    made = made._replace(array=bytes(array))
    _number, writes = edit.add_to_gpt(made, edit.protective_sector(), size, sector_size, NEW)
    disk.write(writes)
    return disk


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_a_partition_is_added_to_a_gpt(sector_size):
    disk = gpt([(1, MIB, MIB), (4, 4 * MIB, 8 * MIB)], sector_size=sector_size)
    before, raw = disk.table(), read_gpt(disk.read_at, SIZE, sector_size)
    new = NEW._replace(start=20 * MIB, uuid=str(uuid.UUID(int=77)))
    number, writes = edit.add_to_gpt(raw, disk.sector, SIZE, sector_size, new)
    disk.write(writes)
    after = disk.table()
    assert number == 6 and after.uuid == before.uuid and after.notes == ()
    assert after.partitions[:-1] == before.partitions
    added = after.partitions[-1]
    assert (added.number, added.start, added.size, added.type, added.name) == (6, 20 * MIB, 8 * MIB, edit.EFI_SYSTEM, "added")
    # attributes and names that nobody here reads stay too
    assert read_gpt(disk.read_at, SIZE, sector_size).array[:5 * 128] == raw.array[:5 * 128]
    disk.data[sector_size + 20] ^= 1
    assert disk.table().partitions == after.partitions and "backup" in disk.table().notes[0]


def test_the_backup_comes_to_the_end_of_a_disk_that_has_grown():
    disk = gpt([(1, MIB, MIB)])
    before = disk.table()
    disk.data.extend(bytes(SIZE))
    raw = read_gpt(disk.read_at, 2 * SIZE, 512)
    new = NEW._replace(start=SIZE, uuid=str(uuid.UUID(int=77)))
    disk.write(edit.add_to_gpt(raw, disk.sector, 2 * SIZE, 512, new)[1])
    assert disk.read_at(2 * SIZE - 512, 8) == b"EFI PART"
    assert struct.unpack_from("<I", disk.data, 446 + 12)[0] == 2 * SIZE // 512 - 1
    header = read_gpt(disk.read_at, 2 * SIZE, 512).header
    assert header[6] == 2 * SIZE // 512 - 1 and header[8] == 2 * SIZE // 512 - 34
    disk.data[512:1024] = bytes(512)
    assert [part.start for part in disk.table().partitions] == [part.start for part in before.partitions] + [SIZE]


def test_the_table_is_good_after_every_single_write():
    disk = gpt([(1, MIB, MIB)])
    before = disk.table().partitions
    _number, writes = edit.add_to_gpt(read_gpt(disk.read_at, SIZE, 512), disk.sector, SIZE, 512, NEW._replace(start=20 * MIB))
    for write in writes:
        disk.write([write])
        assert disk.table().partitions[:len(before)] == before
    assert len(disk.table().partitions) == len(before) + 1


def test_a_full_gpt_has_no_room():
    disk = gpt([(number, MIB + number * 512, 512) for number in range(1, 128)])
    assert len(disk.table().partitions) == 128
    with pytest.raises(MachineError, match="no free entry"):
        edit.add_to_gpt(read_gpt(disk.read_at, SIZE, 512), disk.sector, SIZE, 512, NEW)


def test_the_last_number_is_taken_only_once():
    disk = gpt([(127, MIB, MIB)])
    assert disk.table().partitions[-1].number == 128
    number, _writes = edit.add_to_gpt(read_gpt(disk.read_at, SIZE, 512), disk.sector, SIZE, 512, NEW)
    assert number == 1


def test_a_hybrid_mbr_keeps_its_entries():
    disk = gpt([(1, MIB, MIB)])
    disk.data[:512] = mbr([(0x80, 0x83, 2048, 2048), (0, 0xEE, 1, 2047)], code=b"\xeb").data[:512]
    before = disk.sector
    disk.write(edit.add_to_gpt(read_gpt(disk.read_at, SIZE, 512), disk.sector, SIZE, 512, NEW._replace(start=20 * MIB))[1])
    assert disk.sector == before


@pytest.mark.parametrize("entries,number", [
    ([(0x80, 0x83, 2048, 2048)], 2),
    ([(0, 0, 0, 0), (0x80, 0x83, 2048, 2048)], 3),
    ([(0x80, 0x83, 2048, 2048), (0, 0, 0, 0), (0, 0x05, 8192, 2048), (0, 0x83, 4096, 2048)], 2),
])
def test_a_partition_is_added_to_an_mbr(entries, number):
    disk = mbr(entries)
    before = disk.table()
    assert edit.has_room_in_mbr(disk.sector, 48 * MIB, 512)
    found, writes = edit.add_to_mbr(disk.sector, edit.EFI_SYSTEM_IN_MBR, 40 * MIB, 8 * MIB, 512)
    disk.write(writes)
    after = disk.table()
    added = [part for part in after.partitions if part not in before.partitions]
    assert found == number and [(part.number, part.type, part.start, part.size) for part in added] == [(number, "0xef", 40 * MIB, 8 * MIB)]
    assert after.boot_code and after.uuid == before.uuid and disk.sector[:446] == bytes(mbr(entries).data[:446])


def test_an_mbr_with_four_entries_has_no_room():
    disk = mbr([(0, 0x83, 2048 * number, 2048) for number in range(1, 5)])
    assert not edit.has_room_in_mbr(disk.sector, SIZE, 512)
    assert not edit.has_room_in_mbr(mbr([]).sector, (1 << 32) * 512 + 512, 512)


def test_an_mbr_becomes_a_gpt():
    disk = mbr([(0x80, 0x83, 2048, 2048), (0, 0x82, 4096, 2048), (0, 0x05, 8192, 8192), (0, 0x8E, 32768, 2048)])
    # two logical partitions; the second record lies at 12288
    for place, entries in ((8192, [(0, 0x83, 2048, 2048), (0, 0x05, 4096, 4096)]), (12288, [(0, 0xFD, 2048, 2048)])):
        disk.data[place * 512:place * 512 + 512] = mbr(entries, code=b"").data[:512]
    before = disk.table()
    made = edit.gpt_from_mbr(before.uuid, before.partitions, 512)
    number, writes = edit.add_to_gpt(made, edit.protective_sector(), SIZE, 512, NEW)
    disk.write(writes)
    after = disk.table()
    assert after.table == "gpt" and after.notes == () and number == 7 and not after.boot_code
    assert [part[:3] for part in after.partitions[:-1]] == sorted(part[:3] for part in before.partitions)
    types = {part.number: part.type for part in after.partitions}
    kinds = [LINUX] + [edit.GPT_TYPES[kind] for kind in ("0x82", "0x8e")] + [LINUX, edit.GPT_TYPES["0xfd"], edit.EFI_SYSTEM]
    assert types == dict(zip((1, 2, 4, 5, 6, 7), kinds))
    for part in before.partitions:
        now = next(each for each in after.partitions if each.number == part.number)
        assert now.uuid == edit.partuuid_after_conversion(part.uuid.upper()) and now.bootable == part.bootable


def test_partitions_without_a_disk_signature_get_random_identifiers():
    disk = mbr([(0, 0x83, 2048, 2048), (0, 0x83, 4096, 2048)], signature=0)
    made = [edit.gpt_from_mbr("", disk.table().partitions, 512) for _time in range(2)]
    assert made[0].array != made[1].array and made[0].header[9] != made[1].header[9]


def test_a_partition_that_begins_too_early_is_refused():
    disk = mbr([(0, 0x83, 33, 2048)])
    with pytest.raises(MachineError, match="Partition 1 begins 33 sectors behind"):
        edit.gpt_from_mbr("", disk.table().partitions, 512)
    assert edit.gpt_from_mbr("", mbr([(0, 0x83, 34, 2048)]).table().partitions, 512)


def test_checksums_are_those_of_the_specification():
    disk = gpt([(1, MIB, MIB)])
    for place in (512, SIZE - 512):
        header = bytearray(disk.read_at(place, 92))
        said, array_said = struct.unpack_from("<I", header, 16)[0], struct.unpack_from("<I", header, 88)[0]
        header[16:20] = bytes(4)
        array_at = struct.unpack_from("<Q", header, 72)[0] * 512
        assert said == zlib.crc32(bytes(header)) and array_said == zlib.crc32(disk.read_at(array_at, 128 * 128))


@pytest.mark.parametrize("used,wanted", [
    ([], ((10, 100),)),
    ([(0, 20), (30, 40)], ((20, 30), (40, 100))),
    ([(50, 60), (20, 55)], ((10, 20), (60, 100))),
    ([(0, 200)], ()),
    ([(90, 300)], ((10, 90),)),
    ([(150, 200)], ((10, 100),)),
])
def test_free_ranges(used, wanted):
    assert edit.free_ranges(used, 10, 100) == wanted


def test_boot_code_changes_nothing_else():
    sector = mbr([(0x80, 0x83, 2048, 2048)]).sector
    changed = edit.with_boot_code(sector, b"\xaa" * 512)
    assert changed[:440] == b"\xaa" * 440 and changed[440:] == sector[440:] and len(changed) == 512
