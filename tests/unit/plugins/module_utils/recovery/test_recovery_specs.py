# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which volume does an entry of fstab mean?"""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, partition_name
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import Volume
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.specs import resolve_spec


def volume(disk, partition, kind="ext4", **fields):
    content = Content(kind, fields.pop("fs_uuid", ""), fields.pop("label", ""))
    return Volume(disk, partition, f"/images/{disk}.raw", 0, 1 << 30, content, **fields)


VOLUMES = (
    volume("sda", 1, "vfat", fs_uuid="1A2B-3C4D", label="ESP", uuid="aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", name="EFI System"),
    volume("sda", 2, "ext4", fs_uuid="0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11", label="my root", uuid="d1c2a3b4-02"),
    volume("nvme0n1", 2, "xfs", fs_uuid="11111111-2222-4333-8444-555555555555", label="a/b"),
    volume("vdb", 0, "ext3"),
    volume("", 0, "ext4", fs_uuid="77777777-2222-4333-8444-555555555555", device="/dev/vg-0/root",
           aliases=("/dev/vg-0/root", "/dev/mapper/vg--0-root")),
)


@pytest.mark.parametrize("spec, label", [
    ("/dev/sda1", "sda1"),
    ("/dev/sda2", "sda2"),
    ("/dev/nvme0n1p2", "nvme0n1p2"),
    ("/dev/vdb", "vdb"),
    ("/dev/vg-0/root", "/dev/vg-0/root"),
    ("/dev/mapper/vg--0-root", "/dev/vg-0/root"),
    ("UUID=0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11", "sda2"),
    ("UUID=0F3F8B5E-5A4E-4C39-8F0C-8A2F6F3D9B11", "sda2"),
    ('UUID="0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11"', "sda2"),
    ("UUID=1a2b-3c4d", "sda1"),
    ("/dev/disk/by-uuid/1A2B-3C4D", "sda1"),
    ("LABEL=my root", "sda2"),
    ('LABEL="my root"', "sda2"),
    (r"/dev/disk/by-label/my\x20root", "sda2"),
    (r"/dev/disk/by-label/a\x2fb", "nvme0n1p2"),
    ("PARTUUID=AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee", "sda1"),
    ("PARTUUID=d1c2a3b4-02", "sda2"),
    ("/dev/disk/by-partuuid/d1c2a3b4-02", "sda2"),
    ("PARTLABEL=EFI System", "sda1"),
    (r"/dev/disk/by-partlabel/EFI\x20System", "sda1"),
    ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001-part1", "sda1"),
    ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1", "sda1"),
])
def test_found(spec, label):
    found = resolve_spec(spec, "auto", VOLUMES)
    assert found.volume.label == label and found.reason == ""


@pytest.mark.parametrize("spec", [
    "/dev/sda", "/dev/sda3", "/dev/sdap1", "/dev/sdb1", "/dev/nvme0n12", "/dev/hda1", "/dev/", "/dev/disk/by-uuid/",
    "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "LABEL=My root", "UUID=d1c2a3b4-02", "ID=sda1",
    "/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001", "/dev/disk/by-id/dm-name-vg", "sda1", "", "/dev/../dev/sda1",
])
def test_not_found(spec):
    found = resolve_spec(spec, "auto", VOLUMES)
    assert found.volume is None and found.reason == "no volume of the given disks matches"


def test_hardware_names_need_the_right_type_and_one_match():
    spec = "/dev/disk/by-id/scsi-360000-part2"
    assert resolve_spec(spec, "auto", VOLUMES).reason == "several volumes of the given disks match: sda2, nvme0n1p2"
    assert resolve_spec(spec, "xfs", VOLUMES).volume.label == "nvme0n1p2"
    assert resolve_spec(spec, "ext3", VOLUMES).volume.label == "sda2"
    assert resolve_spec(spec, "btrfs", VOLUMES).volume is None


def test_doubled_uuid_is_no_match():
    clones = VOLUMES + (volume("sdb", 2, fs_uuid="0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11"),)
    found = resolve_spec("UUID=0f3f8b5e-5a4e-4c39-8f0c-8a2f6f3d9b11", "ext4", clones)
    assert found.volume is None and found.reason == "several volumes of the given disks match: sda2, sdb2"


@pytest.mark.parametrize("disk, number, name", [
    ("sda", 0, "sda"), ("sda", 12, "sda12"), ("xvda", 1, "xvda1"), ("nvme0n1", 1, "nvme0n1p1"), ("mmcblk0", 2, "mmcblk0p2"),
    ("md0", 1, "md0p1")])
def test_partition_names(disk, number, name):
    assert partition_name(disk, number) == name
