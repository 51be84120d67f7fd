# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases of the boot matrix as data: what a source machine is like, and on which hardware it is recovered.

A case is its name: "bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--nitro". Every word of a name is one choice of one axis; words of the
defaults (kernel amd64, storage gpt) are left out. Any name that `parse_case` takes can be run, also one that is in no set.
"""

import itertools
import random

from typing import Dict, List, NamedTuple, Set, Tuple


class Source(NamedTuple):
    suite: str
    kernel: str          # amd64, cloud: Debian's kernel for virtual machines, with few drivers
    initramfs: str       # dep: initramfs-tools with the drivers of the old hardware; most: with many; dracut: hostonly
    root: str            # file system
    storage: str         # gpt; mbr, swap on a logical partition; boot: GPT with /boot on its own; lvm: root and swap
    loader: str
    network: str         # who configures it; ...dhcp: by DHCP, else a static address
    bus: str             # of the old disk: decides drivers in the initramfs and the names in fstab
    nic: str             # of the old machine: decides the interface's name


class Target(NamedTuple):
    """What QEMU shows, and how the product is told to fit a machine to it."""
    name: str
    profile: str         # the product's target profile
    bus: str             # of the product's QEMU guest, as the NIC model and the machine type
    nic: str
    machine: str
    network: str         # mode of the network fix-up: keep dhcp mapped


class Case(NamedTuple):
    source: Source
    target: Target

    @property
    def name(self) -> str:
        return f"{source_name(self.source)}--{self.target.name}"

    @property
    def firmware(self) -> str:
        return "uefi" if self.source.loader in UEFI_LOADERS else "bios"

    @property
    def bus(self) -> str:
        """Of the target's disk."""
        return UEFI_BUSES.get(self.target.bus, self.target.bus) if self.firmware == "uefi" else self.target.bus


AXES = {
    "suite": ("bullseye", "bookworm", "trixie", "forky"),
    "kernel": ("amd64", "cloud"),
    "initramfs": ("dep", "most", "dracut"),
    "root": ("ext4", "xfs", "btrfs"),
    "storage": ("gpt", "mbr", "boot", "lvm"),
    "loader": ("grubbios", "grubuefi", "sdboot", "extlinux"),
    "network": ("ifupdown", "networkd", "netplan", "nm", "ifupdowndhcp", "nmdhcp"),
    "bus": ("ahci", "ide", "lsi", "megasas", "mptsas", "pvscsi", "usb", "vblk", "vscsi", "nvme"),
    "nic": ("e1000", "e1000e", "vmxnet3", "rtl8139", "vnet"),
}  # type: Dict[str, Tuple[str, ...]]
DEFAULTS = {"kernel": "amd64", "storage": "gpt"}
UEFI_LOADERS = ("grubuefi", "sdboot")
TARGETS = {
    target.name: target
    for target in (
        Target("vblk", "openstack", "virtio-blk", "virtio-net", "pc", "keep"),
        Target("vscsi", "kvm", "virtio-scsi", "virtio-net", "q35", "keep"),
        # QEMU has no ENA: the disk is as there, the network card is not.
        Target("nitro", "aws-nitro", "nvme", "virtio-net", "q35", "dhcp"),
        Target("vmware", "vmware", "pvscsi", "vmxnet3", "pc", "mapped"),
        Target("ahci", "kvm", "ahci", "e1000e", "q35", "keep"),
    )
}
# Debian's OVMF is built without edk2's driver for this bus (PVSCSI_ENABLE), so no machine starts from it: another bus of the same platform.
UEFI_BUSES = {"pvscsi": "ahci"}
# The kernel for virtual machines has no drivers for these.
CLOUD_LACKS = ("ahci", "vmware")
CLOUD_BUSES = ("vblk", "vscsi", "nvme")

SMOKE = (
    "bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--vscsi",
    "bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--nitro",
    "bookworm-dep-xfs-grubuefi-networkd-pvscsi-vmxnet3--vblk",
    "bookworm-dep-xfs-grubuefi-networkd-pvscsi-vmxnet3--nitro",
    "bookworm-dracut-ext4-grubbios-nm-megasas-e1000e--vscsi",
    "bookworm-dracut-ext4-grubbios-nm-megasas-e1000e--vmware",
    "bookworm-dep-btrfs-grubbios-netplan-lsi-vmxnet3--vblk",
    "bookworm-dep-btrfs-grubbios-netplan-lsi-vmxnet3--ahci",
    "bookworm-dracut-btrfs-grubuefi-ifupdown-nvme-e1000e--vmware",
    "bookworm-dep-ext4-mbr-extlinux-ifupdowndhcp-ide-rtl8139--vblk",
    "bookworm-dep-ext4-mbr-extlinux-ifupdowndhcp-ide-rtl8139--nitro",
    "bookworm-dep-xfs-boot-grubbios-nmdhcp-mptsas-e1000--vscsi",
    "bookworm-dracut-ext4-sdboot-networkd-ahci-e1000e--nitro",
    "bookworm-dep-ext4-sdboot-netplan-vscsi-vnet--vmware",
    "bookworm-cloud-dep-ext4-grubuefi-netplan-vblk-vnet--nitro",
    "bookworm-dep-ext4-lvm-grubbios-ifupdown-lsi-e1000--vblk",
    "bookworm-most-xfs-mbr-grubbios-networkd-usb-rtl8139--vmware",
    "bullseye-dep-ext4-mbr-grubbios-ifupdown-ide-e1000--vscsi",
    "bullseye-dep-xfs-grubuefi-nm-pvscsi-vmxnet3--nitro",
    "bullseye-dracut-btrfs-grubbios-networkd-mptsas-vmxnet3--vblk",
    "trixie-dep-ext4-grubuefi-networkd-ahci-e1000e--vscsi",
    "trixie-dracut-xfs-grubbios-nm-megasas-e1000--nitro",
    "trixie-dep-btrfs-sdboot-netplan-nvme-vnet--vblk",
    "trixie-dep-ext4-extlinux-ifupdown-pvscsi-vmxnet3--ahci",
    "forky-dracut-ext4-grubuefi-networkd-vblk-vnet--vmware",
    "forky-dep-xfs-grubbios-ifupdown-ahci-e1000--nitro",
)
FULL_SIZE = 150
FULL_SEED = 4
PROMISED_RATE = {"smoke": 1.0, "full": 0.98}
SETS = tuple(PROMISED_RATE)


