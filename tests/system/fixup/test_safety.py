# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Undo on a real file system, kills, full disks, and images that mean harm."""

import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest

from fixup_roots import DISKS, fill, need, run, snapshot

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError, RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, journal
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import Options
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile

APPLY = """
import sys
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, situation
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile
sys.path.insert(0, sys.argv[2])
from fixup_roots import DISKS
tree = Tree(sys.argv[1])
planned = engine.plan(situation.inspect(tree, DISKS, get_profile("kvm")))
print("ready", flush=True)
engine.apply(tree, planned)
print("done", flush=True)
"""


def test_undo_brings_back_labels_owners_and_times(tmp_path, mounted, kernel, initramfs_file):
    root = fill(mounted(tmp_path / "root", 64), kernel, initramfs_file("zstd"))
    for path in ("/etc/fstab", root.initrd, "/etc", "/etc/default/grub", "/boot/grub/device.map"):
        os.setxattr(root.place(path), "security.selinux", f"system_u:object_r:test{len(path)}_t:s0\0".encode())
        os.setxattr(root.place(path), "user.note", os.urandom(20))
    os.chown(root.place("/etc/default/grub"), 1234, 2345)
    os.chmod(root.place("/etc/default/grub"), 0o2641)
    os.link(root.place("/etc/fstab"), root.place("/etc/fstab.same"))
    os.utime(root.place("/etc/fstab"), ns=(1000000001, 1000000002))
    before = snapshot(root.path)
    situation = root.inspect()
    engine.apply(root.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    after = snapshot(root.path)
    for path in ("/etc/fstab", root.initrd, "/etc/default/grub"):
        place = root.place(path)
        assert after[place] != before[place]
        assert (after[place][:3], after[place][4:6]) == (before[place][:3], before[place][4:6]), path
    assert dict(after[root.place("/etc/systemd/network/00-agnostic-recovery-lan0.link")][5])["security.selinux"]
    engine.undo(root.tree)
    assert snapshot(root.path) == before


def test_kill_at_any_moment(root):
    before = snapshot(root.path)
    state = random.Random(7)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    killed = 0
    for _round in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", APPLY, root.path, os.path.dirname(__file__)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        try:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(state.random() * 0.12)
        finally:
            process.send_signal(signal.SIGKILL)
            process.stdout.close()
            process.wait()
        begun = engine.unfinished(root.tree)
        killed += bool(begun)
        if begun:
            engine.recover(root.tree)
        else:
            engine.undo(root.tree)
        left = snapshot(root.path)
        extra = set(left) - set(before)
        assert all(journal.FOLDER.startswith(path[len(root.path):]) or journal.FOLDER in path for path in extra)
        if not extra:
            assert left == before
        else:
            run("rm", "-rf", root.place("/var"))
            before = snapshot(root.path)
    situation = root.inspect()
    engine.apply(root.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    assert killed, "no kill hit a run in the middle"


def boot_of(tmp_path, mounted, kernel, initramfs_file, spare):
    """A root whose /boot is a file system of its own with `spare` KiB free, which holds a large initramfs."""
    root = fill(tmp_path / "root", kernel, initramfs_file("plain"))
    os.rename(root.place("/boot"), root.place("/boot.full"))
    mounted(root.place("/boot"), 48)
    run("cp", "-a", root.place("/boot.full") + "/.", root.place("/boot"))
    room = os.statvfs(root.place("/boot"))
    ballast = room.f_bavail * room.f_frsize - spare * 1024
    with open(root.place("/boot/ballast"), "wb") as file:
        file.write(bytes(max(0, ballast)))
        os.fsync(file.fileno())
    return root


def test_full_boot_is_refused_before_any_edit(tmp_path, mounted, kernel, initramfs_file):
    root = boot_of(tmp_path, mounted, kernel, initramfs_file, 200)
    before = snapshot(root.path)
    with pytest.raises(FixupError, match="/boot.*too little room|too little room.*boot"):
        engine.apply(root.tree, engine.plan(root.inspect()))
    assert snapshot(root.path) == before


def test_room_for_the_addition_is_enough(tmp_path, mounted, kernel, initramfs_file):
    """Far less than another copy of the initramfs."""
    root = boot_of(tmp_path, mounted, kernel, initramfs_file, 1600)
    before = snapshot(root.path)
    assert os.path.getsize(root.place(root.initrd)) > 1600 * 1024
    situation = root.inspect()
    engine.apply(root.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    engine.undo(root.tree)
    assert snapshot(root.path) == before


def test_a_file_system_that_fills_up_meanwhile(tmp_path, mounted, kernel, initramfs_file, monkeypatch):
    root = boot_of(tmp_path, mounted, kernel, initramfs_file, 200)
    before = snapshot(root.path)
    monkeypatch.setattr(engine, "check_room", lambda tree, wanted: None)
    with pytest.raises(FixupError, match="full"):
        engine.apply(root.tree, engine.plan(root.inspect()))
    assert snapshot(root.path) == before


def test_read_only_and_immutable(tmp_path, mounted, kernel, initramfs_file):
    need("chattr")
    root = fill(mounted(tmp_path / "root", 64), kernel, initramfs_file("gzip"))
    run("chattr", "+i", root.place("/etc/fstab"))
    before = snapshot(root.path)
    with pytest.raises(FixupError, match="immutable"):
        engine.apply(root.tree, engine.plan(root.inspect()))
    assert snapshot(root.path) == before
    run("chattr", "-i", root.place("/etc/fstab"))
    run("mount", "-o", "remount,ro", root.path)
    with pytest.raises(FixupError, match="read-only"):
        engine.apply(root.tree, engine.plan(root.inspect()))


@pytest.fixture
def hostile(tmp_path, root):
    """A function that replaces a path of the root by a link to the worker's own files, in all ways that links go out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("file", "folder/fstab", "folder/journal.json"):
        (outside / name).parent.mkdir(exist_ok=True)
        (outside / name).write_text("/dev/sda2 / ext4 defaults 0 1\n")

    def link(path, target, how):
        place = root.place(path)
        run("rm", "-rf", place)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink({"absolute": str(outside / target), "dots": "../" * 30 + str(outside / target)[1:]}[how], place)

    return outside, link


@pytest.mark.parametrize(
    "path,target,how",
    [
        ("/etc/fstab", "file", "absolute"),
        ("/etc/fstab", "file", "dots"),
        ("/boot/grub/grub.cfg", "file", "absolute"),
        ("/etc/default", "folder", "dots"),
        ("/etc/systemd/network", "folder", "absolute"),
        ("/etc/initramfs-tools/hooks", "folder", "dots"),
        ("/var/lib/agnostic.recovery", "folder", "absolute"),
        ("/var", "folder", "dots"),
        ("/etc/udev/rules.d", "folder", "absolute"),
        ("/etc", "folder", "dots"),
        ("/boot", "folder", "absolute"),
        ("/usr/lib", "folder", "dots"),
    ],
)
def test_links_out_of_the_image(root, hostile, tmp_path, path, target, how):
    outside, link = hostile
    link(path, target, how)
    before = snapshot(str(outside))
    try:
        engine.fix_up(root.tree, DISKS, get_profile("kvm"), Options(drivers="target"))
        engine.undo(root.tree)
    except RecoveryError:
        pass
    assert snapshot(str(outside)) == before
    assert sorted(os.listdir(str(tmp_path))) == ["outside", "root"]


def test_hostile_files(root):
    """Pipes, devices, huge and circular things where configuration should be: an answer or an error, never a hang."""
    os.unlink(root.place("/etc/default/grub"))
    os.mkfifo(root.place("/etc/default/grub"))
    os.unlink(root.place("/etc/udev/rules.d/70-persistent-net.rules"))
    os.symlink("70-persistent-net.rules", root.place("/etc/udev/rules.d/70-persistent-net.rules"))
    with open(root.place("/etc/hosts"), "wb") as file:
        file.truncate(1 << 40)
    with open(root.place("/etc/crypttab"), "wb") as file:
        file.truncate(1 << 40)
    os.mknod(root.place("/etc/blkid.tab"), 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    os.makedirs(root.place("/etc/network/interfaces.d"))
    os.symlink("..", root.place("/etc/network/interfaces.d/again"))
    result = engine.fix_up(root.tree, DISKS, get_profile("kvm"), Options())
    assert result.problems == ()
    assert {path for finding in result.plan.findings for path in finding.text.split() if path.startswith("/etc")} >= {"/etc/crypttab"}
