# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A loader where firmware without boot entries looks for it."""

import os
import shutil

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import uefi_fallback
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition

SYSTEMD_BOOT = b"MZ\0#### LoaderInfo: systemd-boot 252 ####"
FSTAB = "/dev/sda2 / ext4 defaults 0 1\n{} {} vfat umask=0077 0 1\n"
ELF = {"x86_64": 62, "aarch64": 183, "i686": 3}


def prepare(machine, files, point="/boot/efi", system="debian", like="", architecture="x86_64"):
    machine.write("/etc/fstab", FSTAB.format("UUID=AAAA-BBBB", point))
    machine.write("/etc/os-release", f'ID={system}\nID_LIKE="{like}"\n')
    machine.write("/usr/bin/sh", b"\x7fELF\x02\x01".ljust(18, b"\0") + bytes([ELF[architecture], 0]))
    for path, content in files.items():
        machine.write(f"{point}/{path}", content)


def planned(machine, **options):
    draft = Draft(machine.tree)
    uefi_fallback.plan(machine.inspect(**options), draft)
    return draft


def written(draft):
    return {change.path: change.after for change in draft.changes}


@pytest.mark.parametrize("point", ["/boot/efi", "/efi", "/boot"])
def test_shim_comes_with_its_grub(machine, grub, shim, point):
    machine.write("/boot/efi/.keep" if point == "/boot/efi" else "/efi/.keep", "")
    own = grub("/EFI/debian", "normal (memdisk)/grub.cfg")
    prepare(machine, {"EFI/debian/shimx64.efi": shim(), "EFI/debian/grubx64.efi": own, "EFI/debian/mmx64.efi": b"MZ mok",
                      "EFI/debian/fbx64.efi": b"MZ fb", "EFI/debian/BOOTX64.CSV": b"csv", "EFI/debian/grub.cfg": "configfile x\n"}, point)
    draft = planned(machine)
    boot = f"{point}/EFI/BOOT"
    assert written(draft) == {f"{boot}/BOOTX64.EFI": shim(), f"{boot}/grubx64.efi": own, f"{boot}/mmx64.efi": b"MZ mok"}
    assert not draft.findings


def test_names_are_taken_as_fat_takes_them(machine, grub, shim):
    prepare(machine, {"efi/Debian/SHIMX64.EFI": shim(), "efi/Debian/GRUBX64.EFI": grub("/EFI/debian"), "efi/Debian/GRUB.CFG": "x",
                      "efi/Boot/readme": ""})
    assert sorted(written(planned(machine))) == ["/boot/efi/efi/Boot/BOOTX64.EFI", "/boot/efi/efi/Boot/GRUBX64.EFI"]
    machine.write("/boot/efi/efi/Boot/bootx64.efi", shim())
    machine.write("/boot/efi/efi/Boot/grubX64.efi", grub("/EFI/debian"))
    assert not planned(machine).changes


@pytest.mark.parametrize("prefix,copied", [("", True), ("(,gpt2)/boot/grub", False), ("/EFI/debian", False)])
def test_a_copied_grub_finds_its_menu(machine, grub, prefix, copied):
    prepare(machine, {"EFI/debian/grubx64.efi": grub(prefix), "EFI/debian/grub.cfg": "configfile x\n"})
    expected = {"/boot/efi/EFI/BOOT/BOOTX64.EFI": grub(prefix)}
    if copied:
        expected["/boot/efi/EFI/BOOT/grub.cfg"] = b"configfile x\n"
    assert written(planned(machine)) == expected


def test_a_grub_without_its_menu_is_told(machine, grub):
    prepare(machine, {"EFI/debian/grubx64.efi": grub("/EFI/ubuntu")})
    finding, = planned(machine).findings
    assert finding.severity == "warning" and "/boot/efi/EFI/ubuntu/grub.cfg" in finding.text


def test_names_of_suse(machine, grub, shim):
    files = {"EFI/opensuse/shim.efi": shim("grub.efi"), "EFI/opensuse/grub.efi": grub(""), "EFI/opensuse/MokManager.efi": b"MZ",
             "EFI/opensuse/grub.cfg": "x", "EFI/opensuse/grubx64.efi": grub("(hd0)/other")}
    prepare(machine, files, system="opensuse-leap", like="suse opensuse")
    assert written(planned(machine)) == {
        "/boot/efi/EFI/BOOT/BOOTX64.EFI": shim("grub.efi"), "/boot/efi/EFI/BOOT/grub.efi": grub(""),
        "/boot/efi/EFI/BOOT/MokManager.efi": b"MZ", "/boot/efi/EFI/BOOT/grub.cfg": b"x"}


