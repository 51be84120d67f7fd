# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems captured while they are written to: what is restored is what was on the disk when they stood still."""

import contextlib
import os
import time

import pytest
from precopy_compare import OLD_SECONDS, LastLook, compare, passes_forced
from precopy_disk import CHUNK, MIB, Load, Part, Reference, TestDisk, capture, differences, need, repository_at, restored, run, unmount

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import list_images, read_manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.changed import scan
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Area, Piece
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_map

PARTS = {
    "ext4": Part("ext4", "mkfs.ext4 -q -F", 160),
    "ext4-small-inodes": Part("ext4", "mkfs.ext4 -q -F -b 1024 -I 128", 160),
    "ext4-bigalloc-lazytime": Part("ext4", "mkfs.ext4 -q -F -O bigalloc -C 16384", 200, "lazytime"),
    "ext4-no-journal": Part("ext4", "mkfs.ext4 -q -F -O ^has_journal", 160),
    "ext3": Part("ext3", "mkfs.ext3 -q -F", 160),
    "xfs": Part("xfs", "mkfs.xfs -q -f", 320),
    "xfs-1k-lazytime": Part("xfs", "mkfs.xfs -q -f -b size=1024", 320, "lazytime"),
}


@pytest.mark.parametrize("name, seed", [(name, seed) for seed, name in enumerate(sorted(PARTS))] + [("ext4", 11), ("xfs", 14)])
def test_what_is_restored_is_what_stood_still(work, monkeypatch, name, seed):
    need("losetup", "sfdisk", PARTS[name].mkfs.split()[0])
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS[name]])
        stack.callback(disk.close)
        load = Load(disk, seed)
        stack.callback(load.stop)
        time.sleep(OLD_SECONDS)
        watching = LastLook(load)
        repository = stack.enter_context(repository_at(work))
        with passes_forced(seed % 4, monkeypatch):
            captured, reference = capture(repository, disk.path, applications=watching)
        load.stop()
        path = restored(repository, captured.image, work)
        assert differences(path, reference.copy, captured.looks[0].ranges) == []
        compare(disk, path, reference.copy, watching.committed, work)
        evidence = read_manifest(repository, captured.image.id).evidence
        assert captured.image.consistency == "filesystem" and len(evidence["passes"]) == 2 + seed % 4
        assert [(item["path"], item["frozen"]) for item in evidence["file_systems"]] == [(disk.parts[0].folder, True)]


def test_several_file_systems_of_one_disk_stand_still_together(work):
    need("losetup", "sfdisk", "mkfs.xfs", "mkfs.ext4")
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS["ext4"], PARTS["xfs"]])
        stack.callback(disk.close)
        load = Load(disk, 77, kinds=("churn", "old", "log"))
        stack.callback(load.stop)
        time.sleep(OLD_SECONDS)
        watching = LastLook(load)
        repository = stack.enter_context(repository_at(work))
        captured, reference = capture(repository, disk.path, applications=watching)
        load.stop()
        path = restored(repository, captured.image, work)
        assert differences(path, reference.copy, captured.looks[0].ranges) == []
        compare(disk, path, reference.copy, watching.committed, work)
        # A second image of the same disk, compared with the first.
        again, reference = capture(repository, disk.path)
        os.unlink(path)
        path = restored(repository, again.image, work)
        assert again.image.parent == captured.image.id
        assert differences(path, reference.copy, again.looks[0].ranges) == []


@pytest.mark.parametrize("kind, mkfs", [("ext4", "mkfs.ext4 -q -F"), ("xfs", "mkfs.xfs -q -f")])
def test_a_device_is_read_past_its_cache(work, kind, mkfs):
    """The file system lies on the whole device that is captured, whose cache is filled with what was there before."""
    need("losetup", mkfs.split()[0])
    part = Part(kind, mkfs, 320)
    with contextlib.ExitStack() as stack:
        path = os.path.join(work, "disk")
        with open(path, "wb") as file:
            file.truncate(part.size * MIB)
        device = run("losetup", "--find", "--show", path).strip()
        stack.callback(run, "losetup", "--detach", device)
        run(*mkfs.split(), device)
        part.folder = os.path.join(work, "mnt")
        os.mkdir(part.folder)
        run("mount", "-t", kind, device, part.folder)
        stack.callback(unmount, part.folder)
        TestDisk._fill(os.path.join(part.folder, "old"))
        disk = type("Disk", (), {"path": path, "parts": [part]})
        load = Load(disk, 5)
        stack.callback(load.stop)
        time.sleep(OLD_SECONDS)
        cache = stack.enter_context(open(device, "rb"))
        while cache.read(1 << 20):
            pass
        repository = stack.enter_context(repository_at(work))
        captured, reference = capture(repository, device, reference=path)
        load.stop()
        restored_path = restored(repository, captured.image, work)
        assert differences(restored_path, reference.copy, captured.looks[0].ranges) == []
        compare(disk, restored_path, reference.copy, {}, work)


