# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a machine's hardware is said in OpenStack: by a flavour its size, by properties of the image or boot volume all else.

Sources: Glance, "Useful image properties"; nova/objects/fields.py (DiskBus, SCSIModel, VIFModel, FirmwareType), which is what Nova accepts;
Nova, "UEFI" (q35 is what its tests boot with UEFI); Nova, "Extra specs"; Nova's policy os_compute_api:servers:create:zero_disk_flavor (since
Stein only administrators may boot an image with a flavour whose disk has no size).
"""

import fnmatch

from typing import Dict, Iterable, NamedTuple, Tuple

from ..errors import TargetError

# Names as qemu_guest has them.
DISK_BUSES = {
    "virtio-blk": {"hw_disk_bus": "virtio"},
    "virtio-scsi": {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"},
    "ahci": {"hw_disk_bus": "sata"},
    "ide": {"hw_disk_bus": "ide"},
}  # type: Dict[str, Dict[str, str]]
NIC_MODELS = {"virtio-net": "virtio", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139", "vmxnet3": "vmxnet3"}
FIRMWARES = ("bios", "uefi")
MACHINE_TYPES = ("pc", "q35")

# Extra specs by which a flavour hands out devices of the host, which are few and dear. Such a flavour is used only by its name.
_DEVICES = ("accel:", "pci_passthrough:", "resources:")


class Flavor(NamedTuple):
    id: str
    name: str
    vcpus: int
    ram: int                               # MiB
    disk: int = 0                          # GiB of the root disk, 0: for servers that boot from a volume
    extra_specs: Tuple[str, ...] = ()      # their names


class Need(NamedTuple):
    """What a machine needs at least."""
    cpus: int
    memory: int                            # MiB
    disk: int = 0                          # GiB of the disk that the flavour gives, 0: it boots from a volume


def choose_flavor(flavors: Iterable[Flavor], need: Need, patterns: Iterable[str] = ("*",)) -> Flavor:
    """The flavour that gives the least more than is needed, processors and memory taken together. Raises TargetError.

    patterns: shell patterns for its name.
    """
    patterns = tuple(patterns)
    usual = [flavor for flavor in flavors if any(fnmatch.fnmatchcase(flavor.name, pattern) for pattern in patterns)
             and not any(name.startswith(_DEVICES) for name in flavor.extra_specs)]
    large = [flavor for flavor in usual if _lacks(flavor, need) == ""]
    if not large:
        known = ", ".join(f"{flavor.name} ({_lacks(flavor, need)})" for flavor in sorted(usual, key=_size)) or "none"
        raise TargetError(f"No flavour is large enough for {need.cpus} CPUs and {need.memory} MiB of memory"
                          f"{f' and a disk of {need.disk} GiB' if need.disk else ''}. There are: {known}.")
    return min(large, key=lambda flavor: (flavor.vcpus / max(need.cpus, 1) * flavor.ram / max(need.memory, 1),) + _size(flavor))


def check_flavor(flavor: Flavor, need: Need) -> None:
    """Raises TargetError where a flavour that was asked for by name cannot hold the machine's disk. Less memory is the operator's choice."""
    if 0 < flavor.disk < need.disk:
        raise TargetError(f"Flavour {flavor.name} gives a disk of {flavor.disk} GiB, and the machine's disk needs {need.disk} GiB.")


def hardware_properties(firmware: str, disk_bus: str, nic: str, machine: str = "") -> Dict[str, str]:
    """Properties of an image, or image metadata of a volume, by which Nova builds this hardware. Raises TargetError.

    machine: "": the cloud's own choice, and q35 with UEFI.
    """
    if firmware == "uefi" and not machine:
        machine = "q35"
    if machine == "q35" and disk_bus == "ide":
        raise TargetError("A machine of type q35 has no IDE controller. Choose the disk bus ahci, or the machine type pc.")
    properties = dict(DISK_BUSES[disk_bus], hw_vif_model=NIC_MODELS[nic], hw_firmware_type=firmware)
    if machine:
        properties["hw_machine_type"] = machine
    return properties


def _lacks(flavor, need):
    if flavor.vcpus < need.cpus:
        return f"{flavor.vcpus} CPUs"
    if flavor.ram < need.memory:
        return f"{flavor.ram} MiB"
    return f"{flavor.disk} GiB" if flavor.disk < need.disk else ""


def _size(flavor):
    return flavor.ram, flavor.vcpus, flavor.disk, flavor.name
