# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks converted to other firmware, judged by sfdisk, fsck.vfat, mtools and GRUB's own code, and undone bit for bit."""

import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.efi_loader import read_efi_loader
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.firmware import ADDED_LABEL, read_firmware
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partition_edit import partuuid_after_conversion
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion.convert import convert
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion.journal import undo
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.mount import mounted_machine
from convert_disks import BIOS_BOOT, GPT_BIOS, MBR, MENU, ROOT_UUID, everything, make_machine, request, require_grub
from recovery_disks import ESP, MIB, device, run

LOGICAL = MBR.replace("start=2048,size=80M", "1 : start=2048,size=60M") + "2 : size=30M,type=5\n5 : size=8M,type=82\n6 : size=8M,type=8e\n"
FOUR = MBR.replace("80M", "60M") + "size=4M\nsize=4M,type=82\nsize=4M\n"
EFI_GUID = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


@pytest.fixture(scope="module", autouse=True)
def able_grub():
    require_grub()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "journal")


def layout(path):
    with open(path, "rb") as disk:
        def read_at(offset, length):
            disk.seek(offset)
            return disk.read(length)
        return read_disk("sda", read_at, os.path.getsize(path))


def table(path):
    """What sfdisk reads: {number: (start, sectors, type, uuid)}."""
    found = json.loads(run("sfdisk", "--json", path))["partitiontable"]
    return found["label"], {
        int(re.search(r"(\d+)$", part["node"]).group(1)): (part["start"], part["size"], part["type"], part.get("uuid"))
        for part in found["partitions"]
    }


def firmware_of(path, place):
    with mounted_machine((RestoredDisk("sda", path),), place[0], "kernel", True, "", place[1]) as machine:
        return read_firmware(Tree(machine.root), machine.disks)


def check_system_partition(path, number, tmp_path):
    """FAT that fsck.vfat finds sound, with a GRUB of ours at the one path."""
    part = next(part for part in layout(path).partitions if part.number == number)
    assert (part.content.kind, part.content.label, part.content.size) == ("vfat", ADDED_LABEL, 64 * MIB)
    image = str(tmp_path / "esp.raw")
    with open(path, "rb") as disk, open(image, "wb") as copy:
        disk.seek(part.start)
        copy.write(disk.read(part.size))
    run("fsck.vfat", "-n", image)
    loader = str(tmp_path / "loader.efi")
    run("mcopy", "-n", "-i", image, "::/EFI/BOOT/BOOTX64.EFI", loader)
    assert read_efi_loader(everything(loader))[:2] == ("grub", "(memdisk)/boot/grub")
    assert ROOT_UUID.encode() in everything(loader)
    assert struct.unpack_from("<I", everything(image), 28)[0] == part.start // 512      # "hidden sectors"


@pytest.mark.parametrize("script,target,label,number", [
    (GPT_BIOS, "kvm", "gpt", 3),
    (MBR, "kvm", "dos", 2),
    (LOGICAL, "kvm", "dos", 3),
    (LOGICAL, "hyperv-gen2", "gpt", 7),
    (FOUR, "kvm", "gpt", 5),
    (MBR, "azure", "gpt", 2),
], ids=["gpt", "mbr", "logical", "logical-to-gpt", "full-mbr", "mbr-to-gpt"])
def test_to_uefi_and_back_by_undo(tmp_path, place, folder, script, target, label, number):
    path = make_machine(tmp_path, script, root=2 if script == GPT_BIOS else 1)
    original, (_label, before) = everything(path), table(path)
    done = convert(request(path, place, target), folder)
    assert done.changed and done.firmware == "uefi" and f"Partition {number} " in done.steps[-1]
    found, after = table(path)
    assert found == label and set(after) - set(before) == {number}
    run("sfdisk", "--verify", path)
    assert after[number][1] == 131072 and after[number][2] == (EFI_GUID if label == "gpt" else "ef")
    for key in set(before).intersection(after):
        assert after[key][:2] == before[key][:2]
    if label == "gpt" and script != GPT_BIOS:
        assert after[1][3].lower() == partuuid_after_conversion("d1c2a3b4-01")
    else:
        assert {key: after[key] for key in before} == before
    check_system_partition(path, number, tmp_path)
    assert firmware_of(path, place) == ("uefi" if label == "gpt" and script != GPT_BIOS else "both")
    again = convert(request(path, place, target), folder)
    assert not again.changed and again.steps == done.steps and again.firmware == "uefi"
    # data of the machine are where they were
    start, sectors = before[2 if script == GPT_BIOS else 1][:2]
    root = slice(start * 512, (start + sectors) * 512)
    assert everything(path)[root] == original[root]
    assert undo(folder) == path
    assert everything(path) == original and not os.path.exists(folder)


