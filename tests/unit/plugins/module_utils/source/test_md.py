# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import struct

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source import md, mdsuper
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import reader
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.lvm_builders import swap

KIB, MIB = 1 << 10, 1 << 20
CHUNK = 64 * KIB
START = 128 * KIB
NEVER = (1 << 64) - 1


def sealed_1(data):
    total = sum(struct.unpack(f"<{len(data) // 4}I", data[:216] + bytes(4) + data[220:]))
    struct.pack_into("<I", data, 216, (total & 0xFFFFFFFF) + (total >> 32))
    return data


def super_1(role, disks, level, size, position, start=START, layout=2, chunk=CHUNK, events=9, resync=NEVER,
            features=0, uuid=b"u" * 16, roles=None):
    """A superblock of format 1. size: bytes used of each member."""
    data = bytearray(256 + 2 * 128)
    used = 0 if level == 0 else size // 512
    struct.pack_into("<4I16s32s", data, 0, 0xA92B4EFC, 1, features, 0, uuid, b"host:name")
    struct.pack_into("<QiIQII", data, 64, 1, level, layout, used, chunk // 512, disks)
    struct.pack_into("<QQQQI", data, 128, start // 512, size // 512, position // 512, 0, role)
    struct.pack_into("<QQQ", data, 192, 1, events, resync)
    struct.pack_into("<I", data, 220, 128)
    struct.pack_into("<128H", data, 256, *((list(range(disks)) if roles is None else roles) + [0xFFFF] * 128)[:128])
    return sealed_1(data)


def super_0(role, disks, level, size, state=1, order="<", events=9, minor=90, layout=2, role_state=6):
    words = [0] * 1024
    words[:11] = [0xA92B4EFC, 0, minor, 0, 0, 1, 1, level, size // KIB, disks, disks]
    words[13:16] = [2, 3, 4]
    words[33] = state
    words[39 if order == "<" else 40] = events
    words[64:66] = [layout, CHUNK]
    words[995:997] = [role, role_state]
    total = sum(words)
    words[38] = (total & 0xFFFFFFFF) + (total >> 32)
    return struct.pack(order + "1024I", *words)


def member(version, role, disks, level, size=2 * MIB, tail=128 * KIB, **fields):
    """An image of one member with `size` bytes of data."""
    if version == "0.90":
        image = bytearray(size + 64 * KIB)
        image[size:size + 4096] = super_0(role, disks, level, size, **fields)
        return image
    start = 0 if version == "1.0" else START
    image = bytearray(start + size + tail)
    position = {"1.0": (len(image) // 512 - 16) // 8 * 8 * 512, "1.1": 0, "1.2": 4096}[version]
    data = super_1(role, disks, level, size, position, start, **fields)
    image[position:position + len(data)] = data
    return image


def data_start(version):
    return 0 if version in ("0.90", "1.0") else START


def put(images, version, level, layout, content):
    """Write an array's content to its members, with parity and copies: an implementation of its own, after md(4)."""
    chunks = [content[at:at + CHUNK] for at in range(0, len(content), CHUNK)]
    count, start = len(images), data_start(version)

    def store(disk, row, data):
        images[disk][start + row * CHUNK:start + row * CHUNK + len(data)] = data

    if level == 1:
        for image in images:
            image[start:start + len(content)] = content
    elif level in (0, 10):
        copies = layout & 0xFF if level == 10 else 1
        for index, chunk in enumerate(chunk for chunk in chunks for _copy in range(copies)):
            store(index % count, index // count, chunk)
    elif level == 4:
        for index, chunk in enumerate(chunks):
            store(index % (count - 1), index // (count - 1), chunk)
    else:
        parities = level - 4
        for row in range(-(-len(chunks) // (count - parities))):
            first = row % count if layout in (1, 3) else count - 1 - row % count
            taken = [(first + index) % count for index in range(parities)]
            if layout in (2, 3):        # symmetric: data follow the parity, round the end
                order = [(first + parities + index) % count for index in range(count - parities)]
            else:
                order = [disk for disk in range(count) if disk not in taken]
            for disk, chunk in zip(order, chunks[row * len(order):(row + 1) * len(order)]):
                store(disk, row, chunk)


def maps(images):
    disks = [(reader(image), read_disk(f"sd{number}", reader(image), len(image))) for number, image in enumerate(images)]
    assert all(disk.content.kind == "md" for _read_at, disk in disks)
    return used_maps(disks)


def around(image, version, *used, size=2 * MIB):
    """Everything but the data area, and these stretches of it."""
    start = data_start(version)
    return Ranges([(0, start), (start + size, len(image))] + [(start + first, start + end) for first, end in used])


def assert_whole(images, reason):
    for found in maps(images):
        part, = found.parts
        assert part.method == "whole" and reason in part.note, part


@pytest.mark.parametrize("version", ("0.90", "1.0", "1.1", "1.2"))
def test_mirrors(version):
    images = [member(version, role, 2, 1) for role in range(2)]
    put(images, version, 1, 0, swap(2 * MIB))
    for image, found in zip(images, maps(images)):
        assert found.ranges == around(image, version, (0, 4096))
        assert found.parts[0].method == "md raid1: swap header"


LAYOUTS = [(0, 2, 0), (0, 3, 0), (4, 3, 0), (10, 2, 0x102), (10, 4, 0x102), (10, 6, 0x103)] \
    + [(5, disks, layout) for disks in (3, 5) for layout in range(4)] + [(6, disks, layout) for disks in (4, 5) for layout in range(4)]


@pytest.mark.parametrize("level, disks, layout", LAYOUTS)
def test_striped_arrays(level, disks, layout):
    """What is read is right byte by byte, and of the map whole rows are kept."""
    images = [member("1.2", role, disks, level, layout=layout) for role in range(disks)]
    columns = {0: disks, 4: disks - 1, 5: disks - 1, 6: disks - 2, 10: disks // max(1, layout & 0xFF)}[level]
    content = bytearray(random.Random(level).getrandbits(8 * 2 * MIB * columns).to_bytes(2 * MIB * columns, "little"))
    put(images, "1.2", level, layout, content)
    disks_of = [(reader(image), read_disk(f"sd{number}", reader(image), len(image))) for number, image in enumerate(images)]
    volumes = [md.Volume(disk.name, disk.size, read_at, disk.content) for read_at, disk in disks_of]
    (assembly,), reasons = md.assemble(volumes)
    array, = assembly.volumes
    assert not reasons and array.size == len(content)
    assert array.read_at(0, len(content) + 100) == content
    chance = random.Random(1)
    for _read in range(30):
        offset, length = chance.randrange(len(content)), chance.randrange(300_000)
        assert array.read_at(offset, length) == content[offset:offset + length]
    put(images, "1.2", level, layout, swap(len(content)))
    for image, found in zip(images, maps(images)):
        assert found.ranges == around(image, "1.2", (0, CHUNK if columns > 1 else 4096))
        assert found.parts[0].method == f"md raid{level}: swap header"


def test_members_in_another_order():
    images = [member("1.2", role, 3, 5) for role in range(3)]
    put(images, "1.2", 5, 2, swap(4 * MIB))
    assert maps(images[::-1])[0].parts[0].method == "md raid5: swap header"


def test_byte_order_of_the_old_format():
    images = [member("0.90", role, 2, 1, order=">") for role in range(2)]
    put(images, "0.90", 1, 0, swap(2 * MIB))
    assert maps(images)[0].ranges == around(images[0], "0.90", (0, 4096))


def test_an_array_with_unknown_content_keeps_its_data():
    images = [member("1.0", role, 2, 1) for role in range(2)]
    found = maps(images)[0]
    assert found.ranges == Ranges.whole(len(images[0]))
    assert found.parts[0].note == "md raid1: no map of used blocks is known for empty"


def test_a_spare_is_used_whole():
    roles = [0, 1, 0xFFFF]
    images = [member("1.2", role, 2, 1, roles=roles) for role in range(3)]
    put(images[:2], "1.2", 1, 0, swap(2 * MIB))
    found = maps(images)
    assert [each.parts[0].method for each in found] == ["md raid1: swap header"] * 2 + ["whole"]
    assert "spare" in found[2].parts[0].note


@pytest.mark.parametrize("changed, reason", [
    ({"resync": 0}, "not stopped cleanly"),
    ({"resync": 4096}, "not stopped cleanly"),
    ({"events": 8}, "not stopped cleanly"),
    ({"features": 0x2}, "being recovered"),
    ({"features": 0x4}, "being recovered or reshaped"),
    ({"features": 0x200}, "has a journal"),
    ({"layout": 3}, "contradict each other"),
    ({"roles": [0, 0xFFFE]}, "not all of its 2 members"),
])
def test_members_that_are_not_in_sync(changed, reason):
    level = 1
    images = [member("1.2", 0, 2, level), member("1.2", 1, 2, level, **changed)]
    put(images, "1.2", 1, 0, swap(2 * MIB))
    assert_whole(images, reason)


@pytest.mark.parametrize("changed, reason", [
    ({"state": 0}, "not stopped cleanly"), ({"minor": 91}, "reshaped"), ({"role_state": 0}, "not all of its 2 members"),
    ({"events": 7}, "cleanly")])
def test_members_of_the_old_format_that_are_not_in_sync(changed, reason):
    images = [member("0.90", 0, 2, 1), member("0.90", 1, 2, 1, **changed)]
    put(images, "0.90", 1, 0, swap(2 * MIB))
    assert_whole(images, reason)


@pytest.mark.parametrize("level, count, layout, reason", [
    (-1, 2, 0, "level -1"), (5, 3, 5, "layout 5"), (10, 3, 0x102, "layout 0x102 over 3"), (10, 4, 0x201, "layout 0x201"),
    (6, 3, 2, "level 6"),
    (10, 4, 0x10102, "layout 0x10102"), (10, 4, 0x100, "layout 0x100")])
def test_levels_and_layouts_that_are_not_known(level, count, layout, reason):
    assert_whole([member("1.2", role, count, level, layout=layout) for role in range(count)], reason)


def test_missing_members_and_unequal_ones():
    images = [member("1.2", role, 3, 5) for role in range(3)]
    assert_whole(images[:2], "not all of its 3 members")
    assert_whole([images[0], images[0], images[1], images[2]], "not all of its 3 members")
    assert_whole([member("1.2", 0, 2, 0), member("1.2", 1, 2, 0, size=3 * MIB)], "different sizes")
    assert_whole([member("1.2", role, 2, 0, chunk=0) for role in range(2)], "chunk size")


def test_bad_blocks():
    for entry, expected in ((b"\xff" * 8, "md raid1: swap header"), (struct.pack("<Q", 5 << 10 | 8), "whole")):
        images = []
        for role in range(2):
            image = member("1.2", role, 2, 1, features=8)
            data = image[4096:4096 + 512]
            struct.pack_into("<Hi", data, 186, 8, 16)
            image[4096:4096 + 512] = sealed_1(data)
            image[4096 + 16 * 512:4096 + 16 * 512 + 8] = entry
            images.append(image)
        put(images, "1.2", 1, 0, swap(2 * MIB))
        assert maps(images)[0].parts[0].method == expected


def test_superblocks_that_make_no_sense():
    image = member("1.2", 0, 2, 1)
    both = bytearray(image)
    both[:512] = super_1(0, 2, 1, 2 * MIB, 0)
    for damaged, reason in ((both, "two MD arrays"), (image[:4096 + 10], "no MD superblock")):
        with pytest.raises(MapUnknown, match=reason):
            mdsuper.read_superblock(reader(damaged), len(damaged))
    for fields, reason in (({"start": 0}, "lies within the data"), ({"size": 5 * MIB}, "more data than its member"),
                           ({"role": 200}, "damaged")):
        values = dict({"role": 0, "disks": 2, "level": 1, "size": 2 * MIB, "position": 4096}, **fields)
        image[4096:4096 + 512] = super_1(**values)
        with pytest.raises(MapUnknown, match=reason):
            mdsuper.read_superblock(reader(image), len(image))


@pytest.mark.parametrize("version", ("0.90", "1.0", "1.2"))
def test_flipped_bits_never_free_what_is_used(version):
    chance = random.Random(version)
    images = [member(version, role, 2, 1) for role in range(2)]
    put(images, version, 1, 0, swap(2 * MIB))
    truth = [found.ranges for found in maps(images)]
    place = next(at for at in range(0, len(images[0]), 512) if images[0][at:at + 4] == b"\xfc\x4e\x2b\xa9")
    for round_number in range(300):
        damaged = [bytearray(image) for image in images]
        for _flip in range(chance.randrange(1, 4)):
            damaged[round_number % 2][place + 4 + int(500 * chance.random() ** 2)] = chance.randrange(256)
        disks = [(reader(image), read_disk(f"sd{number}", reader(image), len(image))) for number, image in enumerate(damaged)]
        for before, found, image in zip(truth, used_maps(disks), damaged):
            assert not before.intersect(found.ranges.invert(len(image)))
