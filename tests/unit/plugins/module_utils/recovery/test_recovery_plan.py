# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an fstab is mounted, in which order, with which options."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.fstab import parse_fstab
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import Volume
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.plan import clean_path, plan_mounts

KINDS = ("vfat", "ext4", "ext4", "xfs", "swap", "btrfs", "ext4")
VOLUMES = tuple(Volume("sda", number, "/sda.raw", 0, 1 << 30, Content(kind)) for number, kind in enumerate(KINDS, 1))


def plan(text, read_only=False):
    return plan_mounts(parse_fstab(text), VOLUMES, read_only)


def paths(text):
    return [(mount.path, mount.volume.partition) for mount in plan(text).mounts]


def test_parents_come_first_whatever_the_order():
    text = ("/dev/sda1 /boot/efi vfat x 0 0\n/dev/sda4 /var/lib/db xfs x 0 0\n/dev/sda3 / ext4 x 0 0\n"
            "/dev/sda2 /boot ext4 x 0 0\n/dev/sda7 /var ext4 x 0 0\n")
    assert paths(text) == [("/boot", 2), ("/boot/efi", 1), ("/var", 7), ("/var/lib/db", 4)]


def test_order_is_by_component_not_by_letter():
    assert paths("/dev/sda2 /a/b ext4 x 0 0\n/dev/sda3 /a-b ext4 x 0 0\n/dev/sda4 /a xfs x 0 0\n") == [("/a", 4), ("/a/b", 2), ("/a-b", 3)]


@pytest.mark.parametrize("line", [
    "/dev/sda5 none swap sw 0 0",
    "/dev/sda5 swap swap sw 0 0",
    "tmpfs /tmp tmpfs size=1G 0 0",
    "proc /proc proc defaults 0 0",
    "nas:/export /nas nfs defaults 0 0",
    "nas:/export /nas nfs4 _netdev 0 0",
    "//nas/share /nas cifs defaults 0 0",
    "user@host:/x /x fuse.sshfs defaults 0 0",
    "/dev/fuse /x fuse defaults 0 0",
    "/dev/sda2 /x ext4 noauto 0 0",
    "/dev/sda2 /x ext4 user,noauto,rw 0 0",
    "/srv/a /b none bind 0 0",
    "/dev/sda2 /b none rbind 0 0",
    "/images/x.iso /x iso9660 loop,ro 0 0",
    "/dev/sda2 /x ext4 loop=/dev/loop3 0 0",
    "/swapfile none swap sw 0 0",
    "overlay /x overlay lowerdir=/a 0 0",
    "/dev/sda3 / ext4 defaults 0 0",
    "/dev/sda3 /../ ext4 defaults 0 0",
    "# /dev/sda2 /x ext4 defaults 0 0",
    "/dev/sda2 relative ext4 defaults 0 0",
])
def test_not_ours(line):
    assert plan(line + "\n") == ((), (), ())


def test_system_paths_are_mounted_writable_whatever_fstab_says():
    found = plan("/dev/sda2 /boot ext4 noauto,ro 0 0\n/dev/sda1 /boot/efi vfat noauto,x-systemd.automount 0 0\n"
                 "/dev/sda3 /usr ext4 ro 0 0\n/dev/sda4 /srv xfs ro 0 0\n")
    assert [(mount.path, mount.read_only, mount.required) for mount in found.mounts] == [
        ("/boot", False, True), ("/boot/efi", False, False), ("/srv", True, False), ("/usr", False, True)]


def test_read_only_is_for_all():
    found = plan("/dev/sda2 /boot ext4 defaults 0 0\n/dev/sda4 /srv xfs rw 0 0\n", read_only=True)
    assert [mount.read_only for mount in found.mounts] == [True, True]


def test_only_subvolumes_survive_of_the_options():
    found = plan("/dev/sda6 /home btrfs compress=zstd,subvol=@home,suid,dev,subvolid=257 0 0\n"
                 "/dev/sda2 /x ext4 subvol=@home,errors=panic,dev 0 0\n")
    assert [mount.options for mount in found.mounts] == [("subvol=@home", "subvolid=257"), ()]


def test_what_is_missing_and_what_may_not_be():
    found = plan("UUID=x /mnt/backup ext4 defaults 0 0\nLABEL=boot /boot ext4 defaults 0 0\n"
                 "/dev/sdb1 /usr ext4 nofail 0 0\n/dev/sda5 /oops ext4 defaults 0 0\n")
    assert [(each.path, each.spec) for each in found.missing] == [
        ("/mnt/backup", "UUID=x"), ("/boot", "LABEL=boot"), ("/usr", "/dev/sdb1"), ("/oops", "/dev/sda5")]
    assert [each.path for each in found.missing_required] == ["/boot", "/usr"]
    assert found.missing[3].reason == "sda5 holds swap space"


def test_first_entry_of_a_path_wins():
    found = plan("/dev/sda2 /boot ext4 defaults 0 0\n/dev/sda3 /boot/ ext4 defaults 0 0\n/dev/sdz9 /boot ext4 defaults 0 0\n")
    assert [(mount.path, mount.volume.partition) for mount in found.mounts] == [("/boot", 2)]
    assert [each.spec for each in found.missing] == ["/dev/sda3", "/dev/sdz9"]
    assert found.missing_required == ()


@pytest.mark.parametrize("path, clean", [
    ("/", "/"), ("//", "/"), ("/boot/", "/boot"), ("/a//b/./c", "/a/b/c"), ("/../../etc", "/etc"), ("/a/../b", "/b"),
    ("none", ""), ("", ""), ("a/b", "")])
def test_clean_paths(path, clean):
    assert clean_path(path) == clean
