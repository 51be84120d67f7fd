# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.source import lvm, lvmlabel, lvmmap, lvmtext
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvm import Extent
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from ansible_collections.agnostic.recovery.plugins.module_utils.source.volume import Volume
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Ext, reader
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.lvm_builders import (
    AREA, AREA_SIZE, MIB, STATUS, group_text, other_segment, physical_volume, put_content, put_text, segment, swap)

LINEAR = {"one": (STATUS, [segment(0, 2, ("pv0", 1)), segment(2, 1, ("pv1", 0))])}
HEAD = Ranges([(0, MIB)])


def disks(*images):
    return [(reader(image), Disk(f"sd{'abc'[number]}", len(image), content=Content("lvm2"))) for number, image in enumerate(images)]


def group_on(volumes, *images, **more):
    """The group that these images form once this text is on all of them; two fresh ones by default."""
    images = images or (physical_volume(0, ""), physical_volume(1, ""))
    for image in images:
        put_text(image, group_text(volumes, **more))
    group, = lvm.read_volume_groups(disks(*images))
    return group, images


def parts(*images):
    return [found.parts[0] for found in used_maps(disks(*images))]


# Text

def test_text():
    text = 'a = 1 # no\nb = -2.5\nc = "x\\"}\\\\" d { e = [ ]\n f = [1, "two",\n3] 7 { g-h+i = 1 } }'
    assert lvmtext.parse(text) == {"a": 1, "b": -2.5, "c": 'x"}\\', "d": {"e": [], "f": [1, "two", 3], "7": {"g-h+i": 1}}}
    assert lvmtext.parse("# nothing\n") == {}


@pytest.mark.parametrize("text", ("a", "a =", "a = [", "a = [1", "a {", "}", "a = {", "= 1", '"a" = 1', 'a = "x', "a = 1 a = 2", "a = b",
                                  "a b = 1",
                                  "a = [ { } ]", "a = 1 $", "[", "\0", "a { b = 1 ] }"))
def test_text_that_is_none(text):
    with pytest.raises(MapUnknown, match="LVM metadata"):
        lvmtext.parse(text)


# Labels and metadata areas

@pytest.mark.parametrize("position", (512, 4096, AREA_SIZE - 100, AREA_SIZE - 1))
def test_the_ring_of_texts(position):
    image = physical_volume(0, group_text(LINEAR), position=position)
    label = lvmlabel.read_label(reader(image), len(image))
    assert label.damage == "" and label.fixed == Ranges([(0, 2048), (AREA, MIB)])
    assert label.texts[0]["vg"]["seqno"] == 3 and label.texts[0]["description"] == 'a "test" \\'


@pytest.mark.parametrize("place, reason", ((512 + 100, "label is damaged"), (512 + 20, "label is damaged"), (512, "no LVM label")))
def test_damaged_labels(place, reason):
    image = physical_volume(0, group_text(LINEAR))
    image[place] ^= 1
    with pytest.raises(MapUnknown, match=reason):
        lvmlabel.read_label(reader(image), len(image))


def test_ignored_areas_are_not_read():
    image = physical_volume(0, group_text(LINEAR), flags=1)
    assert lvmlabel.read_label(reader(image), len(image)).texts == ()


# Groups