def source_name(source: Source) -> str:
    return "-".join(word for axis, word in zip(Source._fields, source) if word != DEFAULTS.get(axis))


def parse_case(name: str) -> Case:
    """Raises ValueError for a name that is no case, or one that no machine can be."""
    words, separator, target = name.partition("--")
    if not separator or target not in TARGETS:
        raise ValueError(f"{name}: a case ends with --TARGET, one of {', '.join(TARGETS)}")
    rest = words.split("-")
    chosen = []
    for axis in Source._fields:
        if rest and rest[0] in AXES[axis]:
            chosen.append(rest.pop(0))
        elif axis in DEFAULTS:
            chosen.append(DEFAULTS[axis])
        else:
            raise ValueError(f"{name}: {axis} must come next, one of {', '.join(AXES[axis])}, not {'-'.join(rest) or 'the end'}")
    if rest:
        raise ValueError(f"{name}: nobody knows what {'-'.join(rest)} is")
    case = Case(Source(*chosen), TARGETS[target])
    reason = impossible(case)
    if reason:
        raise ValueError(f"{name}: {reason}")
    return case


def impossible(case: Case) -> str:
    """Why there can be no such machine, "": there can."""
    source = case.source
    reasons = (
        (source.kernel == "cloud" and source.bus not in CLOUD_BUSES, f"the cloud kernel has no driver for {source.bus}"),
        (source.kernel == "cloud" and case.target.name in CLOUD_LACKS, f"the cloud kernel has no driver for {case.target.name}"),
        (source.loader == "extlinux" and (source.root != "ext4" or source.storage not in ("gpt", "mbr")),
         "extlinux is put on a root of ext4 that lies on a partition"),
        (source.loader in UEFI_LOADERS and source.storage == "mbr", "UEFI disks of the matrix have GPT"),
        (source.loader == "sdboot" and source.storage == "boot", "systemd-boot has its kernels on the EFI system partition"),
        (source.storage == "lvm" and source.root == "btrfs", "subvolumes take the place of volumes"),
    )
    return next((reason for wrong, reason in reasons if wrong), "")


def cases_of(name: str) -> Tuple[Case, ...]:
    """The cases of a set, those of one source one after the other. Raises ValueError for a name that is no set."""
    if name not in SETS:
        raise ValueError(f"There is no set {name}, only {', '.join(SETS)}")
    smoke = [parse_case(each) for each in SMOKE]
    cases = smoke if name == "smoke" else _full(smoke)
    order = {source: number for number, source in reversed(list(enumerate(case.source for case in cases)))}
    return tuple(sorted(cases, key=lambda case: order[case.source]))


def _full(smoke: List[Case]) -> List[Case]:
    """The smoke set, and cases that meet as many pairs of choices as can be, each the best of some random ones; always the same."""
    numbers = random.Random(FULL_SEED)
    cases = list(smoke)
    seen = set()  # type: Set[Tuple[str, str]]
    for case in cases:
        seen.update(_pairs(case))
    while len(cases) < FULL_SIZE:
        drawn = [case for case in (_draw(numbers) for _turn in range(80)) if not impossible(case) and case not in cases]
        best = max(drawn, key=lambda case: len(_pairs(case) - seen))
        # A built and captured disk is used twice.
        others = [Case(best.source, target) for _name, target in sorted(TARGETS.items()) if target != best.target]
        others = [case for case in others if not impossible(case) and case not in cases]
        second = max(others, key=lambda case: len(_pairs(case) - seen)) if others else None
        for case in (best, second):
            if case and len(cases) < FULL_SIZE:
                cases.append(case)
                seen.update(_pairs(case))
    return cases


def _draw(numbers: random.Random) -> Case:
    source = Source(*(numbers.choice(AXES[axis]) for axis in Source._fields))
    return Case(source, TARGETS[numbers.choice(sorted(TARGETS))])


def _pairs(case: Case) -> Set[Tuple[str, str]]:
    words = [f"{axis} {word}" for axis, word in zip(Source._fields, case.source)] + [f"target {case.target.name}"]
    return set(itertools.combinations(words, 2))
