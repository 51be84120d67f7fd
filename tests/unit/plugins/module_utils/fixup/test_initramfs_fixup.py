# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The target's drivers in the initramfs."""

import gzip
import lzma
import os
import shutil
import stat
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import overlay
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import Initramfs, Segment, read_initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import all_disk_drivers

VERSION = "6.1.0-9-amd64"
INITRD = f"/boot/initrd.img-{VERSION}"


def plan(machine, **options):
    return engine.plan(machine.inspect(**options))


def appended(planned):
    return [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)]


def applied(machine, **options):
    situation = machine.inspect(**options)
    engine.apply(machine.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    return read_initramfs(machine.tree, INITRD, lambda path: True)


def test_missing_drivers_come_with_all_that_they_need_and_nothing_twice(machine):
    extension, = appended(plan(machine, drivers="target"))
    names = {path.rsplit("/", 1)[-1] for path in extension.listing if path.endswith(".ko")}
    assert names == {"virtio.ko", "virtio_ring.ko", "virtio_pci.ko", "virtio_scsi.ko", "virtio_blk.ko"}
    assert all(path.startswith("usr/lib/modules/") for path in extension.listing)
    assert (extension.offset + len(extension.data)) and extension.data[:(-extension.offset) % 4] == bytes((-extension.offset) % 4)


def test_union_has_the_drivers_of_every_profile_that_the_kernel_has(machine):
    found = applied(machine).modules(VERSION)
    assert {"nvme", "nvme_core", "virtio_blk", "virtio_scsi", "ahci"} <= set(found)
    hook = machine.read("/etc/initramfs-tools/hooks/agnostic-recovery")
    assert "manual_add_modules" in hook and "virtio_blk" in hook and "xen_blkfront" not in hook


def test_links_of_the_initramfs_stay(machine):
    found = applied(machine)
    assert found.entries["lib"].link == "usr/lib"
    assert found.entries[f"usr/lib/modules/{VERSION}/modules.alias"].data == machine.read(f"/lib/modules/{VERSION}/modules.alias").encode()


def test_the_original_stays_in_front(machine):
    with open(machine.path + INITRD, "rb") as file:
        before = file.read()
    applied(machine)
    with open(machine.path + INITRD, "rb") as file:
        assert file.read(len(before)) == before


def test_the_same_input_gives_the_same_bytes(machine):
    assert appended(plan(machine)) == appended(plan(machine))


def test_a_complete_initramfs_is_left_alone(machine):
    machine.add_kernel(
        initramfs=machine.initramfs(
            held=(
                "scsi_mod",
                "sd_mod",
                "libahci",
                "ahci",
                "virtio",
                "virtio_ring",
                "virtio_pci",
                "virtio_scsi",
                "virtio_blk",
                "nvme",
                "nvme-core",
            )
        )
    )
    assert appended(plan(machine, drivers="target")) == []


def test_built_in_drivers_need_no_file(machine):
    machine.add_kernel(builtin=("virtio", "virtio_ring", "virtio_pci", "virtio_scsi", "scsi_mod", "sd_mod"))
    extension, = appended(plan(machine, drivers="target"))
    assert {path.rsplit("/", 1)[-1] for path in extension.listing if path.endswith(".ko")} == {"virtio_blk.ko"}


def test_compressed_modules(machine):
    machine.suffix = ".ko.xz"
    machine.add_kernel()
    extension, = appended(plan(machine, drivers="target"))
    assert any(path.endswith("/virtio_scsi.ko.xz") for path in extension.listing)
    assert "virtio_scsi" in applied(machine).modules(VERSION)


def zstd(data):
    if shutil.which("zstd") is None:
        pytest.skip("the program zstd is not installed")
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize(
    "suffix,packer", [(".ko.xz", lzma.compress), (".ko.gz", gzip.compress), (".ko.zst", zstd)], ids=["xz", "gz", "zst"]
)
def test_modules_are_unpacked_where_the_initramfs_holds_them_so(machine, suffix, packer):
    """The index of /lib/modules names virtio.ko.xz; in the initramfs all are virtio.ko, the old and the new ones."""
    held = machine.initramfs()
    machine.suffix, machine.packer = suffix, packer
    machine.add_kernel(initramfs=held)
    found = applied(machine)
    paths = found.modules(VERSION)
    assert "virtio_scsi" in paths and "ahci" in paths and all(path.endswith(".ko") for path in paths.values())
    assert found.entries[paths["virtio_scsi"]].data == f"module virtio_scsi of {VERSION}".encode()
    listed = found.entries[f"usr/lib/modules/{VERSION}/modules.dep"].data.decode()
    assert suffix not in listed and "kernel/drivers/ata/ahci.ko: kernel/drivers/ata/libahci.ko" in listed
    assert found.entries[f"usr/lib/modules/{VERSION}/modules.dep.bin"].data.startswith(b"\xb0\x07\xf4\x57\0\x02\0\x01")
    assert appended(plan(machine)) == []


def test_a_damaged_module_is_an_error(machine):
    held = machine.initramfs()
    machine.suffix, machine.packer = ".ko.xz", lambda data: lzma.compress(data)[:-20]
    machine.add_kernel(initramfs=held)
    with pytest.raises(FixupError, match="xz data"):
        plan(machine)
    machine.suffix, machine.packer = ".ko", bytes
    machine.add_kernel("5.10.0-1-amd64")
    machine.write(
        "/boot/grub/grub.cfg", machine.read("/boot/grub/grub.cfg") + machine.read("/boot/grub/grub.cfg").replace(VERSION, "5.10.0-1-amd64")
    )
    situation = machine.inspect()
    planned = engine.plan(situation)
    assert [entry.path for entry in appended(planned)] == ["/boot/initrd.img-5.10.0-1-amd64"]
    assert "xz data" in [finding.text for finding in planned.findings if finding.severity == "error"][0]
    engine.apply(machine.tree, planned)
    assert engine.verify(situation) == ()


def test_a_replaced_file_keeps_its_mode(machine):
    more = [("etc", None), ("etc/cmdline.d", None), ("etc/cmdline.d/95root.conf", b" root=/dev/sda2\n")]
    machine.add_kernel(initramfs=machine.initramfs(more=more))
    assert applied(machine).entries["etc/cmdline.d/95root.conf"].mode == stat.S_IFREG | 0o755


def test_every_kernel_of_the_menu_is_extended(machine):
    machine.add_kernel("5.10.0-1-amd64")
    machine.write(
        "/boot/grub/grub.cfg", machine.read("/boot/grub/grub.cfg") + machine.read("/boot/grub/grub.cfg").replace(VERSION, "5.10.0-1-amd64")
    )
    assert {entry.path for entry in appended(plan(machine))} == {INITRD, "/boot/initrd.img-5.10.0-1-amd64"}


def test_a_kernel_without_the_driver_is_reported_and_others_do(machine):
    machine.write("/etc/os-release", "ID=debian\n")
    machine.add_kernel("6.1.0-9-cloud-amd64", without=("virtio_scsi", "virtio_blk", "virtio_pci", "ahci"))
    machine.write(
        "/boot/grub/grub.cfg",
        machine.read("/boot/grub/grub.cfg") + machine.read("/boot/grub/grub.cfg").replace(VERSION, "6.1.0-9-cloud-amd64"),
    )
    planned = plan(machine)
    assert [entry.path for entry in appended(planned)] == [INITRD]
    finding, = [entry for entry in planned.findings if entry.severity == "error"]
    assert "6.1.0-9-cloud-amd64" in finding.text and "virtio_scsi" in finding.text and "linux-image-amd64" in finding.text


def test_no_kernel_with_the_driver_is_an_error(machine):
    machine.add_kernel(without=("nvme", "nvme-core"))
    with pytest.raises(FixupError, match="aws-nitro.*nvme"):
        plan(machine, target="aws-nitro")


def test_another_bus_than_the_usual_one_is_a_warning(machine):
    machine.add_kernel(without=("virtio_scsi",))
    finding, = [entry for entry in plan(machine).findings if entry.severity == "warning"]
    assert "virtio-scsi" in finding.text and "virtio-blk" in finding.text


@pytest.mark.parametrize("content", [b"", b"garbage", gzip.compress(b"no cpio")], ids=["empty", "garbage", "no cpio"])
def test_a_damaged_initramfs_of_the_only_kernel_is_an_error(machine, content):
    machine.add_kernel(initramfs=content)
    with pytest.raises(FixupError, match="initrd"):
        plan(machine)


def test_no_kernel_at_all_is_an_error(machine):
    machine.write("/boot/grub/grub.cfg", "set timeout=1\n")
    for name in (f"/boot/vmlinuz-{VERSION}", INITRD):
        os.unlink(machine.path + name)
    with pytest.raises(FixupError, match="No kernel"):
        plan(machine)


def test_kernels_in_boot_stand_in_for_an_unknown_boot_loader(machine):
    machine.write("/boot/grub/grub.cfg", "set timeout=1\n")
    assert [entry.path for entry in appended(plan(machine))] == [INITRD]


def test_old_disk_names_inside_the_initramfs(machine):
    machine.add_kernel(initramfs=machine.initramfs(more={"conf/conf.d/resume": b"RESUME=/dev/sda3\n", "etc": None, "etc/cmdline.d": None,
                                                         "etc/cmdline.d/95root.conf": b" root=/dev/sda2 rootfstype=ext4\n"}))
    found = applied(machine)
    assert found.entries["conf/conf.d/resume"].data == b"RESUME=UUID=22222222-aaaa-4aaa-8aaa-222222222222\n"
    assert found.entries["etc/cmdline.d/95root.conf"].data == b" root=UUID=11111111-aaaa-4aaa-8aaa-111111111111 rootfstype=ext4\n"


def test_without_udev_the_drivers_are_listed_for_loading(machine):
    machine.add_kernel(initramfs=machine.initramfs(udev=False, more={"conf/modules": b"ahci"}))
    assert applied(machine).entries["conf/modules"].data.decode().split() == ["ahci", "virtio_pci", "virtio_scsi", "sd_mod", "virtio_blk"]


def test_names_of_nics_for_an_initramfs_with_their_driver(machine):
    machine.add_kernel(initramfs=machine.initramfs(held=("sd_mod", "scsi_mod", "virtio", "virtio_ring", "virtio_net")))
    assert b"Name=lan0" in applied(machine).entries["etc/systemd/network/00-agnostic-recovery-lan0.link"].data


def test_dracut_is_told_too(machine):
    machine.write("/usr/lib/dracut/dracut.conf.d/x", "")
    applied(machine)
    text = machine.read("/etc/dracut.conf.d/90-agnostic-recovery.conf")
    assert 'add_drivers+=" ' in text and " virtio_scsi " in text


def test_a_kernel_that_does_not_know_gzip_gets_a_plain_archive(machine):
    machine.write(f"/boot/config-{VERSION}", "# CONFIG_RD_GZIP is not set\n")
    machine.add_kernel(initramfs=lzma.compress(machine.initramfs()))
    extension, = appended(plan(machine))
    assert extension.data.lstrip(b"\0").startswith(b"070701")
    applied(machine)


def test_behind_lz4_comes_lz4_without_a_gap():
    """Kernels before 5.8 take zeros behind an lz4 stream for damage."""
    archive = Initramfs({}, (Segment(0, 101, "lz4", 400),), 101)
    data = bytes(range(256)) * 40000
    packed = overlay.pack(archive, data, True)
    assert packed.startswith(b"\x02\x21\x4c\x18") and len(data) < len(packed) < len(data) * 1.005


def test_foreign_folder_layouts(machine):
    """A link that leads nowhere or a file where the folder should be: an error, never a broken initramfs."""
    for entries in ([("lib", stat.S_IFLNK | 0o777, b"usr/lib")], [("lib", stat.S_IFREG | 0o644, b"")]):
        machine.add_kernel(initramfs=pack_archive(entries))
        with pytest.raises(FixupError, match="initramfs has a"):
            plan(machine)


def test_an_initramfs_without_any_modules(machine):
    machine.add_kernel(initramfs=pack_archive([("init", stat.S_IFREG | 0o755, b"#!")]))
    found = applied(machine)
    assert "virtio_scsi" in found.modules(VERSION) and stat.S_ISDIR(found.entries["lib/modules"].mode)


def test_bootconfig_is_refused(machine):
    machine.add_kernel(
        initramfs=machine.initramfs() + b"a=b\0" + (4).to_bytes(4, "little") + sum(b"a=b\0").to_bytes(4, "little") + b"#BOOTCONFIG\n"
    )
    with pytest.raises(FixupError, match="boot configuration"):
        plan(machine)


def test_union_knows_every_profile():
    assert {"nvme", "virtio_scsi", "virtio_blk", "hv_storvsc", "xen_blkfront", "vmw_pvscsi", "ahci"} <= set(all_disk_drivers())