def test_where_the_bytes_lie():
    striped = [segment(0, 4, ("pv0", 4), ("pv1", 1)), segment(4, 1, ("pv0", 7))]
    group, images = group_on(dict(LINEAR, wide=(STATUS, striped)))
    assert (group.name, group.seqno, group.extent_size, group.members) == ("vg", 3, MIB, ("sda", "sdb"))
    one, wide = group.logical_volumes
    assert list(lvm.extents(group, one)) == [Extent("sda", 2 * MIB, 2 * MIB, 0), Extent("sdb", MIB, MIB, 2 * MIB)]
    assert list(lvm.extents(group, one, MIB + 5, 2 * MIB + 7)) == [Extent("sda", 3 * MIB + 5, MIB - 5, MIB + 5),
                                                                   Extent("sdb", MIB, 7, 2 * MIB)]
    found = list(lvm.extents(group, wide))
    assert found[:3] == [Extent("sda", 5 * MIB, 65536, 0), Extent("sdb", 2 * MIB, 65536, 65536),
                         Extent("sda", 5 * MIB + 65536, 65536, 131072)]
    assert found[-1] == Extent("sda", 8 * MIB, MIB, 4 * MIB) and sum(extent.length for extent in found) == wide.size == 5 * MIB
    with pytest.raises(MapUnknown):
        list(lvm.extents(group, one, 0, 4 * MIB))


def test_partitions_of_a_disk_are_looked_into():
    image = physical_volume(0, group_text({"one": (STATUS, [segment(0, 2, ("pv0", 1))])}, extents=(8,)))
    part = Partition(1, 3 * MIB, len(image), "0x8e", content=Content("lvm2"))
    group, = lvm.read_volume_groups([(reader(bytes(3 * MIB) + image), Disk("sda", 12 * MIB, table="mbr", partitions=(part,)))])
    assert group.physical_volumes[0].volume == "sda1"
    assert list(lvm.extents(group, group.logical_volumes[0])) == [Extent("sda", 5 * MIB, 2 * MIB, 0)]


def test_free_extents_and_contents():
    striped = (STATUS, [segment(0, 4, ("pv0", 4), ("pv1", 1))])
    group, images = group_on(dict(LINEAR, wide=striped, raw=(STATUS, [segment(0, 1, ("pv1", 7))])))
    put_content(images, group.logical_volumes[0].segments, swap(3 * MIB))
    put_content(images, group.logical_volumes[1].segments, swap(4 * MIB))
    first, second = used_maps(disks(*images))
    # of the stripes the whole first row, though only one chunk of it is used
    assert first.ranges == HEAD.union(Ranges([(2 * MIB, 2 * MIB + 4096), (5 * MIB, 5 * MIB + 65536)]))
    assert second.ranges == HEAD.union(Ranges([(2 * MIB, 2 * MIB + 65536), (8 * MIB, 9 * MIB)]))
    assert (first.parts[0].method, first.parts[0].note) == ("lvm2: 2 of 2 LVs by swap", "")
    assert second.parts[0].method == "lvm2: 2 of 3 LVs by swap"
    assert second.parts[0].note == "all extents of raw (no map of used blocks is known for empty) are used"


def test_a_file_system_over_two_disks():
    ext = Ext()
    volumes = {"root": (STATUS, [segment(0, 7, ("pv0", 1)), segment(7, 5, ("pv1", 2)), segment(12, 4, ("pv1", 8), ("pv0", 9))])}
    group, images = group_on(volumes, physical_volume(0, "", 12), physical_volume(1, "", 12), extents=(12, 12))
    put_content(images, group.logical_volumes[0].segments, ext.image)
    found = used_maps(disks(*images))
    assert [each.parts[0].method for each in found] == ["lvm2: 1 of 1 LVs by ext4"] * 2
    copies = [bytearray(len(image)) for image in images]
    for image, copy, each in zip(images, copies, found):
        for start, end in each.ranges:
            copy[start:end] = image[start:end]
    back = bytearray(len(ext.image))
    for extent in lvm.extents(group, group.logical_volumes[0]):
        copy = copies["abc".index(extent.disk[-1])]
        back[extent.offset:extent.offset + extent.length] = copy[extent.start:extent.start + extent.length]
    assert all(back[start:end] == ext.image[start:end] for start, end in ext.expected((5000, 5010), (9000, 9001)))
    assert sum(each.ranges.total for each in found) < 2 * MIB + ext.expected((5000, 5010), (9000, 9001)).total + 4 * 65536


