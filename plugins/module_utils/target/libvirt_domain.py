# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A recovered machine as libvirt is told of it: the XML of a domain. Pure, as qemu_command.py is, and with its words for hardware.

Source: libvirt, "Domain XML format". <os firmware="efi"> needs libvirt 5.2, the features below it 7.2, the processor "maximum" 7.1.
"""

from typing import NamedTuple, Tuple
from xml.etree import ElementTree

from ..errors import TargetError
from .qemu_command import FIRMWARES, MACHINE_TYPES

# Bus of qemu_guest -> (bus of libvirt, prefix of target names, model of the SCSI controller). libvirt has no emulated NVMe.
BUSES = {
    "virtio-blk": ("virtio", "vd", ""),
    "virtio-scsi": ("scsi", "sd", "virtio-scsi"),
    "lsi": ("scsi", "sd", "lsilogic"),
    "megasas": ("scsi", "sd", "lsisas1078"),
    "mptsas": ("scsi", "sd", "lsisas1068"),
    "pvscsi": ("scsi", "sd", "vmpvscsi"),
    "ahci": ("sata", "sd", ""),
    "ide": ("ide", "hd", ""),
}
NICS = {"virtio-net": "virtio", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139", "vmxnet3": "vmxnet3"}
_MOST_DISKS = 26                     # names a to z


class Domain(NamedTuple):
    name: str
    description: str
    disks: Tuple[str, ...]               # paths of raw files and block devices, in boot order
    disk_bus: str
    nic: str
    mac: str
    network: str                         # a network of libvirt, "": none
    bridge: str                          # or a bridge of the host
    firmware: str                        # bios uefi
    machine: str                         # pc q35
    memory: int                          # MiB
    cpus: int
    kvm: bool                            # else QEMU emulates the processor
    console: str                         # absolute path of a file that gets what the first serial port says


def domain_xml(domain: Domain, block_devices: Tuple[str, ...] = ()) -> str:
    """:param block_devices: those of its disks that are no files. Raises TargetError with the first thing that is wrong with it."""
    _check(domain)
    root = ElementTree.Element("domain", type="kvm" if domain.kvm else "qemu")
    _add(root, "name", text=domain.name)
    _add(root, "description", text=domain.description)
    _add(root, "memory", text=str(domain.memory), unit="MiB")
    _add(root, "vcpu", text=str(domain.cpus))
    system = _add(root, "os", **({"firmware": "efi"} if domain.firmware == "uefi" else {}))
    _add(system, "type", text="hvm", arch="x86_64", machine=domain.machine)
    if domain.firmware == "uefi":
        # Secure boot would refuse what no distribution has signed; keys of the old machine's firmware are not in the image.
        _add(_add(system, "firmware"), "feature", enabled="no", name="secure-boot")
    _add(system, "boot", dev="hd")
    features = _add(root, "features")
    _add(features, "acpi")
    _add(features, "apic")
    _add(root, "cpu", mode="host-passthrough" if domain.kvm else "maximum")
    _add(root, "clock", offset="utc")
    _add(root, "on_crash", text="restart")
    _add_devices(_add(root, "devices"), domain, block_devices)
    return ElementTree.tostring(root, encoding="unicode")


def _check(domain):
    bus = BUSES.get(domain.disk_bus)
    problems = (
        (domain.firmware not in FIRMWARES, f"firmware {domain.firmware!r} is not one of {', '.join(FIRMWARES)}"),
        (domain.machine not in MACHINE_TYPES, f"machine type {domain.machine!r} is not one of {', '.join(MACHINE_TYPES)}"),
        (bus is None, f"disk bus {domain.disk_bus!r} is not one of {', '.join(sorted(BUSES))}"),
        (domain.disk_bus == "ide" and domain.machine != "pc", "machine type q35 has no IDE controller; use ahci, or machine type pc"),
        (domain.nic not in NICS, f"NIC model {domain.nic!r} is not one of {', '.join(sorted(NICS))}"),
        (bool(domain.network) == bool(domain.bridge), "it needs either a network of libvirt or a bridge of the host"),
        (not 0 < len(domain.disks) <= _MOST_DISKS, f"{len(domain.disks)} disks are not 1 to {_MOST_DISKS}"),
        (domain.memory < 16 or domain.cpus < 1, f"{domain.memory} MiB of memory and {domain.cpus} processors are too little"),
    )
    for wrong, what in problems:
        if wrong:
            raise TargetError(f"Machine {domain.name!r} cannot be a domain of libvirt: {what}.")


def _add_devices(devices, domain, block_devices):
    bus, prefix, controller = BUSES[domain.disk_bus]
    if controller:
        _add(devices, "controller", type="scsi", index="0", model=controller)
    for number, path in enumerate(domain.disks):
        kind, attribute = ("block", "dev") if path in block_devices else ("file", "file")
        disk = _add(devices, "disk", type=kind, device="disk")
        _add(disk, "driver", name="qemu", type="raw", discard="unmap")
        _add(disk, "source", **{attribute: path})
        _add(disk, "target", dev=prefix + "abcdefghijklmnopqrstuvwxyz"[number], bus=bus)
    card = _add(devices, "interface", type="bridge" if domain.bridge else "network")
    _add(card, "mac", address=domain.mac)
    _add(card, "source", **({"bridge": domain.bridge} if domain.bridge else {"network": domain.network}))
    _add(card, "model", type=NICS[domain.nic])
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=domain.console, append="off")
    _add(serial, "target", port="0")
    # A socket that only libvirt hands out: a port on loopback would show the console to every user of the host.
    _add(_add(devices, "graphics", type="vnc"), "listen", type="socket")
    _add(_add(devices, "video"), "model", type="vga")


def _add(parent, tag, text=None, **attributes):
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def network_leads_out(xml: str) -> bool:
    """Whether a network of libvirt leads anywhere but to its host: it has <forward>, or a physical device. Raises TargetError.

    libvirt, "Network XML format": without <forward> guests reach each other and the host, and nothing else.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise TargetError(f"libvirt describes the network in a way that nobody understands: {error}.") from error
    return root.find("forward") is not None
