# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maps of MD arrays that the kernel has made in a guest (source_guest.py): all levels, one array with LVM on it.

The disks are kept in data/. AGNOSTIC_RECOVERY_SLOW=1 makes them afresh and lets a guest check what copies of their used ranges hold.
"""

import contextlib
import hashlib
import os
import re

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source import lvmmap, md, mdsuper
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from ansible_collections.agnostic.recovery.plugins.module_utils.source.volume import volumes_of
from source_guest import ARRAYS, DISKS, FILES, MIB, guest, make, pattern, unpack
from source_images import check, copy_used, mounted, need, run

SLOW = bool(os.environ.get("AGNOSTIC_RECOVERY_SLOW"))
JUNK = b"junk-junk."        # what the file systems were full of before


@pytest.fixture(name="disks")
def _disks(work):
    """(the disks, copies of their used ranges, the maps)."""
    if SLOW:
        need("guestfish", "sfdisk")
    paths = make(work) if SLOW else unpack(work)
    with opened(paths) as disks:
        found = used_maps(disks)
    return paths, [copy_used(path, path + ".copy", each.ranges) for path, each in zip(paths, found)], found


@contextlib.contextmanager
def opened(paths):
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_disk(path, disk)) for disk, path in zip(DISKS, paths)]
        yield [(source.read_at, read_disk(source.name, source.read_at, source.size)) for source in sources]


def members_of(disks):
    """The partitions by the names that ARRAYS calls them: a1 …"""
    return {f"{disk.name[-1]}{number}": volume for read_at, disk in disks for number, volume in volumes_of(read_at, disk)}


def content_of(places, members):
    """What an array holds: the array, or its one logical volume."""
    (array,), reasons = md.assemble([members[place] for place in places.split()])
    assert not reasons
    volume, = array.volumes
    if volume.content.kind == "lvm2":
        (group,), reasons = lvmmap.assemble([volume])
        volume, = group.volumes
    return volume


def text_of(name, file):
    text = pattern(name, file).encode()
    return (text * (FILES[file] // len(text) + 1))[:FILES[file]]


def assert_holds(volume, name, work):
    """The volume, written to a file, is a sound file system with the files that the guest has made."""
    path, folder = os.path.join(work, "volume"), os.path.join(work, "mnt")
    with open(path, "wb") as file:
        for offset in range(0, volume.size, MIB):
            file.write(volume.read_at(offset, MIB))
    check(path, "ext4")
    with mounted(path, folder, "ext4", "ro"):
        for file_name in FILES:
            with open(os.path.join(folder, file_name), "rb") as file:
                assert file.read() == text_of(name, file_name), (name, file_name)


def junk_in(paths):
    count = 0
    for path in paths:
        with open(path, "rb") as file:
            count += sum(data.count(JUNK) for data in iter(lambda: file.read(MIB), b""))
    return count


def test_every_array_is_mapped_by_what_it_holds(disks, work):
    need("losetup", "e2fsck")
    paths, copies, found = disks
    parts = {f"{disk[-1]}{part.partition}": part for disk, each in zip(DISKS, found) for part in each.parts}
    for name, (options, places) in ARRAYS.items():
        level = re.search(r"--level=(\d+)", options).group(1)
        inner = "lvm2: 1 of 1 LVs by ext4" if name == "stack" else "ext block bitmaps"
        for place in places.split():
            assert parts[place].method == f"md raid{level}: {inner}", (name, parts[place])
            assert parts[place].used < parts[place].size / 2
    for read_from in (paths, copies):
        with opened(read_from) as read:
            members = members_of(read)
            for name, (_options, places) in ARRAYS.items():
                assert_holds(content_of(places, members), name, work)
    assert junk_in(copies) * 4 < junk_in(paths)


def test_copies_and_parity_agree_after_the_copy(disks):
    """Where a member reads as zeros, so do all others in that row: no check of an array would find a difference."""
    _paths, copies, _found = disks
    with opened(copies) as read:
        members = members_of(read)
        for name in ("raid1", "right", "stack"):
            volumes = [members[place] for place in ARRAYS[name][1].split()]
            heads = [mdsuper.read_superblock(volume.read_at, volume.size) for volume in volumes]
            size = heads[0].data_size // 65536 * 65536
            for offset in range(0, size, MIB):
                rest = 0
                for volume, head in zip(volumes, heads):
                    rest ^= int.from_bytes(volume.read_at(head.data_start + offset, min(MIB, size - offset)), "little")
                assert rest == 0, (name, offset)


def test_superblocks_like_mdadm(disks, work):
    need("mdadm")
    paths, _copies, _found = disks
    with opened(paths) as read:
        members = members_of(read)
    for _options, places in ARRAYS.values():
        for place in places.split():
            part = os.path.join(work, "part")
            run("dd", f"if={paths['abc'.index(place[0])]}", f"of={part}", "bs=1M", f"skip={members[place].start // MIB}",
                f"count={members[place].size // MIB}", "status=none")
            with open_disk(part, "part") as source:
                ours = mdsuper.read_superblock(source.read_at, source.size)
            said = dict(re.findall(r"^\s*([A-Z][\w ]*?) : (.*)$", run("mdadm", "--examine", part), re.M))
            assert said["Version"].startswith(ours.version)
            assert said["Raid Level"] == f"raid{ours.level}" and int(said["Raid Devices"]) == ours.disks
            assert said["State"] == "clean" and int(said["Events"].split(".")[-1]) == ours.events
            assert said.get("Chunk Size", "0K") == f"{ours.chunk // 1024}K"
            if ours.version != "0.90":
                assert said["Device Role"] == f"Active device {ours.role}"
                assert said["Array UUID"].replace(":", "") == ours.array
                assert int(said.get("Data Offset", "0 sectors").split()[0]) * 512 == ours.data_start


@pytest.mark.skipif(not SLOW, reason="slow: set AGNOSTIC_RECOVERY_SLOW=1 to run it")
def test_a_guest_finds_the_copies_sound(disks):
    """The kernel assembles the copies: no array has a mismatch, and every file is as it was made."""
    _paths, copies, _found = disks
    script = "run\n"
    for name in ARRAYS:
        own = f"$(basename $(readlink -f /dev/md/*{name}))"
        script += f'debug sh "echo check > /sys/block/{own}/md/sync_action; ' \
            f'mdadm --wait /dev/{own}; cat /sys/block/{own}/md/mismatch_cnt; true"\n' \
            if name not in ("right", "raid0") else ""
    for name in ARRAYS:
        device = "/dev/onmd/inner" if name == "stack" else f"$(ls /dev/md/*{name})"
        script += f'debug sh "mount -o ro {device} /sysroot; sha256sum /sysroot/small /sysroot/medium /sysroot/large; umount /sysroot"\n' \
            if name != "right" else ""
    text = guest(copies, script)
    print(text)
    assert re.findall(r"^(\d+)$", text, re.M) == ["0"] * 4
    assert re.findall(r"^([0-9a-f]{64}) ", text, re.M) == [
        hashlib.sha256(text_of(name, file)).hexdigest() for name in ARRAYS if name != "right" for file in FILES]
