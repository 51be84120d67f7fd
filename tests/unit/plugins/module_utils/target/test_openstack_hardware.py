# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine gets the flavour that fits best, and properties that Nova accepts."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu_command
from ansible_collections.agnostic.recovery.plugins.module_utils.target.openstack_hardware import (
    DISK_BUSES, FIRMWARES, MACHINE_TYPES, NIC_MODELS, Flavor, Need, check_flavor, choose_flavor, hardware_properties,
)

SMALL = Flavor("1", "m.small", 1, 1024, 10)
EVEN = Flavor("2", "m.even", 4, 8192, 40)
BROAD = Flavor("3", "m.broad", 16, 8192, 40)
LARGE = Flavor("4", "m.large", 4, 16384, 0)
DEVICE = Flavor("5", "g.exact", 2, 4096, 40, ("hw_rng:allowed", "pci_passthrough:alias"))
ALL = [LARGE, BROAD, DEVICE, EVEN, SMALL]


@pytest.mark.parametrize("need, patterns, chosen", [
    (Need(1, 1024), ("*",), SMALL),
    (Need(2, 4096), ("*",), EVEN),                       # not the exact one, whose device another machine may need
    (Need(4, 8193), ("*",), LARGE),
    (Need(4, 8192), ("*broad", "*large"), LARGE),        # twice the memory is less than four times the processors
    (Need(8, 1024, 20), ("*",), BROAD),
    (Need(1, 1024, 11), ("*",), EVEN),
])
def test_least_surplus(need, patterns, chosen):
    assert choose_flavor(ALL, need, patterns) == chosen


def test_nothing_is_large_enough():
    with pytest.raises(TargetError, match=r"64 CPUs and 1024 MiB of memory\. There are: m\.small \(1 CPUs\), m\.even \(4 CPUs\)"):
        choose_flavor([EVEN, SMALL], Need(64, 1024))
    with pytest.raises(TargetError, match=r"a disk of 50 GiB\. There are: m\.small \(10 GiB\)"):
        choose_flavor([SMALL], Need(1, 1024, 50))
    with pytest.raises(TargetError, match=r"m\.large \(0 GiB\)"):      # a disk of no size is for servers that boot from a volume
        choose_flavor([LARGE], Need(1, 1024, 1))
    with pytest.raises(TargetError, match="There are: none"):
        choose_flavor(ALL, Need(1, 1), ("x*",))


def test_named_flavor_must_hold_the_disk():
    check_flavor(SMALL, Need(8, 65536, 10))              # less memory than there was is for the operator to decide
    check_flavor(LARGE, Need(1, 1, 1000))                # the cloud may allow it
    check_flavor(SMALL, Need(1, 1))
    with pytest.raises(TargetError, match="m.small gives a disk of 10 GiB"):
        check_flavor(SMALL, Need(1, 1, 11))


def test_properties():
    assert hardware_properties("bios", "virtio-blk", "virtio-net") == {
        "hw_disk_bus": "virtio", "hw_vif_model": "virtio", "hw_firmware_type": "bios"}
    assert hardware_properties("uefi", "virtio-scsi", "e1000") == {
        "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "hw_vif_model": "e1000", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}
    assert hardware_properties("uefi", "ahci", "vmxnet3", "pc")["hw_machine_type"] == "pc"


def test_q35_has_no_ide():
    with pytest.raises(TargetError, match="no IDE controller"):
        hardware_properties("uefi", "ide", "e1000")
    assert hardware_properties("bios", "ide", "e1000")["hw_disk_bus"] == "ide"


def test_words_are_those_of_the_qemu_target():
    assert set(DISK_BUSES) <= set(qemu_command.DISK_BUSES)
    assert set(NIC_MODELS) == set(qemu_command.NIC_MODELS)
    assert FIRMWARES == qemu_command.FIRMWARES and MACHINE_TYPES == qemu_command.MACHINE_TYPES
