# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records, tables of mounts, detection of roots, and the comparison of a FAT copy: without mounting anything."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import layout, state, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.assemble import Hidden, NotReachable, choose_root
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.backends import guestfs, mtools
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.local import is_root
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import (
    CannotMount, Missing, MountedVolume, RestoredDisk, Volume)


def fill(folder, *files):
    for name in files:
        path = os.path.join(str(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write("x")


def test_record_survives_a_round_trip(tmp_path):
    kept = state.State("/mnt/shop", str(tmp_path))
    volume = Volume("sda", 1, "/x", 1048576, 5, Content("vfat", "1A2B-3C4D"), aliases=("a", "b"))
    record = state.Record(
        "/mnt/shop", (RestoredDisk("sda", "/x", 512, 7),), "auto", True, "sda2", "mounted", True,
        (MountedVolume("sda", 2, "/", "ext4", "kernel"),), (state.Staged("/mnt/shop/boot/efi", volume),),
        (Missing("UUID=x", "/y", "gone"),),
        (Disk("sda", 7, partitions=(Partition(1, 2, 3, "0x83"),)),), 4711)
    assert kept.load() is None
    kept.save(record)
    assert kept.load() == record
    assert os.stat(kept.path).st_mode & 0o777 == 0o600
    assert state.other_records(str(tmp_path), "another") == [record]
    assert state.other_records(str(tmp_path), kept.tag) == []
    kept.remove()
    kept.remove()
    assert kept.load() is None


def test_damaged_record_is_an_error(tmp_path):
    kept = state.State("/mnt/shop", str(tmp_path))
    for text in ("", "{}", "[]", "{\"mount_point\": 1}"):
        with open(kept.path, "w") as stream:
            stream.write(text)
        with pytest.raises(TargetError, match="cannot be read"):
            kept.load()


def test_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "LOCK_PATIENCE", 0.0)
    first, second = state.State("/mnt/shop", str(tmp_path)), state.State("/mnt/shop", str(tmp_path))
    with first.locked():
        with pytest.raises(TargetError, match="Another process"):
            with second.locked():
                pass
        with state.State("/mnt/other", str(tmp_path)).locked():
            pass
    with second.locked():
        pass


def test_mountinfo_lines():
    line = r"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:2 - ext3 /dev/root\040x ro,errors=continue" + "\n"
    entry = syscalls.parse_mountinfo_line(line)
    assert entry == (36, "98:0", "/mnt 2\\x", ("rw", "noatime"), "ext3", "/dev/root x", ("ro", "errors=continue"), "/mnt1")
    assert not entry.writable
    assert syscalls.parse_mountinfo_line("22 27 0:21 / /proc rw,relatime - proc proc rw\n").writable
    assert [syscalls.is_below(path, "/mnt/a") for path in ("/mnt/a", "/mnt/a/b", "/mnt/ab", "/mnt")] == [True, True, False, False]


@pytest.mark.parametrize("files, links, answer", [
    (("etc/os-release", "usr/bin/env"), (), True),
    (("etc/fstab", "bin/sh"), (), True),
    (("usr/lib/os-release",), (), True),
    (("usr/lib/os-release",), (("usr/lib/os-release", "etc/os-release"), ("usr/bin", "bin")), True),
    (("etc/os-release",), (("usr/bin", "bin"),), True),
    (("etc/os-release",), (), False),           # no programs
    (("usr/bin/env", "etc/passwd"), (), False),
    (("bin/sh", "lib/os-release"), (), False),  # the top of a separate /usr
    ((), (), False),
])
def test_what_looks_like_a_root(tmp_path, files, links, answer):
    fill(tmp_path, *files)
    for target, name in links:
        os.makedirs(os.path.dirname(os.path.join(str(tmp_path), name)), exist_ok=True)
        os.symlink(target, os.path.join(str(tmp_path), name))
    assert is_root(Tree(str(tmp_path)), "") is answer


class Hands:
    def __init__(self, answers):
        self.volumes = tuple(Volume("sda", number, "/x", 0, 1, Content("ext4")) for number in answers)
        self._answers = answers

    def can_hold_root(self, volume):
        return True

    def roots_on(self, volume):
        answer = self._answers[volume.partition]
        if isinstance(answer, str):
            raise CannotMount(answer)
        return answer


def test_choice_of_the_root():
    assert choose_root(Hands({1: [], 2: ["@"]}), "", Hidden(()))[1] == "@"
    assert choose_root(Hands({1: "broken", 2: [""]}), "", Hidden(()))[0].label == "sda2"
    assert choose_root(Hands({1: [""], 2: [""]}), "sda2", Hidden(()))[0].label == "sda2"
    with pytest.raises(TargetError, match="several root file systems: sda1, sda2"):
        choose_root(Hands({1: [""], 2: [""]}), "", Hidden(()))
    with pytest.raises(NotReachable, match=r"looked at: sda1, sda2\)\. it is broken\..*hold lvm2"):
        choose_root(Hands({1: [], 2: "it is broken"}), "", Hidden(("lvm2",)))
    with pytest.raises(NotReachable, match="on sda7"):
        choose_root(Hands({1: [""]}), "sda7", Hidden(()))


def test_copies_of_fat_compare_without_case(tmp_path):
    fill(tmp_path, "EFI/BOOT/BOOTX64.EFI", "efi/debian/grub.cfg")
    found = mtools.nodes(str(tmp_path))
    assert sorted(found) == ["efi", "efi/boot", "efi/boot/bootx64.efi", "efi/debian", "efi/debian/grub.cfg"]
    assert found["efi"].is_folder and not found["efi/debian/grub.cfg"].is_folder
    fill(tmp_path, "efi/Boot/bootx64.efi")
    with pytest.raises(TargetError, match="same name in FAT"):
        mtools.nodes(str(tmp_path))


def test_copies_of_fat_hold_no_links(tmp_path):
    os.symlink("x", str(tmp_path / "link"))
    with pytest.raises(TargetError, match="no regular file"):
        mtools.nodes(str(tmp_path))


@pytest.mark.parametrize("index, letters", [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (701, "zz"), (702, "aaa")])
def test_disk_letters(index, letters):
    assert guestfs._letters(index) == letters


def test_names_of_logical_volumes():
    assert guestfs._names("/dev/vg-0/my-root") == ("/dev/vg-0/my-root", "/dev/mapper/vg--0-my--root")
    assert guestfs._names("/dev/mapper/x") == ("/dev/mapper/x",)


def test_disks_that_cannot_be_meant(tmp_path):
    disk, other = str(tmp_path / "sda.raw"), str(tmp_path / "sdb.raw")
    for path in (disk, other):
        with open(path, "wb") as stream:
            stream.truncate(1 << 20)
    open(str(tmp_path / "empty"), "w").close()
    os.link(disk, str(tmp_path / "again"))
    for disks, words in [
            ([], "No disks were given"),
            ([RestoredDisk("sda", disk), RestoredDisk("sda", other)], "Several disks have the name sda"),
            ([RestoredDisk("sda", disk), RestoredDisk("sdb", str(tmp_path / "again"))], "The disks sda and sdb are the same"),
            ([RestoredDisk("/dev/sda", disk)], "is no disk name"),
            ([RestoredDisk("sda", str(tmp_path / "gone"))], "cannot be opened: No such file"),
            ([RestoredDisk("sda", str(tmp_path))], "neither a raw disk file nor a block device"),
            ([RestoredDisk("sda", str(tmp_path / "empty"))], r"is empty \(0 bytes\)"),
            ([RestoredDisk("sda", disk, size=1 << 21)], "has 1048576 bytes, not 2097152")]:
        with pytest.raises(TargetError, match=words):
            layout.read_layouts(disks)
    found = layout.read_layouts([RestoredDisk("sda", disk, size=1 << 20), RestoredDisk("sdb", other)])
    assert [(each.name, each.size, each.table) for each in found] == [("sda", 1 << 20, "none"), ("sdb", 1 << 20, "none")]
    assert layout.volumes_of([RestoredDisk("sda", disk), RestoredDisk("sdb", other)], found) == ()
