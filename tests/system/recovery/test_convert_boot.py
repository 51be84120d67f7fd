# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo machine, a Debian, converted, fitted to its target and booted by the other firmware to its login.

AGNOSTIC_RECOVERY_SLOW=1 runs it: some two minutes a boot without KVM.
"""

import os
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import Options
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partition_edit import partuuid_after_conversion
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion.convert import convert
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.mount import mounted_machine
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Guest, GuestDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_console import wait_for_text
from convert_disks import request, require_grub
from recovery_disks import Part, mounted, run

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "..", "..", "demo", "build")
PATIENCE = 900                # seconds; other work may slow an emulated guest
# The demo's partitions in sectors, as an MBR that does not begin with the same number.
MBR = """\
label: dos
label-id: 0xd1c2a3b4
start=4096,size=8384512,type=83,bootable
start=8388608,size=3143680,type=83
start=11532288,size=1048576,type=82
"""

pytestmark = pytest.mark.skipif(not os.environ.get("AGNOSTIC_RECOVERY_SLOW"), reason="slow: set AGNOSTIC_RECOVERY_SLOW=1 to run it")


@pytest.fixture
def demo(tmp_path):
    require_grub()
    done = subprocess.run([BUILD, "--output", str(tmp_path)], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def boots(tmp_path):
    """A function that boots a disk and gives what the console says once there is a login."""
    folders = []

    def boot(path, firmware):
        folders.append(str(tmp_path / f"guest-{firmware}"))
        guest = Guest("shop", folders[-1], (GuestDisk(path, snapshot=True),), firmware=firmware, lifetime=PATIENCE)
        running, _changed = qemu.start(guest)
        return wait_for_text(running.console_log, r"shop login:", PATIENCE, lambda: qemu.find(folders[-1]) is not None).text
    yield boot
    for folder in folders:
        qemu.remove(folder)


def fit(path, place, target, firmware):
    with mounted_machine(request(path, place).disks, place[0], "kernel", state_folder=place[1]) as machine:
        result = engine.fix_up(Tree(machine.root), machine.disks, get_profile(target), Options(firmware=firmware))
        assert result.problems == () and not [finding for finding in result.plan.findings if finding.severity == "error"]
        with open(machine.root + "/etc/fstab", encoding="utf-8") as stream:
            return stream.read()


def test_bios_with_a_gpt_to_uefi(demo, tmp_path, place, boots):
    assert convert(request(demo, place), str(tmp_path / "journal")).firmware == "uefi"
    fit(demo, place, "kvm", "uefi")
    assert boots(demo, "uefi")


@pytest.mark.parametrize("target", ["hyperv-gen2", "kvm"])
def test_bios_with_an_mbr_to_uefi(demo, tmp_path, place, boots, target):
    """It becomes a GPT for Hyper-V, and stays one for KVM.

    Names of partitions are PARTUUIDs of the MBR everywhere, and GRUB's menu finds its root by number only.
    """
    with open(demo, "r+b") as disk:
        disk.write(bytes(34 * 512))
        disk.seek(-33 * 512, os.SEEK_END)
        disk.write(bytes(33 * 512))
    run("sfdisk", "-q", "--wipe", "never", demo, input=MBR.encode())
    with open(demo, "r+b") as disk:
        disk.write(b"\xeb\x63\x90")
    with mounted(demo, Part(1, 4096 * 512, 8384512 * 512), "ext4", tmp_path / "editing") as root:
        for name in ("etc/fstab", "boot/grub/grub.cfg", "etc/default/grub", "etc/initramfs-tools/conf.d/resume"):
            with open(root / name, "r+", encoding="utf-8") as stream:
                text = stream.read().replace("hd0,gpt2", "hd0,msdos1")
                for old, new in (("/dev/sda2", 1), ("/dev/sda3", 2), ("/dev/sda4", 3)):
                    text = text.replace(old, f"PARTUUID=d1c2a3b4-{new:02}")
                stream.seek(0)
                stream.truncate()
                stream.write(text)
    assert convert(request(demo, place, target, "uefi"), str(tmp_path / "journal")).firmware == "uefi"
    fstab = fit(demo, place, "kvm", "uefi")
    root = "d1c2a3b4-01" if target == "kvm" else partuuid_after_conversion("d1c2a3b4-01")
    assert f"PARTUUID={root}" in fstab and ("d1c2a3b4" in fstab) == (target == "kvm")
    assert boots(demo, "uefi")


def test_uefi_to_bios(demo, tmp_path, place, boots):
    """Once converted to UEFI the machine loses what BIOS started."""
    convert(request(demo, place), str(tmp_path / "first"))
    run("sfdisk", "-q", "--delete", demo, "1")
    with open(demo, "r+b") as disk:
        disk.write(bytes(440))
    assert convert(request(demo, place, "aws-xen", ""), str(tmp_path / "second")).firmware == "bios"
    fit(demo, place, "kvm", "bios")
    assert boots(demo, "bios")
