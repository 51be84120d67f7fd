# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used maps against other programs that know the file systems: e2fsprogs, xfsprogs, partclone, the kernel's own replay.

partclone is wrong on bigalloc (heap overflow in 0.3.23) and does not run on file systems with an unreplayed journal: it is not asked there.
"""

import os
import random
import re
import subprocess

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import ext, extjournal, extlayout, jbd2
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from source_churn import Churn
from source_filesystems import FILE_SYSTEMS, MIB, churned, make
from source_images import copy_image, copy_used, make_image, map_of, mounted, need, run, sync

EXT = [name for name, (kind, _size, _command, _options) in FILE_SYSTEMS.items() if kind != "xfs"]
# What the kernel of the test machine need not be able to mount.
UNMOUNTED = {
    "64k": "mkfs.ext4 -q -F -b 65536",
    "mmp": "mkfs.ext4 -q -F -O mmp",
    "flex-64": "mkfs.ext4 -q -F -b 1024 -G 64 -g 4096",
    "meta-bg-wide": "mkfs.ext4 -q -F -b 4096 -g 256 -O meta_bg,^resize_inode,^flex_bg,64bit",
    "old-journal": "mkfs.ext3 -q -F -b 1024 -J size=8",
    "revision-0": "mkfs.ext2 -q -F -r 0",
    "no-sparse": "mkfs.ext2 -q -F -b 1024 -O ^sparse_super,^resize_inode",
}


def free_by_dumpe2fs(image):
    """Free Ranges: dumpe2fs names the free blocks of each group, of clusters their first block."""
    text = run("dumpe2fs", image)
    block_size = int(re.search(r"^Block size:\s+(\d+)", text, re.M).group(1))
    blocks = int(re.search(r"^Block count:\s+(\d+)", text, re.M).group(1))
    cluster = re.search(r"^Cluster size:\s+(\d+)", text, re.M)
    cluster_blocks = int(cluster.group(1)) // block_size if cluster else 1
    pairs = []
    for line in re.findall(r"^  Free blocks: (\d.*)$", text, re.M):
        for item in line.split(","):
            first, _dash, last = item.strip().partition("-")
            pairs.append((int(first) * block_size, min(int(last or first) + cluster_blocks, blocks) * block_size))
    return Ranges(pairs)


def used_by_partclone(image, kind, work):
    """The ddrescue map of `partclone -D`: + is used."""
    program = f"partclone.{kind}"
    need(program)
    path = os.path.join(work, "partclone.map")
    run(program, "-D", "-s", image, "-O", path, "-L", "/dev/null")
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("0x")]
    return Ranges((int(row[0], 16), int(row[0], 16) + int(row[1], 16)) for row in rows if len(row) == 3 and row[2] == "+")


def assert_free_like_dumpe2fs(image, ranges):
    """Bit for bit, but for the fixed metadata that we keep whatever the bitmaps say, and the space behind the file system."""
    free = free_by_dumpe2fs(image)
    assert not ranges.intersect(free).total
    with open_disk(image, "disk") as source:
        superblock = extlayout.read_superblock(source.read_at, source.size)
    free_of_ours = ranges.invert(superblock.bytes)
    assert free_of_ours == free.clip(superblock.own_block * superblock.block_size, superblock.bytes)


@pytest.mark.parametrize("name", EXT)
def test_ext_like_dumpe2fs_and_partclone(name, work):
    image, kind, options = make(name, os.path.join(work, "disk"))
    copy = os.path.join(work, "copy")
    churned(image, kind, options, "clean", random.Random(name), os.path.join(work, "mnt"), copy)
    ranges, part = map_of(copy, kind)
    assert part.method == "ext block bitmaps", part
    assert_free_like_dumpe2fs(copy, ranges)
    if "bigalloc" not in name and name not in ("ext4-smaller", "ext4-seed-inline"):
        assert ranges == used_by_partclone(copy, "ext4", work)


@pytest.mark.parametrize("name", UNMOUNTED)
def test_ext_that_is_only_made(name, work):
    need("mkfs.ext4", "dumpe2fs")
    image = make_image(os.path.join(work, "disk"), 100 * MIB)
    run(*UNMOUNTED[name].split(), image)
    ranges, part = map_of(image, "ext4")
    assert part.method == "ext block bitmaps", part
    assert_free_like_dumpe2fs(image, ranges)


@pytest.mark.parametrize("name", [name for name in EXT if name not in ("ext2", "ext4-no-journal", "ext4-fast-commit")])
def test_the_replay_in_memory_writes_what_e2fsck_writes(name, work):
    """Every block of the file system after `e2fsck -E journal_only` is what the overlay says, and nothing else changed."""
    image, kind, options = make(name, os.path.join(work, "disk"))
    before, after = os.path.join(work, "before"), os.path.join(work, "after")
    churned(image, kind, options, "dead", random.Random(name + "replay3"), os.path.join(work, "mnt"), before)
    copy_image(before, after)
    run("e2fsck", "-y", "-E", "journal_only", after, accept=(0, 1))
    with open_disk(before, "disk") as source, open_disk(after, "disk") as target:
        superblock = extlayout.read_superblock(source.read_at, source.size)
        assert superblock.incompat & extlayout.INCOMPAT_RECOVER
        journal, journal_start = find_journal(source, superblock)
        assert journal.csum_v1 == (name in ("ext4-old-csum", "ext4-no-csum"))
        overlay = jbd2.replay(journal)
        assert overlay
        assert_replayed(superblock, overlay, journal, journal_start, source, target)


def find_journal(source, superblock):
    """The journal, and the file system block that it begins at."""
    table = ext._descriptor_table(ext._View(source.read_at, superblock.block_size), superblock)
    inode = extjournal._read_inode(source.read_at, superblock, table)
    return extjournal.journal_of(source.read_at, superblock, table), extjournal._journal_blocks(source.read_at, superblock, inode)[0]


def assert_replayed(superblock, overlay, journal, journal_start, source, target):
    size = superblock.block_size
    batch = MIB // size
    changed = []
    for first in range(0, superblock.blocks, batch):
        old, new = source.read_at(first * size, batch * size), target.read_at(first * size, batch * size)
        expected = bytearray(old)
        for block in range(first, min(first + batch, superblock.blocks)):
            if block in overlay:
                expected[(block - first) * size:(block - first + 1) * size] = overlay[block].content(journal)
        if expected != new:
            places = (slice(index * size, (index + 1) * size) for index in range(batch))
            changed += [first + index for index, place in enumerate(places) if expected[place] != new[place]]
    # e2fsck also updates the superblock and the copies of it and of the descriptors, and the journal's own superblock
    heads = {block for group in range(superblock.groups) for start, end in extlayout._group_head(superblock, group)
             for block in range(start, end) if block not in overlay}
    own = heads | {superblock.own_block, journal_start}
    others = [block for block in changed if block not in own]
    assert not others, others


@pytest.mark.parametrize("features", ("64bit", "^64bit"))
@pytest.mark.parametrize("version", (0, 2, 3))      # version 1 of debugfs is wrong; the kernel writes right ones
def test_journals_written_by_debugfs(features, version, work):
    """Revoke records, no checksums and those of two versions, block numbers of 32 and 64 bits; replayed by e2fsck."""
    need("debugfs", "mkfs.ext4")
    features += ",metadata_csum" if version > 1 else ",^metadata_csum"
    checksum = f"-c -v {version}" if version else ""
    before, after = make_image(os.path.join(work, "before"), 64 * MIB), os.path.join(work, "after")
    run("mkfs.ext4", "-q", "-F", "-b", "1024", "-O", features, "-J", "size=4", before)
    payload = os.path.join(work, "payload")
    with open(payload, "wb") as file:
        file.write(b"\xc0\x3b\x39\x98" + os.urandom(4 * 1024 - 4))
    script = os.path.join(work, "script")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"jo {checksum}\njw -b 30000-30003 {payload}\njw -r 30001\njw -b 40000,30002,41000,42000 {payload}\njw -r 41000\njc\n")
    run("debugfs", "-w", "-f", script, before)
    copy_image(before, after)
    run("e2fsck", "-y", "-E", "journal_only", after, accept=(0, 1))
    with open_disk(before, "disk") as source, open_disk(after, "disk") as target:
        superblock = extlayout.read_superblock(source.read_at, source.size)
        journal, journal_start = find_journal(source, superblock)
        assert (journal.csum_v1, journal.csum_v2, journal.csum_v3) == (False, version == 2, version == 3)
        assert journal.wide == features.startswith("64bit")
        overlay = jbd2.replay(journal)
        assert sorted(overlay) == [30000, 30002, 30003, 40000, 42000]
        assert_replayed(superblock, overlay, journal, journal_start, source, target)


XFS = [name for name, (kind, _size, _command, _options) in FILE_SYSTEMS.items() if kind == "xfs"]


def on_free_lists(image):
    """Bytes on the free lists (AGFL) of all groups: xfs_db calls them free, we keep them."""
    groups = int(re.search(r"agcount = (\d+)", run("xfs_db", "-r", "-c", "sb 0", "-c", "p agcount", image)).group(1))
    asked = [word for group in range(groups) for word in ("-c", f"agf {group}", "-c", "p flcount")]
    block_size = int(re.search(r"blocksize = (\d+)", run("xfs_db", "-r", "-c", "sb 0", "-c", "p blocksize", image)).group(1))
    return block_size * sum(int(count) for count in re.findall(r"flcount = (\d+)", run("xfs_db", "-r", *asked, image)))


def free_of_xfs(image):
    text = run("xfs_db", "-r", "-c", "freesp -d", "-c", "sb 0", "-c", "p blocksize agblocks", image)
    block_size = int(re.search(r"^blocksize = (\d+)", text, re.M).group(1))
    group = int(re.search(r"^agblocks = (\d+)", text, re.M).group(1))
    rows = re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s*$", text, re.M)
    extents = ((int(number) * group + int(start), int(count)) for number, start, count in rows)
    return Ranges((first * block_size, (first + count) * block_size) for first, count in extents)


@pytest.mark.parametrize("name", XFS)
def test_xfs_like_xfs_db_and_partclone(name, work):
    image, kind, options = make(name, os.path.join(work, "disk"))
    copy = os.path.join(work, "copy")
    if "v4" in name:        # recent kernels cannot mount version 4: what mkfs made is all there is
        copy_image(image, copy)
    else:
        churned(image, kind, options, "clean", random.Random(name), os.path.join(work, "mnt"), copy)
    ranges, part = map_of(copy, kind)
    assert part.method == "xfs free-space trees, clean log", part
    free = free_of_xfs(copy)
    assert free.total
    assert ranges.intersect(free).total == on_free_lists(copy)
    kept = free.union(ranges).invert(os.path.getsize(copy))
    assert not kept.total, "neither free nor used"
    assert not used_by_partclone(copy, "xfs", work).intersect(ranges.invert(os.path.getsize(copy))).total


def test_xfs_version_4_with_files(work):
    need("mkfs.xfs", "xfs_repair")
    image = make_image(os.path.join(work, "disk"), 320 * MIB)
    content = os.path.join(work, "content")
    with open(content, "wb") as file:
        file.write(os.urandom(3 * MIB))
    prototype = os.path.join(work, "prototype")
    with open(prototype, "w", encoding="ascii") as file:
        file.write("/\n0 0\nd--755 0 0\n" + "".join(f"file{number} ---644 0 0 {content}\n" for number in range(20)) + "$\n$\n")
    run("mkfs.xfs", "-q", "-m", "crc=0,finobt=0", "-p", prototype, image)
    ranges, part = map_of(image, "xfs")
    assert part.method == "xfs free-space trees, clean log", part
    copy = copy_used(image, os.path.join(work, "copy"), ranges)
    run("xfs_repair", "-n", copy)


def test_a_small_xfs_log_that_wraps_many_times(work):
    """Clean after every unmount and never clean after a stop, wherever the head of the log is."""
    need("mkfs.xfs")
    image = make_image(os.path.join(work, "disk"), 64 * MIB)
    command = ["mkfs.xfs", "-q", "-d", "agcount=2", "-l", "size=1000b", "-m", "reflink=0,rmapbt=0", image]
    # xfsprogs makes file systems below 300 MB only for its test suite, which these variables announce
    done = subprocess.run(command, env=dict(os.environ, TEST_DIR="/", TEST_DEV="/", QA_CHECK_FS="1"), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        pytest.skip("this mkfs.xfs makes no small logs")
    chance = random.Random("log")
    folder = os.path.join(work, "mnt")
    for round_number in range(10):
        with mounted(image, folder, "xfs"):
            churn = Churn(os.path.join(folder), chance, 30_000)
            churn.serial = round_number * 10_000
            churn.run(chance.randrange(40, 120))
            sync(folder)
            ranges, part = map_of(image, "xfs")
            assert part.method == "whole", part
            for path in churn.files[5:]:
                os.unlink(path)
        ranges, part = map_of(image, "xfs")
        assert part.method == "xfs free-space trees, clean log", part
        assert ranges.intersect(free_of_xfs(image)).total == on_free_lists(image)
