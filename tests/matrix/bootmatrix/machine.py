# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a source machine is made of, as values and texts: disk layout, names, network, boot menu. Nothing here touches a disk."""

import hashlib

from typing import Dict, NamedTuple, Tuple

from .cases import Source, source_name

ADDRESS, PREFIX, GATEWAY = "192.0.2.15", 24, "192.0.2.1"
MAPPED_ADDRESS, MAPPED_GATEWAY, MAPPED_NETWORK = "198.51.100.15", "198.51.100.1", "198.51.100.0/24"
NETWORK = "192.0.2.0/24"
GROUP = "vg0"
SUBVOLUMES = {"@rootfs": "/", "@home": "/home"}        # as Debian's installer, which knows the first alone
ROOT_MIB, SWAP_MIB, BOOT_MIB = 1792, 64, 320
ESP_MIB = {"grubuefi": 64, "sdboot": 320}


class Bus(NamedTuple):
    disk: str                    # the kernel's name of the first disk
    drivers: Tuple[str, ...]     # that an initramfs made on this hardware has
    names: str                   # how the machine names its partitions: device uuid by-id by-path
    link: str = ""               # of the disk in /dev/disk/by-...


BUSES = {
    "ahci": Bus("sda", ("ahci", "sd_mod"), "device"),
    "ide": Bus("sda", ("ata_piix", "sd_mod"), "by-id", "ata-ST3500418AS_9VM2CW5M"),
    "lsi": Bus("sda", ("sym53c8xx", "sd_mod"), "by-path", "pci-0000:00:10.0-scsi-0:0:0:0"),
    "megasas": Bus("sda", ("megaraid_sas", "sd_mod"), "by-id", "scsi-36003048016b0a9001f2d1a4c0b2e7d55"),
    "mptsas": Bus("sda", ("mptsas", "sd_mod"), "device"),
    "pvscsi": Bus("sda", ("vmw_pvscsi", "sd_mod"), "uuid"),
    "usb": Bus("sda", ("xhci_pci", "usb_storage", "uas", "sd_mod"), "uuid"),
    "vblk": Bus("vda", ("virtio_pci", "virtio_blk"), "device"),
    "vscsi": Bus("sda", ("virtio_pci", "virtio_scsi", "sd_mod"), "by-path", "pci-0000:00:05.0-scsi-0:0:0:0"),
    "nvme": Bus("nvme0n1", ("nvme",), "by-id", "nvme-SAMSUNG_MZVL2512HCJQ_S675NX0R123456"),
}


class Nic(NamedTuple):
    interface: str
    mac: str


NICS = {
    "e1000": Nic("eth0", "00:0c:29:3a:51:07"),
    "e1000e": Nic("eno1", "a4:bf:01:1f:0e:55"),
    "vmxnet3": Nic("ens192", "00:50:56:a3:7d:21"),
    "rtl8139": Nic("enp2s0", "00:e0:4c:39:12:6f"),
    "vnet": Nic("ens3", "fa:16:3e:4c:90:0b"),
}


class Part(NamedTuple):
    number: int
    content: str                 # grub extended vfat ext4 xfs btrfs swap lvm
    start_mib: int
    size_mib: int
    mount: str = ""


class Volume(NamedTuple):
    name: str
    content: str
    size_mib: int
    mount: str = ""


class Identity(NamedTuple):
    """By what a machine is known. The nonce is drawn when its disk is made."""
    hostname: str
    machine_id: str
    nonce: str


def hostname_of(source: Source) -> str:
    return "m-" + hashlib.sha256(source_name(source).encode("ascii")).hexdigest()[:10]


def table_kind(source: Source) -> str:
    return "dos" if source.storage == "mbr" else "gpt"


