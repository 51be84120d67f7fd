# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual machine of a recovered server as frozen values, and the QEMU command line that makes it.

Pure: nothing here starts or opens anything, so every line of hardware that a guest sees can be tested as text.
QEMU runs with the run directory as its working directory; file names of our own are therefore relative.
"""

import ipaddress
import os
import re
import stat

from typing import NamedTuple, Tuple

from ..errors import TargetError

# Files of ours in the run directory.
PID_FILE = "qemu.pid"
LOG_FILE = "qemu.log"                 # QEMU's own messages
CONSOLE_LOG = "console.log"           # everything that the guest wrote to its first serial port since the start
QMP_SOCKET = "qmp.sock"
SERIAL_SOCKET = "serial.sock"
CONSOLE_LOCK = "console.lock"         # held by the one client that talks on SERIAL_SOCKET
UEFI_VARIABLES = "uefi-vars.fd"

# Disk bus -> QEMU's SCSI controller. Drivers that the guest needs: target/profile.py.
SCSI_CONTROLLERS = {
    "virtio-scsi": "virtio-scsi-pci",
    "lsi": "lsi53c895a",
    "megasas": "megasas",
    "mptsas": "mptsas1068",
    "pvscsi": "pvscsi",
}
DISK_BUSES = tuple(sorted(SCSI_CONTROLLERS)) + ("virtio-blk", "ahci", "ide", "nvme")
DISK_LIMITS = {"lsi": 7, "ahci": 6, "ide": 4}
NIC_MODELS = {
    "virtio-net": "virtio-net-pci",
    "e1000": "e1000",
    "e1000e": "e1000e",
    "rtl8139": "rtl8139",
    "vmxnet3": "vmxnet3",
}
DISK_FORMATS = ("raw", "qcow2", "vmdk", "vpc", "vhdx")
MACHINE_TYPES = ("pc", "q35")
FIRMWARES = ("bios", "uefi")
ACCELERATORS = ("auto", "kvm", "tcg")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class GuestDisk(NamedTuple):
    path: str
    format: str = "raw"
    bus: str = "virtio-scsi"
    read_only: bool = False
    snapshot: bool = False            # writes go to a throw-away file in the run directory


class Forward(NamedTuple):
    """A TCP port of this host, on loopback, that leads to a port of the guest."""
    guest_port: int
    host_port: int = 0                # 0: a free one is chosen at start
    host_address: str = "127.0.0.1"


class GuestNic(NamedTuple):
    """A NIC, on QEMU's user network, which exists only inside the QEMU process, or on a segment, which has its own gateway and isolation."""
    model: str = "virtio-net"
    mac: str = ""                     # "": QEMU's default
    network: str = "192.0.2.0/24"
    gateway: str = ""                 # this host, as the guest sees it; "": first address of the network
    address: str = ""                 # the guest; forwards lead to it and DHCP hands it out; "": 15th address of the network
    isolated: bool = True             # the guest reaches nothing outside: a drill must not reach production
    forwards: Tuple[Forward, ...] = ()
    segment: str = ""                 # run directory of the segment (qemu_segment.py) that it is connected to, "": a network of its own


class Guest(NamedTuple):
    name: str
    run_dir: str                      # absolute; belongs to this guest alone
    disks: Tuple[GuestDisk, ...] = ()
    nics: Tuple[GuestNic, ...] = ()
    firmware: str = "bios"            # bios uefi
    machine: str = "pc"               # pc (i440FX) q35
    memory: int = 1024                # MiB
    cpus: int = 2
    accel: str = "auto"               # auto kvm tcg
    lifetime: int = 3600              # seconds after which the guest is ended whatever happens


class Firmware(NamedTuple):
    """A UEFI build: code and an empty variable store."""
    code: str
    code_format: str
    variables: str
    variables_format: str


