# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine model: frozen descriptions of a machine as captured.

Sizes and offsets are bytes. Names of absent things are empty strings. `to_data` and `from_data` turn any of these values
into plain JSON data and back.
"""

from typing import NamedTuple, Tuple

CONTAINERS = ("lvm2", "luks", "md")      # kinds of content that hide volumes inside


class Content(NamedTuple):
    """What a disk, partition or volume holds, told by its signature."""
    kind: str            # ext2 ext3 ext4 xfs btrfs vfat exfat ntfs swap lvm2 luks md bitlocker zfs empty unknown
    uuid: str = ""       # as blkid prints it
    label: str = ""
    size: int = 0        # bytes that the content itself claims, 0: does not say
    note: str = ""       # what an operator should know: "holds a hibernated system"


class Partition(NamedTuple):
    """A partition that holds data. The extended partition of an MBR is only a container for logical ones and is not listed."""
    number: int
    start: int
    size: int
    type: str            # GPT: type GUID, lower case; MBR: "0x83"
    uuid: str = ""       # PARTUUID as udev and the kernel name it, lower case ("d1c2a3b4-02" for MBR)
    name: str = ""       # GPT only
    bootable: bool = False
    content: Content = Content("unknown")


class Disk(NamedTuple):
    name: str                               # the source's name: "sda", "nvme0n1"
    size: int
    sector_size: int = 512
    table: str = "none"                     # gpt mbr none
    table_uuid: str = ""
    partitions: Tuple[Partition, ...] = ()
    content: Content = Content("unknown")   # of the whole disk where table is "none"
    boot_code: bool = False                 # first sector holds BIOS boot code
    notes: Tuple[str, ...] = ()             # damage and oddities seen while the table was read, as sentences
    added_loader: bool = False              # the boot code is of a conversion for BIOS (recovery/conversion)


class Mount(NamedTuple):
    """One entry of fstab."""
    spec: str            # /dev/sda2, UUID=…, LABEL=…, PARTUUID=…
    path: str            # mount point, or "none" for swap
    type: str
    options: str = "defaults"
    dump: int = 0
    check: int = 0


class Kernel(NamedTuple):
    version: str                                 # "6.1.0-18-amd64"
    image: str = ""                              # path in the root: /boot/vmlinuz-…
    initramfs: str = ""                          # path in the root, "": none found
    builtin: Tuple[str, ...] = ()                # drivers of interest built into the kernel
    modules: Tuple[str, ...] = ()                # storage and network drivers that /lib/modules/<version> holds
    initramfs_drivers: Tuple[str, ...] = ()      # storage drivers that the initramfs holds


class Address(NamedTuple):
    address: str         # "192.0.2.10/24", "2001:db8::1/64"
    gateway: str = ""


class Route(NamedTuple):
    """A static route that is no default route; those are the gateways of addresses."""
    destination: str     # "198.51.100.0/24"
    gateway: str


class Nic(NamedTuple):
    """One configured network interface, told from configuration files."""
    name: str                                    # as configured: eth0, lan0
    mac: str = ""                                # lower case, "": not bound to a MAC
    method: str = ""                             # static dhcp manual
    addresses: Tuple[Address, ...] = ()
    nameservers: Tuple[str, ...] = ()
    source: str = ""                             # file that says so: /etc/network/interfaces
    kind: str = ""                               # bond vlan bridge other: made by software; "": a network card, or not told
    lower: Tuple[str, ...] = ()                  # interfaces that it is built on
    routes: Tuple[Route, ...] = ()


class OsRelease(NamedTuple):
    id: str = ""
    version: str = ""
    name: str = ""
    like: Tuple[str, ...] = ()


class Machine(NamedTuple):
    name: str
    hostname: str = ""
    architecture: str = ""                       # x86_64 aarch64
    firmware: str = ""                           # bios uefi both ""
    os: OsRelease = OsRelease()
    boot_loader: str = ""                        # grub2 grub-legacy systemd-boot extlinux ""
    disks: Tuple[Disk, ...] = ()
    mounts: Tuple[Mount, ...] = ()
    kernels: Tuple[Kernel, ...] = ()
    nics: Tuple[Nic, ...] = ()
    warnings: Tuple[str, ...] = ()


def partition_name(disk, number):
    """The kernel's name of a partition: a "p" stands between where the disk's name ends with a digit. `number` 0 is the disk."""
    if not number:
        return disk
    return f"{disk}p{number}" if disk[-1:].isdigit() else f"{disk}{number}"