def parts_of(source: Source) -> Tuple[Part, ...]:
    """The partitions, and with LVM one that holds all volumes."""
    if source.storage == "mbr":
        after = 1 + ROOT_MIB
        return (Part(1, source.root, 1, ROOT_MIB, "/"), Part(2, "extended", after, SWAP_MIB + 2), Part(5, "swap", after + 1, SWAP_MIB))
    wanted = []
    if source.loader in ESP_MIB:
        wanted.append(("vfat", ESP_MIB[source.loader], "/boot/efi"))
    elif source.loader == "grubbios":
        wanted.append(("grub", 1, ""))
    if source.storage == "boot":
        wanted.append(("ext4", BOOT_MIB, "/boot"))
    if source.storage == "lvm":
        if source.loader == "sdboot":
            wanted.append(("ext4", BOOT_MIB, "/boot"))
        wanted.append(("lvm", ROOT_MIB + SWAP_MIB + 16, ""))
    else:
        wanted += [(source.root, ROOT_MIB, "/"), ("swap", SWAP_MIB, "")]
    parts, start = [], 1
    for number, (content, size, mount) in enumerate(wanted, 1):
        parts.append(Part(number, content, start, size, mount))
        start += size
    return tuple(parts)


def volumes_of(source: Source) -> Tuple[Volume, ...]:
    if source.storage != "lvm":
        return ()
    return (Volume("root", source.root, ROOT_MIB, "/"), Volume("swap", "swap", SWAP_MIB))


def disk_mib(source: Source) -> int:
    last = max(parts_of(source), key=lambda part: part.start_mib + part.size_mib)
    return last.start_mib + last.size_mib + 2


def device_name(source: Source, part: Part, uuid: str) -> str:
    """How fstab and the boot menu call a partition. The EFI system partition has its UUID there, as Debian's installer writes it."""
    bus = BUSES[source.bus]
    if bus.names == "uuid" or part.content == "vfat":
        return f"UUID={uuid}"
    if bus.names == "device":
        return f"/dev/{bus.disk}{'p' if bus.disk[-1].isdigit() else ''}{part.number}"
    return f"/dev/disk/{bus.names}/{bus.link}-part{part.number}"


def names_of(source: Source, uuids: Dict[str, str]) -> Dict[str, str]:
    """{mount point, or "swap": name as the machine writes it}; `uuids` has the same keys."""
    named = {part.mount or part.content: device_name(source, part, uuids.get(part.mount or part.content, "")) for part in parts_of(source)}
    named.update({volume.mount or volume.content: f"/dev/mapper/{GROUP}-{volume.name}" for volume in volumes_of(source)})
    return named


def fstab(source: Source, names: Dict[str, str]) -> str:
    contents = {each.mount: each.content for each in parts_of(source) + volumes_of(source) if each.mount}
    lines = ["# <file system> <mount point> <type> <options> <dump> <pass>"]
    if source.root == "btrfs":
        for subvolume, mount in SUBVOLUMES.items():
            lines.append(f"{names['/']} {mount} btrfs defaults,subvol={subvolume} 0 0")
    else:
        lines.append(f"{names['/']} / {contents['/']} {'errors=remount-ro' if source.root == 'ext4' else 'defaults'} 0 1")
    for mount in sorted(set(contents) - {"/"}):
        lines.append(f"{names[mount]} {mount} {contents[mount]} {'umask=0077' if contents[mount] == 'vfat' else 'defaults'} 0 2")
    lines.append(f"{names['swap']} none swap sw 0 0")
    return "".join(line + "\n" for line in lines)


def arguments(source: Source, names: Dict[str, str]) -> str:
    """The kernel's arguments: a server with a screen, without a serial console."""
    words = [f"root={names['/']}", "ro"]
    if source.root == "btrfs":
        words.append("rootflags=subvol=@rootfs")
    if source.initramfs == "dracut":
        words.append(f"resume={names['swap']}")
    return " ".join(words + ["quiet"])


