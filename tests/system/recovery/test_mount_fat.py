# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FAT through mtools: what a fix-up may do to an EFI system partition, and what the disk holds afterwards."""

import os
import random
import shutil

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.backends import mtools
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import Volume
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.session import Place, Session
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.state import Record, State
from recovery_disks import Part, device, make_fs, read, run, write

START = 3 << 20     # bytes; the file system is a partition, not the start of the file


class Esp:
    """One FAT file system in a disk file, mounted and unmounted as the machine's would be."""

    def __init__(self, folder, bits, size):
        os.makedirs(folder, exist_ok=True)
        self.path, self.point = str(folder / "disk.raw"), str(folder / "esp")
        with open(self.path, "wb") as disk:
            disk.truncate(START + size)
        self.part = Part(1, START, size)
        make_fs(self.path, self.part, "vfat", "-F", str(bits), "-n", "ESP")
        self.volume = Volume("sda", 1, self.path, START, size, Content("vfat"))
        self._state = State(self.point, str(folder / "records"))
        os.makedirs(self._state.folder)
        os.makedirs(self.point)
        self.session = None

    def mount(self, read_only=False):
        self.session = Session(self._state, Record(self.point, (), "auto", read_only), read_only)
        descriptor = os.open(self.point, os.O_RDONLY)
        try:
            mtools.mount_volume(self.session, self.volume, Place(descriptor, self.point), (), read_only)
        finally:
            os.close(descriptor)

    def unmount(self):
        try:
            for staged in self.session.record.staged:
                mtools.write_back(self._state.tag, staged)
        finally:
            syscalls.unmount(self.point)

    def check(self):
        """What fsck.vfat and mtools say: {path in lower case: content}."""
        with device(self.path, self.part) as name:
            run("fsck.vfat", "-n", name)
        found = {}
        folder = self.point + ".copy"
        os.makedirs(folder)
        mtools.copy_out(self._state.tag, self.volume, folder)
        for place, _folders, files in os.walk(folder):
            for name in files:
                with open(os.path.join(place, name), "rb") as stream:
                    found[os.path.relpath(os.path.join(place, name), folder).lower()] = stream.read()
        shutil.rmtree(folder)
        return found


@pytest.mark.parametrize("bits, size", [(12, 4 << 20), (16, 32 << 20), (32, 64 << 20)])
def test_random_changes(tmp_path, bits, size):
    esp = Esp(tmp_path, bits, size)
    chance = random.Random(bits)
    model = {}
    for _round in range(4):
        esp.mount()
        for _change in range(12):
            _change_something(esp.point, model, chance)
        esp.unmount()
        assert esp.check() == {path.lower(): data for path, data in model.items()}


def _change_something(root, model, chance):
    kind = chance.choice(["write", "write", "append", "cut", "delete", "rename"])
    name = chance.choice(["", "EFI/", "EFI/Debian [x] é/"])
    name += chance.choice(["GRUBX64.EFI", "Long name, with ~1 & $.cfg", "bootx64.efi", "a"])
    if kind != "write" and not model:
        return
    if kind != "write":
        name = chance.choice(sorted(model))
    path = os.path.join(root, name)
    if kind == "write":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        model[name] = bytes(chance.getrandbits(8) for _byte in range(chance.choice([0, 1, 5000, 70000])))
    elif kind == "append":
        model[name] += b"more"
    elif kind == "cut":
        model[name] = model[name][:chance.randrange(len(model[name]) + 1)]
    elif kind == "delete":
        del model[name]
        os.unlink(path)
        return
    elif kind == "rename":
        target = os.path.dirname(name) + "/renamed" if os.path.dirname(name) else "renamed"
        os.rename(path, os.path.join(root, target))
        model[target] = model.pop(name)
        return
    with open(path, "wb") as stream:
        stream.write(model[name])


def test_nothing_is_written_without_a_change(tmp_path):
    esp = Esp(tmp_path, 32, 64 << 20)
    esp.mount()
    os.makedirs(esp.point + "/EFI/BOOT")
    write(esp.point + "/EFI/BOOT/BOOTX64.EFI", "x")
    esp.unmount()
    before = run("sha256sum", esp.path)
    esp.mount()
    assert read(esp.point + "/EFI/BOOT/BOOTX64.EFI") == "x"
    os.utime(esp.point + "/EFI/BOOT/BOOTX64.EFI")
    esp.unmount()
    esp.mount(read_only=True)
    with pytest.raises(OSError):
        write(esp.point + "/x", "x")
    esp.unmount()
    assert run("sha256sum", esp.path) == before


