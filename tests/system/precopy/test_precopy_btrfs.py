# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""btrfs captured while it is written to: what is restored is what was on the disk when it stood still."""

import contextlib
import copy
import os
import time

import pytest
from precopy_compare import OLD_SECONDS, LastLook, compare, passes_forced
from precopy_disk import CHUNK, MIB, Load, Part, TestDisk, capture, differences, need, repository_at, restored, run

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import read_manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.source.changed import btrfs
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

KINDS = ("churn", "old", "mmap", "place", "reserved", "log")
PARTS = {
    "default": Part("btrfs", "mkfs.btrfs -q -f", 400),
    "compressed": Part("btrfs", "mkfs.btrfs -q -f --csum sha256", 400, "compress-force=zstd"),
    "small-nodes": Part("btrfs", "mkfs.btrfs -q -f -n 4096 -m single", 400),
    "no-cow": Part("btrfs", "mkfs.btrfs -q -f", 400, "nodatacow"),
    "old-cache": Part("btrfs", "mkfs.btrfs -q -f -O ^no-holes -R ^free-space-tree", 400),
}


@contextlib.contextmanager
def busy(work, name, seed, kinds=KINDS):
    """(disk, load): a disk in use, also by a folder without copy on write and by snapshots."""
    need("losetup", "sfdisk", "mkfs.btrfs", "btrfs", "chattr")
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS[name]])
        stack.callback(disk.close)
        part = disk.parts[0]
        inner = copy.copy(part)
        inner.folder = os.path.join(part.folder, "without-cow")
        os.mkdir(inner.folder)
        run("chattr", "+C", inner.folder)
        run("btrfs", "subvolume", "snapshot", part.folder, os.path.join(part.folder, "snapshot"))
        loads = [Load(disk, seed, kinds)]
        stack.callback(loads[0].stop)
        loads.append(Load(type("Disk", (), {"path": disk.path + ".inner", "parts": [inner]}), seed + 50, ("place", "mmap", "reserved")))
        stack.callback(loads[1].stop)
        time.sleep(OLD_SECONDS)
        yield disk, loads


def stop(disk, loads):
    """End of use: the restored file system has the same UUID."""
    for load in loads:
        load.stop()
    disk.close()


@pytest.mark.parametrize("name, seed", [(name, seed) for seed, name in enumerate(PARTS)] + [("default", 13), ("small-nodes", 6)])
def test_what_is_restored_is_what_stood_still(work, monkeypatch, name, seed):
    with busy(work, name, seed) as (disk, loads), repository_at(work) as repository:
        watching = LastLook(loads[0])
        with passes_forced(seed % 4, monkeypatch):
            captured, reference = capture(repository, disk.path, applications=watching)
        stop(disk, loads)
        path = restored(repository, captured.image, work)
        assert differences(path, reference.copy, captured.looks[0].ranges) == []
        compare(disk, path, reference.copy, watching.committed, work)
        evidence = read_manifest(repository, captured.image.id).evidence
        assert captured.image.consistency == "filesystem" and len(evidence["passes"]) == 2 + seed % 4


@pytest.mark.parametrize("name, file", [("default", "big"), ("compressed", "big"), ("default", "without-cow/big")])
def test_old_data_are_read_again_only_where_they_may_change_in_place(work, name, file):
    with busy(work, name, 3, ()) as (disk, _loads), repository_at(work) as repository:
        with open(os.path.join(disk.parts[0].folder, file), "wb") as big:
            big.write(os.urandom(60 * MIB))
            os.fsync(big.fileno())
        captured, _reference = capture(repository, disk.path)
        passes = read_manifest(repository, captured.image.id).evidence["passes"]
        spared = passes[0]["bytes"] - passes[-1]["bytes"]
        assert passes[0]["bytes"] > 60 * MIB
        assert (spared > 60 * MIB - 4 * CHUNK) == (file == "big")


@pytest.mark.parametrize("broken", ["generations", "checksums"])
def test_these_tests_notice_a_change_that_is_overlooked(work, monkeypatch, broken):
    """New extents taken for old ones, or data that may change in place taken for data that may not."""
    if broken == "generations":
        see = btrfs.see
        monkeypatch.setattr(btrfs, "see", lambda *arguments: see(*arguments)._replace(generation=1 << 60))
    else:
        monkeypatch.setattr(btrfs, "has_checksums", lambda *_arguments: Ranges.whole(1 << 62))
    with busy(work, "default", 3) as (disk, loads), repository_at(work) as repository:
        captured, reference = capture(repository, disk.path)
        stop(disk, loads)
        assert differences(restored(repository, captured.image, work), reference.copy, captured.looks[0].ranges) != []
