# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The QEMU command line as text: what hardware a guest sees."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.data import from_data, to_data
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import (
    DISK_BUSES, Firmware, Forward, Guest, GuestDisk, GuestNic, build_command, check_guest, nic_addresses)

GUEST = Guest("shop", "/run/shop", (GuestDisk("/disks/a.raw"),))


def options(command, flag):
    return [command[index + 1] for index, word in enumerate(command) if word == flag]


def test_a_guest_gets_nothing_that_was_not_asked_for():
    command = build_command(GUEST, "/usr/bin/qemu", "tcg", sandbox="on")
    assert command[:5] == ["/usr/bin/qemu", "-name", "shop", "-nodefaults", "-no-user-config"]
    assert options(command, "-sandbox") == ["on"]
    assert options(command, "-accel") == ["tcg,thread=multi"] and options(command, "-cpu") == ["max"]
    assert options(command, "-display") == ["none"] and options(command, "-vga") == ["std"]
    assert "-netdev" not in command and "-daemonize" not in command


def test_kvm_shows_the_host_processor():
    command = build_command(GUEST, "qemu", "kvm")
    assert options(command, "-accel") == ["kvm"] and options(command, "-cpu") == ["host"] and "-sandbox" not in command


@pytest.mark.parametrize("bus, devices", [
    ("virtio-scsi", ["virtio-scsi-pci,id=virtio-scsi0",
                     "scsi-hd,bus=virtio-scsi0.0,scsi-id=0,drive=disk0,bootindex=0,serial=disk0",
                     "scsi-hd,bus=virtio-scsi0.0,scsi-id=1,drive=disk1,bootindex=1,serial=disk1"]),
    ("virtio-blk", ["virtio-blk-pci,drive=disk0,bootindex=0,serial=disk0", "virtio-blk-pci,drive=disk1,bootindex=1,serial=disk1"]),
    ("nvme", ["nvme,drive=disk0,bootindex=0,serial=disk0", "nvme,drive=disk1,bootindex=1,serial=disk1"]),
    ("ide", ["ide-hd,bus=ide.0,unit=0,drive=disk0,bootindex=0,serial=disk0",
             "ide-hd,bus=ide.0,unit=1,drive=disk1,bootindex=1,serial=disk1"]),
    ("ahci", ["ich9-ahci,id=ahci0", "ide-hd,bus=ahci0.0,drive=disk0,bootindex=0,serial=disk0",
              "ide-hd,bus=ahci0.1,drive=disk1,bootindex=1,serial=disk1"]),
])
def test_disks_stand_on_their_bus_in_boot_order(bus, devices):
    guest = GUEST._replace(disks=(GuestDisk("/a", bus=bus), GuestDisk("/b", bus=bus)))
    assert options(build_command(guest, "qemu", "tcg"), "-device") == devices


def test_buses_can_be_mixed():
    guest = GUEST._replace(disks=tuple(GuestDisk(f"/{bus}", bus=bus) for bus in DISK_BUSES))
    check_guest(guest)
    assert len(options(build_command(guest, "qemu", "tcg"), "-drive")) == len(DISK_BUSES)


def test_disk_options_and_odd_names():
    disk = GuestDisk("/disks/a,b:c.qcow2", "qcow2", read_only=True, snapshot=True)
    (drive,) = options(build_command(GUEST._replace(disks=(disk,)), "qemu", "tcg"), "-drive")
    assert drive == ("if=none,id=disk0,format=qcow2,discard=unmap,file.driver=file,file.filename=/disks/a,,b:c.qcow2,"
                     "read-only=on,snapshot=on")


def test_networks_are_isolated_and_forwards_lead_to_the_guest():
    nic = GuestNic("e1000", "52:54:00:AB:CD:EF", "198.51.100.0/24", "198.51.100.1", "198.51.100.10",
                   forwards=(Forward(80, 8080), Forward(5432, 5433)))
    command = build_command(GUEST._replace(nics=(nic,)), "qemu", "tcg")
    assert options(command, "-netdev") == [
        "user,ipv6=off,net=198.51.100.0/24,host=198.51.100.1,dhcpstart=198.51.100.10,dns=198.51.100.2,restrict=on,"
        "hostfwd=tcp:127.0.0.1:8080-198.51.100.10:80,hostfwd=tcp:127.0.0.1:5433-198.51.100.10:5432,id=net0"]
    assert options(command, "-device")[-1] == "e1000,netdev=net0,romfile=,mac=52:54:00:ab:cd:ef"


