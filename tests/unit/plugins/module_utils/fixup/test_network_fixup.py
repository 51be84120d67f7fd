# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces on new NICs."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, TargetNic
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.fixup.network_samples import LINK, NEW, OLD, planned

RULE = f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{OLD}", NAME="lan0"\n'
MAPPED = NetworkOptions("mapped", (), (MappedAddress("192.0.2.10", "198.51.100.7/25", "198.51.100.1", ("198.51.100.2", "198.51.100.3")),))


def link(draft, name):
    return draft.read_text(LINK.format(name))


def test_the_only_nic_is_recognised_by_its_driver(machine):
    assert "Driver=virtio_net e1000 e1000e\n" in link(planned(machine), "lan0")
    assert "Name=lan0\n" in link(planned(machine), "lan0")


def test_a_known_mac_is_used(machine):
    assert f"MACAddress={NEW}\n" in link(planned(machine, NetworkOptions(nics=(TargetNic(NEW),))), "lan0")


def test_rules_of_the_old_nic_become_comments(machine):
    machine.write("/etc/udev/rules.d/70-persistent-net.rules", "# kept\n" + RULE + 'SUBSYSTEM=="block", NAME="x"\n')
    assert planned(machine).read_text("/etc/udev/rules.d/70-persistent-net.rules") == "# kept\n#" + RULE + 'SUBSYSTEM=="block", NAME="x"\n'


def test_a_rule_over_several_lines(machine):
    machine.write("/etc/udev/rules.d/a.rules", RULE.replace(", NAME", ", \\\n  NAME"))
    assert all(line.startswith("#") for line in planned(machine).read_text("/etc/udev/rules.d/a.rules").splitlines())


def test_a_rule_stays_when_the_target_has_that_mac(machine):
    machine.write("/etc/udev/rules.d/70-persistent-net.rules", RULE)
    assert planned(machine, NetworkOptions(nics=(TargetNic(OLD),))).read_text("/etc/udev/rules.d/70-persistent-net.rules") == RULE


def test_several_nics_need_their_macs(machine):
    machine.write("/etc/network/interfaces", "iface eth0 inet static\n address 192.0.2.1/24\niface eth1 inet dhcp\n")
    draft = planned(machine)
    assert "eth0, eth1" in draft.findings[0].text and link(draft, "eth0") is None
    draft = planned(machine, NetworkOptions(nics=(TargetNic(NEW, "eth1"), TargetNic(OLD))))
    assert NEW in link(draft, "eth1") and OLD in link(draft, "eth0") and draft.findings == []


def test_a_nic_keeps_its_interface_by_its_old_mac(machine):
    machine.write("/etc/network/interfaces", "iface eth0 inet dhcp\niface eth1 inet dhcp\n")
    machine.write("/etc/udev/rules.d/70-persistent-net.rules", RULE.replace("lan0", "eth1"))
    draft = planned(machine, NetworkOptions(nics=(TargetNic(OLD), TargetNic(NEW))))
    assert OLD in link(draft, "eth1") and NEW in link(draft, "eth0")


def test_virtual_interfaces_get_no_nic(machine):
    machine.write(
        "/etc/network/interfaces",
        "iface eth0 inet manual\niface br0 inet static\n address 192.0.2.1/24\niface bond0 inet manual\niface eth0.5 inet dhcp\n",
    )
    assert [change.path for change in planned(machine).changes] == [LINK.format("eth0")]


def test_a_mac_address_that_is_set_is_dropped(machine):
    text = f"iface lan0 inet dhcp\n  hwaddress ether {OLD.upper()}\n"
    machine.write("/etc/network/interfaces", text)
    assert planned(machine).read_text("/etc/network/interfaces") == f"iface lan0 inet dhcp\n#  hwaddress ether {OLD.upper()}\n"
    assert planned(machine, NetworkOptions(nics=(TargetNic(OLD),))).read_text("/etc/network/interfaces") == text


def test_networkd_matched_by_mac(machine):
    machine.write("/etc/network/interfaces", "")
    machine.write("/etc/systemd/network/lan.network", f"[Match]\nMACAddress={OLD}\n\n[Network]\nAddress=192.0.2.10/24\n")
    draft = planned(machine)
    assert draft.read_text("/etc/systemd/network/lan.network").startswith("[Match]\nName=net0\n")
    assert "Name=net0" in link(draft, "net0")
    draft = planned(machine, NetworkOptions(nics=(TargetNic(NEW),)))
    assert draft.read_text("/etc/systemd/network/lan.network").startswith(f"[Match]\nMACAddress={NEW}\n")


def test_udev_without_systemd(machine):
    os.unlink(machine.path + "/usr/lib/systemd/systemd-udevd")
    assert 'DRIVERS=="virtio_net|e1000|e1000e", ATTR{type}=="1", NAME="lan0"' in planned(machine).read_text(
        "/etc/udev/rules.d/70-agnostic-recovery-net.rules"
    )
    assert f'ATTR{{address}}=="{NEW}"' in planned(machine, NetworkOptions(nics=(TargetNic(NEW),))).read_text(
        "/etc/udev/rules.d/70-agnostic-recovery-net.rules"
    )