def check_guest(guest):
    """Raises TargetError with the first thing that is wrong with a guest's description."""
    problems = [
        (not _NAME.fullmatch(guest.name), f"name {guest.name!r} must be 1 to 63 letters, digits, dots, dashes or underscores"),
        (not os.path.isabs(guest.run_dir), f"run directory {guest.run_dir!r} must be an absolute path"),
        (guest.firmware not in FIRMWARES, f"firmware {guest.firmware!r} is not one of {', '.join(FIRMWARES)}"),
        (guest.machine not in MACHINE_TYPES, f"machine type {guest.machine!r} is not one of {', '.join(MACHINE_TYPES)}"),
        (guest.accel not in ACCELERATORS, f"accelerator {guest.accel!r} is not one of {', '.join(ACCELERATORS)}"),
        (guest.memory < 16, f"memory of {guest.memory} MiB is too small"),
        (guest.cpus < 1, f"{guest.cpus} CPUs are too few"),
        (guest.lifetime < 1, f"lifetime of {guest.lifetime} s is too short"),
        (not guest.disks, "it has no disk"),
    ]
    for disk in guest.disks:
        problems += [
            (disk.bus not in DISK_BUSES, f"disk bus {disk.bus!r} is not one of {', '.join(DISK_BUSES)}"),
            (disk.format not in DISK_FORMATS, f"disk format {disk.format!r} is not one of {', '.join(DISK_FORMATS)}"),
            (not os.path.isabs(disk.path), f"disk path {disk.path!r} must be absolute"),
            (disk.bus == "ide" and guest.machine != "pc",
             f"machine type {guest.machine} has no IDE controller; use ahci, or machine type pc"),
        ]
    for bus, limit in DISK_LIMITS.items():
        count = sum(1 for disk in guest.disks if disk.bus == bus)
        problems.append((count > limit, f"{count} disks are on bus {bus}, which takes {limit}"))
    for nic in guest.nics:
        problems += [
            (nic.model not in NIC_MODELS, f"NIC model {nic.model!r} is not one of {', '.join(sorted(NIC_MODELS))}"),
            (bool(nic.mac) and not _MAC.fullmatch(nic.mac.lower()), f"MAC address {nic.mac!r} is not six hexadecimal pairs"),
            (bool(nic.segment) and not nic.mac, "a NIC on a segment needs a MAC address, or two guests get the same from QEMU"),
        ]
    for wrong, what in problems:
        if wrong:
            raise TargetError(f"Guest {guest.name!r} cannot be started: {what}.")
    for nic in guest.nics:
        nic_addresses(nic)


def nic_addresses(nic):
    """Addresses of a user network: (network, gateway, guest, dns), all as text. Raises TargetError.

    `dns` is the address of QEMU's own resolver, which must exist beside the others; an isolated guest gets no answer from it.
    """
    try:
        network = ipaddress.IPv4Network(nic.network)
        gateway = ipaddress.IPv4Address(nic.gateway) if nic.gateway else network[1]
        guest = ipaddress.IPv4Address(nic.address) if nic.address else network[15]
    except (ValueError, IndexError) as error:
        raise TargetError(f"The guest's network {nic.network!r} (gateway {nic.gateway!r}, address {nic.address!r}) makes no sense: "
                          f"{error}.") from error
    edges = (network.network_address, network.broadcast_address)
    for what, address in (("gateway", gateway), ("guest's address", guest)):
        if address not in network or address in edges:
            raise TargetError(f"The {what} {address} is no host address of the guest's network {network}.")
    if gateway == guest:
        raise TargetError(f"The guest's address {guest} is also its gateway's.")
    for dns in network.hosts():
        if dns not in (gateway, guest):
            return str(network), str(gateway), str(guest), str(dns)
    raise TargetError(f"The guest's network {network} is too small: QEMU needs a third address in it.")


