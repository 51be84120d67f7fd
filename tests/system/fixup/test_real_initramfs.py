# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Initramfs files as dracut and initramfs-tools make them, extended, then seen by GNU cpio and kmod.

They run where the chroots are that make_chroots.sh makes, in AGNOSTIC_RECOVERY_CHROOTS or the cache.
"""

import io
import os
import shutil

import pytest

from fixup_roots import CACHE, fill, modprobe, need, run, unpacked

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine, situation
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import dracut_waits
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux.names import read_names
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import parse_initramfs, read_initramfs

CHROOTS = os.environ.get("AGNOSTIC_RECOVERY_CHROOTS", CACHE + "/chroots")
DRIVERS = ("virtio_scsi", "virtio_blk", "nvme", "vmw_pvscsi", "hv_storvsc", "xen_blkfront", "ahci", "sd_mod", "virtio_pci", "mptspi")


def made(folder, image):
    """(kernel folder and version, initramfs)"""
    place = os.path.join(CHROOTS, folder)
    if not os.path.isfile(f"{place}/root/{image}"):
        pytest.skip(f"{place}/root/{image} has not been made (make_chroots.sh)")
    version, = os.listdir(place + "/usr/lib/modules")
    return (place, version), f"{place}/root/{image}"


def extended(root):
    inspected = root.inspect()
    planned = engine.plan(inspected)
    assert [finding for finding in planned.findings if finding.fixup == "initramfs"] == []
    extension, = [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)]
    engine.apply(root.tree, planned)
    assert engine.verify(inspected) == ()
    return extension


def as_the_kernel_unpacks_it(root, target, seam):
    """An lz4 stream goes on into what is appended; GNU cpio takes one archive at a time, so it is cut at the `seam`."""
    whole = root.place(root.initrd)
    archive = read_initramfs(root.tree, root.initrd)
    for segment in archive.segments:
        end = segment.offset + segment.length
        cuts = sorted({segment.offset, end, min(max(seam, segment.offset), end)})
        for start, stop in zip(cuts, cuts[1:]):
            unpacked(whole, start, stop - start, segment.compression or "plain", target)
    return archive


def test_a_generic_initramfs_of_dracut_needs_nothing(tmp_path):
    root = fill(tmp_path / "root", *made("dracut", "generic.img"))
    planned = engine.plan(root.inspect())
    assert [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)] == []
    assert [finding for finding in planned.findings if finding.fixup == "initramfs"] == []


@pytest.mark.parametrize("kernel_of,image_of,image", [
    ("dracut", "dracut", "hostonly.img"), ("compressed", "compressed", "list.img"),
    # of modules that lie compressed in /lib/modules and unpacked in the initramfs
    ("compressed", "dracut", "hostonly.img"),
    ("dracut", "dracut", "mkinitcpio-udev.img"), ("dracut", "dracut", "mkinitcpio-base.img"),
], ids=["hostonly", "compressed modules", "unpacked modules", "mkinitcpio", "mkinitcpio without udev"])
def test_modprobe_finds_the_drivers_and_what_was_there(tmp_path, kernel_of, image_of, image):
    need("cpio", "modprobe", "zstd", "gzip")
    kernel = made(kernel_of, {"dracut": "generic.img", "compressed": "list.img"}[kernel_of])[0]
    initramfs = made(image_of, image)[1]
    root = fill(tmp_path / "root", kernel, initramfs)
    shutil.rmtree(root.place("/usr/share/initramfs-tools"))
    before = read_initramfs(root.tree, root.initrd)
    size = os.path.getsize(root.place(root.initrd))
    extension = extended(root)
    target = str(tmp_path / "unpacked")
    archive = as_the_kernel_unpacks_it(root, target, size)
    if image == "mkinitcpio-base.img":
        # What its init does: . /config; modprobe -qab $MODULES
        listed = run("sh", "-c", f". {target}/config; echo $MODULES").decode().split()
        assert listed[:3] == ["ahci", "sd_mod", "ext4"] and {"virtio_pci", "virtio_blk", "virtio_scsi"} <= set(listed)
    assert os.path.islink(target + "/lib") and archive.entries["lib"] == before.entries["lib"]
    assert set(before.modules()) <= set(archive.modules())
    for name in DRIVERS + tuple(before.modules())[:40]:
        lines = [line for line in modprobe(target, root.version, "--show-depends", name) if not line.startswith("builtin")]
        for line in lines:
            assert os.path.isfile(line.split()[1]), line
    for alias, name in (
        ("pci:v00001AF4d00001048sv00001AF4sd00001100bc01sc00i00", "virtio_pci"),
        ("virtio:d00000008v00001AF4", "virtio_scsi"),
        ("vmbus:d96361baa104294db60572e2ffb1dc7f", "hv_storvsc"),
        ("scsi:t-0x00", "sd_mod"),
    ):
        assert name in modprobe(target, root.version, "-R", alias)
    forms = {path.rsplit(".ko", 1)[1] for path in archive.modules().values()}
    assert forms == ({".xz"} if image == "list.img" else {""})
    if image_of != kernel_of:
        source = os.path.join(CHROOTS, "dracut/usr/lib/modules", root.version)
        for path in [path for path in extension.listing if path.endswith(".ko")]:
            with open(os.path.join(target, path), "rb") as one, open(source + path.partition(root.version)[2], "rb") as other:
                assert one.read() == other.read(), path
    engine.undo(root.tree)
    assert os.path.getsize(root.place(root.initrd)) == size
    assert run("cmp", initramfs, root.place(root.initrd)) == b""


def test_waits_as_dracut_itself_writes_them(tmp_path):
    """wait_for_dev of dracut, as its module "base" calls it for the devices below the root."""
    made("dracut", "hostonly.img")
    library = os.path.join(CHROOTS, "dracut/usr/lib/dracut/modules.d/99base/dracut-dev-lib.sh")
    device = "/dev/disk/by-id/ata-OLD_DISK:1.2-part2"
    finished = tmp_path / "lib/dracut/hooks/initqueue/finished"
    finished.mkdir(parents=True)
    (tmp_path / "lib/dracut/hooks/emergency").mkdir()
    environment = dict(os.environ, PREFIX=str(tmp_path), hookdir="/lib/dracut/hooks", DRACUT_SYSTEMD="1")
    run("bash", "-c", f". {library}; wait_for_dev {device} 0", env=environment)
    names = b"\n".join(os.fsencode(path.relative_to(tmp_path).as_posix()) for path in sorted(tmp_path.rglob("*"))) + b"\n"
    archive = parse_initramfs(
        io.BytesIO(run("cpio", "-o", "-H", "newc", "--quiet", cwd=str(tmp_path), input=names)), "x", situation.content_wanted
    )
    changed = dracut_waits.changed(archive, read_names(()))
    hook, timeout = sorted(changed, reverse=True)
    assert hook.startswith("lib/dracut/hooks/initqueue/finished/devexists-") and changed[hook] == dracut_waits.NO_WAIT
    assert timeout.endswith(".device.d/timeout.conf") and changed[timeout] == dracut_waits.SHORT