def test_what_is_planned_changes_nothing(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    original = everything(path)
    done = convert(request(path, place), folder, only_plan=True)
    assert done.changed and everything(path) == original and not os.path.exists(folder)


def test_room_on_the_disk_is_taken_before_it_grows(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS, size=150)
    done = convert(request(path, place, size=150 * MIB), folder)
    assert os.path.getsize(path) == 150 * MIB and done.disks[0].size == 150 * MIB
    assert len(done.steps) == 1 and table(path)[1][3][0] == 82 * 2048


def test_a_disk_that_grows_is_returned_with_its_size(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    done = convert(request(path, place, size=100 * MIB), folder)
    assert done.disks[0].size == os.path.getsize(path) > 100 * MIB
    # as it was said to be when it was restored
    again = convert(request(path, place, size=100 * MIB), folder)
    assert not again.changed and again.disks == done.disks
    # a growing file stays sparse
    assert os.stat(path).st_blocks * 512 < 40 * MIB


@pytest.mark.parametrize("target,firmware", [("kvm", ""), ("kvm", "bios"), ("aws-xen", "")])
def test_what_starts_as_it_is_stays(tmp_path, place, folder, target, firmware):
    path = make_machine(tmp_path, GPT_BIOS)
    original = everything(path)
    done = convert(request(path, place, target, firmware), folder)
    assert (done.changed, done.firmware, done.steps) == (False, "", ()) and everything(path) == original and not os.path.exists(folder)


@pytest.mark.parametrize("script,number", [
    (f"label: gpt\nstart=2048,size=40M,type={ESP}\nsize=55M\n", 3),
    (f"label: gpt\nstart=2048,size=40M,type={ESP}\nsize=50M\nsize=1M,type={BIOS_BOOT}\n", 3),
    ("label: dos\nstart=2048,size=40M,type=ef\nsize=55M\n", 0),
], ids=["gpt", "gpt-with-partition", "mbr"])
def test_to_bios_and_back_by_undo(tmp_path, place, folder, script, number):
    path = make_machine(tmp_path, script, boot_code=False)
    original, (label, before) = everything(path), table(path)
    done = convert(request(path, place, "aws-xen", ""), folder)
    assert done.changed and done.firmware == "bios"
    found, after = table(path)
    assert found == label and os.path.getsize(path) == len(original) and {key: after[key] for key in before} == before
    run("sfdisk", "--verify", path)
    first = everything(path)[:512]
    assert first[440:] == original[440:512] and first[0x66:0x68] == b"\x90\x90"
    core = struct.unpack_from("<Q", first, 0x5C)[0]
    assert core == (after[number][0] if number else 1)
    if number:
        assert after[number][2] == BIOS_BOOT
    data = everything(path)[core * 512:]
    start, count, segment = struct.unpack_from("<QHH", data, 500)
    assert start == core + 1 and segment == 0x820 and 100 < count < 2047
    assert firmware_of(path, place) == "both"
    assert not convert(request(path, place, "aws-xen", ""), folder).changed
    undo(folder)
    assert everything(path) == original


def test_there_and_back_again(tmp_path, place, folder):
    """Converted to UEFI, then the BIOS loader is lost, then converted to BIOS."""
    path = make_machine(tmp_path, FOUR, root=1)
    original = everything(path)
    convert(request(path, place), folder + "1")
    convert(request(path, place, "kvm", "bios"), folder + "2")
    assert firmware_of(path, place) == "both" and set(table(path)[1]) == {1, 2, 3, 4, 5, 6}
    undo(folder + "2")
    undo(folder + "1")
    assert everything(path) == original


def test_undo_refuses_a_disk_that_was_changed_since(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    convert(request(path, place), folder)
    run("sfdisk", "-q", "--part-label", path, "2", "theirs")
    changed = everything(path)
    with pytest.raises(TargetError, match="Nothing is undone"):
        undo(folder)
    assert everything(path) == changed


def test_what_the_guest_wrote_to_the_added_partition_goes(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    original = everything(path)
    convert(request(path, place), folder)
    start = table(path)[1][3][0] * 512
    run("mcopy", "-n", "-i", f"{path}@@{start}", "/etc/hostname", "::/NOTES.TXT")
    undo(folder)
    assert everything(path) == original


def test_a_menu_on_xfs(tmp_path, place, folder):
    path = make_machine(tmp_path, MBR.replace("80M", "350M"), root=1, kind="xfs", size=400, options=("-m", f"uuid={ROOT_UUID}"))
    assert convert(request(path, place), folder).changed


def test_a_menu_in_a_subvolume_of_btrfs(tmp_path, place, folder):
    if not shutil.which("btrfs"):
        pytest.skip("not installed: btrfs-progs")
    path = make_machine(tmp_path, MBR.replace("80M", "150M"), root=1, kind="btrfs", size=160, subvolume="@")
    assert convert(request(path, place), folder).changed
    assert b"/@/boot/grub/grub.cfg" in everything(path)


@pytest.mark.parametrize("menu,said", [
    ("insmod blscfg\nblscfg\n", "blscfg"),
    ("set btrfs_relative_path=\"y\"\n" + MENU, "SUSE"),
    ("# nothing\n", "no menu of GRUB 2"),
], ids=["blscfg", "suse", "empty"])
def test_menus_of_other_kinds_are_refused(tmp_path, place, folder, menu, said):
    path = make_machine(tmp_path, GPT_BIOS, menu=menu)
    original = everything(path)
    with pytest.raises(TargetError, match=said):
        convert(request(path, place), folder)
    assert everything(path) == original and not os.path.exists(folder)


def test_firmware_that_the_target_does_not_have(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    with pytest.raises(TargetError, match="aws-xen has no UEFI"):
        convert(request(path, place, "aws-xen", "uefi"), folder)


@pytest.mark.parametrize("script,said", [
    (f"label: gpt\nfirst-lba: 34\nstart=34,size=81920,type={ESP}\nstart=81954,size=122813,type=linux\n",
     "no room for a BIOS boot partition"),
    ("label: dos\nstart=63,size=40M,type=ef\nsize=55M\n", "KiB are needed in front of the first partition, and there are 31"),
], ids=["gpt", "mbr"])
def test_no_room_for_bios(tmp_path, place, folder, script, said):
    path = make_machine(tmp_path, script, boot_code=False)
    original = everything(path)
    with pytest.raises(TargetError, match=said):
        convert(request(path, place, "kvm", "bios"), folder)
    assert everything(path) == original


def test_an_mbr_without_room_for_a_gpt(tmp_path, place, folder):
    path = make_machine(tmp_path, "label: dos\nstart=16,size=80M,type=83\n", root=1)
    with pytest.raises(TargetError, match="begins 16 sectors behind the start of the disk"):
        convert(request(path, place, "hyperv-gen2", ""), folder)


def test_the_workers_grub_must_read_the_file_system(tmp_path, place, folder):
    """Directories inside of inodes are a feature of ext4 that GRUB does not know."""
    path = make_machine(tmp_path, GPT_BIOS, options=("-U", ROOT_UUID, "-O", "inline_data"))
    original = everything(path)
    with pytest.raises(TargetError, match="the worker's GRUB cannot read /boot/grub/grub.cfg"):
        convert(request(path, place), folder)
    assert everything(path) == original


def test_a_block_device_with_room(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    os.truncate(path, 180 * MIB)
    original = everything(path)
    with device(path) as name:
        done = convert(request(name, place), folder)
        assert done.changed and done.steps == ("Partition 3 is added, an EFI system partition of 64 MiB with the worker's GRUB.",)
    run("sfdisk", "--verify", path)
    check_system_partition(path, 3, tmp_path)
    with device(path) as name:
        os.rename(folder, folder + "2")
        with open(folder + "2/journal.json", encoding="utf-8") as stream:
            kept = json.load(stream)
        with open(folder + "2/journal.json", "w", encoding="utf-8") as stream:
            json.dump(dict(kept, path=name), stream)                 # another loop device
        undo(folder + "2")
    assert everything(path) == original


def test_a_block_device_without_room(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    original = everything(path)
    with device(path) as name, pytest.raises(TargetError, match="66 MiB larger"):
        convert(request(name, place), folder)
    assert everything(path) == original


def test_a_disk_in_use_is_refused(tmp_path, place, folder):
    path = make_machine(tmp_path, GPT_BIOS)
    with open(path, "r+b") as disk, subprocess.Popen(["sleep", "60"], stdout=disk) as user:
        try:
            with pytest.raises(TargetError, match="in use"):
                convert(request(path, place), folder)
        finally:
            user.kill()
