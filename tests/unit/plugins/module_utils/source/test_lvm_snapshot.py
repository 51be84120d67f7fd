# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A snapshot of a logical volume, read by offsets of the disks. What needs a kernel with device mapper is tested by `make live`."""

import random
import struct

from ansible_collections.agnostic.recovery.plugins.module_utils.source import devmapper
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvm import PhysicalVolume, VolumeGroup
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvm_snapshot import (
    Held, LvmSnapshots, Origin, column_reader, columns_of, used_of)
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvmgroup import POOL_PART, Area, LogicalVolume
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.stripes import Place, Segment, pieces
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Ext

CHUNK = 64


def origin_of(segments):
    physical = tuple(PhysicalVolume(name, name + "1", name, start, 100, 4000, Ranges()) for name, start in (("sda", 1000), ("sdb", 0)))
    volume = LogicalVolume("root", "lv", sum(segment.length for segment in segments), (), segments, "")
    return Origin(VolumeGroup("vg", "id", 1, CHUNK, (), physical, (volume,)), volume, "vg-root", 0)


def test_a_volume_is_found_again_on_its_disks():
    """A linear stretch on each disk, then one in stripes over both: what the disks hold is what is read of the volume in their place."""
    segments = (
        Segment(0, 500, 500, ((Place(0, 100),),)),
        Segment(500, 300, 300, ((Place(1, 2000),),)),
        Segment(800, 8 * CHUNK, CHUNK, ((Place(0, 900),), (Place(1, 100),))),
    )
    origin = origin_of(segments)
    data = bytes(random.Random(3).getrandbits(8) for _byte in range(origin.volume.size))
    disks = {"sda": bytearray(6000), "sdb": bytearray(6000)}
    for piece in pieces(segments, 0, origin.volume.size):
        physical = origin.group.physical_volumes[piece.places[0].member]
        start = physical.start + piece.places[0].start
        disks[physical.disk][start:start + piece.length] = data[piece.offset:piece.offset + piece.length]
    columns = columns_of(origin)
    assert sorted((column.area.disk, column.area.start, column.area.size) for column in columns) == [
        ("sda", 1100, 500), ("sda", 1900, 4 * CHUNK), ("sdb", 100, 4 * CHUNK), ("sdb", 2000, 300)]
    for column in columns:
        read_at = column_reader(column, lambda offset, length: data[offset:offset + length])
        disk, start, size = column.area
        for offset in range(start, start + size, 37):
            length = min(150, start + size - offset)
            assert read_at(offset, length) == disks[disk][offset:offset + length]


class Disk:
    """A disk in memory."""

    def __init__(self, name, data):
        self.name, self.data = name, data

    def read_at(self, offset, length):
        return bytes(self.data[offset:offset + length])


def test_what_the_snapshots_cover_is_told_beforehand():
    """Metadata, free extents, and the volume; another volume is not covered."""
    physical = PhysicalVolume("id", "sda1", "sda", 1000, 100, 1100, Ranges([(0, 60), (1150, 1200)]))
    root = LogicalVolume("root", "a", 200, (Area(0, 100, 200),), (Segment(0, 200, 200, ((Place(0, 100),),)),), "")
    swap = LogicalVolume("swap", "b", 100, (Area(0, 500, 100),), (Segment(0, 100, 100, ((Place(0, 500),),)),), "")
    group = VolumeGroup("vg", "id", 7, 100, ("sda1",), (physical,), (root, swap))
    snapshots = LvmSnapshots([Disk("sda", bytearray(3000))], [Origin(group, root, "vg-root", 50)])
    assert sorted((area.start - 1000, area.size) for area in snapshots.areas()) == [(0, 60), (100, 200), (300, 200), (600, 500), (1150, 50)]


def test_tables_of_the_kernel_are_read():
    """The answer to DM_TABLE_STATUS: `next` counts from the first target. (A table that is loaded counts from each.)"""
    def target(start, length, following, kind, text):
        data = struct.pack("=QQiI16s", start, length, 0, following, kind) + text + b"\0"
        return data + bytes(-len(data) % 8)

    first = target(0, 2048, 56, b"linear", b"8:2 2048")
    assert len(first) == 56
    data = first + target(2048, 4096, 112, b"linear", b"8:16 384")
    assert devmapper.parse_targets(2, data) == (
        devmapper.Target(0, 2048, "linear", "8:2 2048"), devmapper.Target(2048, 4096, "linear", "8:16 384"))


def test_lists_of_the_kernel_are_read():
    """The answer to DM_LIST_DEVICES, also where there is no device."""
    entries = struct.pack("=QI", 0xFD00, 24) + b"vg-root\0" + bytes(4) + struct.pack("=QI", 0xFD01, 0) + b"vg-swap\0"
    assert devmapper.parse_devices(entries) == [devmapper.MappedDevice("vg-root", "253:0"), devmapper.MappedDevice("vg-swap", "253:1")]
    assert devmapper.parse_devices(b"") == devmapper.parse_devices(struct.pack("=QI", 0, 0) + bytes(8)) == []


def test_numbers_of_devices():
    assert devmapper.number_text((253 << 8) | 7) == "253:7"
    assert devmapper.number_text((0x123 << 20) | (8 << 8) | 0x45) == "8:{0}".format((0x123 << 8) | 0x45)


def test_what_the_data_of_a_thin_pool_look_like_tells_nothing():
    """Its first block is that of some thin volume, here of an ext4: without the pool's metadata all of it is used."""
    image = bytes(Ext().image)
    data = LogicalVolume("pool_tdata", "a", len(image), (), (), POOL_PART, "pool_tmeta")
    read_at = Disk("pool_tdata", image).read_at
    for metadata in (None, Held(data._replace(name="pool_tmeta", size=8192, metadata=""), Disk("pool_tmeta", bytes(8192)).read_at)):
        assert used_of(data, read_at, metadata) == Ranges([(0, len(image))])
    assert used_of(data._replace(obstacle=""), read_at, None).total < len(image)