def test_masked_link_rules(machine):
    os.makedirs(machine.path + "/etc/udev/rules.d")
    os.symlink("/dev/null", machine.path + "/etc/udev/rules.d/80-net-setup-link.rules")
    draft = planned(machine)
    assert link(draft, "lan0") is None and draft.read_text("/etc/udev/rules.d/70-agnostic-recovery-net.rules")


def test_dhcp_for_ifupdown(machine):
    machine.write(
        "/etc/network/interfaces",
        (
            "# mine\nauto lan0\niface lan0 inet static\n\taddress 192.0.2.10\n\tnetmask 255.255.255.0\n\tgateway 192.0.2.1\n\tmtu 1400\n\n"
            "iface lan0 inet6 static\n address 2001:db8::2/64\niface lan0:1 inet static\n address 192.0.2.11/24\n\n"
            "auto lo\niface lo inet loopback\n"
        ),
    )
    assert planned(machine, NetworkOptions("dhcp")).read_text("/etc/network/interfaces") == (
        "# mine\nauto lan0\niface lan0 inet dhcp\n#\taddress 192.0.2.10\n#\tnetmask 255.255.255.0\n#\tgateway 192.0.2.1\n\tmtu 1400\n\n"
        "iface lan0 inet6 auto\n# address 2001:db8::2/64\n#iface lan0:1 inet static\n# address 192.0.2.11/24\n\n"
        "auto lo\niface lo inet loopback\n"
    )


def test_mapped_for_ifupdown(machine):
    machine.write(
        "/etc/network/interfaces",
        (
            "iface lan0 inet static\n\tnetmask 255.255.255.0\n\taddress  192.0.2.10\n\tgateway 192.0.2.1\n\tbroadcast 192.0.2.255\n"
            "\tdns-nameservers 192.0.2.2\n"
            "iface lan1 inet static\n address 192.0.2.99/24\n gateway 192.0.2.1\n"
        ),
    )
    machine.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.10 shop\n192.0.2.100 other\n")
    draft = planned(machine, MAPPED)
    assert draft.read_text("/etc/network/interfaces") == (
        "iface lan0 inet static\n\tnetmask 255.255.255.128\n\taddress  198.51.100.7\n\tgateway 198.51.100.1\n#\tbroadcast 192.0.2.255\n"
        "\tdns-nameservers 198.51.100.2 198.51.100.3\niface lan1 inet static\n address 192.0.2.99/24\n gateway 192.0.2.1\n")
    assert draft.read_text("/etc/hosts") == "127.0.0.1 localhost\n198.51.100.7 shop\n192.0.2.100 other\n"


def test_mapped_with_prefix(machine):
    assert "    address 198.51.100.7/25\n    gateway 198.51.100.1\n" in planned(machine, MAPPED).read_text("/etc/network/interfaces")


NETWORKD = "[Match]\nName=lan0\n\n[Network]\nAddress=192.0.2.10/24\nGateway=192.0.2.1\nDNS=192.0.2.2\nLinkLocalAddressing=no\n"


def test_dhcp_for_networkd(machine):
    machine.write("/etc/network/interfaces", "")
    machine.write("/etc/systemd/network/lan.network", NETWORKD)
    assert planned(machine, NetworkOptions("dhcp")).read_text("/etc/systemd/network/lan.network") == (
        "[Match]\nName=lan0\n\n[Network]\nDHCP=yes\n#Address=192.0.2.10/24\n#Gateway=192.0.2.1\n#DNS=192.0.2.2\nLinkLocalAddressing=no\n")


def test_mapped_for_networkd(machine):
    machine.write("/etc/network/interfaces", "")
    machine.write("/etc/systemd/network/lan.network", NETWORKD)
    assert planned(machine, MAPPED).read_text("/etc/systemd/network/lan.network") == (
        "[Match]\nName=lan0\n\n[Network]\nAddress=198.51.100.7/25\nGateway=198.51.100.1\nDNS=198.51.100.2 198.51.100.3\n"
        "LinkLocalAddressing=no\n"
    )


def test_a_file_that_is_not_changed_is_reported(machine):
    machine.write("/etc/network/interfaces", "")
    machine.write(
        "/usr/lib/NetworkManager/system-connections/a.nmconnection",
        "[connection]\nid=a\ntype=ethernet\ninterface-name=lan0\n[ipv4]\nmethod=manual\naddress1=192.0.2.10/24\n",
    )
    draft = planned(machine, NetworkOptions("dhcp"))
    assert any(finding.severity == "error" and "nmconnection" in finding.text for finding in draft.findings)


@pytest.mark.parametrize(
    "mapping",
    [
        MappedAddress("nonsense", "198.51.100.7/25"),
        MappedAddress("192.0.2.10", "198.51.100.7"),
        MappedAddress("192.0.2.10", "198.51.100.7/25", "x"),
        MappedAddress("192.0.2.10", "198.51.100.7/25", "", ("y",)),
    ],
)
def test_wrong_mappings(machine, mapping):
    with pytest.raises(FixupError):
        planned(machine, NetworkOptions("mapped", (), (mapping,)))


def test_wrong_mode(machine):
    with pytest.raises(FixupError, match="network mode"):
        planned(machine, NetworkOptions("magic"))
