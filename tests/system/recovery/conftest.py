# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures: a server disk with several file systems, a mount point, and the proof that nothing is left behind."""

import os
import shutil

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import mount, processes, state, syscalls
from recovery_disks import ESP, fill_root, make_disk, make_fs, mounted, ours_attached, run

PROGRAMS = ("sfdisk", "mkfs.ext4", "mkfs.xfs", "mkfs.vfat", "mkswap", "mcopy", "fsck.vfat", "e2fsck")
SERVER_FSTAB = """\
# a server as its installer left it
/dev/sda3               /          ext4  defaults,errors=remount-ro 0 1
LABEL=boot              /boot      ext4  defaults,ro                0 2
PARTUUID={esp}          /boot/efi  vfat  umask=0077                 0 1
UUID={data}             /srv/data  xfs   defaults                   0 2
UUID={absent}           /mnt/gone  ext4  defaults                   0 2
/dev/sda5               none       swap  sw                         0 0
tmpfs                   /tmp       tmpfs defaults                   0 0
nas:/export             /nas       nfs   defaults                   0 0
/dev/sda2               /again     ext4  noauto                     0 0
"""
DATA_UUID = "11111111-2222-4333-8444-555555555555"
ESP_UUID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


@pytest.fixture(scope="session", autouse=True)
def able_machine():
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("the machine has no loop devices")


@pytest.fixture(scope="session")
def server_template(tmp_path_factory):
    """A GPT disk: ESP, boot (ext4), root (ext4), data (xfs), swap."""
    folder = tmp_path_factory.mktemp("server")
    path = folder / "sda.raw"
    parts = make_disk(path, 640, (
        f"label: gpt\nstart=2048,size=40M,type={ESP},uuid={ESP_UUID}\nsize=64M\nsize=128M\nsize=320M\nsize=32M,type=swap\n"))
    make_fs(path, parts[1], "vfat", "-F", "32", "-s", "1", "-n", "ESP")
    make_fs(path, parts[2], "ext4", "-L", "boot")
    make_fs(path, parts[3], "ext4", "-L", "root")
    make_fs(path, parts[4], "xfs", "-m", f"uuid={DATA_UUID}")
    make_fs(path, parts[5], "swap")
    with mounted(path, parts[3], "ext4", folder / "mnt") as root:
        fstab = SERVER_FSTAB.format(esp=ESP_UUID, data=DATA_UUID, absent="99999999-2222-4333-8444-555555555555")
        fill_root(root, fstab, ("boot", "srv/data", "mnt/gone", "again"))
    with mounted(path, parts[2], "ext4", folder / "mnt") as boot:
        os.makedirs(boot / "efi")
    return path, parts


@pytest.fixture
def server(server_template, tmp_path):
    path, parts = server_template
    copy = tmp_path / "sda.raw"
    run("cp", "--sparse=auto", str(path), str(copy))
    return copy, parts


@pytest.fixture
def place(tmp_path):
    """(mount point, folder of the records). Whatever a test does, nothing of it stays mounted, attached or running."""
    point, records = str(tmp_path / "machine"), str(tmp_path / "records")
    yield point, records
    try:
        mount.unmount_machine(point, records)
    finally:
        left = syscalls.mounts_below(point)
        for entry in reversed(left):
            syscalls.unmount(entry.path, syscalls.MNT_DETACH)
        processes.end_all(state.tag_of(point), 1.0)
        assert not left
        assert not ours_attached(point)
