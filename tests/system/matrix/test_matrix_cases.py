# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases of the boot matrix: names, sets, and what a source machine is made of."""

import configparser
import shlex

import pytest
import yaml
from bootmatrix import cases, machine

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.fstab import parse_fstab
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import DISK_BUSES, MACHINE_TYPES, NIC_MODELS

IDENTITY = machine.Identity("m-0123456789", "0123456789abcdef0123456789abcdef", "fedcba9876543210")
UUIDS = {"/": "1111-root", "/boot": "2222-boot", "/boot/efi": "3333-ESP", "swap": "4444-swap"}
FULL = cases.cases_of("full")


def sources():
    return list(dict.fromkeys(case.source for case in FULL))


def test_a_name_is_the_case():
    for case in FULL:
        assert cases.parse_case(case.name) == case
    case = cases.parse_case("bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--nitro")
    assert (case.source.kernel, case.source.storage, case.firmware, case.target.bus) == ("amd64", "gpt", "bios", "nvme")


@pytest.mark.parametrize("name, reason", [
    ("bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000", "TARGET"),
    ("bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--mars", "TARGET"),
    ("bookworm-ext4-grubbios-ifupdown-ahci-e1000--nitro", "initramfs must come next"),
    ("bookworm-dep-ext4-grubbios-ifupdown-ahci--nitro", "nic must come next"),
    ("bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000-more--nitro", "more"),
    ("bookworm-cloud-dep-ext4-grubbios-ifupdown-vblk-vnet--vmware", "no driver for vmware"),
    ("bookworm-cloud-dep-ext4-grubbios-ifupdown-ahci-vnet--nitro", "no driver for ahci"),
    ("bookworm-dep-xfs-extlinux-ifupdown-ahci-e1000--nitro", "extlinux"),
    ("bookworm-dep-ext4-mbr-grubuefi-ifupdown-ahci-e1000--nitro", "GPT"),
])
def test_what_is_no_case_is_refused(name, reason):
    with pytest.raises(ValueError, match=reason):
        cases.parse_case(name)


def test_sets_are_as_large_and_diverse_as_promised():
    smoke = cases.cases_of("smoke")
    assert len(smoke) == len(set(smoke)) == len(cases.SMOKE) >= 24
    assert len(FULL) == len(set(FULL)) == cases.FULL_SIZE and set(smoke) <= set(FULL)
    assert cases.cases_of("full") == FULL
    for axis, words in cases.AXES.items():
        assert {getattr(case.source, axis) for case in smoke} == set(words), axis
    assert {case.target.name for case in smoke} == set(cases.TARGETS)
    with pytest.raises(ValueError):
        cases.cases_of("nightly")


def test_nearly_every_possible_pair_of_choices_is_in_the_full_set():
    numbers = cases.random.Random(1)
    possible, met = set(), set()
    for _turn in range(5000):
        case = cases._draw(numbers)
        if not cases.impossible(case):
            possible |= cases._pairs(case)
    for case in FULL:
        met |= cases._pairs(case)
    assert len(met & possible) / len(possible) > 0.98


def test_cases_of_one_source_follow_each_other():
    for some in (FULL, cases.cases_of("smoke")):
        begun = [case.source for number, case in enumerate(some) if not number or some[number - 1].source != case.source]
        assert len(begun) == len(set(begun))


def test_targets_are_what_the_product_knows():
    for target in cases.TARGETS.values():
        assert target.profile in PROFILES and target.bus in DISK_BUSES
        assert target.nic in NIC_MODELS and target.machine in MACHINE_TYPES


def test_partitions_lie_beside_each_other_on_the_disk():
    for source in sources():
        parts = [part for part in machine.parts_of(source) if part.content != "extended"]
        ends = [part.start_mib + part.size_mib for part in parts]
        assert all(end <= part.start_mib for end, part in zip(ends, parts[1:])), source
        assert max(ends) < machine.disk_mib(source)
        for extended in (part for part in machine.parts_of(source) if part.content == "extended"):
            assert extended.start_mib < parts[-1].start_mib and ends[-1] <= extended.start_mib + extended.size_mib


@pytest.mark.parametrize("name, root, swap", [
    ("bookworm-dep-ext4-grubbios-ifupdown-ahci-e1000--nitro", "/dev/sda2", "/dev/sda3"),
    ("bookworm-dep-ext4-mbr-grubbios-ifupdown-vblk-e1000--nitro", "/dev/vda1", "/dev/vda5"),
    ("bookworm-dep-ext4-grubuefi-ifupdown-pvscsi-e1000--nitro", "UUID=1111-root", "UUID=4444-swap"),
    ("bookworm-dep-ext4-lvm-grubbios-ifupdown-ahci-e1000--nitro", "/dev/mapper/vg0-root", "/dev/mapper/vg0-swap"),
    ("bookworm-dep-ext4-boot-grubbios-ifupdown-nvme-e1000--nitro",
     "/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ_S675NX0R123456-part3", "/dev/disk/by-id/nvme-SAMSUNG_MZVL2512HCJQ_S675NX0R123456-part4"),
])
def test_machines_name_their_disks_as_their_hardware_has_them(name, root, swap):
    names = machine.names_of(cases.parse_case(name).source, UUIDS)
    assert (names["/"], names["swap"]) == (root, swap)


def test_fstab_names_every_file_system():
    for source in sources():
        names = machine.names_of(source, UUIDS)
        mounts = {mount.path: mount for mount in parse_fstab(machine.fstab(source, names))}
        wanted = {each.mount for each in machine.parts_of(source) + machine.volumes_of(source) if each.mount}
        assert wanted <= set(mounts) and "/" in wanted
        assert mounts["/"].type == source.root and mounts["/"].spec == names["/"]


def test_menus_start_the_kernel_with_the_root():
    for source in sources():
        names = machine.names_of(source, UUIDS)
        uuids = {key: UUIDS[key] for key in names if key in UUIDS}
        menu = {
            "extlinux": lambda: machine.extlinux_menu(source, names, "6.1"),
            "sdboot": lambda: machine.systemd_boot_entry(source, names, IDENTITY, "6.1"),
        }.get(source.loader, lambda: machine.grub_menu(source, names, uuids, "6.1"))()
        line = next(line for line in menu.splitlines() if f"root={names['/']}" in line)
        assert " ro" in line and ("rootflags=subvol=@rootfs" in line) == (source.root == "btrfs")
        assert "6.1" in menu and "console=" not in menu


def test_network_files_are_well_formed_and_have_the_address():
    for source in sources():
        files = machine.network_texts(source)
        nic = machine.NICS[source.nic]
        text = "".join(files.values())
        assert nic.interface in text or nic.mac in text
        assert ("192.0.2.15" in text) != source.network.endswith("dhcp")
        for path, content in files.items():
            if path.endswith(".yaml"):
                assert nic.interface in yaml.safe_load(content)["network"]["ethernets"]
            elif path.endswith((".network", ".nmconnection")):
                configparser.ConfigParser(strict=True, interpolation=None).read_string(content)
            elif path.endswith(".rules"):
                assert len(shlex.split(content.replace(",", " "))) == 7


def test_machines_do_not_share_a_host_name():
    names = [machine.hostname_of(source) for source in sources()]
    assert len(names) == len(set(names)) and all(len(name) == 12 for name in names)
