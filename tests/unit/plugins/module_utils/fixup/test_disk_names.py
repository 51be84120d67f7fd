# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk names that last."""

import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import disk_names
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux.names import read_names
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition

ROOT = "UUID=11111111-aaaa-4aaa-8aaa-111111111111"
SWAP = "UUID=22222222-aaaa-4aaa-8aaa-222222222222"


def planned(machine, disks=None):
    draft = Draft(machine.tree)
    disk_names.plan(machine.inspect(disks=disks), draft)
    return draft


def text_of(draft, path):
    return draft.read_text(path)


@pytest.mark.parametrize(
    "old,new",
    [
        ("/dev/sda2", ROOT),
        ("/dev/sda3", SWAP),
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_QM1-part2", ROOT),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part3", SWAP),
        ("/dev/hda2", ROOT),
        ("/dev/xvda2", ROOT),
        ("/dev/mapper/mpatha2", ROOT),
        ("/dev/mapper/mpathp3", SWAP),
        ("/dev/mapper/mpathbp2", ROOT),
        ("/dev/mapper/mpaths-root", "/dev/mapper/mpaths-root"),
        ("/dev/mapper/vg-root", "/dev/mapper/vg-root"),
        ("/dev/vg/root", "/dev/vg/root"),
        ("UUID=x", "UUID=x"),
        ("LABEL=system", "LABEL=system"),
        ("/dev/sr0", "/dev/sr0"),
        ("/dev/fd0", "/dev/fd0"),
    ],
)
def test_fstab_device(machine, old, new):
    machine.write("/etc/fstab", f"# x\n  {old}\t/mnt   auto\tnoauto,ro 0 0 \n\n")
    assert text_of(planned(machine), "/etc/fstab") == f"# x\n  {new}\t/mnt   auto\tnoauto,ro 0 0 \n\n"


@pytest.mark.parametrize(
    "old,new",
    [
        ("root=/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:0:0-part2 ro", f"root={ROOT} ro"),
        ("root=/dev/disk/by-id/usb-Maker_Stick_0401-0:0-part2", f"root={ROOT}"),
        ("ro resume=/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part3", f"ro resume={SWAP}"),
        ("cryptdevice=/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part2:root:allow-discards x", f"cryptdevice={ROOT}:root:allow-discards x"),
        ("cryptdevice=/dev/sda2:root", f"cryptdevice={ROOT}:root"),
    ],
)
def test_names_with_colons_on_a_command_line(machine, old, new):
    machine.write("/boot/grub/grub.cfg", f"menuentry 'x' {{\n\tlinux /boot/vmlinuz {old}\n}}\n")
    assert text_of(planned(machine), "/boot/grub/grub.cfg") == f"menuentry 'x' {{\n\tlinux /boot/vmlinuz {new}\n}}\n"


def test_nvme_and_mmc_names():
    disks = (Disk("nvme0n1", 1 << 30, partitions=(Partition(1, 0, 1, "", "p-01", content=Content("ext4", "u-1")),)),
             Disk("mmcblk0", 1 << 30, partitions=(Partition(2, 0, 1, "", "p-02", content=Content("xfs", "u-2")),)))
    names = read_names(disks)
    assert names.lasting("/dev/nvme0n1p1") == "UUID=u-1"
    assert names.lasting("/dev/mmcblk0p2") == "UUID=u-2"
    assert names.lasting("/dev/nvme1n1p1") == ""
    assert names.lasting("/dev/disk/by-id/whatever-part1") == ""       # of which of the two?


def test_cloned_file_systems_are_told_apart_by_partition():
    twins = tuple(
        Disk(name, 1 << 30, partitions=(Partition(1, 0, 1, "", name + "-01", content=Content("ext4", "same")),)) for name in ("sda", "sdb")
    )
    assert read_names(twins).lasting("/dev/sdb1") == "PARTUUID=sdb-01"


def test_whole_disk_file_system():
    names = read_names((Disk("sdb", 1 << 30, content=Content("xfs", "u-9")),))
    assert names.lasting("/dev/sdb") == "UUID=u-9"


