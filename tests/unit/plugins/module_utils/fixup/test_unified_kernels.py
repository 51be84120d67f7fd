# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unified kernel images are told, with what is known of them."""

import os
import shutil
import struct
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import unified_kernels
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.unified_kernel import read_command_line

STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
PLACE = "/boot/efi/EFI/Linux/6.1.efi"


def image(sections, count=None):
    """A PE file with these sections, their contents padded to 512 bytes."""
    table, data = b"", b""
    start = 64 + 24 + 16 + 40 * len(sections)
    for name, content in sections:
        padded = content + bytes(-len(content) % 512)
        table += struct.pack("<8sIIIIIIHHI", name.encode(), len(content), 4096, len(padded), start + len(data), 0, 0, 0, 0, 0)
        data += padded
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections) if count is None else count, 0, 0, 0, 16, 0)
    return b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + coff + bytes(16) + table + data


def findings(machine):
    draft = Draft(machine.tree)
    unified_kernels.plan(machine.inspect(), draft)
    assert not draft.changes
    return draft.findings


@pytest.mark.parametrize("line,names_disk", [
    (b"root=UUID=1 quiet", False), (b"", False), (b"quiet root=/dev/sda2\n", True), (b"resume=/dev/nvme0n1p3 ro\0x", True),
    (b"root=/dev/mapper/vg-root", False),
])
def test_command_line(machine, line, names_disk):
    machine.write("/boot/efi/EFI/Linux/readme", "")
    machine.write(PLACE, image([(".text", b"x" * 600), (".linux", b"kernel")] + ([(".cmdline", line)] if line else [])))
    assert [(finding.severity, PLACE in finding.text) for finding in findings(machine)] == ([("error", True)] if names_disk else [])


@pytest.mark.parametrize("data", [
    b"", b"MZ", b"MZ" + b"\xff" * 100, image([(".text", b"x")]), image([(".linux", b"x")])[:100], image([], 65535),
])
def test_other_programs_and_damaged_ones(machine, data):
    machine.write(PLACE, data)
    assert read_command_line(machine.tree, PLACE) is None and findings(machine) == []


def test_a_command_line_that_lies_nowhere(machine):
    data = bytearray(image([(".linux", b"x"), (".cmdline", b"root=/dev/sda1")]))
    at = data.index(b".cmdline")
    struct.pack_into("<IIII", data, at + 8, 2 ** 32 - 1, 0, 2 ** 32 - 1, 2 ** 32 - 1)
    machine.write(PLACE, bytes(data))
    assert read_command_line(machine.tree, PLACE) == ""


def test_what_is_no_file_is_told(machine):
    os.makedirs(machine.path + "/boot/efi/EFI/debian")
    machine.write("/etc/fstab", "UUID=A /boot/efi vfat defaults 0 0\n")
    os.makedirs(machine.path + os.path.dirname(PLACE))
    os.mkfifo(machine.path + PLACE)
    kernel, = [kernel for kernel in machine.inspect().kernels if kernel.unified]
    assert "not a regular file" in kernel.problem and findings(machine) == []


@pytest.mark.skipif(not os.path.isfile(STUB) or not shutil.which("objcopy"), reason="needs systemd-boot-efi and binutils")
def test_an_image_that_objcopy_makes(machine, tmp_path):
    (tmp_path / "line").write_bytes(b"root=/dev/sda2 quiet")
    (tmp_path / "kernel").write_bytes(b"kernel" * 1000)
    subprocess.run([
        "objcopy", "--add-section", ".cmdline=line", "--change-section-vma", ".cmdline=0x30000", "--add-section", ".linux=kernel",
        "--change-section-vma", ".linux=0x2000000", STUB, "image.efi",
    ], cwd=str(tmp_path), check=True)
    machine.write(PLACE, (tmp_path / "image.efi").read_bytes())
    assert read_command_line(machine.tree, PLACE) == "root=/dev/sda2 quiet"
