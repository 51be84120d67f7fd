# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine of Red Hat's kind with everything that names its disks at once: all fix-ups together, and back."""

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition

ROOT = "11111111-aaaa-4aaa-8aaa-111111111111"
VERSION = "4.18.0-513.el8.x86_64"
DISKS = (
    Disk("sda", 8 << 30, table="gpt", partitions=(
        Partition(1, 1 << 20, 1 << 29, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "aaaa-01", content=Content("vfat", "AAAA-BBBB")),
        Partition(2, 1 << 30, 4 << 30, "", "aaaa-02", content=Content("ext4", ROOT)),
        Partition(3, 5 << 30, 1 << 30, "", "aaaa-03", content=Content("swap", "22222222-aaaa-4aaa-8aaa-222222222222", note="hibernated")),
        Partition(4, 6 << 30, 1 << 30, "", "aaaa-04", content=Content("lvm2", "PV")),
    )),
)


def build(machine, grub, shim):
    machine.add_kernel(VERSION, initramfs=machine.initramfs(VERSION, more={
        "etc": None, "etc/lvm": None, "etc/lvm/devices": None, "etc/mdadm.conf": b"DEVICE /dev/sda4\n",
        "etc/lvm/lvm.conf": b'devices {\n\tfilter = [ "a|/dev/sda4|", "r|.*|" ]\n}\n',
        "etc/lvm/devices/system.devices": b"VERSION=1.1.1\nIDTYPE=sys_wwid IDNAME=naa.5 DEVNAME=/dev/sda4 PVID=PV\n",
    }))
    machine.write("/boot/grub/grub.cfg", "menuentry none {\n}\n")
    machine.write("/boot/grub2/grub.cfg", 'set kernelopts="root=/dev/sda2 ro "\nblscfg\n')
    machine.write("/boot/loader/entries/a.conf",
                  f"title A\nversion {VERSION}\nlinux /vmlinuz-{VERSION}\ninitrd /initrd.img-{VERSION}\noptions $kernelopts quiet\n")
    machine.write("/boot/grub2/grubenv", "# GRUB Environment Block\nkernelopts=root=/dev/sda2 ro \n".ljust(1024, "#"))
    machine.write("/etc/fstab", "/dev/sda2 / ext4 defaults 0 1\n/dev/sda1 /boot/efi vfat umask=0077 0 2\n/dev/sda3 none swap sw 0 0\n"
                  "/dev/sdb1 /srv xfs defaults 0 0\n/dev/far/away /far xfs defaults 0 0\n")
    machine.write("/etc/lvm/backup/far", 'far {\n\tphysical_volumes {\n\t\tpv0 {\n\t\t\tid = "OTHER"\n\t\t}\n\t}\n}\n')
    machine.write("/etc/lvm/lvm.conf", 'devices {\n\tfilter = [ "a|/dev/sda4|", "r|.*|" ]\n}\n')
    machine.write("/etc/lvm/devices/system.devices", "IDTYPE=sys_wwid IDNAME=naa.5 DEVNAME=/dev/sda4 PVID=PV\n")
    machine.write("/etc/mdadm.conf", "DEVICE /dev/sda4\n")
    machine.write("/etc/smartd.conf", "/dev/sda -a\n")
    machine.write("/boot/efi/EFI/redhat/shimx64.efi", shim())
    machine.write("/boot/efi/EFI/redhat/grubx64.efi", grub("/EFI/redhat"))
    machine.write("/boot/efi/EFI/redhat/grub.cfg", "configfile /grub2/grub.cfg\n")


def test_everything_at_once_and_back(machine, grub, shim):
    build(machine, grub, shim)
    before = machine.snapshot()
    situation = machine.inspect(disks=DISKS, firmware="uefi")
    planned = engine.plan(situation)
    assert machine.snapshot() == before
    engine.apply(machine.tree, planned)
    assert engine.verify(situation) == ()
    assert not engine.plan(machine.inspect(disks=DISKS, firmware="uefi")).changes

    assert {finding.severity for finding in planned.findings} == {"info", "warning"}
    options = machine.read("/boot/loader/entries/a.conf").splitlines()[-1]
    assert options == "options $kernelopts quiet noresume console=tty0 console=ttyS0,115200"
    assert f"kernelopts=root=UUID={ROOT} ro \n" in machine.read("/boot/grub2/grubenv") and len(machine.read("/boot/grub2/grubenv")) == 1024
    assert f'set kernelopts="root=UUID={ROOT} ro "' in machine.read("/boot/grub2/grub.cfg")
    assert machine.read("/etc/fstab").splitlines()[3:] == [
        "/dev/sdb1 /srv xfs defaults,nofail,x-systemd.device-timeout=10s 0 0",
        "/dev/far/away /far xfs defaults,nofail,x-systemd.device-timeout=10s 0 0",
    ]
    assert not machine.exists("/etc/lvm/devices/system.devices") and machine.read("/etc/mdadm.conf") == "DEVICE partitions\n"
    assert machine.exists("/boot/efi/EFI/BOOT/BOOTX64.EFI") and machine.exists("/boot/efi/EFI/BOOT/grubx64.efi")

    engine.undo(machine.tree)
    assert machine.snapshot() == before