@pytest.mark.parametrize("name", ["ext4", "xfs"])
def test_old_files_are_not_read_again(work, name):
    need("losetup", "sfdisk", PARTS[name].mkfs.split()[0])
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS[name]])
        stack.callback(disk.close)
        folder = disk.parts[0].folder
        with open(os.path.join(folder, "big"), "wb") as file:
            file.write(os.urandom(60 * MIB))
            file.flush()
            os.fsync(file.fileno())
        time.sleep(OLD_SECONDS)
        repository = stack.enter_context(repository_at(work))
        captured, _reference = capture(repository, disk.path)
        passes = read_manifest(repository, captured.image.id).evidence["passes"]
        unchanged = 60 * MIB
        assert passes[0]["bytes"] == captured.looks[0].ranges.total > unchanged
        assert passes[-1]["bytes"] < passes[0]["bytes"] - unchanged + 4 * CHUNK


@pytest.mark.parametrize("name", ["ext4", "xfs"])
def test_these_tests_notice_a_change_that_is_overlooked(work, monkeypatch, name):
    """Files taken to be unchanged whenever their inode was seen before: the comparison with the frozen disk must fail."""
    need("losetup", "sfdisk", PARTS[name].mkfs.split()[0])
    monkeypatch.setattr(scan.Scan, "has", lambda self, file: True)
    monkeypatch.setattr(scan, "MARGIN_SECONDS", -1 << 40)
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS[name]])
        stack.callback(disk.close)
        load = Load(disk, 3, kinds=("old", "place", "mmap"))
        stack.callback(load.stop)
        time.sleep(OLD_SECONDS)
        repository = stack.enter_context(repository_at(work))
        captured, reference = capture(repository, disk.path)
        load.stop()
        assert differences(restored(repository, captured.image, work), reference.copy, captured.looks[0].ranges) != []


class Pieces(Reference):
    """Snapshots of an area that begins and ends in the middle of chunks: read from a copy that was made while everything stood still."""

    def __init__(self, path, area):
        super().__init__(path)
        self.area = area
        self.removed = 0

    def areas(self):
        return (self.area,)

    def pieces(self):
        source = open_disk(self.copy, "sda", live=True)      # closed with the process
        used = used_map(source.read_at, read_disk("sda", source.read_at, source.size), True).ranges
        return (Piece(self.area, used.clip(self.area.start, self.area.start + self.area.size), source.read_at),)

    def remove(self):
        self.removed += 1


def test_snapshots_and_freeze_make_one_moment(work):
    need("losetup", "sfdisk", "mkfs.xfs", "mkfs.ext4")
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS["ext4"], PARTS["xfs"]])
        stack.callback(disk.close)
        load = Load(disk, 9, kinds=("churn", "old", "place"))
        stack.callback(load.stop)
        time.sleep(OLD_SECONDS)
        part = disk.parts[1]
        snapshots = Pieces(disk.path, Area("sda", part.start + 3 * 4096, part.size * MIB - 1000 * 4096))
        repository = stack.enter_context(repository_at(work))
        captured, _reference = capture(repository, disk.path, snapshots=snapshots)
        load.stop()
        assert snapshots.removed == 1
        assert captured.looks[0].ranges.clip(part.start, part.start + part.size * MIB).total > 10 * MIB
        path = restored(repository, captured.image, work)
        assert differences(path, snapshots.copy, captured.looks[0].ranges) == []
        compare(disk, path, snapshots.copy, {}, work)


def test_snapshots_that_overflowed_make_no_image(work):
    need("losetup", "sfdisk", "mkfs.ext4")
    with contextlib.ExitStack() as stack:
        disk = TestDisk(work, [PARTS["ext4"]])
        stack.callback(disk.close)
        snapshots = Pieces(disk.path, Area("sda", 0, MIB))
        snapshots.overflowed = lambda: "The snapshot of vg/root is full."
        repository = stack.enter_context(repository_at(work))
        with pytest.raises(SourceError, match="The snapshot of vg/root is full"):
            capture(repository, disk.path, snapshots=snapshots)
        assert snapshots.removed == 1 and list_images(repository) == []
