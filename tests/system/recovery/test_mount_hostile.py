# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery images that want to harm the worker: symbolic links, device names and huge files where fstab and mount points should be."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import mount, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from recovery_disks import Part, device, fill_root, make_disk, make_fs, mounted, run


@pytest.fixture
def build(tmp_path):
    """build(change): a disk with a root (sda1) and a second file system (sda2, label second); `change(root)` edits the root."""
    def build(change, fstab="/dev/sda1 / ext4 defaults 0 0\nLABEL=second /boot ext4 defaults 0 0\n"):
        path = tmp_path / "sda.raw"
        parts = make_disk(path, 100, "label: gpt\nsize=40M\nsize=40M\n")
        make_fs(path, parts[1], "ext4")
        make_fs(path, parts[2], "ext4", "-L", "second")
        with mounted(path, parts[1], "ext4", tmp_path / "mnt") as root:
            fill_root(root, fstab)
            change(root)
        return [RestoredDisk("sda", str(path))]
    return build


def mounts_of_the_worker():
    return {(entry.number, entry.path) for entry in syscalls.mounts()}


@pytest.mark.parametrize("target", ["/", "/../../..", "../../../../../..", "."])
def test_mount_point_that_leads_to_the_root(build, place, target):
    disks = build(lambda root: os.symlink(target, root / "boot"))
    before = mounts_of_the_worker()
    with pytest.raises(TargetError, match="a mount point already"):
        mount.mount_machine(disks, place[0], "kernel", state_folder=place[1])
    assert mounts_of_the_worker() == before


def test_mount_point_that_leads_to_a_folder_of_the_worker(build, place, tmp_path):
    """The link is followed as the machine would: inside its root."""
    def change(root):
        os.symlink(str(tmp_path), root / "boot")
        os.makedirs(f"{root}/{tmp_path}")

    disks = build(change)
    result = mount.mount_machine(disks, place[0], state_folder=place[1])
    assert [each.path for each in result.mounts] == ["/", str(tmp_path)]
    assert [entry.path for entry in syscalls.mounts_below(place[0])] == [place[0], place[0] + str(tmp_path)]
    assert syscalls.mount_at(str(tmp_path)) is None


def test_link_to_nowhere_and_to_itself(build, place):
    disks = build(lambda root: os.symlink("boot", root / "boot"))
    with pytest.raises(TargetError, match="/boot .* cannot be mounted"):
        mount.mount_machine(disks, place[0], "kernel", state_folder=place[1])


def test_fstab_that_is_a_file_of_the_worker(build, place, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("LABEL=second /boot ext4 defaults 0 0\n")

    def change(root):
        os.unlink(root / "etc/fstab")
        os.symlink(str(secret), root / "etc/fstab")

    result = mount.mount_machine(build(change), place[0], state_folder=place[1])
    assert [each.path for each in result.mounts] == ["/"]


def test_fstab_that_never_ends(build, place):
    def change(root):
        os.unlink(root / "etc/fstab")
        os.mkfifo(root / "etc/fstab")

    with pytest.raises(TargetError, match="not a regular file"):
        mount.mount_machine(build(change), place[0], "kernel", state_folder=place[1])


def test_devices_and_files_of_the_worker_are_never_mounted(build, place):
    own = next(entry.source for entry in syscalls.mounts() if entry.path == "/")
    fstab = f"{own} /a ext4 defaults 0 0\n/dev/loop0 /b ext4 defaults 0 0\n/etc /c none bind 0 0\n/etc/passwd /d ext4 loop 0 0\n" \
            "//host/share /e cifs defaults 0 0\noverlay /f overlay lowerdir=/,upperdir=/tmp 0 0\n" \
            "/dev/sda2 /g ext4 bind,dev,suid,exec 0 0\n" \
            "/dev/../dev/sda2 /h ext4 defaults 0 0\n/dev/sda2 /i ext4 suid,dev,exec,errors=panic 0 0\n"

    def change(root):
        for name in "abcdefghi":
            os.makedirs(root / name)

    result = mount.mount_machine(build(change, fstab), place[0], "kernel", state_folder=place[1])
    assert [each.path for each in result.mounts] == ["/", "/i"]
    assert {"/a", "/b", "/h"} >= {each.path for each in result.missing}
    assert {"nosuid", "nodev", "noexec"} <= set(syscalls.mount_at(place[0] + "/i").options)
    assert "errors=panic" not in syscalls.mount_at(place[0] + "/i").super_options


def test_superblock_that_wants_a_panic(build, place):
    """tune2fs -e panic in a stranger's superblock must not bring the worker down at the first error."""
    disks = build(lambda root: os.makedirs(root / "boot"))
    with device(disks[0].path, Part(1, 1 << 20, 40 << 20)) as name:
        run("tune2fs", "-e", "panic", name)
    mount.mount_machine(disks, place[0], state_folder=place[1])
    assert "errors=panic" not in syscalls.mount_at(place[0]).super_options
    assert "errors=remount-ro" in syscalls.mount_at(place[0]).super_options
