# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that are block devices: with the kernel's own partition nodes, with misleading ones, and with none."""

import os
import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import mount, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from recovery_disks import device, mounted, read, run, write


@pytest.fixture
def block_device(server):
    """(device, file, partitions): the server's disk as a block device. This kernel reads no partition table."""
    path, parts = server
    with device(path) as name:
        try:
            yield name, path, parts
        finally:
            for number in parts:
                subprocess.run(["delpart", name, str(number)], stderr=subprocess.DEVNULL, check=False)


def add_partition(name, number, start, size):
    if not shutil.which("addpart"):
        pytest.skip("not installed: addpart")
    run("addpart", name, str(number), str(start // 512), str(size // 512))
    return f"{name}p{number}"


def test_without_partition_nodes(block_device, place):
    name, path, parts = block_device
    result = mount.mount_machine([RestoredDisk("sda", name)], place[0], state_folder=place[1])
    assert [each.path for each in result.mounts] == ["/", "/boot", "/boot/efi", "/srv/data"]
    write(result.root + "/boot/written", "yes")
    mount.unmount_machine(*place)
    with mounted(path, parts[2], "ext4", path.parent / "mnt") as boot:
        assert read(boot / "written") == "yes"


def test_partition_nodes_are_used_where_they_are_right(block_device, place):
    name, _path, parts = block_device
    node = add_partition(name, 3, parts[3].start, parts[3].size)
    add_partition(name, 2, parts[2].start, parts[2].size - 512)     # of an older table: the kernel has not read the new one
    mount.mount_machine([RestoredDisk("sda", name)], place[0], state_folder=place[1])
    assert syscalls.mount_at(place[0]).source == node
    assert syscalls.mount_at(place[0] + "/boot").source != f"{name}p2"
    mount.unmount_machine(*place)
    mount.mount_machine([RestoredDisk("sda", name)], place[0], read_only=True, state_folder=place[1])
    assert syscalls.mount_at(place[0]).source != node       # a read-only loop device, so that nothing can write


def test_device_in_use(block_device, place, tmp_path):
    name, _path, parts = block_device
    node = add_partition(name, 4, parts[4].start, parts[4].size)
    os.makedirs(tmp_path / "mnt")
    syscalls.mount(node, str(tmp_path / "mnt"), "xfs", syscalls.MS_RDONLY)
    try:
        with pytest.raises(TargetError, match="in use by the kernel"):
            mount.mount_machine([RestoredDisk("sda", name)], place[0], state_folder=place[1])
    finally:
        syscalls.unmount(str(tmp_path / "mnt"))
    mount.mount_machine([RestoredDisk("sda", name)], place[0], state_folder=place[1])


def test_same_device_by_another_name(block_device, place, tmp_path):
    name, _path, _parts = block_device
    os.symlink(name, tmp_path / "by-id")
    mount.mount_machine([RestoredDisk("sda", str(tmp_path / "by-id"))], place[0], state_folder=place[1])
    with pytest.raises(TargetError, match="in use by the machine mounted at"):
        mount.mount_machine([RestoredDisk("sda", name)], str(tmp_path / "other"), state_folder=place[1])
    with pytest.raises(TargetError, match="are the same"):
        disks = [RestoredDisk("sda", name), RestoredDisk("sdb", str(tmp_path / "by-id"))]
        mount.check_machine(disks, str(tmp_path / "third"), state_folder=place[1])
