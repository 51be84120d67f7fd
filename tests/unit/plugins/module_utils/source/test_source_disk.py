# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import os
import random
import threading

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.source import stack
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import PartMap, used_map
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Ext, Xfs, reader

MIB = 1 << 20


def disk_with(*contents):
    """A model and an image: 1 MiB gap, then each content (kind, bytes) with 1 MiB between, 1 MiB at the end."""
    image, partitions = bytearray(MIB), []
    for number, (kind, data) in enumerate(contents, 1):
        partitions.append(Partition(number, len(image), len(data), "0x83", content=Content(kind)))
        image += data + bytes(MIB)
    return Disk("sda", len(image), table="gpt", partitions=tuple(partitions)), image


def test_partitions_gaps_and_unknown_contents():
    ext, xfs = Ext(), Xfs()
    disk, image = disk_with(("ext4", ext.image), ("ntfs", bytes(MIB)), ("xfs", xfs.image))
    found = used_map(reader(image), disk)
    assert found.ranges == Ranges([(0, disk.size)]).intersect(Ranges(
        [(0, MIB)] + list(ext.expected((5000, 5010), (9000, 9001)).shift(MIB)) + [(17 * MIB, 20 * MIB)]
        + list(stack.PARSERS["xfs"](reader(xfs.image), len(xfs.image), False)[0].shift(20 * MIB)) + [(28 * MIB, 29 * MIB)]))
    assert [(part.partition, part.method) for part in found.parts] == [
        (1, "ext block bitmaps"), (2, "whole"), (3, "xfs free-space trees, clean log")]
    assert found.parts[0].used == ext.expected((5000, 5010), (9000, 9001)).total


def test_a_file_system_without_a_table():
    ext = Ext()
    found = used_map(reader(ext.image), Disk("vda", len(ext.image), content=Content("ext4")))
    assert found.ranges == ext.expected((5000, 5010), (9000, 9001))
    assert found.parts[0].partition == 0


def test_unknown_disks_are_used_whole():
    for kind in ("unknown", "empty", "lvm2"):
        found = used_map(reader(bytes(MIB)), Disk("vda", MIB, content=Content(kind)))
        assert found.ranges == Ranges.whole(MIB)
    assert used_map(reader(bytes(MIB)), Disk("vda", MIB, table="gpt")).ranges == Ranges.whole(MIB)


def test_damaged_metadata_is_read_whole_and_said(monkeypatch):
    image = Ext().image
    image[1024 + 0x78] ^= 1
    disk = Disk("vda", len(image), content=Content("ext4"))
    expected = PartMap(0, "ext4", len(image), len(image), "whole", "the superblock has a wrong checksum")
    assert used_map(reader(image), disk).parts == (expected,)
    monkeypatch.setitem(stack.PARSERS, "ext4", lambda read_at, size, frozen: 1 // 0)
    found = used_map(reader(image), disk)
    assert found.ranges == Ranges.whole(len(image))
    assert "ZeroDivisionError" in found.parts[0].note


def test_partitions_that_lie_outside_or_overlap():
    ext = Ext()
    inside = Partition(1, MIB, len(ext.image), "0x83", content=Content("ext4"))
    disk = Disk("sda", 8 * MIB, table="mbr", partitions=(inside, Partition(2, 50 * MIB, MIB, "0x83", content=Content("ext4"))))
    image = bytes(MIB) + bytes(ext.image)
    found = used_map(reader(image[:8 * MIB]), disk)
    assert found.ranges == Ranges.whole(8 * MIB)
    assert len(found.parts) == 1 and "larger than its partition" in found.parts[0].note
    over = Partition(2, 2 * MIB, 4 * MIB, "0x83", content=Content("unknown"))
    disk = Disk("sda", len(image), table="mbr", partitions=(inside, over))
    assert not Ranges([(2 * MIB, 6 * MIB)]).intersect(used_map(reader(image), disk).ranges.invert(len(image)))


def test_unreadable_sectors_end_it():
    image = Ext().image

    def failing(offset, length):
        if offset >= 3 * 1024:
            raise OSError(5, "Input/output error")
        return reader(image)(offset, length)

    with pytest.raises(SourceError, match="Disk sda cannot be read at offset 3072.*Input/output error"):
        used_map(failing, Disk("sda", len(image), content=Content("ext4")))


def test_reads_stay_inside_the_partition():
    disk, image = disk_with(("ext4", Ext().image), ("fat", bytes(MIB)))
    asked = []

    def read_at(offset, length):
        asked.append((offset, offset + length))
        return reader(image)(offset, length)

    used_map(read_at, disk)
    assert all(MIB <= start <= end <= 17 * MIB for start, end in asked)


# open_disk

def test_a_file_as_disk(tmp_path):
    path = tmp_path / "disk"
    data = os.urandom(100_000)
    path.write_bytes(data)
    with open_disk(str(path), "sda") as disk:
        assert (disk.name, disk.path, disk.size, disk.sector_size) == ("sda", str(path), 100_000, 512)
        assert disk.read_at(0, 10) == data[:10]
        assert disk.read_at(99_990, 100) == data[-10:]
        assert disk.read_at(100_000, 5) == b"" and disk.read_at(200_000, 5) == b""
    with pytest.raises(SourceError, match="closed"):
        disk.read_at(0, 1)
    disk.close()


def test_many_threads_read_one_disk(tmp_path):
    path = tmp_path / "disk"
    data = os.urandom(1 << 20)
    path.write_bytes(data)
    wrong = []

    def work(seed):
        chance = random.Random(seed)
        for _read in range(300):
            offset = chance.randrange(len(data))
            if disk.read_at(offset, 5000) != data[offset:offset + 5000]:
                wrong.append(offset)

    with open_disk(str(path), "sda") as disk:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_disks_that_are_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for path, reason in ((tmp_path / "none", "cannot be opened.*No such file"), (tmp_path, "is a directory"),
                         (empty, "empty"), ("/dev/null", "neither a file nor a block device")):
        with pytest.raises(SourceError, match=reason):
            open_disk(str(path), "sda")


def test_a_file_that_shrinks_while_read(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(10_000))
    with open_disk(str(path), "sda") as disk:
        os.truncate(str(path), 4000)
        with pytest.raises(SourceError, match="ended at 4000 although it had 10000 bytes"):
            disk.read_at(0, 10_000)
