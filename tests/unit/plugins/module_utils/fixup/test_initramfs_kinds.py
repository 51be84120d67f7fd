# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The target's drivers in the initramfs of each tool, and what makes them load there."""

import gzip
import os
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import dracut_waits
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.cpio import pack_archive
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import read_initramfs
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition

VERSION = "6.1.0-9-amd64"
INITRD = f"/boot/initrd.img-{VERSION}"
HOOKS = {path: None for path in ("usr/lib/dracut", "usr/lib/dracut/hooks", "usr/lib/dracut/hooks/initqueue",
                                 "usr/lib/dracut/hooks/initqueue/finished", "etc", "etc/systemd", "etc/systemd/system")}


def appended(planned):
    return [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)]


def applied(machine, path=INITRD, **options):
    situation = machine.inspect(**options)
    before = machine.snapshot()
    engine.apply(machine.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    found = read_initramfs(machine.tree, path, lambda name: True)
    engine.undo(machine.tree)
    assert machine.snapshot() == before
    return found


# dracut

def wait(device):
    name = device.replace("/", "\\x2f")
    return f"usr/lib/dracut/hooks/initqueue/finished/devexists-{name}.sh", f'[ -e "{device}" ]\n'.encode()


def test_dracut_does_not_wait_for_the_old_hardware(machine):
    old, kept = "/dev/disk/by-id/ata-OLD_DISK-part2", "/dev/disk/by-uuid/11111111-aaaa-4aaa-8aaa-111111111111"
    pv = "/dev/disk/by-id/lvm-pv-uuid-abc"
    unit = f"etc/systemd/system/{dracut_waits.unit_name(old)}.device.d"
    more = dict([wait(old), wait(kept), wait(pv)])
    more.update({unit: None, unit + "/timeout.conf": b"[Unit]\nJobTimeoutSec=0\n"})
    machine.add_kernel(initramfs=machine.initramfs(more=dict(HOOKS, **more)))
    found = applied(machine)
    assert found.entries[wait(old)[0]].data == dracut_waits.NO_WAIT
    assert found.entries[unit + "/timeout.conf"].data == dracut_waits.SHORT
    for device in (kept, pv):
        assert found.entries[wait(device)[0]].data == wait(device)[1]


def test_the_shell_takes_the_neutral_hook_for_success(tmp_path):
    (tmp_path / "hook.sh").write_bytes(dracut_waits.NO_WAIT)
    assert os.system(f"sh -c '. {tmp_path}/hook.sh'") == 0


def test_unit_names():
    assert dracut_waits.unit_name("/dev/disk/by-id/ata-A_b:1.2") == "dev-disk-by\\x2did-ata\\x2dA_b:1.2"
    assert dracut_waits.unit_name("/dev/disk/by-id/x y\u00e9") == "dev-disk-by\\x2did-x\\x20y\\xc3\\xa9"


def test_the_rescue_image_of_a_kernel_whose_modules_are_gone(machine):
    """vmlinuz-0-rescue-<id>: what its initramfs holds is all that it has, and that is looked at."""
    image = bytearray(0x3000)
    image[0x202:0x206], image[0x20E:0x210] = b"HdrS", (0x1000).to_bytes(2, "little")
    image[0x1200:0x1210] = b"5.14.0-1.el9 (x)"
    machine.write("/boot/vmlinuz-0-rescue-abc", bytes(image))
    machine.write("/boot/loader/entries/abc-0-rescue.conf",
                  "title Rescue\nversion 0-rescue-abc\nlinux /vmlinuz-0-rescue-abc\ninitrd /initramfs-0-rescue-abc.img\n")
    full = ("scsi_mod", "sd_mod", "virtio", "virtio_ring", "virtio_pci", "virtio_scsi", "virtio_blk")
    home = "usr/lib/modules/5.14.0-1.el9"
    machine.write("/boot/initramfs-0-rescue-abc.img", machine.initramfs("5.14.0-1.el9", held=full))
    planned = engine.plan(machine.inspect())
    assert [entry.path for entry in appended(planned)] == [INITRD]
    assert [finding for finding in planned.findings if "rescue" in finding.text] == []
    machine.write("/boot/initramfs-0-rescue-abc.img", machine.initramfs(
        "5.14.0-1.el9", held=("virtio_scsi",), more={home + "/modules.builtin": b"kernel/drivers/scsi/sd_mod.ko\n"}))
    finding, = [finding for finding in engine.plan(machine.inspect()).findings if "rescue" in finding.text]
    assert finding.severity == "warning" and "lacks virtio_pci, so" in finding.text and "no folder in /lib/modules" in finding.text
    assert "Start another kernel" in finding.text


@pytest.mark.parametrize("name", ["squash-root.img", "squashfs-root.img"])
def test_dracut_squash_is_told(machine, name):
    machine.add_kernel(initramfs=machine.initramfs(more={name: b"hsqs"}))
    with pytest.raises(FixupError, match="squashfs"):
        engine.plan(machine.inspect())


# mkinitcpio

def test_mkinitcpio_without_udev_loads_by_its_configuration(machine):
    machine.add_kernel(initramfs=machine.initramfs(udev=False, more={"config": b'MODULES="ahci ext4"\nHOOKS="x"\n'}))
    found = applied(machine)
    assert found.entries["config"].data == b'MODULES="ahci ext4 virtio_pci virtio_scsi sd_mod virtio_blk"\nHOOKS="x"\n'


def test_arch_names_and_two_images_of_one_kernel(machine):
    for name in ("linux", "linux-fallback"):
        machine.write(f"/boot/initramfs-{name}.img", gzip.compress(machine.initramfs()))
        machine.write(f"/boot/loader/entries/{name}.conf", (
            f"title {name}\nversion {VERSION}\nlinux /vmlinuz-{VERSION}\ninitrd /amd-ucode.img\ninitrd /initramfs-{name}.img\n"))
    machine.write("/boot/grub/grub.cfg", "set timeout=1\n")
    paths = {entry.path for entry in appended(engine.plan(machine.inspect()))}
    assert paths == {"/boot/initramfs-linux.img", "/boot/initramfs-linux-fallback.img"}
    assert "virtio_scsi" in applied(machine, "/boot/initramfs-linux.img").modules(VERSION)


# nash: Red Hat's mkinitrd up to RHEL 5

INIT = b"""#!/bin/nash
mount -t proc /proc /proc
echo Creating block device nodes.
mkblkdevs
echo "Loading scsi_mod.ko module"
insmod /lib/scsi_mod.ko
echo "Loading ahci.ko module"
insmod /lib/ahci.ko option=1
echo Waiting for driver initialization.
mkblkdevs
mkrootdev -t ext3 -o defaults,ro /dev/sda2
switchroot
"""


def nash(init=INIT, modules=("scsi_mod", "sd_mod", "ahci")):
    files = [("bin", None), ("lib", None), ("bin/nash", b"elf"), ("init", init)] + [(f"lib/{name}.ko", b"old") for name in modules]
    entries = [(path, (stat.S_IFDIR if data is None else stat.S_IFREG) | 0o755, data or b"") for path, data in files]
    return gzip.compress(pack_archive(entries))


def test_nash_loads_what_its_script_names(machine):
    machine.add_kernel(initramfs=nash())
    found = applied(machine)
    lines = found.entries["init"].data.decode().splitlines()
    loaded = [line.split()[1] for line in lines if line.startswith("insmod")]
    assert loaded[:2] == ["/lib/scsi_mod.ko", "/lib/ahci.ko"]
    new = ("virtio", "virtio_ring", "virtio_pci", "virtio_scsi", "sd_mod", "virtio_blk", "libahci")
    assert sorted(loaded[2:]) == sorted(f"/lib/{name}.ko" for name in new)
    assert loaded.index("/lib/virtio_ring.ko") < loaded.index("/lib/virtio_pci.ko")
    assert lines.index("insmod /lib/virtio_blk.ko ") < lines.index("echo Waiting for driver initialization.")
    assert found.entries["init"].mode == stat.S_IFREG | 0o755
    assert found.entries["lib/virtio_blk.ko"].data == f"module virtio_blk of {VERSION}".encode()
    assert found.entries["lib/sd_mod.ko"].data == b"old" and not [path for path in found.entries if "modules.dep" in path]


def test_a_nash_script_that_loads_nothing_is_told(machine):
    machine.add_kernel(initramfs=nash(b"#!/bin/nash\nmkrootdev\n"))
    assert any("known to load drivers" in finding.text for finding in engine.plan(machine.inspect()).findings)


# the root's own file system and what lies below it

def disks(kind):
    return (Disk("sda", 8 << 30, table="gpt", partitions=(
        Partition(1, 1 << 20, 1 << 30, "0fc63daf-8483-4772-8e79-3d69d8477de4", "bb-01", content=Content("vfat", "AAAA-BBBB")),
        Partition(2, 2 << 30, 4 << 30, "0fc63daf-8483-4772-8e79-3d69d8477de4", "bb-02", content=Content(kind, "pv")))),)


STACK = {
    "dm-mod": ("drivers/md", []), "xfs": ("fs/xfs", ["libcrc32c"]), "libcrc32c": ("lib", []), "raid1": ("drivers/md", ["md-mod"]),
    "md-mod": ("drivers/md", []), "raid10": ("drivers/md", ["md-mod"]), "dm-crypt": ("drivers/md", ["dm-mod"]), "xts": ("crypto", []),
}


@pytest.mark.parametrize("kind,expected", [
    ("lvm2", {"xfs", "libcrc32c", "dm_mod"}), ("luks", {"xfs", "libcrc32c", "dm_mod", "dm_crypt", "xts"}),
    ("md", {"xfs", "libcrc32c", "md_mod", "raid1", "raid10"}), ("ext4", {"xfs", "libcrc32c"}),
])
def test_what_the_root_lies_on_comes_along(machine, kind, expected):
    machine.modules = dict(machine.modules, **STACK)
    machine.add_kernel()
    machine.write("/etc/fstab", "/dev/mapper/system-root / xfs defaults 0 0\nUUID=AAAA-BBBB /boot/efi vfat defaults 0 0\n")
    held = set(applied(machine, disks=disks(kind), drivers="target").modules(VERSION))
    assert held & {name.replace("-", "_") for name in STACK} == expected


def test_an_array_s_level_that_is_there_is_enough(machine):
    machine.modules = dict(machine.modules, **STACK)
    machine.add_kernel(initramfs=machine.initramfs(held=("scsi_mod", "sd_mod", "raid1", "md-mod", "xfs", "libcrc32c")))
    machine.write("/etc/fstab", "/dev/md0 / xfs defaults 0 0\n")
    assert "raid10" not in applied(machine, disks=disks("md")).modules(VERSION)


def test_a_root_right_on_a_partition_needs_no_volumes(machine):
    machine.modules = dict(machine.modules, **STACK)
    machine.add_kernel()
    assert "dm_mod" not in applied(machine).modules(VERSION)


def test_a_module_that_only_the_initramfs_has_stays_listed(machine):
    """Of a package that was removed after the initramfs was built."""
    home = f"usr/lib/modules/{VERSION}"
    more = {home + "/extra": None, home + "/extra/zfs.ko": b"old", home + "/modules.dep": b"extra/zfs.ko: kernel/drivers/ata/libahci.ko\n"}
    machine.add_kernel(initramfs=machine.initramfs(more=more))
    listed = applied(machine).entries[home + "/modules.dep"].data.decode()
    assert "extra/zfs.ko: kernel/drivers/ata/libahci.ko\n" in listed and "virtio_scsi.ko:" in listed


# several kernels with several tools, several formats

def test_kernels_of_two_tools(machine):
    machine.add_kernel("5.10.0-1-amd64", initramfs=nash())
    machine.write("/boot/grub/grub.cfg",
                  machine.read("/boot/grub/grub.cfg") + machine.read("/boot/grub/grub.cfg").replace(VERSION, "5.10.0-1-amd64"))
    first, second = appended(engine.plan(machine.inspect()))
    assert (first.path, second.path) == (INITRD, "/boot/initrd.img-5.10.0-1-amd64")
    assert any("modules.dep" in path for path in first.listing) and "init" in second.listing and "lib/virtio_blk.ko" in second.listing


@pytest.mark.parametrize("content", [
    b"#!/bin/nash", b"#!/bin/nash\ninsmod\n", b"\xff\xfe#!/bin/nash\n" + bytes(300), b"#!/bin/nash\ninsmod " + b"/" * 3000,
], ids=["bare", "no name", "no text", "long"])
def test_hostile_scripts_are_no_harm(machine, content):
    machine.add_kernel(initramfs=nash(content))
    engine.plan(machine.inspect())
