# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disks of a running host are the machine: hosts as they are met."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hostdisks import read_host
from ansible_collections.agnostic.recovery.plugins.module_utils.source.selection import left_out_in_use, select_disks
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.host_trees import GIB, HostTree

VG = "LVM-YyY8hVg0u5sC3Jd7zzzzzzzzzzzzzzzz"


@pytest.fixture
def tree(tmp_path):
    return HostTree(tmp_path)


def select(tree, *exclude, groups=()):
    return {disk.name: disk for disk in select_disks(exclude, read_host(tree.root, lambda: list(groups)))}


def taken(disks):
    return [name for name, disk in disks.items() if disk.taken]


def test_a_physical_server(tree):
    tree.disk("sda", parts=(1, 2, 3), device__model="PERC H730", links=("by-id/wwn-0x600", "by-id/scsi-3600"),
              device__vpd_pg80="\0\x80\0\x0c00ab12cd34ef ", queue__logical_block_size="4096")
    tree.disk("sdb", parts=(1,)).disk("sdc").disk("sr0", size=GIB, removable="1", ro="1").disk("loop0", size=0).disk("ram0")
    tree.mount("sda2", "/").mount("sda1", "/boot").mount("sdb1", "/srv/my data").swap("/dev/sda3").swap("/swapfile", "file")
    disks = select(tree)
    assert taken(disks) == ["sda", "sdb"]
    first = disks["sda"]
    assert (first.path, first.by_id, first.serial, first.model, first.size, first.sector_size) == (
        "/dev/sda", "/dev/disk/by-id/scsi-3600", "00ab12cd34ef", "PERC H730", 20 * GIB, 4096)
    assert first.reason == "holds /, /boot, swap"
    assert disks["sdb"].uses == ("/srv/my data",)
    assert disks["sdc"].reason == "nothing on it is mounted or used as swap"
    assert disks["sr0"].reason == "an optical drive" and disks["ram0"].reason == "a disk in memory"
    assert "loop0" not in disks
    assert left_out_in_use(tuple(disks.values())) == ()


@pytest.mark.parametrize("name, part, attributes", [
    ("vda", "vda1", {"serial": "virtio-7"}),
    ("xvda", "xvda1", {}),
    ("nvme0n1", "nvme0n1p1", {"device__serial": "vol0a1b"}),
    ("cciss!c0d0", "cciss!c0d0p1", {}),
], ids=["virtio", "xen", "nvme", "cciss"])
def test_names_of_disks(tree, name, part, attributes):
    tree.disk(name, parts=(1,), **attributes).mount(part, "/")
    disk = select(tree)[name]
    assert disk.taken and disk.path == "/dev/" + name.replace("!", "/")
    assert disk.serial == (list(attributes.values()) or [""])[0]


def test_a_volume_group_is_taken_with_all_its_disks(tree):
    """vdb holds a part of the root's volume group, vdc only a physical volume that nothing uses yet."""
    tree.disk("vda", parts=(1, 2)).disk("vdb").disk("vdc", parts=(1,)).disk("vdd").disk("vde")
    tree.disk("dm-0", on=("vda2", "vdb"), mapper="vg-root", uuid=VG + "1").disk("dm-1", on=("vda2",), mapper="vg-swap", uuid=VG + "2")
    tree.mount("vda1", "/boot").mount("dm-0", "/").swap("/dev/dm-1")
    groups = {"vg": ("/dev/vda2", "/dev/vdb", "/dev/vdc1"), "other": ("/dev/vdd", "/dev/vde")}
    disks = select(tree, groups=[(path, name) for name, paths in groups.items() for path in paths])
    assert taken(disks) == ["vda", "vdb", "vdc"]
    assert disks["vdb"].reason == "holds /"
    assert disks["vdc"].reason == "belongs to volume group vg, as vda, vdb"


def test_md_below_lvm(tree):
    tree.disk("sda", parts=(1, 2)).disk("sdb", parts=(1, 2)).disk("sdc")
    tree.disk("md0", on=("sda1", "sdb1")).disk("md1", on=("sda2", "sdb2")).disk("dm-0", on=("md1",), mapper="vg-root", uuid=VG + "1")
    tree.mount("md0", "/boot").mount("dm-0", "/")
    assert taken(select(tree, groups=[("/dev/md1", "vg")])) == ["sda", "sdb"]


def test_a_group_that_a_taken_disk_has_a_part_of_comes_along(tree):
    """Nothing of md9 is mounted, but half of it is on the disk of the root."""
    tree.disk("sda", parts=(1, 2)).disk("sdb").disk("md9", on=("sda2", "sdb")).mount("sda1", "/")
    disks = select(tree)
    assert taken(disks) == ["sda", "sdb"] and disks["sdb"].reason == "belongs to md9, as sda"


def test_multipath_is_one_disk(tree):
    for name in ("sda", "sdb"):
        tree.disk(name, parts=(1,))
    tree.disk("dm-0", on=("sda", "sdb"), mapper="mpatha", uuid="mpath-3600a", links=("by-id/dm-uuid-mpath-3600a", "by-id/wwn-0x3600a"))
    tree.disk("dm-1", on=("dm-0",), mapper="mpatha-part1", uuid="part1-mpath-3600a").mount("dm-1", "/")
    disks = select(tree)
    assert taken(disks) == ["mpatha"]
    assert disks["mpatha"].path == "/dev/mapper/mpatha" and disks["mpatha"].by_id == "/dev/disk/by-id/dm-uuid-mpath-3600a"
    assert disks["sda"].reason == "a path of the multipath device mpatha"


