# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines for conversions: real partition tables and file systems, with a menu of GRUB and something that stands for kernels."""

import os
import shutil
import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion import grub
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion.convert import Request
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import get_profile
from recovery_disks import fill_root, make_disk, make_fs, mounted, run, write

SIZE = 100                    # MiB
ROOT_UUID = "33333333-2222-4333-8444-555555555555"
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
GPT_BIOS = f"label: gpt\nstart=2048,size=1M,type={BIOS_BOOT}\nsize=80M\n"
MBR = "label: dos\nlabel-id: 0xd1c2a3b4\nstart=2048,size=80M,type=83,bootable\n"
MENU = """\
menuentry 'Debian' {{
    insmod ext2
    search --no-floppy --fs-uuid --set=root {uuid}
    linux /boot/vmlinuz root=UUID={uuid} ro
    initrd /boot/initrd.img
}}
"""


def require_grub():
    """Skips where this machine has no GRUB for both."""
    lacking = [name for name in ("grub-mkimage", "grub-fstest", "mkfs.vfat", "mmd", "sfdisk", "fsck.vfat") if not shutil.which(name)]
    lacking += [grub.PACKAGES[kind] for kind, folders in grub.FOLDERS.items() if not any(os.path.isdir(folder) for folder in folders)]
    if lacking:
        pytest.skip(f"not installed: {', '.join(lacking)}")


def make_machine(folder, script, root=2, kind="ext4", boot_code=True, size=SIZE, menu=MENU, options=("-U", ROOT_UUID), subvolume=""):
    """The path of a disk file with this table, and a root with its menu on partition `root`."""
    path = str(folder / "sda.raw")
    parts = make_disk(path, size, script)
    make_fs(path, parts[root], kind, *options)
    with mounted(path, parts[root], kind, folder / "making") as top:
        place = top / subvolume
        if subvolume:
            run("btrfs", "subvolume", "create", str(place))
        fill_root(place, f"UUID={ROOT_UUID} / {kind} {f'subvol={subvolume}' if subvolume else 'defaults'} 0 1\n", ("boot/grub/i386-pc",))
        elf = b"\x7fELF\x02\x01".ljust(18, b"\0") + struct.pack("<H", 62)
        for name, data in (("usr/bin/sh", elf), ("boot/vmlinuz", b"kernel" * 9999), ("boot/initrd.img", bytes(99999)),
                           ("boot/grub/i386-pc/normal.mod", b"x")):
            if boot_code or "i386-pc" not in name:
                with open(os.path.join(place, name), "wb") as stream:
                    stream.write(data)
        write(os.path.join(place, "boot/grub/grub.cfg"), menu.format(uuid=ROOT_UUID))
    if boot_code:
        with open(path, "r+b") as disk:
            disk.write(b"\xeb\x63\x90" + b"boot code" * 40)
            disk.seek(600 if script.startswith("label: dos") else 2048 * 512)
            disk.write(b"core image" * 40)
    return path


def request(path, place, target="kvm", firmware="uefi", size=0):
    point, records = place
    return Request((RestoredDisk("sda", path, size=size),), point, get_profile(target), firmware, "kernel", state_folder=records)


def everything(path):
    """All bytes of a disk."""
    with open(path, "rb") as disk:
        return disk.read()