def test_the_newest_metadata_wins():
    old, new = group_text({"old": (STATUS, [segment(0, 8, ("pv0", 0))])}, seqno=3), group_text(LINEAR, seqno=4)
    for texts in ((old, new), (new, old)):
        group, = lvm.read_volume_groups(disks(physical_volume(0, texts[0]), physical_volume(1, texts[1])))
        assert [volume.name for volume in group.logical_volumes] == ["one"] and group.seqno == 4


def test_a_physical_volume_without_metadata():
    group, = lvm.read_volume_groups(disks(physical_volume(0, group_text(LINEAR)), physical_volume(1, "")))
    assert not group.problem and len(group.physical_volumes) == 2


# What is not plain: all its extents are used, and nothing that seems to lie in them is believed

REFERENCE = other_segment(0, 1, "{kind}", '{key} = "one"')
UNPLAIN = {
    "thin-pool": {"pool": (STATUS, [other_segment(0, 3, "thin-pool", 'metadata = "meta"\npool = "one"')]),
                  "meta": ('"READ", "WRITE"', [segment(0, 1, ("pv1", 5))])},
    "cache": {"cached": (STATUS, [other_segment(0, 3, "cache", 'cache_pool = "x"\norigin = "one"')])},
    "snapshot": {"snapshot0": ('"READ"', [other_segment(0, 3, "snapshot", 'chunk_size = 8\norigin = "one"\ncow_store = "cow"')]),
                 "cow": (STATUS, [segment(0, 1, ("pv1", 5))])},
    "raid1": {"mirrored": (STATUS, [other_segment(0, 3, "raid1", 'device_count = 2\nraids = [\n"meta", "one"\n]')])},
    "vdo-pool": {"vpool": (STATUS, [other_segment(0, 3, "vdo-pool", 'data = "one"')])},
    "something new": {"x": (STATUS, [other_segment(0, 3, "something new", 'deep { deeper = ["one"] }')])},
}


@pytest.mark.parametrize("kind", UNPLAIN)
def test_parts_of_other_volumes(kind):
    group, images = group_on(dict(LINEAR, **UNPLAIN[kind]))
    one = group.logical_volumes[0]
    assert one.obstacle == f"part of {kind}" and one.metadata == ("meta" if kind == "thin-pool" else "")
    assert bool(one.segments) == (kind == "thin-pool")           # a pool can be held where its parts lie
    put_content(images, group_on(LINEAR)[0].logical_volumes[0].segments, swap(3 * MIB))
    first, second = used_maps(disks(*images))
    assert first.ranges == HEAD.union(Ranges([(2 * MIB, 4 * MIB)]))
    assert second.ranges.clip(0, 2 * MIB) == Ranges([(0, 2 * MIB)])
    assert first.parts[0].method == "lvm2: 0 of 1 LVs by content" and f"one (part of {kind})" in first.parts[0].note


@pytest.mark.parametrize("status, segments, obstacle", [
    ('"READ", "WRITE"', [segment(0, 3, ("pv0", 1))], "hidden"),
    (STATUS + ', "LOCKED"', [segment(0, 3, ("pv0", 1))], "LOCKED"),
    (STATUS, [segment(0, 3, ("pv0", 1), ("pv0", 5), kind="mirror")], "mirror"),
    (STATUS, [segment(0, 3, ("pv0", 1), kind="striped+NEW")], None),
    (STATUS, [segment(0, 3, ("pv0", 1)), other_segment(3, 1, "zero", "")], "zero"),
    (STATUS, [segment(0, 3, ("pvmove0", 0))], "on other volumes"),
])
def test_volumes_that_are_not_plain(status, segments, obstacle):
    group, images = group_on({"one": (status, segments)})
    if obstacle is None:        # nobody knows which extents that type has
        assert "not known to lie on physical volumes" in group.problem
        assert [part.method for part in parts(*images)] == ["whole", "whole"]
        return
    volume, = group.logical_volumes
    assert volume.obstacle == obstacle and not volume.segments
    put_content(images, group_on(LINEAR)[0].logical_volumes[0].segments, swap(3 * MIB))
    expected = [] if obstacle == "on other volumes" else [(2 * MIB, 5 * MIB)]
    expected += [(6 * MIB, 9 * MIB)] if obstacle == "mirror" else []
    assert used_maps(disks(*images))[0].ranges == HEAD.union(Ranges(expected))