def texts(source: Source, names: Dict[str, str], identity: Identity) -> Dict[str, str]:
    """Files of the machine but for its boot menu: {path: content}."""
    files = {
        "etc/hostname": identity.hostname + "\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {identity.hostname}\n",
        "etc/machine-id": identity.machine_id + "\n",
        "etc/resolv.conf": "nameserver 192.0.2.53\n",
        "etc/matrix-nonce": identity.nonce + "\n",
        "etc/fstab": fstab(source, names),
        "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
        # An emulated machine needs longer than the 90 seconds that systemd allows. Its patience with devices stays: a control without its
        # swap must go on as a server would.
        "etc/systemd/system.conf.d/slow.conf": "[Manager]\nDefaultTimeoutStartSec=600s\n",
        "etc/systemd/system/matrix-identity.socket": "[Socket]\nListenStream=80\nAccept=yes\n\n[Install]\nWantedBy=sockets.target\n",
        "etc/systemd/system/matrix-identity@.service": "[Service]\nExecStart=/usr/local/sbin/matrix-identity\nStandardInput=socket\n",
        "usr/local/sbin/matrix-identity": IDENTITY,
    }
    if source.initramfs != "dracut":
        policy = "dep" if source.initramfs == "dep" else "most"
        files["etc/initramfs-tools/conf.d/driver-policy"] = f"# Driver inclusion policy selected during installation\nMODULES={policy}\n"
        files["etc/initramfs-tools/conf.d/resume"] = f"RESUME={names['swap']}\n"
    files.update(network_texts(source))
    return files


# Answers every connection to port 80, whatever was asked. That some were given up before they had an answer is no fault of the machine.
IDENTITY = """#!/bin/sh
read -r _request
printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\n'
printf 'machine_id=%s\\n' "$(cat /etc/machine-id)"
printf 'hostname=%s\\n' "$(cat /proc/sys/kernel/hostname)"
printf 'nonce=%s\\n' "$(cat /etc/matrix-nonce)"
printf 'kernel=%s\\n' "$(uname -r)"
printf 'uptime=%s\\n' "$(cut -d' ' -f1 /proc/uptime)"
printf 'root=%s\\n' "$(grep ' / ' /proc/mounts | grep -v ^rootfs | cut -d' ' -f1,3,4)"
printf 'failed=%s\\n' "$(systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1 | grep -v ^matrix-identity@ | tr '\\n' ' ')"
printf 'cmdline=%s\\n' "$(cat /proc/cmdline)"
"""


def manager_of(source: Source) -> str:
    return source.network[:-4] if source.network.endswith("dhcp") else source.network


SERVICES = {
    "ifupdown": ("networking.service",),
    "networkd": ("systemd-networkd.service",),
    "netplan": ("systemd-networkd.service",),
    "nm": ("NetworkManager.service",),
}


def network_texts(source: Source) -> Dict[str, str]:
    nic, manager, dhcp = NICS[source.nic], manager_of(source), source.network.endswith("dhcp")
    static = {"name": nic.interface, "mac": nic.mac, "address": f"{ADDRESS}/{PREFIX}", "gateway": GATEWAY}
    files = {}
    if nic.interface == "eth0":
        files["etc/udev/rules.d/70-persistent-net.rules"] = (
            f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{nic.mac}", ATTR{{dev_id}}=="0x0", ATTR{{type}}=="1", '
            f'NAME="{nic.interface}"\n')
    if manager == "ifupdown":
        method = "dhcp\n" if dhcp else "static\n    address {address}\n    gateway {gateway}\n".format(**static)
        files["etc/network/interfaces"] = (
            f"auto lo\niface lo inet loopback\n\nallow-hotplug {nic.interface}\niface {nic.interface} inet {method}")
    elif manager == "networkd":
        files["etc/systemd/network/20-lan.network"] = (
            "[Match]\nMACAddress={mac}\n\n[Network]\nAddress={address}\nGateway={gateway}\n".format(**static))
    elif manager == "netplan":
        files["etc/netplan/50-cloud-init.yaml"] = (
            "network:\n  version: 2\n  ethernets:\n    {name}:\n      match:\n        macaddress: {mac}\n      set-name: {name}\n"
            "      addresses:\n        - {address}\n      routes:\n        - to: default\n          via: {gateway}\n"
            if source.suite != "bullseye" else
            "network:\n  version: 2\n  ethernets:\n    {name}:\n      match:\n        macaddress: {mac}\n      set-name: {name}\n"
            "      addresses:\n        - {address}\n      gateway4: {gateway}\n").format(**static)
    else:
        ipv4 = "method=auto\n" if dhcp else "method=manual\naddress1={address},{gateway}\n".format(**static)
        files["etc/NetworkManager/system-connections/lan.nmconnection"] = (
            "[connection]\nid=lan\nuuid=7d3a4c0e-52b1-4a3c-9a39-0d6f5f1f9c11\ntype=ethernet\ninterface-name={name}\n\n"
            "[ethernet]\nmac-address={MAC}\n\n[ipv4]\n".format(MAC=nic.mac.upper(), **static) + ipv4 + "\n[ipv6]\nmethod=disabled\n")
    return files


