# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Firmware that cannot start the machine, and names that stay: both are said, nothing is changed."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import firmware, left_names
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Disk, Partition

ESP = Partition(1, 1 << 20, 1 << 29, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "e-01")
DEBCONF = "/var/cache/debconf/config.dat"
BIOS = (Disk("sda", 8 << 30, table="gpt", boot_code=True),)
UEFI = (Disk("sda", 8 << 30, table="gpt", partitions=(ESP,)),)
BOTH = (Disk("sda", 8 << 30, table="gpt", partitions=(ESP,), boot_code=True),)


@pytest.mark.parametrize("disks,target,wanted,severity", [
    (UEFI, "aws-xen", "", "error"),
    (UEFI, "kvm", "", "info"),
    (UEFI, "kvm", "uefi", ""),
    (UEFI, "kvm", "bios", "error"),
    (BIOS, "kvm", "", ""),
    (BIOS, "kvm", "uefi", "error"),
    (BIOS, "ncloud-xen", "", ""),
    (BOTH, "kvm", "uefi", ""),
    (BOTH, "aws-xen", "", ""),
    ((Disk("sda", 8 << 30),), "kvm", "uefi", ""),
])
def test_firmware(machine, disks, target, wanted, severity):
    draft = Draft(machine.tree)
    firmware.plan(machine.inspect(target, disks, firmware=wanted), draft)
    assert [finding.severity for finding in draft.findings] == ([severity] if severity else []) and not draft.changes


@pytest.mark.parametrize("machine_number,severities", [(62, ["warning"]), (22, [])])
def test_nothing_that_boots(machine, machine_number, severities):
    """62 is x86-64, 22 is s390, which boots by other means (elf.h)."""
    machine.write("/usr/bin/sh", b"\x7fELF\x02\x01".ljust(18, b"\0") + bytes([machine_number, 0]))
    draft = Draft(machine.tree)
    firmware.plan(machine.inspect(disks=(Disk("xvda", 8 << 30),)), draft)
    assert [finding.severity for finding in draft.findings] == severities


def test_aliases_of_multipath_devices_in_fstab(machine):
    machine.write("/etc/multipath.conf", "multipaths {\n multipath {\n  alias da.ta\n }\n}\n")
    machine.write("/etc/fstab", "/dev/mapper/da.ta-part1 /srv xfs defaults 0 0\n/dev/mapper/dadta1 /x xfs defaults 0 0\n")
    draft = Draft(machine.tree)
    left_names.plan(machine.inspect(), draft)
    finding, = draft.findings
    assert finding.severity == "error" and "/dev/mapper/da.ta-part1" in finding.text


@pytest.mark.parametrize("path,text,said", [
    ("/etc/smartd.conf", "# /dev/sdb\n/dev/sda -a -m root\n", "/dev/sda"),
    ("/etc/smartd.conf", "DEVICESCAN\n", ""),
    ("/etc/multipath.conf", "multipaths {\n multipath {\n  wwid 3600508b4\n  alias data\n }\n}\n", "3600508b4"),
    ("/etc/multipath/wwids", "# Valid WWIDs:\n/3600508b4/\n", "3600508b4"),
    ("/boot/grub/device.map", "(hd0)\t/dev/disk/by-id/ata-x\n", "/dev/disk/by-id/ata-x"),
    ("/etc/hdparm.conf", "quiet\n", ""),
    ("/etc/default/grub_installdevice", "/dev/disk/by-id/scsi-x\nactivate\n", "scsi-x"),
    (DEBCONF, "Name: a/b\nValue: /dev/sda\n\nName: grub-pc/install_devices\nTemplate: t\nValue: /dev/sdb, x\n", "/dev/sdb"),
    (DEBCONF, "Name: grub-pc/install_devices\nTemplate: t\n\nName: x\nValue: /dev/sdb\n", ""),
])
def test_names_that_stay(machine, path, text, said):
    machine.write(path, text)
    draft = Draft(machine.tree)
    left_names.plan(machine.inspect(), draft)
    assert [finding.severity for finding in draft.findings] == ["info"] * bool(said) and not draft.changes
    assert all(path in finding.text and said in finding.text for finding in draft.findings)