def test_isolation_ends_only_on_demand():
    command = build_command(GUEST._replace(nics=(GuestNic(isolated=False),)), "qemu", "tcg")
    assert "restrict=off" in options(command, "-netdev")[0]


def test_uefi_uses_its_own_variables():
    command = build_command(GUEST._replace(firmware="uefi"), "qemu", "tcg", firmware=Firmware("/fw/code.fd", "raw", "/fw/vars.fd", "raw"))
    assert options(command, "-drive")[:2] == ["if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd",
                                              "if=pflash,unit=1,format=raw,file=uefi-vars.fd"]


@pytest.mark.parametrize("nic, addresses", [
    (GuestNic(), ("192.0.2.0/24", "192.0.2.1", "192.0.2.15", "192.0.2.2")),
    (GuestNic(gateway="192.0.2.254", address="192.0.2.1"), ("192.0.2.0/24", "192.0.2.254", "192.0.2.1", "192.0.2.2")),
    (GuestNic(network="192.0.2.0/29", gateway="192.0.2.2", address="192.0.2.1"), ("192.0.2.0/29", "192.0.2.2", "192.0.2.1", "192.0.2.3")),
])
def test_addresses_of_a_network(nic, addresses):
    assert nic_addresses(nic) == addresses


@pytest.mark.parametrize("nic, words", [
    (GuestNic(network="192.0.2.1/24"), "host bits"),
    (GuestNic(network="nonsense"), "makes no sense"),
    (GuestNic(network="192.0.2.0/29"), "makes no sense"),
    (GuestNic(address="198.51.100.1"), "no host address"),
    (GuestNic(gateway="192.0.2.255"), "no host address"),
    (GuestNic(gateway="192.0.2.9", address="192.0.2.9"), "also its gateway"),
    (GuestNic(network="192.0.2.0/30", gateway="192.0.2.1", address="192.0.2.2"), "too small"),
])
def test_addresses_that_make_no_sense(nic, words):
    with pytest.raises(TargetError, match=words):
        nic_addresses(nic)


@pytest.mark.parametrize("changes, words", [
    ({"name": "a b"}, "name 'a b'"),
    ({"run_dir": "relative"}, "absolute"),
    ({"disks": ()}, "no disk"),
    ({"disks": (GuestDisk("/a", bus="floppy"),)}, "floppy"),
    ({"disks": (GuestDisk("a"),)}, "absolute"),
    ({"disks": (GuestDisk("/a", bus="ide"),), "machine": "q35"}, "no IDE controller"),
    ({"disks": (GuestDisk("/a", bus="ide"),) * 5}, "takes 4"),
    ({"nics": (GuestNic("ne2000"),)}, "ne2000"),
    ({"nics": (GuestNic(mac="52:54"),)}, "MAC address"),
    ({"memory": 8}, "too small"),
    ({"cpus": 0}, "too few"),
    ({"lifetime": 0}, "too short"),
    ({"firmware": "efi"}, "efi"),
    ({"machine": "virt"}, "virt"),
    ({"accel": "xen"}, "xen"),
])
def test_wrong_descriptions_are_refused(changes, words):
    with pytest.raises(TargetError, match=words):
        check_guest(GUEST._replace(**changes))


def test_a_guest_survives_its_state_file():
    guest = GUEST._replace(nics=(GuestNic(forwards=(Forward(80),)),))
    assert from_data(Guest, to_data(guest)) == guest


def test_a_card_on_a_segment_is_plugged_into_its_switch():
    nic = GuestNic(mac="52:54:00:00:00:01", segment="/run/segment", forwards=(Forward(80, 8080),))
    command = build_command(GUEST._replace(nics=(nic,)), "qemu", "tcg", segments={"/run/segment": "vde,sock=/run/x/switch"})
    assert options(command, "-netdev") == ["vde,sock=/run/x/switch,id=net0"]        # the segment holds the forwards
    with pytest.raises(TargetError, match="on a segment needs a MAC address"):
        check_guest(GUEST._replace(nics=(nic._replace(mac=""),)))