def test_red_hats_fallback_program_is_enough(machine, grub, shim):
    files = {"EFI/redhat/shimx64.efi": shim(), "EFI/redhat/grubx64.efi": grub("/EFI/redhat"), "EFI/redhat/grub.cfg": "x",
             "EFI/redhat/BOOTX64.CSV": b"", "EFI/BOOT/BOOTX64.EFI": shim(), "EFI/BOOT/fbx64.efi": b"MZ"}
    prepare(machine, files, system="rhel", like="fedora")
    assert not planned(machine).changes
    os.unlink(machine.path + "/boot/efi/EFI/redhat/BOOTX64.CSV")
    assert list(written(planned(machine))) == ["/boot/efi/EFI/BOOT/grubx64.efi"]


def test_a_shim_whose_grub_is_nowhere_is_an_error(machine, shim):
    prepare(machine, {"EFI/BOOT/BOOTX64.EFI": shim()})
    finding, = planned(machine).findings
    assert finding.severity == "error"


def test_systemd_boot(machine):
    os.unlink(machine.path + "/boot/grub/grub.cfg")
    prepare(machine, {"EFI/systemd/systemd-bootx64.efi": SYSTEMD_BOOT, "loader/loader.conf": "", "EFI/Linux/x.efi": b"MZ"}, "/boot")
    assert written(planned(machine)) == {"/boot/EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT}


@pytest.mark.parametrize("system,like,expected", [
    ("rocky", "rhel centos fedora", "rocky"), ("ol", "fedora", "redhat"), ("x", "", "redhat"),
])
def test_the_systems_own_loader_among_several(machine, grub, system, like, expected):
    prepare(machine, {f"EFI/{name}/grubx64.efi": grub(f"({name})/") for name in ("rocky", "redhat", "Microsoft", "systemd")},
            system=system, like=like)
    draft = planned(machine)
    assert written(draft) == {"/boot/efi/EFI/BOOT/BOOTX64.EFI": grub(f"({expected})/")}
    assert bool(draft.findings) is (system == "x")


@pytest.mark.parametrize("architecture,vendor,fallback", [
    ("x86_64", "grubia32.efi", "BOOTIA32.EFI"),
    ("aarch64", "grubaa64.efi", "BOOTAA64.EFI"),
    ("i686", "grubia32.efi", "BOOTIA32.EFI"),
])
def test_other_architectures(machine, grub, architecture, vendor, fallback):
    prepare(machine, {f"EFI/debian/{vendor}": grub("(,gpt2)/"), "EFI/debian/grubriscv64.efi": grub("(x)/")}, architecture=architecture)
    assert list(written(planned(machine))) == [f"/boot/efi/EFI/BOOT/{fallback}"]


def test_windows_in_the_fallback_place_is_told_and_stays(machine, grub):
    prepare(machine, {"EFI/Microsoft/Boot/bootmgfw.efi": b"MZ windows", "EFI/BOOT/BOOTX64.EFI": b"MZ windows",
                      "EFI/debian/grubx64.efi": grub("(x)/")})
    draft = planned(machine)
    finding, = draft.findings
    assert not draft.changes and "Windows" in finding.text


def test_a_target_without_uefi_and_a_machine_without_it(machine, grub):
    assert not planned(machine).changes
    prepare(machine, {"EFI/debian/grubx64.efi": grub("(x)/")})
    assert not planned(machine, target="aws-xen").changes and not planned(machine, firmware="bios").changes
    assert planned(machine, firmware="uefi").changes


def test_without_an_entry_in_fstab(machine, grub):
    """systemd mounts it by the partition's type."""
    prepare(machine, {"EFI/debian/grubx64.efi": grub("(x)/")})
    machine.write("/etc/fstab", "/dev/sda2 / auto defaults 0 1\n")
    assert list(written(planned(machine))) == ["/boot/efi/EFI/BOOT/BOOTX64.EFI"]


def test_a_system_partition_that_is_not_mounted(machine):
    partition = Partition(1, 1 << 20, 1 << 29, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "e-01")
    draft = planned(machine, disks=(Disk("sda", 8 << 30, table="gpt", partitions=(partition,)),))
    finding, = draft.findings
    assert finding.severity == "warning" and not draft.changes


@pytest.mark.parametrize("name", ["EFI", "EFI/debian", "EFI/BOOT", "EFI/debian/grubx64.efi", "EFI/BOOT/BOOTX64.EFI"])
def test_a_system_partition_with_odd_things_in_it(machine, grub, name):
    """Pipes, links in a ring, files where folders should be: what cannot be read is left, and nothing waits for ever."""
    for odd in (os.mkfifo, lambda path: os.symlink(os.path.basename(path), path), lambda path: open(path, "wb").close()):
        prepare(machine, {"EFI/debian/grubx64.efi": grub("(x)/"), "EFI/BOOT/BOOTX64.EFI": grub("(x)/")})
        place = f"{machine.path}/boot/efi/{name}"
        if os.path.isdir(place):
            shutil.rmtree(place)
        else:
            os.unlink(place)
        odd(place)
        draft = planned(machine)
        uefi_fallback.verify(machine.inspect())
        assert all(change.path.startswith("/boot/efi/EFI/") for change in draft.changes)
        os.unlink(place)


def test_grub_legacy_for_uefi(machine):
    menu = "title x\n kernel /vmlinuz root=/dev/sda2\n"
    prepare(machine, {"EFI/redhat/grub.efi": b"MZ legacy", "EFI/redhat/grub.conf": menu}, system="rhel")
    situation = machine.inspect()
    engine.apply(machine.tree, engine.plan(situation))
    assert machine.read("/boot/efi/EFI/BOOT/BOOTX64.EFI") == "MZ legacy"
    assert machine.read("/boot/efi/EFI/BOOT/BOOTX64.conf") == machine.read("/boot/efi/EFI/redhat/grub.conf")
    assert "root=UUID=" in machine.read("/boot/efi/EFI/BOOT/BOOTX64.conf") and engine.verify(situation) == ()


@pytest.mark.parametrize("size,fits", [(1 << 20, True), (200 * 1024, False)])
def test_a_full_system_partition_is_an_error(machine, grub, shim, size, fits):
    """What is mounted may be a copy in a larger file system: its free room says nothing."""
    prepare(machine, {"EFI/debian/shimx64.efi": shim(), "EFI/debian/grubx64.efi": grub("/EFI/debian"), "EFI/debian/grub.cfg": "x",
                      "EFI/debian/fw/fwupdx64.efi": b"x" * 40000})
    partition = Partition(1, 1 << 20, size, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "e-01", content=Content("vfat", "AAAA-BBBB", size=size))
    draft = planned(machine, disks=(Disk("sda", 8 << 30, table="gpt", partitions=(partition,)),))
    assert [finding.severity for finding in draft.findings] == ([] if fits else ["error"]) and len(draft.changes) == (2 if fits else 0)


def test_links_do_not_lead_out(machine, grub, tmp_path):
    (tmp_path / "outside").mkdir()
    prepare(machine, {"EFI/debian/grubx64.efi": grub("(x)/")})
    os.symlink(str(tmp_path / "outside"), machine.path + "/boot/efi/EFI/BOOT")
    situation = machine.inspect()
    engine.apply(machine.tree, engine.plan(situation))
    assert not os.listdir(str(tmp_path / "outside"))


def test_as_part_of_the_whole(machine, grub, shim):
    prepare(machine, {"EFI/debian/shimx64.efi": shim(), "EFI/debian/grubx64.efi": grub(""), "EFI/debian/grub.cfg":
                      "menuentry x {\n linux /boot/vmlinuz root=/dev/sda2 ro\n}\n"})
    situation = machine.inspect()
    assert len(uefi_fallback.verify(situation)) == 3
    before = machine.snapshot()
    engine.apply(machine.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    text = machine.read("/boot/efi/EFI/BOOT/grub.cfg")
    assert "root=UUID=" in text and "console=ttyS0" in text
    engine.undo(machine.tree)
    assert machine.snapshot() == before
