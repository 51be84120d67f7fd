# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where mounted file systems lie, and what is written to devices, as this kernel tells it."""

import os

import pytest
from precopy_disk import MIB, Part, TestDisk, need, run

from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Area
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hostmap import (
    CapturedDisk, DeviceMap, depends_on, device_number, filesystems_on, swap_files)
from ansible_collections.agnostic.recovery.plugins.module_utils.source.writecount import writes_to


@pytest.fixture(name="disk")
def fixture_disk(work):
    need("losetup", "sfdisk", "mkfs.ext4")
    disk = TestDisk(work, [Part("ext4", "mkfs.ext4 -q -F", 32), Part("ext4", "mkfs.ext4 -q -F", 40)])
    yield disk
    disk.close()


def captured(path):
    return CapturedDisk("sda", path, os.path.getsize(path))


def test_partitions_of_a_disk_file(disk):
    found = {item.path: item for item in filesystems_on([captured(disk.path)])}
    assert sorted(found) == sorted(part.folder for part in disk.parts)
    for part in disk.parts:
        item = found[part.folder]
        assert item.place.areas == (Area("sda", part.start, part.size * MIB),) and item.place.direct and item.writable
        assert item.kind == "ext4" and item.mount_device == item.device == device_number(os.stat(part.folder).st_dev)


def test_a_file_system_that_is_read_only_needs_no_way_to_it(disk):
    run("mount", "-o", "remount,ro", disk.parts[0].folder)
    assert {item.path: item.writable for item in filesystems_on([captured(disk.path)])} == {
        disk.parts[0].folder: False, disk.parts[1].folder: True}


def test_the_deepest_mount_comes_first(disk):
    inner = os.path.join(disk.parts[1].folder, "inner")
    os.mkdir(inner)
    run("mount", "--move", disk.parts[0].folder, inner, accept=(0, 32))
    if os.path.ismount(inner):
        assert [item.path for item in filesystems_on([captured(disk.path)])] == [inner, disk.parts[1].folder]
        run("mount", "--move", inner, disk.parts[0].folder)


def test_a_loop_device_over_a_loop_device(disk):
    below = run("losetup", "--find", "--show", "--offset", str(disk.parts[1].start), "--sizelimit", str(40 * MIB), disk.path).strip()
    try:
        above = run("losetup", "--find", "--show", "--read-only", "--offset", str(MIB), below).strip()
        try:
            device = device_number(os.stat(above).st_rdev)
            place = DeviceMap([captured(disk.path)]).place(device)
            assert place.areas == (Area("sda", disk.parts[1].start + MIB, 39 * MIB),) and place.direct
        finally:
            run("losetup", "--detach", above)
    finally:
        run("losetup", "--detach", below)


def test_what_a_write_depends_on(disk, work):
    folder = disk.parts[0].folder
    assert depends_on(os.path.join(folder, "deep", "down")) == {device_number(os.stat(folder).st_dev), device_number(os.stat(work).st_dev)}
    for name in ("upper", "work"):
        os.mkdir(os.path.join(folder, name))
    merged = os.path.join(work, "merged")
    os.mkdir(merged)
    run("mount", "-t", "overlay", "-o", f"lowerdir={work},upperdir={folder}/upper,workdir={folder}/work", "overlay", merged)
    try:
        assert device_number(os.stat(folder).st_dev) in depends_on(merged)
    finally:
        run("umount", merged)


def test_swap_files(disk):
    path = os.path.join(disk.parts[0].folder, "swap file")
    with open(path, "wb") as file:
        file.write(bytes(2 * MIB))
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path, 0o600)
    run("mkswap", path)
    run("swapon", path)
    try:
        assert os.stat(path).st_ino in swap_files()[device_number(os.stat(path).st_dev)]
    finally:
        run("swapoff", path)


def test_writes_are_counted(disk):
    device = run("findmnt", "-no", "SOURCE", disk.parts[0].folder).strip()
    number = device_number(os.stat(device).st_rdev)
    run("umount", disk.parts[0].folder)
    before = writes_to(number)
    with open_disk(device, "sda") as source:
        source.direct().read_at(0, MIB)
    assert before is not None and writes_to(number) == before
    with open(device, "r+b", buffering=0) as file:
        file.write(b"x" * 512)
        os.fsync(file.fileno())
    assert writes_to(number) not in (before, None)
    run("mount", device, disk.parts[0].folder, accept=(0, 32))


def test_direct_reads_see_what_a_cache_does_not(disk):
    """Through the loop device of a partition the disk file changes; its own cache is none, so this only shows that reads are exact."""
    device = run("findmnt", "-no", "SOURCE", disk.parts[1].folder).strip()
    with open_disk(device, "sda", live=True) as source:
        reader = source.direct()
        assert reader.is_direct
        for offset, length in ((0, 1), (1, 4095), (511, 1026), (40 * MIB - 7, 100), (0, 3 * MIB)):
            assert reader.read_at(offset, length) == source.read_at(offset, length)
        reader.close()
