# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maps of volume groups that lvm2 has made, over three disks."""

import contextlib
import os
import random
import re

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source import lvm
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.lvm_snapshot import Origin
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from file_trees import tree_of
from source_churn import Churn
from source_images import check, copy_used, make_image, mounted, need, run
from source_lvm import MIB, PARTITION, lvm_on, read_volume, write_volume

JUNK = b"junk-junk."
SIZES = (160 * MIB, 140 * MIB, 140 * MIB)
# name: file system, MiB
VOLUMES = {"linear": ("ext4", 40), "striped": ("ext4", 60), "many-parts": ("btrfs", 110)}


@pytest.fixture(name="group")
def _group(work):
    """lvm2 with a group "data": two copies of the metadata on one physical volume, none on another; free extents full of junk."""
    need("lvm", "losetup", "sfdisk", "mkfs.ext4", "mkfs.btrfs")
    with lvm_on(work, SIZES) as tool:
        for image, start in zip(tool.images, (PARTITION, 0, 0)):
            with open(image, "r+b") as file:
                file.seek(start + 4096)
                for _piece in range((os.path.getsize(image) - start) // MIB - 2):
                    file.write(JUNK * (MIB // len(JUNK)))
        first, second, third = tool.devices
        tool.run("pvcreate", first)
        tool.run("pvcreate", "--metadatacopies", "2", second)
        tool.run("pvcreate", "--metadatacopies", "0", "--dataalignment", "4m", third)
        tool.run("vgcreate", "-s", "1m", "data", first, second, third)
        tool.create("linear", 40, first)
        tool.create("gone", 8, first)
        tool.create("striped", 60, "-i3", "-I64k")
        tool.create("many-parts", 10, first)
        tool.run("lvremove", "-y", "data/gone")
        tool.run("lvextend", "-l", "+50", "data/many-parts", second)
        tool.run("lvextend", "-l", "+50", "-i2", "-I16k", "data/many-parts", second, third)
        yield tool


def fill(tool, work, chance):
    """Lay file systems that were full of junk on the volumes; {name: files}."""
    trees = {}
    for name, (kind, size) in VOLUMES.items():
        image = make_image(os.path.join(work, name), size * MIB)
        with open(image, "r+b") as file:
            for _piece in range(size):
                file.write(JUNK * (MIB // len(JUNK)))
        run(f"mkfs.{kind}", *(["-q", "-F"] if kind == "ext4" else ["-q", "-f", "--mixed"]), image)
        folder = os.path.join(work, "mnt")
        with mounted(image, folder, kind):
            Churn(folder, chance).run(60)
            trees[name] = tree_of(folder)
        write_volume(tool.pieces("data", name), tool.images, image)
        os.unlink(image)
    return trees


@contextlib.contextmanager
def opened(paths):
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_disk(path, f"sd{'abc'[number]}")) for number, path in enumerate(paths)]
        yield [(source.read_at, read_disk(source.name, source.read_at, source.size)) for source in sources]


def junk_in(path):
    with open(path, "rb") as file:
        return sum(data.count(JUNK) for data in iter(lambda: file.read(MIB), b""))


def test_a_copy_of_the_used_ranges_holds_the_same_volumes(group, work):
    trees = fill(group, work, random.Random(3))
    with opened(group.images) as disks:
        found = used_maps(disks)
    assert [(each.parts[0].kind, each.parts[0].method) for each in found] == [
        ("lvm2", "lvm2: 3 of 3 LVs by btrfs, ext4"), ("lvm2", "lvm2: 2 of 2 LVs by btrfs, ext4"),
        ("lvm2", "lvm2: 2 of 2 LVs by btrfs, ext4")]
    copies = [copy_used(image, image + ".copy", each.ranges) for image, each in zip(group.images, found)]
    for name, (kind, _size) in VOLUMES.items():
        volume = read_volume(group.pieces("data", name), copies, os.path.join(work, "volume"))
        if kind == "ext4":
            check(volume, kind)
        else:
            run("btrfs", "check", "--readonly", "--check-data-csum", volume)
        with mounted(volume, os.path.join(work, "mnt"), kind):
            assert tree_of(os.path.join(work, "mnt")) == trees[name]
    assert sum(map(junk_in, group.images)) > 5 * sum(map(junk_in, copies))
    # lvm2 itself finds the group on the copies, and nothing to complain about
    before = group.rows("lvs", "lv_name,lv_uuid,seg_pe_ranges", "--segments", "data")
    for image, copy in zip(group.images, copies):
        run("dd", f"if={copy}", f"of={image}", "bs=1M", "conv=notrunc", "status=none")
    assert group.rows("lvs", "lv_name,lv_uuid,seg_pe_ranges", "--segments", "data") == before
    assert group.run("vgck", "data") == ""


def test_where_lvm_says_the_bytes_lie(group):
    """Every segment of every volume, and the runs that a plain volume is composed of."""
    with opened(group.images) as disks:
        found, = lvm.read_volume_groups(disks)
    assert found.problem == "" and {volume.name for volume in found.logical_volumes} == set(VOLUMES)
    assert [[found.seqno, found.uuid]] == [[int(number), uuid] for number, uuid in group.rows("vgs", "vg_seqno,vg_uuid", "data")]
    for volume in found.logical_volumes:
        ours = [("abc".index(extent.disk[-1]), extent.start, extent.length) for extent in lvm.extents(found, volume)]
        assert ours == list(group.pieces("data", volume.name))


def test_old_metadata_on_one_disk(group, work):
    """As after a disk was away for one change: the newest copy counts."""
    old = [copy_used(image, image + ".old", Ranges.whole(os.path.getsize(image))) for image in group.images]
    group.run("lvremove", "-y", "data/striped")
    with opened([old[0]] + group.images[1:]) as disks:
        found, = lvm.read_volume_groups(disks)
    assert {volume.name for volume in found.logical_volumes} == {"linear", "many-parts"}
    with opened(group.images[:2]) as disks:
        for each in used_maps(disks):
            assert each.parts[0].method == "whole" and "is missing" in each.parts[0].note


# Sections that lvm2 writes for volumes that it can only make where the kernel has the device mapper.
LAYERED = """
origin {{ id = "{0}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 4 type = "striped" stripe_count = 1 stripes = ["pv1", 100] }} }}
snap {{ id = "{1}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv1", 104] }} }}
snapshot0 {{ id = "{2}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 4 type = "snapshot" chunk_size = 8 origin = "origin" cow_store = "snap" }} }}
mirror {{ id = "{3}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 3 type = "mirror" mirror_count = 2 region_size = 4096
 mirrors = ["mirror_mimage_0", 0, "mirror_mimage_1", 0] }} }}
mirror_mimage_0 {{ id = "{4}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 3 type = "striped" stripe_count = 1 stripes = ["pv1", 108] }} }}
mirror_mimage_1 {{ id = "{5}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 3 type = "striped" stripe_count = 1 stripes = ["pv2", 90] }} }}
raid {{ id = "{6}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 2 type = "raid1" device_count = 2 region_size = 4096
 raids = ["raid_rmeta_0", "raid_rimage_0", "raid_rmeta_1", "raid_rimage_1"] }} }}
raid_rmeta_0 {{ id = "{7}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["pv1", 112] }} }}
raid_rimage_0 {{ id = "{8}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv1", 113] }} }}
raid_rmeta_1 {{ id = "{9}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["pv2", 100] }} }}
raid_rimage_1 {{ id = "{10}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv2", 101] }} }}
pool {{ id = "{11}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 5 type = "thin-pool" metadata = "pool_tmeta" pool = "pool_tdata" transaction_id = 1
 chunk_size = 128
 discards = "passdown" zero_new_blocks = 1 }} }}
pool_tmeta {{ id = "{12}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv2", 110] }} }}
pool_tdata {{ id = "{13}" status = ["READ", "WRITE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 5 type = "striped" stripe_count = 1 stripes = ["pv2", 112] }} }}
thin {{ id = "{14}" status = ["READ", "WRITE", "VISIBLE"] flags = [] segment_count = 1
 segment1 {{ start_extent = 0 extent_count = 50 type = "thin" thin_pool = "pool" transaction_id = 0 device_id = 1 }} }}
"""
OBSTACLES = {"origin": "part of snapshot", "snap": "part of snapshot", "snapshot0": "snapshot", "mirror": "mirror", "raid": "raid1",
             "pool": "thin-pool",
             "thin": "thin", "raid_rmeta_0": "part of raid1", "pool_tdata": "part of thin-pool", "mirror_mimage_1": "part of mirror"}


def test_layered_volumes_keep_all_their_extents(group, work):
    """Snapshot, mirror, RAID, thin pool: what lvm2 says that they occupy is used, and copied byte for byte."""
    backup = os.path.join(work, "backup")
    group.run("vgcfgbackup", "-f", backup, "data")
    with open(backup, encoding="ascii") as file:
        text = file.read()
    uuids = [f"aaaaaa-bbbb-cccc-dddd-eeee-ffff-{number:06d}" for number in range(15)]
    text = re.sub(r"logical_volumes \{", lambda match: match.group() + LAYERED.format(*uuids), text)
    with open(backup, "w", encoding="ascii") as file:
        file.write(text)
    group.run("lvremove", "-y", "data")         # a group with volumes would be asked for active ones, in the kernel
    group.run("vgcfgrestore", "--force", "-f", backup, "data")
    areas = group.areas("data")
    with opened(group.images) as disks:
        found, = lvm.read_volume_groups(disks)
        maps = used_maps(disks)
    assert found.problem == ""
    volumes = {volume.name: volume for volume in found.logical_volumes}
    assert {name: volumes[name].obstacle for name in OBSTACLES} == OBSTACLES
    for name, volume in volumes.items():
        ours = [(area.member, found.physical_volumes[area.member].start + area.start, area.length) for area in volume.areas]
        assert sorted(ours) == sorted(areas.get(name, [])), name
        for number, start, length in areas.get(name, []) if volume.obstacle else []:
            assert not Ranges([(start, start + length)]).intersect(maps[number].ranges.invert(SIZES[number])), name
    notes = " ".join(each.parts[0].note for each in maps)
    assert "origin (part of snapshot)" in notes and "pool_tmeta (part of thin-pool)" in notes
    assert maps[1].ranges.total < SIZES[1] and maps[2].ranges.total < SIZES[2]
    # the parts of a thin pool are held by snapshots: where their bytes are, and a name that lvm2 takes
    assert volumes["pool_tdata"].metadata == "pool_tmeta"
    for name in ("pool_tmeta", "pool_tdata"):
        assert [("abc".index(extent.disk[-1]), extent.start, extent.length) for extent in lvm.extents(found, volumes[name])] == areas[name]
        group.create(Origin(found, volumes[name], "data-" + name, MIB).reserve_name, 1)
