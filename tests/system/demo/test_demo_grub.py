# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GRUB on a disk file: the fields that make it boot, and a boot."""

import os
import shutil
import struct
import subprocess

import pytest

from demobuild import grub

MODULES = "/usr/lib/grub/i386-pc"
FIRST, SECTORS = 2048, 2048


def boot_sector(fill=0):
    return bytes([fill]) * 510 + grub.SIGNATURE


def test_boot_sector_points_to_core_and_keeps_the_partition_table():
    old = bytes(range(256)) * 2
    sector = grub.patched_boot(boot_sector(0xCC), old, 0x123456789)
    assert len(sector) == 512 and sector[-2:] == b"\x55\xaa"
    assert struct.unpack_from("<Q", sector, 0x5C) == (0x123456789,)
    assert sector[0x64] == 0xFF and sector[0x66:0x68] == b"\x90\x90"
    assert sector[0x03:0x5A] == old[0x03:0x5A]
    assert sector[0x1B8:0x1FE] == old[0x1B8:0x1FE]
    assert sector[:3] == b"\xcc" * 3 and set(sector[0x68:0x1B8]) == {0xCC}


@pytest.mark.parametrize("boot, old", [(b"", boot_sector()), (b"\x00" * 512, boot_sector()), (boot_sector(), b"")])
def test_refuses_what_is_no_boot_sector(boot, old):
    with pytest.raises(ValueError, match="boot sectors of 512 bytes"):
        grub.patched_boot(boot, old, FIRST)


def test_core_loads_the_sectors_that_follow_it():
    core = grub.patched_core(b"\x00" * 512 + b"\x11" * 1000, FIRST)
    assert len(core) == 3 * 512 and core[512 + 1000:] == bytes(24)
    assert struct.unpack_from("<QHH", core, 500) == (FIRST + 1, 2, 0x820)


def test_refuses_a_core_that_was_laid_out_elsewhere():
    with pytest.raises(ValueError, match="more than one block list"):
        grub.patched_core(b"\x01" * 2048, FIRST)


def test_refuses_a_core_that_does_not_fit(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(8192))
    with pytest.raises(ValueError, match="the BIOS boot partition 1024"):
        grub.embed(str(disk), boot_sector(), bytes(2048), 4, 2)
    assert disk.read_bytes() == bytes(8192)


def test_grub_boots_from_the_disk(tmp_path):
    """A disk with nothing but GRUB on it, whose core image speaks on the serial port and switches the machine off."""
    for program in ("grub-mkimage", "qemu-system-x86_64", "sfdisk"):
        if not shutil.which(program):
            pytest.skip("this machine has no %s" % program)
    if not os.path.exists(os.path.join(MODULES, "boot.img")):
        pytest.skip("this machine lacks %s (package grub-pc-bin)" % MODULES)
    disk, config, core = (str(tmp_path / name) for name in ("disk", "config", "core"))
    with open(disk, "wb") as file:
        file.truncate(4 << 20)
    table = "label: gpt\nunit: sectors\nstart=%d, size=%d, type=21686148-6449-6E6F-744E-656564454649\n" % (FIRST, SECTORS)
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    with open(config, "w", encoding="ascii") as file:
        file.write('serial --unit=0\nterminal_output serial\necho "GRUB was loaded from $root"\nhalt --no-apm\nhalt\n')
    modules = ["biosdisk", "part_gpt", "serial", "terminal", "echo", "halt", "configfile"]
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(hd0,gpt1)/", "-c", config, "-o", core] + modules, check=True)
    with open(os.path.join(MODULES, "boot.img"), "rb") as boot, open(core, "rb") as image:
        grub.embed(disk, boot.read(), image.read(), FIRST, SECTORS)
    command = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-m", "128", "-nodefaults", "-display", "none", "-serial", "stdio"]
    command += ["-drive", "file=%s,format=raw,if=ide,snapshot=on" % disk]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True).stdout
    assert b"GRUB was loaded from" in output
    subprocess.run(["sfdisk", "--quiet", "--verify", disk], stdout=subprocess.DEVNULL, check=True)
