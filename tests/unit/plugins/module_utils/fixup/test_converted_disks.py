# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines whose disks were converted for other firmware: names of an MBR that is a GPT now, and what is said of the added loader."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import disk_names, firmware, uefi_fallback
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.firmware import ADDED_LABEL, read_firmware
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partition_edit import EFI_SYSTEM, partuuid_after_conversion

OLD, NEW = "d1c2a3b4-01", partuuid_after_conversion("d1c2a3b4-01")
OLD_SWAP, NEW_SWAP = "d1c2a3b4-05", partuuid_after_conversion("d1c2a3b4-05")
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ROOT = Partition(1, 1 << 20, 1 << 30, LINUX, NEW, content=Content("ext4", "11111111-aaaa-4aaa-8aaa-111111111111"))
SWAP = Partition(5, 2 << 30, 1 << 30, LINUX, NEW_SWAP, content=Content("swap", "22222222-aaaa-4aaa-8aaa-222222222222"))
ADDED = Partition(6, 4 << 30, 64 << 20, EFI_SYSTEM, "e-01", "agnostic.recovery", content=Content("vfat", "AAAA-BBBB", ADDED_LABEL))
GPT = (Disk("sda", 8 << 30, table="gpt", partitions=(ROOT, SWAP, ADDED)),)
MBR = (Disk("sda", 8 << 30, table="mbr", boot_code=True, partitions=(
    ROOT._replace(type="0x83", uuid=OLD), SWAP._replace(type="0x82", uuid=OLD_SWAP),
    ADDED._replace(number=2, type="0xef", uuid="d1c2a3b4-02"),
)),)
FSTAB = f"""\
PARTUUID={OLD.upper()} / ext4 defaults 0 1
/dev/disk/by-partuuid/{OLD_SWAP} none swap sw 0 0
PARTUUID=d1c2a3b4-07 /gone ext4 nofail 0 0
"""
MENU = f"""menuentry 'x' {{
\tset root='hd0,msdos1'
\tsearch --fs-uuid --set=root --hint-bios=hd0,msdos1 --hint-baremetal=ahci0,msdos1 11111111-aaaa-4aaa-8aaa-111111111111
\tlinux /boot/vmlinuz-6.1.0-9-amd64 root=PARTUUID={OLD} ro resume=PARTUUID={OLD_SWAP}
\tinitrd /boot/initrd.img-6.1.0-9-amd64
}}
"""


@pytest.fixture
def converted(machine):
    machine.write("/etc/fstab", FSTAB)
    machine.write("/boot/grub/grub.cfg", MENU)
    machine.write("/etc/default/grub", f'GRUB_CMDLINE_LINUX="root=PARTUUID={OLD}"\n')
    machine.write("/etc/initramfs-tools/conf.d/resume", f"RESUME=PARTUUID={OLD_SWAP}\n")
    machine.write("/etc/crypttab", f"safe PARTUUID={OLD_SWAP} none luks\n")
    return machine


def test_names_of_the_old_table_are_replaced(converted):
    planned = engine.fix_up(converted.tree, GPT, converted.inspect().profile, converted.inspect(firmware="uefi").options)
    assert planned.problems == ()
    first, second, third = converted.read("/etc/fstab").splitlines()
    assert (first, second) == (f"PARTUUID={NEW} / ext4 defaults 0 1", f"PARTUUID={NEW_SWAP} none swap sw 0 0")
    assert third.startswith("PARTUUID=d1c2a3b4-07 /gone")
    menu = converted.read("/boot/grub/grub.cfg")
    assert f" root=PARTUUID={NEW} ro resume=PARTUUID={NEW_SWAP}" in menu and "msdos" not in menu
    assert "set root='hd0,gpt1'" in menu and "--hint-bios=hd0,gpt1 --hint-baremetal=ahci0,gpt1" in menu
    assert f"root=PARTUUID={NEW}" in converted.read("/etc/default/grub")
    assert converted.read("/etc/initramfs-tools/conf.d/resume") == f"RESUME=PARTUUID={NEW_SWAP}\n"
    assert converted.read("/etc/crypttab") == f"safe PARTUUID={NEW_SWAP} none luks\n"
    assert not engine.plan(converted.inspect(disks=GPT, firmware="uefi")).changes
    engine.undo(converted.tree)
    assert converted.read("/etc/fstab") == FSTAB and converted.read("/boot/grub/grub.cfg") == MENU


def test_what_an_initramfs_holds_is_renamed_too(converted):
    situation = converted.inspect(disks=GPT)
    text = disk_names.renamed_in_initramfs(situation, "conf/conf.d/resume", f"RESUME=PARTUUID={OLD_SWAP}\n")
    assert text == f"RESUME=PARTUUID={NEW_SWAP}\n"
    text = disk_names.renamed_in_initramfs(situation, "etc/cmdline.d/95root.conf", f"root=PARTUUID={OLD} rw\n")
    assert text == f"root=PARTUUID={NEW} rw\n"


def test_nothing_is_renamed_where_the_table_is_still_an_mbr(converted):
    draft = Draft(converted.tree)
    situation = converted.inspect(disks=MBR)
    disk_names.plan(situation, draft)
    firmware.plan(situation, draft)
    assert not draft.changes


def test_a_verify_that_finds_an_old_name(converted):
    problems = disk_names.verify(converted.inspect(disks=GPT))
    assert any(f"/etc/fstab still names PARTUUID={OLD.upper()}" in problem for problem in problems)
    assert any(f"root=PARTUUID={OLD}" in problem for problem in problems)


@pytest.mark.parametrize("disks", [GPT, MBR])
@pytest.mark.parametrize("target,wanted,said", [("kvm", "uefi", True), ("hyperv-gen2", "", True), ("aws-xen", "", False)])
def test_the_added_loader_is_not_signed(machine, disks, target, wanted, said):
    draft = Draft(machine.tree)
    firmware.plan(machine.inspect(target, disks, firmware=wanted), draft)
    assert any(finding.severity == "warning" and "Secure Boot" in finding.text for finding in draft.findings) == said
    assert not any(finding.severity == "error" for finding in draft.findings) or target == "aws-xen" and disks is GPT


def test_an_added_loader_for_bios_counts_without_files_of_it(machine):
    os.unlink(machine.path + "/boot/grub/i386-pc/serial.mod")
    machine.write("/boot/efi/EFI/debian/grubx64.efi", b"MZ")
    disks = (GPT[0]._replace(boot_code=True, added_loader=True),)
    assert read_firmware(machine.tree, disks) == "both" and read_firmware(machine.tree, (disks[0]._replace(added_loader=False),)) == "uefi"
    draft = Draft(machine.tree)
    firmware.plan(machine.inspect("aws-xen", disks), draft)
    finding, = draft.findings
    assert finding.severity == "info" and "worker's GRUB" in finding.text


def test_the_added_system_partition_is_not_missed(machine):
    draft = Draft(machine.tree)
    uefi_fallback.plan(machine.inspect("kvm", GPT, firmware="uefi"), draft)
    assert not draft.findings and not draft.changes