def test_hidden_paths_of_nvme_multipath_are_no_disks(tree):
    tree.disk("nvme0n1", parts=(1,)).disk("nvme0c0n1", hidden="1").mount("nvme0n1p1", "/")
    assert list(select(tree)) == ["nvme0n1"]


def test_luks_and_btrfs_over_several_devices(tree):
    tree.disk("sda", parts=(1,)).disk("sdb").disk("sdc").disk("sdd")
    tree.disk("dm-0", on=("sda1",), mapper="luks-a", uuid="CRYPT-LUKS2-a").btrfs("6f1e", "dm-0", "sdb").btrfs("77aa", "sdc")
    tree.mount("", "/", "btrfs", "/dev/mapper/luks-a").mount("", "/home", "btrfs", "/dev/mapper/luks-a")
    disks = select(tree)
    assert taken(disks) == ["sda", "sdb"]
    assert disks["sdb"].reason == "belongs to btrfs 6f1e, as sda"


EPHEMERAL = {
    "aws": dict(device__model="Amazon EC2 NVMe Instance Storage    "),
    "azure": dict(device__model="Microsoft NVMe Direct Disk v2"),
    "azure generation 1": dict(bus="00000000-0001-8899-0000-000000000000"),
    "azure by link": dict(links=("cloud/azure_resource",)),
    "google": dict(links=("by-id/google-local-nvme-ssd-0",)),
}


@pytest.mark.parametrize("kind", sorted(EPHEMERAL))
def test_instance_storage_is_left_out_and_said_so(tree, kind):
    tree.disk("sda", parts=(1,)).mount("sda1", "/").disk("sdb", **EPHEMERAL[kind]).mount("sdb", "/mnt/scratch")
    disks = select(tree)
    assert taken(disks) == ["sda"]
    assert disks["sdb"].reason.startswith("ephemeral")
    told = "Disk sdb is left out ({0}), although it holds /mnt/scratch.".format(disks["sdb"].reason)
    assert left_out_in_use(tuple(disks.values())) == (told,)


def test_instance_storage_by_its_label(tree):
    tree.disk("sda", parts=(1,)).mount("sda1", "/").disk("sdb", parts=(1,)).mount("sdb1", "/mnt")
    tree.link("by-label/Temporary\\x20Storage", "sdb1")
    assert taken(select(tree)) == ["sda"]


def test_a_removable_disk_is_left_out_unless_the_root_is_on_it(tree):
    tree.disk("sda", parts=(1,), removable="1").disk("sdb", removable="1").mount("sda1", "/").mount("sdb", "/media/stick")
    disks = select(tree)
    assert taken(disks) == ["sda"] and disks["sdb"].reason == "removable"


def test_half_of_a_volume_group_is_worth_nothing(tree):
    """The cache of a volume group lies on instance storage: both disks are taken. Two such disks alone are left out."""
    tree.disk("sda", parts=(1,)).mount("sda1", "/").disk("sdb")
    for name in ("sdc", "sdd", "sde"):
        tree.disk(name, removable="1")
    tree.disk("dm-0", on=("sdb", "sdc"), mapper="data-db", uuid=VG + "1").mount("dm-0", "/srv")
    tree.disk("md0", on=("sdd", "sde")).mount("md0", "/scratch")
    disks = select(tree, groups=[("/dev/sdb", "data"), ("/dev/sdc", "data")])
    assert taken(disks) == ["sda", "sdb", "sdc"]


@pytest.mark.parametrize("pattern", ["sdb", "sd[b-z]", "/dev/sdb", "ata-*_77", "/dev/disk/by-id/ata-WD_77", "77", "/srv/*"])
def test_excluded_by_pattern(tree, pattern):
    tree.disk("sda", parts=(1,)).mount("sda1", "/")
    tree.disk("sdb", parts=(1,), serial="77", links=("by-id/ata-WD_77",)).mount("sdb1", "/srv/tmp")
    disks = select(tree, pattern)
    assert taken(disks) == ["sda"] and disks["sdb"].excluded
    assert left_out_in_use(tuple(disks.values())) == ()


def test_an_excluded_mount_point_on_a_disk_that_is_needed_is_said(tree):
    tree.disk("sda", parts=(1, 2)).mount("sda1", "/").mount("sda2", "/srv/tmp")
    disk = select(tree, "/srv/*")["sda"]
    assert disk.taken and disk.reason == "holds /, /srv/tmp; /srv/tmp cannot be excluded alone"


def test_an_exclusion_may_not_tear_a_group_apart(tree):
    tree.disk("sda", parts=(1,)).disk("sdb").disk("md0", on=("sda1", "sdb")).mount("md0", "/")
    with pytest.raises(SourceError, match="Without sdb, md0 would not be whole: sda, sdb belong together"):
        select(tree, "sdb")


def test_a_root_that_is_not_understood_is_an_error(tree):
    tree.disk("sda", parts=(1,)).mount("", "/", "zfs", "rpool/ROOT")
    with pytest.raises(SourceError, match="The disk under / cannot be told"):
        select(tree)


def test_a_host_without_sysfs(tmp_path):
    with pytest.raises(SourceError, match="cannot be told"):
        read_host(str(tmp_path))