@pytest.mark.parametrize(
    "path,before,after",
    [
        (
            "/boot/grub/grub.cfg",
            "menuentry x {\n linux /vmlinuz root=/dev/sda2 ro resume=/dev/sda3 # /dev/sda2\n}\n",
            f"menuentry x {{\n linux /vmlinuz root={ROOT} ro resume={SWAP} # /dev/sda2\n}}\n",
        ),
        (
            "/boot/loader/entries/a.conf",
            "title A\nlinux /vmlinuz\noptions root=/dev/sda2 ro\n",
            f"title A\nlinux /vmlinuz\noptions root={ROOT} ro\n",
        ),
        (
            "/boot/extlinux/extlinux.conf",
            "LABEL l\n  KERNEL /vmlinuz\n  APPEND root=/dev/sda2 ro\n",
            f"LABEL l\n  KERNEL /vmlinuz\n  APPEND root={ROOT} ro\n",
        ),
        (
            "/boot/grub/menu.lst",
            "title x\nroot (hd0,0)\nkernel /vmlinuz root=/dev/sda2 ro\n",
            f"title x\nroot (hd0,0)\nkernel /vmlinuz root={ROOT} ro\n",
        ),
        (
            "/etc/default/grub",
            "#GRUB_CMDLINE_LINUX='root=/dev/sda2'\nGRUB_CMDLINE_LINUX='resume=/dev/sda3 quiet'\n",
            f"#GRUB_CMDLINE_LINUX='root=/dev/sda2'\nGRUB_CMDLINE_LINUX='resume={SWAP} quiet'\n",
        ),
        ("/etc/kernel/cmdline", "root=/dev/sda2 quiet\n", f"root={ROOT} quiet\n"),
        ("/etc/cmdline.d/10.conf", "# root=/dev/sda2\nquiet\nroot=/dev/sda2\n", f"# root=/dev/sda2\nquiet\nroot={ROOT}\n"),
        (
            "/etc/dracut.conf.d/x.conf",
            "hostonly=yes\nkernel_cmdline+=\" root=/dev/sda2 resume=/dev/sda3 \"\n",
            f"hostonly=yes\nkernel_cmdline+=\" root={ROOT} resume={SWAP} \"\n",
        ),
        (
            "/etc/systemd/system/srv.mount",
            "[Mount]\nWhat=/dev/sda2\nWhere=/srv # /dev/sda2\n",
            f"[Mount]\nWhat={ROOT}\nWhere=/srv # /dev/sda2\n",
        ),
        ("/etc/default/extlinux", 'EXTLINUX_ROOT="root=/dev/sda2"\n', f'EXTLINUX_ROOT="root={ROOT}"\n'),
        ("/etc/default/u-boot", "U_BOOT_ROOT='root=/dev/sda2'\n", f"U_BOOT_ROOT='root={ROOT}'\n"),
        (
            "/boot/grub2/grub.cfg",
            'set default_kernelopts="root=/dev/sda2 ro "\n  set kernelopts="root=/dev/sda2 ro "\nset x="root=/dev/sda2"\n',
            f'set default_kernelopts="root={ROOT} ro "\n  set kernelopts="root={ROOT} ro "\nset x="root=/dev/sda2"\n',
        ),
        (
            "/boot/grub/menu.lst",
            "## kopt=root=/dev/hda1 ro\n# kopt=root=/dev/sda2 ro\n# groot=(hd0,1)\ntitle x\nkernel /vmlinuz root=/dev/sda2 ro\n",
            f"## kopt=root=/dev/hda1 ro\n# kopt=root={ROOT} ro\n# groot=(hd0,1)\ntitle x\nkernel /vmlinuz root={ROOT} ro\n",
        ),
        ("/etc/crypttab", "data /dev/mapper/mpatha-part2 none luks\n", f"data {ROOT} none luks\n"),
        ("/etc/crypttab", "# c\nswap /dev/sda3 /dev/urandom swap\n", f"# c\nswap {SWAP} /dev/urandom swap\n"),
        ("/etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda3\n", f"RESUME={SWAP}\n"),
        ("/etc/initramfs-tools/conf.d/resume", "RESUME=none\n", "RESUME=none\n"),
    ],
)
def test_only_the_name_changes(machine, path, before, after):
    machine.write(path, before)
    assert text_of(planned(machine), path) == after


def grubenv(text):
    return ("# GRUB Environment Block\n" + text).ljust(1024, "#")


def test_kernelopts_of_grubenv(machine, tmp_path):
    """grub-editenv reads what is written, and the block keeps its size."""
    machine.write("/boot/grub2/grubenv", grubenv("saved_entry=x\nkernelopts=root=/dev/sda2 ro quiet \n"))
    assert sum("/boot/grub2/grubenv still starts" in problem for problem in disk_names.verify(machine.inspect())) == 1
    after = text_of(planned(machine), "/boot/grub2/grubenv")
    assert after == grubenv(f"saved_entry=x\nkernelopts=root={ROOT} ro quiet \n") and len(after) == 1024
    if shutil.which("grub-editenv"):
        (tmp_path / "grubenv").write_text(after)
        listed = subprocess.run(["grub-editenv", str(tmp_path / "grubenv"), "list"], stdout=subprocess.PIPE, check=True).stdout.decode()
        assert listed == f"saved_entry=x\nkernelopts=root={ROOT} ro quiet \n"


def test_a_full_grubenv_is_an_error_and_stays(machine):
    before = grubenv("kernelopts=root=/dev/sda2 " + "x" * 960 + "\n")
    machine.write("/boot/grub2/grubenv", before)
    draft = planned(machine)
    assert text_of(draft, "/boot/grub2/grubenv") == before
    assert [finding.severity for finding in draft.findings] == ["error"]


def test_a_file_that_only_is_called_grubenv_stays(machine):
    machine.write("/boot/grub2/grubenv", "kernelopts=root=/dev/sda2\n")
    assert text_of(planned(machine), "/boot/grub2/grubenv") == "kernelopts=root=/dev/sda2\n"


def test_a_kernel_without_initramfs_gets_the_partition(machine):
    machine.add_kernel(
        "5.4.0", builtin=("virtio", "virtio_ring", "virtio_pci", "virtio_scsi", "virtio_blk", "sd_mod", "scsi_mod"), initramfs=b""
    )
    machine.write("/boot/grub/grub.cfg", "menuentry x {\n linux /boot/vmlinuz-5.4.0 root=/dev/sda2 ro\n}\n")
    assert "root=PARTUUID=aaaa-02 ro" in text_of(planned(machine), "/boot/grub/grub.cfg")


def test_without_disks_names_stay(machine):
    before = machine.read("/etc/fstab")
    draft = planned(machine, ())
    assert text_of(draft, "/etc/fstab") == before and not draft.changes


def test_verify_sees_what_is_left(machine):
    assert len(disk_names.verify(machine.inspect())) == 3
    engine.apply(machine.tree, engine.plan(machine.inspect()))
    assert disk_names.verify(machine.inspect()) == []
    machine.write("/boot/grub/grub.cfg", machine.read("/boot/grub/grub.cfg").replace(ROOT[5:], "33333333-aaaa-4aaa-8aaa-333333333333"))
    problem, = disk_names.verify(machine.inspect())
    assert "on none of the recovered disks" in problem
