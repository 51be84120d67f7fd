# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hibernated systems stay asleep, and nobody waits for a swap that is not there."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import hibernation
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.content import probe_content
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition

ROOT = "11111111-aaaa-4aaa-8aaa-111111111111"
SIZE = 1 << 20


def swap(magic):
    """What a partition with a swap header is taken for."""
    data = bytearray(SIZE)
    data[1024:1032] = b"\x01\0\0\0\xff\0\0\0"
    data[4086:4096] = magic
    return probe_content(lambda offset, length: bytes(data[offset:offset + length]), SIZE)


def disks(content):
    return (Disk("sda", 8 << 30, table="gpt", partitions=(
        Partition(2, 2 << 20, 4 << 30, "", "aaaa-02", content=Content("ext4", ROOT)),
        Partition(3, 5 << 30, SIZE, "", "aaaa-03", content=content),
    )),)


def planned(machine, content):
    draft = Draft(machine.tree)
    hibernation.plan(machine.inspect(disks=disks(content)), draft)
    return draft


@pytest.mark.parametrize("magic", [b"S1SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001"])
def test_a_hibernated_system_is_not_woken_up(machine, magic):
    draft = planned(machine, swap(magic))
    assert " ro  quiet noresume\n" in draft.read_text("/boot/grub/grub.cfg")
    assert draft.read_text("/etc/default/grub") == machine.read("/etc/default/grub")
    finding, = draft.findings
    assert finding.severity == "warning" and "partition 3 of sda" in finding.text
    problem, = hibernation.verify(machine.inspect(disks=disks(swap(magic))))
    assert "/boot/grub/grub.cfg" in problem
    machine.write("/boot/grub/grub.cfg", draft.read_text("/boot/grub/grub.cfg"))
    assert hibernation.verify(machine.inspect(disks=disks(swap(magic)))) == [] and not planned(machine, swap(magic)).changes


def test_a_usual_swap_is_resumed_from_as_before(machine):
    draft = planned(machine, swap(b"SWAPSPACE2"))
    assert not draft.changes and not draft.findings and hibernation.verify(machine.inspect()) == []


def test_a_swap_that_was_not_recovered(machine):
    machine.write("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="resume=UUID=gone"\n')
    machine.write(
        "/boot/grub/grub.cfg",
        "menuentry a {\n linux /boot/v root=/dev/sda2 resume=UUID=gone quiet\n}\nmenuentry b {\n linux /boot/v ro\n}\n",
    )
    draft = planned(machine, swap(b"SWAPSPACE2"))
    assert draft.read_text("/boot/grub/grub.cfg") == (
        "menuentry a {\n linux /boot/v root=/dev/sda2 resume=UUID=gone quiet noresume\n}\nmenuentry b {\n linux /boot/v ro\n}\n"
    )
    assert draft.read_text("/etc/default/grub").endswith('GRUB_CMDLINE_LINUX="resume=UUID=gone noresume"\n')
    finding, = draft.findings
    assert "UUID=gone" in finding.text


@pytest.mark.parametrize("old,new", [
    ("# x\nRESUME=UUID=gone\n", "# x\nRESUME=none\n"),
    ("RESUME='/dev/sdb1'\n", "RESUME='none'\n"),
    ("RESUME=/dev/sda3\n", "RESUME=/dev/sda3\n"),
    ("RESUME=none\n", "RESUME=none\n"),
    ("RESUME=auto", "RESUME=auto"),
    ("RESUME=/dev/mapper/vg-swap\n", "RESUME=/dev/mapper/vg-swap\n"),
])
def test_the_setting_of_initramfs_tools(machine, old, new):
    machine.write("/etc/initramfs-tools/conf.d/resume", old)
    draft = planned(machine, swap(b"SWAPSPACE2"))
    assert draft.read_text("/etc/initramfs-tools/conf.d/resume") == new
    assert draft.read_text("/boot/grub/grub.cfg").count("noresume") == (old != new)


def test_as_part_of_the_whole(machine):
    situation = machine.inspect(disks=disks(swap(b"S1SUSPEND\0")))
    before = machine.snapshot()
    engine.apply(machine.tree, engine.plan(situation))
    assert engine.verify(situation) == () and "noresume" in machine.read("/boot/grub/grub.cfg")
    engine.undo(machine.tree)
    assert machine.snapshot() == before
