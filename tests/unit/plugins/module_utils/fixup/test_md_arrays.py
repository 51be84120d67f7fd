# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mdadm looks for its arrays on all disks."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import md_arrays


def planned(machine):
    draft = Draft(machine.tree)
    md_arrays.plan(machine.inspect(), draft)
    return draft


@pytest.mark.parametrize("old,new", [
    ("DEVICE /dev/sda1 /dev/sdb1\n", "DEVICE partitions\n"),
    ("DEV /dev/sd[ab]1 containers\nMAILADDR root\n", "DEV partitions containers\nMAILADDR root\n"),
    ("DEVICE /dev/sda1\n   /dev/disk/by-id/x /dev/loop0\nMAILADDR root\n", "DEVICE partitions /dev/loop0\nMAILADDR root\n"),
    ("DEVICE partitions containers\n", "DEVICE partitions containers\n"),
    ("# DEVICE /dev/sda1\n", "# DEVICE /dev/sda1\n"),
    ("ARRAY /dev/md0 UUID=a:b devices=/dev/sda1,/dev/sdb1 name=h:0\n", "ARRAY /dev/md0 UUID=a:b name=h:0\n"),
    ("ARRAY /dev/md0 uuid=a:b\n  DEVICES=/dev/sda1\n", "ARRAY /dev/md0 uuid=a:b\n"),
    ("ARRAY /dev/md0 UUID=a:b devices=/dev/loop1\n", "ARRAY /dev/md0 UUID=a:b devices=/dev/loop1\n"),
    ("", ""),
])
def test_names_of_old_disks(machine, old, new):
    machine.write("/etc/mdadm/mdadm.conf", old)
    draft = planned(machine)
    assert draft.read_text("/etc/mdadm/mdadm.conf") == new and not draft.findings
    assert bool(md_arrays.verify(machine.inspect())) is (old != new)
    assert md_arrays.in_initramfs({"etc/mdadm/mdadm.conf": old, "etc/fstab": old}) == {"etc/mdadm/mdadm.conf": new}


def test_an_array_known_by_its_disks_only(machine):
    machine.write("/etc/mdadm.conf", "ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1\n")
    draft = planned(machine)
    finding, = draft.findings
    assert not draft.changes and "ARRAY /dev/md0 devices=/dev/sda1,/dev/sdb1" in finding.text
