# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes are known by their serial number, on trees of sysfs as servers with virtio-blk and virtio-scsi disks have them."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target.openstack_disks import VolumeDisk, find_disks, wait_for_disks

ROOT_DISK = "9b1c2d3e-0000-4000-8000-000000000001"
FIRST = "0d5f1c4e-6f6c-4a3b-93c2-1f9e5b7a2d11"
SECOND = "0d5f1c4e-7777-4a3b-93c2-1f9e5b7a2d11"


def add_disk(root, name, number, mib, serial="", page80=b""):
    base = root / "sys/block" / name
    (base / "device").mkdir(parents=True)
    (base / "dev").write_text(number + "\n")
    (base / "size").write_text(f"{mib * 2048}\n")
    if serial:
        (base / "serial").write_text(serial + "\n")
    if page80:
        (base / "device/vpd_pg80").write_bytes(page80)
    return base


@pytest.fixture
def host(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("")
    (tmp_path / "proc/swaps").write_text("Filename Type Size Used Priority\n")
    add_disk(tmp_path, "vda", "252:0", 2048, ROOT_DISK[:20])
    return tmp_path


def test_virtio_blk_keeps_twenty_characters(host):
    add_disk(host, "vdb", "252:16", 1024, SECOND[:20])
    add_disk(host, "vdc", "252:32", 3072, FIRST[:20])
    assert find_disks([FIRST, SECOND], str(host)) == [VolumeDisk(FIRST, "/dev/vdc", 3 << 30), VolumeDisk(SECOND, "/dev/vdb", 1 << 30)]


def test_virtio_scsi_keeps_all(host):
    add_disk(host, "sda", "8:0", 1024, page80=b"\0\x80\0\x24" + FIRST.encode())
    assert find_disks([FIRST], str(host)) == [VolumeDisk(FIRST, "/dev/sda", 1 << 30)]


def test_disk_that_is_just_coming_or_not_there(host):
    add_disk(host, "vdb", "252:16", 0, FIRST[:20])
    assert find_disks([FIRST, SECOND], str(host)) == []
    with pytest.raises(TargetError, match=f"serial number of volume {FIRST}, {SECOND}"):
        wait_for_disks([FIRST, SECOND], 0, str(host))


def test_partition_is_no_disk(host):
    base = add_disk(host, "vdb", "252:16", 1024, FIRST[:20])
    (base / "vdb1").mkdir()
    (base / "vdb1/partition").write_text("1\n")
    (base / "vdb1/dev").write_text("252:17\n")
    (base / "vdb1/size").write_text("2048\n")
    assert [disk.path for disk in wait_for_disks([FIRST], 0, str(host))] == ["/dev/vdb"]


def test_two_disks_of_one_volume(host):
    add_disk(host, "vdb", "252:16", 1024, FIRST[:20])
    add_disk(host, "vdc", "252:32", 1024, FIRST[:20])
    with pytest.raises(TargetError, match="more than once: /dev/vdb, /dev/vdc"):
        find_disks([FIRST], str(host))