def build_command(guest, program, accel, sandbox="", firmware=None, segments=()):
    """The argument list that starts the guest. Host ports of all forwards must have been chosen.

    :param segments: {run directory of a segment: options of -netdev that join it}, for all that NICs name.

    :param accel: "kvm" or "tcg".  :param sandbox: value of -sandbox, "": none.
    :param firmware: Firmware where guest.firmware is "uefi"; its variables must have been copied to UEFI_VARIABLES.
    """
    arguments = [program, "-name", _quote(guest.name), "-nodefaults", "-no-user-config"]
    if sandbox:
        arguments += ["-sandbox", sandbox]
    arguments += ["-machine", guest.machine]
    arguments += ["-accel", "kvm", "-cpu", "host"] if accel == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    arguments += ["-smp", str(guest.cpus), "-m", f"{guest.memory}M", "-rtc", "base=utc", "-boot", "strict=on"]
    if guest.firmware == "uefi":
        arguments += [
            "-drive", f"if=pflash,unit=0,format={firmware.code_format},readonly=on,file={_quote(firmware.code)}",
            "-drive", f"if=pflash,unit=1,format={firmware.variables_format},file={UEFI_VARIABLES}"]
    # A screen is always there: the picture of it is evidence, and guests without a serial console have no other.
    arguments += ["-display", "none", "-vga", "std"]
    serial = f"socket,id=serial0,path={SERIAL_SOCKET},server=on,wait=off,logfile={CONSOLE_LOG}"
    arguments += ["-chardev", serial, "-serial", "chardev:serial0"]
    arguments += ["-chardev", f"socket,id=qmp0,path={QMP_SOCKET},server=on,wait=off", "-mon", "chardev=qmp0,mode=control"]
    arguments += ["-pidfile", PID_FILE]
    return arguments + _disk_arguments(guest.disks) + _nic_arguments(guest.nics, segments)


def _disk_arguments(disks):
    arguments = []
    seen = {}                                 # bus -> disks on it so far
    for index, disk in enumerate(disks):
        number = seen.get(disk.bus, 0)
        seen[disk.bus] = number + 1
        drive = f"disk{index}"
        options = [
            "if=none", f"id={drive}", f"format={disk.format}", "discard=unmap",
            f"file.driver={_file_driver(disk.path)}", f"file.filename={_quote(disk.path)}"]
        options += ["read-only=on"] if disk.read_only else []
        options += ["snapshot=on"] if disk.snapshot else []
        arguments += ["-drive", ",".join(options)]
        # bootindex makes the firmware try the disks in order and nothing else; the serial number tells them apart inside the guest.
        common = f"drive={drive},bootindex={index},serial=disk{index}"
        if disk.bus in SCSI_CONTROLLERS:
            if not number:
                arguments += ["-device", f"{SCSI_CONTROLLERS[disk.bus]},id={disk.bus}0"]
            arguments += ["-device", f"scsi-hd,bus={disk.bus}0.0,scsi-id={number},{common}"]
        elif disk.bus == "ahci":
            if not number:
                arguments += ["-device", "ich9-ahci,id=ahci0"]
            arguments += ["-device", f"ide-hd,bus=ahci0.{number},{common}"]
        elif disk.bus == "ide":
            arguments += ["-device", f"ide-hd,bus=ide.{number // 2},unit={number % 2},{common}"]
        else:
            arguments += ["-device", f"{'nvme' if disk.bus == 'nvme' else 'virtio-blk-pci'},{common}"]
    return arguments


def _nic_arguments(nics, segments):
    arguments = []
    for index, nic in enumerate(nics):
        network, gateway, address, dns = nic_addresses(nic)
        if nic.segment:
            options = [segments[nic.segment]]
        else:
            options = [user_network(network, gateway, address, dns, nic.isolated)]
            options += [f"hostfwd=tcp:{forward.host_address}:{forward.host_port}-{address}:{forward.guest_port}" for forward in nic.forwards]
        # romfile= : no network boot, a guest without a bootable disk must fail instead of asking the network for another system
        device = f"{NIC_MODELS[nic.model]},netdev=net{index},romfile="
        arguments += ["-netdev", ",".join(options + [f"id=net{index}"]), "-device", f"{device},mac={nic.mac.lower()}" if nic.mac else device]
    return arguments


def user_network(network, gateway, first, dns, isolated):
    """Options of -netdev for QEMU's user network, all addresses as text; `first` is what it hands out by DHCP first."""
    return f"user,ipv6=off,net={network},host={gateway},dhcpstart={first},dns={dns},restrict={'on' if isolated else 'off'}"


def _file_driver(path):
    """QEMU's driver for the thing at `path`; "file" also where it does not exist, so that QEMU's own error is seen."""
    try:
        return "host_device" if stat.S_ISBLK(os.stat(path).st_mode) else "file"
    except OSError:
        return "file"


def _quote(value):
    """Commas separate options; a doubled one is a comma."""
    return value.replace(",", ",,")
