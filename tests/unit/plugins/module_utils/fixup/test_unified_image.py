# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unified kernel images: found, read, told of."""

import gzip
import os
import random
import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError, MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import unified_kernel
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.kernels import read_kernels

VERSION = "6.1.0-9-amd64"
PATH = "/boot/efi/EFI/Linux/arch-linux.efi"
FULL = ("scsi_mod", "sd_mod", "virtio", "virtio_ring", "virtio_pci", "virtio_scsi", "virtio_blk")


def image(sections):
    """A PE file as ukify writes it: headers, then the sections at multiples of 512."""
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x80) + bytes(0x40)
    head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 240, 0) + bytes(240)
    table, data, at = b"", b"", 0x1000
    for name, content in sections:
        table += struct.pack("<8sIIII", name.encode(), len(content), 0, (len(content) + 511) // 512 * 512, at + len(data)) + bytes(16)
        data += content + bytes(-len(content) % 512)
    return (head + table).ljust(at, b"\0") + data


def unify(machine, held, uname=VERSION, path=PATH, more=()):
    archive = gzip.compress(machine.initramfs(held=held))
    machine.write(path, image([(".linux", b"MZkernel"), (".uname", uname.encode()), (".initrd", archive)] + list(more)))


def only_unified(machine):
    machine.write("/boot/grub/grub.cfg", "set timeout=1\n")


def test_one_that_has_the_drivers_is_left_and_will_do(machine):
    unify(machine, FULL, more=[(".profile", b"ID=other"), (".initrd", b"junk")])
    only_unified(machine)
    planned = engine.plan(machine.inspect())
    assert [entry for entry in planned.changes if isinstance(entry, change.AppendArchive)] == []
    assert [finding for finding in planned.findings if finding.fixup == "initramfs"] == []
    assert any(entry.path == "/etc/initramfs-tools/hooks/agnostic-recovery" for entry in planned.changes)


def test_one_that_lacks_them_is_an_error_that_says_what_to_do(machine):
    unify(machine, ("ahci", "libahci"))
    finding, = [finding for finding in engine.plan(machine.inspect()).findings if finding.severity == "error"]
    assert PATH in finding.text and "lacks virtio_pci, virtio_scsi, sd_mod" in finding.text
    assert 'add_drivers+=" virtio_pci virtio_scsi sd_mod "' in finding.text and "MODULES+=(" in finding.text
    only_unified(machine)
    with pytest.raises(FixupError, match="cannot be extended"):
        engine.plan(machine.inspect())


def test_without_a_version_of_its_own_that_of_its_modules_counts(machine):
    unify(machine, FULL, uname="")
    assert unified_kernel.read_unified(machine.tree, PATH).version == VERSION
    unify(machine, (), uname="")
    with pytest.raises(MachineError, match="which kernel version"):
        unified_kernel.read_unified(machine.tree, PATH)


def test_the_whole_run_leaves_the_file_alone(machine):
    unify(machine, FULL)
    with open(machine.path + PATH, "rb") as file:
        before = file.read()
    situation = machine.inspect()
    engine.apply(machine.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    with open(machine.path + PATH, "rb") as file:
        assert file.read() == before


def test_found_once_wherever_the_partition_is_mounted(machine):
    unify(machine, FULL, path="/efi/efi/linux/x.EFI")
    os.symlink("../efi", machine.path + "/boot/efi")
    assert unified_kernel.find_unified(machine.tree) == ("/efi/efi/linux/x.EFI",)


def test_the_machine_model_knows_it(machine):
    unify(machine, FULL)
    machine.write("/boot/efi/EFI/Linux/broken.efi", image([(".linux", b"x")]))
    warnings = []
    found = read_kernels(machine.tree, (), warnings.append)
    one, broken = [kernel for kernel in found if kernel.image.endswith(".efi")]
    assert (one.version, one.initramfs) == (VERSION, PATH) and "virtio_scsi" in one.initramfs_drivers and "nvme" in one.modules
    assert broken.initramfs_drivers == () and [text for text in warnings if "broken.efi" in text]


@pytest.mark.parametrize("content,message", [
    (image([(".linux", b"x")]), "without an initramfs"), (image([(".linux", b"x"), (".initrd", b"junk")]), "damaged"),
    (image([(".linux", b"x"), (".initrd", b"")]), "empty"), (image([(".linux", b"x"), (".initrd", bytes(900))])[:0x1200], "empty"),
], ids=["no initrd", "junk", "empty initrd", "behind the end"])
def test_damaged(machine, content, message):
    machine.write(PATH, content)
    with pytest.raises(MachineError, match=message):
        unified_kernel.read_unified(machine.tree, PATH)
    assert [finding for finding in engine.plan(machine.inspect()).findings if PATH in finding.text and finding.severity == "error"]


@pytest.mark.parametrize("content", [
    b"", b"MZ", b"MZ" + bytes(58) + b"\xff\xff\xff\x7f" + bytes(100), image([(".text", b"x")]), image([(".linux", b"x")])[:200],
], ids=["empty", "cut", "far header", "other program", "cut table"])
def test_other_programs_are_left_out(machine, content):
    machine.write(PATH, content)
    assert unified_kernel.read_unified(machine.tree, PATH) is None
    assert [kernel for kernel in machine.inspect().kernels if kernel.unified] == []


def test_random_bytes_never_break_the_reader(machine):
    source = random.Random(5)
    good = image([(".linux", b"x"), (".uname", b"6.1"), (".initrd", machine.initramfs())])
    for _round in range(200):
        data = bytearray(good)
        for _change in range(source.randint(1, 5)):
            data[source.randrange(600)] = source.randrange(256)
        machine.write(PATH, bytes(data))
        try:
            unified_kernel.read_unified(machine.tree, PATH, lambda path: True)
        except MachineError:
            pass
