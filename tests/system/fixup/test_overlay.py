# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The appended drivers, seen by GNU cpio and kmod: what modprobe would load in the initramfs as the kernel unpacks it."""

import glob
import os
import subprocess

import pytest

from fixup_roots import DISKS, PACKERS, fill, modprobe, need, run, unpacked

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import Options
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import read_initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES, get_profile


@pytest.mark.parametrize(
    "packing,early", [(packing, False) for packing in sorted(PACKERS)] + [("gzip", True), ("zstd", True), ("lz4", True)]
)
def test_modprobe_finds_the_drivers(tmp_path, kernel, initramfs_file, packing, early):
    need("cpio", "modprobe")
    version = kernel[1]
    root = fill(tmp_path / "root", kernel, initramfs_file(packing, early))
    situation = root.inspect()
    planned = engine.plan(situation)
    extension, = [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)]
    engine.apply(root.tree, planned)
    assert engine.verify(situation) == ()
    target = str(tmp_path / "unpacked")
    whole = root.place(root.initrd)
    for segment in read_initramfs(situation.tree, root.initrd).segments:
        if segment.offset >= extension.offset:
            break
        # An lz4 stream goes on into what is appended: the old end is the end of the original.
        unpacked(whole, segment.offset, min(segment.length, extension.offset - segment.offset), segment.compression or "plain", target)
    before = modprobe(target, version, "--show-depends", "ahci")
    start = len(extension.data) - len(extension.data.lstrip(b"\0"))
    unpacked(whole, extension.offset + start, len(extension.data) - start, "lz4" if packing == "lz4" else "gzip", target)
    assert os.path.islink(target + "/lib")
    for name in ("virtio_scsi", "virtio_blk", "nvme", "vmw_pvscsi", "hv_storvsc", "xen_blkfront", "ahci", "sd_mod", "virtio_pci"):
        lines = modprobe(target, version, "--show-depends", name)
        for line in lines:
            if not line.startswith("builtin"):
                assert os.path.isfile(line.split()[1]), line
    assert modprobe(target, version, "--show-depends", "ahci") == before
    # udev loads by alias: a virtio-scsi controller on PCI (1af4:1048), then on the virtio bus; a disk.
    for alias, name in (
        ("pci:v00001AF4d00001048sv00001AF4sd00001100bc01sc00i00", "virtio_pci"),
        ("virtio:d00000008v00001AF4", "virtio_scsi"),
        ("virtio:d00000002v00001AF4", "virtio_blk"),
        ("scsi:t-0x00", "sd_mod"),
    ):
        assert name in modprobe(target, version, "-R", alias)
    with open(target + "/conf/conf.d/resume", encoding="ascii") as file:
        assert "/dev/sda" not in file.read()


def test_a_second_apply_changes_nothing(root):
    engine.apply(root.tree, engine.plan(root.inspect()))
    before = os.stat(root.place(root.initrd)).st_mtime_ns, os.stat(root.place(root.initrd)).st_size
    assert engine.plan(root.inspect()).changes == ()
    assert engine.apply(root.tree, engine.plan(root.inspect())).number == 0
    assert (os.stat(root.place(root.initrd)).st_mtime_ns, os.stat(root.place(root.initrd)).st_size) == before


def test_size_and_time(root):
    result = engine.fix_up(root.tree, DISKS, get_profile("kvm"), Options())
    extension, = [entry for entry in result.plan.changes if isinstance(entry, change.AppendArchive)]
    assert result.problems == () and sum(result.seconds.values()) < 10
    assert 300000 < len(extension.data) < 3000000
    only = engine.plan(root.inspect(target="kvm", drivers="target"))
    assert not [entry for entry in only.changes if isinstance(entry, change.AppendArchive)]


def test_every_profile_has_a_kernel_in_debian(root):
    """Debian's general kernel serves every platform that we know."""
    for target in sorted(PROFILES):
        draft = Draft(root.tree)
        initramfs.plan(root.inspect(target=target, drivers="target"), draft)
        assert draft.findings == [], target


def test_the_demo_machine(tmp_path):
    """The initramfs that mkinitramfs itself made, of the demo's source disk, if it has been built on this machine."""
    disks = glob.glob(os.path.expanduser("~/.cache/agnostic.recovery/demo/*/shop.raw"))
    if not disks:
        pytest.skip("the demo's source disk has not been built yet (make drill builds it)")
    need("dumpe2fs", "debugfs")
    boot = tmp_path / "root/boot"
    boot.mkdir(parents=True)
    newest = max(disks, key=os.path.getmtime) + "?offset=%d" % (2 << 20)
    names = [
        word
        for word in run("debugfs", "-R", "ls -p /boot", newest, stderr=subprocess.DEVNULL).decode().split("/")
        if word.startswith("initrd.img-")
    ]
    if not names:
        pytest.skip("the demo's disk has no initramfs where it was expected")
    run("debugfs", "-R", f"dump /boot/{names[0]} {boot}/{names[0]}", newest, stderr=subprocess.DEVNULL)
    found = read_initramfs(Tree(str(tmp_path / "root")), "/boot/" + names[0])
    assert found.entries["lib"].link == "usr/lib" and "ahci" in found.modules() and "virtio_scsi" not in found.modules()
