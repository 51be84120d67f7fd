# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used maps and journals of file systems made in unusual ways, against other programs."""

import os
import random
import subprocess

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import extlayout, jbd2
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from source_churn import Churn
from source_filesystems import MIB, make
from source_images import copy_image, copy_used, make_image, map_of, mounted, need, run, sync
from source_oracles import assert_free_like_dumpe2fs, assert_like_other_programs, assert_like_xfs_db, assert_replayed, find_journal

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


@pytest.mark.parametrize("name", UNMOUNTED)
def test_ext_that_is_only_made(name, work):
    need("mkfs.ext4", "dumpe2fs")
    image = make_image(os.path.join(work, "disk"), 100 * MIB)
    run(*UNMOUNTED[name].split(), image)
    ranges, part = map_of(image, "ext4")
    assert part.method == "ext block bitmaps", part
    assert_free_like_dumpe2fs(image, ranges)


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


@pytest.mark.parametrize("name", ("xfs-v4", "xfs-v4-log1"))
def test_xfs_version_4_as_made(name, work):
    """Recent kernels cannot mount it."""
    image, kind, _options = make(name, os.path.join(work, "disk"))
    ranges, part = map_of(image, kind)
    assert part.method == "xfs free-space trees, clean log", part
    assert_like_other_programs(name, kind, "clean", image, ranges, work)


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
        assert_like_xfs_db(image, ranges)