def test_pvmove_in_progress():
    moving = {"one": (STATUS, [segment(0, 2, ("pvmove0", 0)), segment(2, 1, ("pv1", 0))]),
              "pvmove0": ('"READ", "WRITE", "PVMOVE"', [segment(0, 2, ("pv0", 1), ("pv1", 4), kind="mirror")])}
    group, images = group_on(moving)
    assert [volume.obstacle for volume in group.logical_volumes] == ["on other volumes", "mirror"]
    first, second = used_maps(disks(*images))
    assert first.ranges == HEAD.union(Ranges([(2 * MIB, 4 * MIB)]))
    assert second.ranges == HEAD.union(Ranges([(MIB, 2 * MIB), (5 * MIB, 7 * MIB)]))


def test_partitioned_volumes_are_used_whole():
    """A guest's disk: old signatures in front of its partitions mean nothing."""
    content = Ext().image
    content[510:512] = b"\x55\xaa"
    content[446:462] = bytes((0, 0, 0, 0, 0x83, 0, 0, 0)) + (2048).to_bytes(4, "little") + (8192).to_bytes(4, "little")
    group, images = group_on({"guest": (STATUS, [segment(0, 16, ("pv0", 0))])}, physical_volume(0, "", 20), extents=(20,))
    put_content(images, group.logical_volumes[0].segments, content)
    assert used_maps(disks(*images))[0].ranges == Ranges([(0, 17 * MIB)])


def test_a_group_inside_a_group():
    inner = physical_volume(5, group_text({"x": (STATUS, [segment(0, 1, ("pv0", 0))])}, extents=(2,), group="inner").replace(
        "0-0000-0000-0000-0000-0000-000000", "0-0000-0000-0000-0000-0000-000005"), 2)
    group, images = group_on({"outer": (STATUS, [segment(0, 3, ("pv0", 1))])}, physical_volume(0, ""), extents=(8,))
    put_content(images, group.logical_volumes[0].segments, inner)
    found, = used_maps(disks(*images))
    assert found.ranges == HEAD.union(Ranges([(2 * MIB, 4 * MIB)]))
    assert found.parts[0].method == "lvm2: 1 of 1 LVs by lvm2"


def test_layers_without_end(monkeypatch):
    """Whatever metadata say, the layers that are looked through are counted."""
    monkeypatch.setattr(lvmmap, "made_up", lambda name, size, read_at: Volume(name, len(image), reader(image), Content("lvm2")))
    group, (image,) = group_on({"x": (STATUS, [segment(0, 3, ("pv0", 1))])}, physical_volume(0, ""), extents=(8,))
    assert used_maps(disks(image))[0].ranges.clip(0, MIB) == HEAD


# Groups that are not complete or not sound are used whole

def assert_whole(images, reason):
    for part in parts(*images):
        assert part.method == "whole" and reason in part.note, part