def test_case_does_not_make_another_name(tmp_path):
    esp = Esp(tmp_path, 32, 64 << 20)
    esp.mount()
    os.makedirs(esp.point + "/EFI/BOOT")
    write(esp.point + "/EFI/BOOT/BOOTX64.EFI", "old")
    esp.unmount()
    esp.mount()
    os.makedirs(esp.point + "/efi/boot")
    write(esp.point + "/efi/boot/grub.cfg", "new")
    esp.unmount()
    assert esp.check() == {"efi/boot/bootx64.efi": b"old", "efi/boot/grub.cfg": b"new"}
    esp.mount()
    write(esp.point + "/EFI/BOOT/GRUB.CFG", "clash" if os.path.exists(esp.point + "/EFI/BOOT/grub.cfg") else "other")
    with pytest.raises(TargetError, match="same name in FAT"):
        esp.unmount()
    assert esp.check()["efi/boot/grub.cfg"] == b"new"


def test_folder_becomes_a_file_and_back(tmp_path):
    esp = Esp(tmp_path, 32, 64 << 20)
    for turn in range(2):
        esp.mount()
        os.makedirs(esp.point + "/x/y")
        write(esp.point + "/x/y/z", "deep")
        esp.unmount()
        assert esp.check() == {"x/y/z": b"deep"}, turn
        esp.mount()
        shutil.rmtree(esp.point + "/x")
        write(esp.point + "/x", "flat")
        esp.unmount()
        assert esp.check() == {"x": b"flat"}, turn
        esp.mount()
        os.unlink(esp.point + "/x")
        esp.unmount()
        assert esp.check() == {}


def test_full_is_an_error(tmp_path):
    esp = Esp(tmp_path, 12, 2 << 20)
    esp.mount()
    with open(esp.point + "/big", "wb") as stream:
        stream.write(os.urandom(3 << 20))
    with pytest.raises(TargetError, match="mcopy failed on sda1.*full"):
        esp.unmount()


def test_copy_that_somebody_unmounted(tmp_path):
    esp = Esp(tmp_path, 32, 64 << 20)
    esp.mount()
    staged = esp.session.record.staged[0]
    syscalls.unmount(esp.point)
    with pytest.raises(TargetError, match="changes to it are lost"):
        mtools.write_back(esp.session.tag, staged)


@pytest.mark.parametrize("name", ["..", ".", "../../stolen", "/stolen", "a/../../b"])
def test_names_that_want_to_leave_the_copy(tmp_path, name):
    """Long names written into the directory by hand, since no tool makes such."""
    esp = Esp(tmp_path / "deep/er", 32, 64 << 20)
    run("mmd", "-i", f"{esp.path}@@{START}", "::/QQQQQfolder.d")
    run("mcopy", "-i", f"{esp.path}@@{START}", "/etc/hostname", "::/QQQQQfolder.d/inner")
    with open(esp.path, "r+b") as disk:
        image = disk.read()
        entry = image.index("QQQQQ".encode("utf-16-le")) - 1
        letters = [letter.encode("utf-16-le") for letter in name] + [b"\0\0"]
        letters += [b"\xff\xff"] * (13 - len(letters))
        first = bytearray(image[entry:entry + 32])
        for place, letter in zip((1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30), letters):
            first[place:place + 2] = letter
        first[0] = 0x41             # the only, and so the last, part of the long name
        disk.seek(entry - 32)
        disk.write(b"\xe5")         # the second part is deleted
        disk.seek(entry)
        disk.write(first)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    esp.mount(read_only=True)
    inside = [os.path.join(place, each) for place, folders, files in os.walk(esp.point) for each in folders + files]
    outside = sorted(set(map(str, tmp_path.rglob("*"))) - set(before) - set(inside))
    esp.unmount()
    assert outside == [os.path.join(str(tmp_path), "deep/er/records")] or outside == []
