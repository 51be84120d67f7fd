# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of the machine's own initramfs tools."""

import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import kernel_packages, rebuild
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import OsRelease

DRIVERS = ("virtio_pci", "virtio_blk", "nvme")


def planned(machine):
    draft = Draft(machine.tree)
    rebuild.plan(draft, DRIVERS)
    return {change.path: change.after.decode() for change in draft.changes}, [finding.text for finding in draft.findings]


def test_a_machine_without_such_tools_gets_nothing(machine):
    shutil.rmtree(machine.path + "/usr/share/initramfs-tools")
    assert planned(machine) == ({}, [])


def test_dracut_and_what_it_is_told_to_leave_out(machine):
    machine.write("/usr/lib/dracut/dracut.conf.d/50-lean.conf", 'omit_drivers+=" floppy nvme "\n# omit_drivers+=" virtio_blk "\n')
    changes, findings = planned(machine)
    assert 'add_drivers+=" virtio_pci virtio_blk nvme "' in changes["/etc/dracut.conf.d/90-agnostic-recovery.conf"]
    text, = findings
    assert "leave out nvme." in text and "/usr/lib/dracut/dracut.conf.d/50-lean.conf" in text


def sourced(text, expression):
    """What bash makes of it."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    return subprocess.run(["bash", "-c", text + "\n" + expression], stdout=subprocess.PIPE, check=True).stdout.decode().split()


def test_mkinitcpio_with_a_folder_for_additions(machine):
    main = "MODULES=(btrfs)\nHOOKS=(base udev)\n"
    machine.write("/usr/bin/mkinitcpio", '#!/bin/bash\n_d_config="${_f_config}.d"\n')
    machine.write("/etc/mkinitcpio.conf", main)
    changes, _findings = planned(machine)
    dropin = changes["/etc/mkinitcpio.conf.d/agnostic-recovery.conf"]
    assert sourced(main + dropin, 'echo "${MODULES[@]}"') == ["btrfs"] + [name + "?" for name in DRIVERS]


@pytest.mark.parametrize("before,after", [
    ("MODULES=()\n", "MODULES=(virtio_pci virtio_blk nvme)\n"),
    ("# MODULES=(x)\nMODULES=(btrfs virtio-blk?)\n", "# MODULES=(x)\nMODULES=(btrfs virtio-blk? virtio_pci nvme)\n"),
    ('MODULES="btrfs"\n', 'MODULES="btrfs virtio_pci virtio_blk nvme"\n'),
    ("MODULES=(\n  btrfs\n)\n", "MODULES=(btrfs virtio_pci virtio_blk nvme)\n"),
])
def test_mkinitcpio_before_that(machine, before, after):
    machine.write("/usr/bin/mkinitcpio", "#!/bin/bash\n")
    machine.write("/etc/mkinitcpio.conf", before)
    assert planned(machine)[0]["/etc/mkinitcpio.conf"] == after
    machine.write("/etc/mkinitcpio.conf", after)
    assert "/etc/mkinitcpio.conf" not in planned(machine)[0]


def test_mkinitcpio_with_a_list_that_is_text(machine):
    """MODULES+=() on a text would make the text one name."""
    machine.write("/usr/bin/mkinitcpio", '_d_config="x"\n')
    machine.write("/etc/mkinitcpio.conf", 'MODULES="btrfs"\n')
    assert set(planned(machine)[0]) >= {"/etc/mkinitcpio.conf"}


def test_suse_mkinitrd(machine):
    machine.write("/lib/mkinitrd/scripts/setup-storage.sh", "")
    machine.write("/etc/sysconfig/kernel", '## Type: string\nINITRD_MODULES="ata_piix virtio_pci"\nDOMU_INITRD_MODULES="xennet"\n')
    assert planned(machine)[0]["/etc/sysconfig/kernel"] == (
        '## Type: string\nINITRD_MODULES="ata_piix virtio_pci virtio_blk nvme"\nDOMU_INITRD_MODULES="xennet"\n')


def test_rhel_5_mkinitrd(machine):
    machine.write("/sbin/nash", b"elf")
    machine.write("/etc/modprobe.conf", "alias eth0 e1000\nalias scsi_hostadapter ata_piix\nalias scsi_hostadapter1 virtio_pci")
    lines = planned(machine)[0]["/etc/modprobe.conf"].splitlines()
    assert lines[3:] == ["alias scsi_hostadapter2 virtio_blk", "alias scsi_hostadapter3 nvme"]


@pytest.mark.parametrize("system,version,package", [
    (OsRelease("debian"), "6.1.0-9-cloud-amd64", "linux-image-amd64"),
    (OsRelease("ubuntu", like=("debian",)), "5.15.0-1-kvm", "linux-image-generic"),
    (OsRelease("ubuntu", like=("debian",)), "5.15.0-91-generic", "linux-modules-extra-5.15.0-91-generic"),
    (OsRelease("rocky", like=("rhel", "centos", "fedora")), "5.14.0-1.el9.x86_64", "kernel-modules-5.14.0-1.el9.x86_64"),
    (OsRelease("ol", like=("fedora",)), "5.15.0-3.el9uek.x86_64", "kernel-uek-modules-extra-5.15.0-3.el9uek.x86_64"),
    (OsRelease("amzn", like=("fedora",)), "6.1.2-1.amzn2023.x86_64", "kernel-modules-extra-6.1.2"),
    (OsRelease("opensuse-leap", like=("suse", "opensuse")), "5.14.21-1-default", "kernel-default in the place of kernel-default-base"),
    (OsRelease("sles", like=("suse",)), "5.14.21-1-azure", "Install kernel-default on"),
    (OsRelease("alpine"), "6.6.1-0-virt", "linux-lts"),
    (OsRelease(), "4.4", "a kernel package with that driver"),
], ids=["debian", "kvm", "generic", "rocky", "uek", "amazon", "base", "azure", "alpine", "unknown"])
def test_the_package_to_install(system, version, package):
    assert package in kernel_packages.advice(system, version)