def grub_menu(source: Source, names: Dict[str, str], uuids: Dict[str, str], kernel: str) -> str:
    """grub.cfg as update-grub writes it: by UUID, or by the place on the disk where the machine uses no UUID."""
    place = "/boot" if "/boot" in uuids else "/"
    folder = {"/boot": "", "/": "/@rootfs/boot" if source.root == "btrfs" else "/boot"}[place]
    if BUSES[source.bus].names == "uuid" or source.loader == "grubuefi":
        root = f"search --no-floppy --fs-uuid --set=root {uuids[place]}"
    elif source.storage == "lvm" and place == "/":
        root = f"set root='lvm/{GROUP}-root'"
    else:
        root = f"set root='hd0,{'msdos' if source.storage == 'mbr' else 'gpt'}{number_of(source, place)}'"
    modules = ["part_msdos" if source.storage == "mbr" else "part_gpt", "ext2" if place == "/boot" else GRUB_MODULES[source.root]]
    modules += ["lvm"] if source.storage == "lvm" else []
    head = "if [ -s $prefix/grubenv ]; then\n\tload_env\nfi\nset default=\"0\"\nset timeout=1\n"
    entry = (
        "menuentry '{title}' --class debian --class gnu-linux --class os {{\n{modules}\t{root}\n"
        "\tlinux {folder}/vmlinuz-{kernel} {arguments}\n\tinitrd {folder}/initrd.img-{kernel}\n}}\n")
    values = {"root": root, "folder": folder, "kernel": kernel, "modules": "".join(f"\tinsmod {name}\n" for name in modules)}
    normal = arguments(source, names)
    return "\n".join((head, entry.format(title="Debian GNU/Linux", arguments=normal, **values),
                      entry.format(title="Debian GNU/Linux (recovery mode)", arguments=normal.replace(" quiet", "") + " single", **values)))


GRUB_MODULES = {"ext4": "ext2", "xfs": "xfs", "btrfs": "btrfs"}


def number_of(source: Source, mount: str) -> int:
    return next(part.number for part in parts_of(source) if part.mount == mount)


def extlinux_menu(source: Source, names: Dict[str, str], kernel: str) -> str:
    return ("default l0\nprompt 0\ntimeout 10\n\nlabel l0\n\tmenu label Debian GNU/Linux\n\tlinux /boot/vmlinuz-{kernel}\n"
            "\tinitrd /boot/initrd.img-{kernel}\n\tappend {arguments}\n").format(kernel=kernel, arguments=arguments(source, names))


def systemd_boot_entry(source: Source, names: Dict[str, str], identity: Identity, kernel: str) -> str:
    """As Debian's kernel-install writes it into loader/entries."""
    folder = f"/{identity.machine_id}/{kernel}"
    return (f"title      Debian GNU/Linux\nversion    {kernel}\nmachine-id {identity.machine_id}\nsort-key   debian\n"
            f"options    {arguments(source, names)}\nlinux      {folder}/linux\ninitrd     {folder}/initrd.img-{kernel}\n")