@pytest.mark.parametrize("volumes, more, reason", [
    ({"a": (STATUS, [segment(0, 9, ("pv0", 0))])}, {}, "beyond the end of its physical volume"),
    ({"a": (STATUS, [segment(0, 2, ("pv0", 0))]), "b": (STATUS, [segment(0, 2, ("pv0", 1))])}, {}, "share extents"),
    ({"a": (STATUS, [segment(1, 2, ("pv0", 0))])}, {}, "do not follow each other"),
    ({"a": (STATUS, [segment(0, 0, ("pv0", 0))])}, {}, "do not follow each other"),
    ({"a": (STATUS, [segment(0, 3, ("pv0", 0), ("pv1", 0))])}, {}, "does not divide"),
    ({"a": (STATUS, [segment(0, 2, ("pv0", 0), ("pv1", 0), stripe_size=100)])}, {}, "stripe size"),
    ({"a": (STATUS, [segment(0, 2, ("pv0", -1))])}, {}, "make no sense"),
    (LINEAR, {"extents": (8, 8, 8)}, "pv2 is missing"),
    (LINEAR, {"extents": (8, 9)}, "lie outside of it"),
    (LINEAR, {"flags": '"MISSING"'}, "was missing when"),
    (LINEAR, {"first": 1 << 60}, "pe_start"),
])
def test_unsound_groups(volumes, more, reason):
    group, images = group_on(volumes, **more)
    assert reason in group.problem and not group.logical_volumes
    assert_whole(images, reason)


def test_contradictions():
    one, other = group_text(LINEAR), group_text({"two": (STATUS, [segment(0, 1, ("pv0", 1))])})
    assert_whole((physical_volume(0, one), physical_volume(1, other)), "contradict each other")
    assert_whole((physical_volume(0, one), physical_volume(0, one), physical_volume(1, one)), "pv0 is there twice")
    assert_whole((physical_volume(0, one), physical_volume(1, group_text(LINEAR, group="other"))), "claimed by two groups")
    gone = group_text({"two": (STATUS, [segment(0, 1, ("pv0", 1))])}, extents=(8,), seqno=9)
    assert_whole((physical_volume(0, gone), physical_volume(1, one)), "does not name it any more")
    damaged = physical_volume(1, one)
    damaged[AREA + 600] ^= 1
    assert_whole((physical_volume(0, one), damaged), "wrong checksum")
    assert_whole((physical_volume(0, ""),), "no volume group names it")


def test_flipped_bits_never_free_what_is_used():
    chance = random.Random(11)
    group, images = group_on(dict(LINEAR, wide=(STATUS, [segment(0, 4, ("pv0", 4), ("pv1", 1))])))
    put_content(images, group.logical_volumes[0].segments, swap(3 * MIB))
    truth = [found.ranges for found in used_maps(disks(*images))]
    text_end = AREA + 512 + len(group_text(LINEAR)) + 400
    for round_number in range(300):
        damaged = [bytearray(image) for image in images]
        for _flip in range(chance.randrange(1, 4)):
            place = chance.choice((chance.randrange(512, 1024), chance.randrange(AREA, AREA + 100), chance.randrange(AREA, text_end)))
            damaged[round_number % 2][place] = chance.randrange(256)
        for before, after, image in zip(truth, used_maps(disks(*damaged)), damaged):
            assert not before.intersect(after.ranges.invert(len(image)))


@pytest.mark.parametrize("word", ("stripe_count = 1", "extent_count = 2", "start_extent = 2", '"pv0", 1', "pe_start = 2048",
                                  "segment_count = 2",
                                  "extent_size = 2048", "seqno = 3", "physical_volumes", "logical_volumes", "segment1", "type", '"striped"',
                                  '"VISIBLE"', '"Text Format Volume Group"', "version = 1", "id ="))
@pytest.mark.parametrize("instead", ("", "7", '"x"', "[ ]", "{ }", "x = 1", "-1", "4294967297"))
def test_texts_that_make_no_sense_never_raise(word, instead):
    """Every value missing or of another kind, with right checksums."""
    text = group_text(LINEAR)
    assert word in text
    name, equals, _value = word.partition("=")
    images = [physical_volume(number, text.replace(word, f"{name}= {instead}" if equals and instead else instead)) for number in range(2)]
    for found in used_maps(disks(*images)):
        assert not HEAD.intersect(found.ranges.invert(9 * MIB))
