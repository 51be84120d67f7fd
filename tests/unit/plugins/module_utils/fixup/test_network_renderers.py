# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Netplan, systemd-networkd and NetworkManager on new NICs: what becomes of each file, byte for byte."""

import os

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, TargetNic
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.fixup.network_samples import (
    DHCP, KEYFILE, LINK, MAPPED, NETPLAN, NEW, NICS, OLD, after, planned, texts)

# netplan

BLOCK = """# the shop
network:
  version: 2
  ethernets:
    lan0:   # uplink
      addresses:
        - "192.0.2.10/24"   # shop
        - 2001:db8::10/64
        - 192.0.2.77/24
      gateway6: 2001:db8::1
      routes:
      - to: default
        via: 192.0.2.1
      - {to: 10.0.0.0/8, via: 192.0.2.2}
      nameservers:
        search: [shop.example]
        addresses:
        - 192.0.2.53
        - 192.0.2.54
      mtu: 1400
"""


def test_mapped_for_netplan(blank):
    assert after(blank, NETPLAN, BLOCK, MAPPED) == """# the shop
network:
  version: 2
  ethernets:
    lan0:   # uplink
      addresses:
        - "198.51.100.7/25"   # shop
        - "2001:db8:1::7/64"
        - 192.0.2.77/24
      gateway6: "2001:db8:1::1"
      routes:
      - to: default
        via: 198.51.100.1
      - {to: 10.0.0.0/8, via: 192.0.2.2}
      nameservers:
        search: [shop.example]
        addresses: [198.51.100.2, 198.51.100.3]
#        - 192.0.2.53
#        - 192.0.2.54
      mtu: 1400
"""


def test_dhcp_for_netplan(blank):
    assert after(blank, NETPLAN, BLOCK, DHCP) == """# the shop
network:
  version: 2
  ethernets:
    lan0:   # uplink
      dhcp6: true
      dhcp4: true
#      addresses:
#        - "192.0.2.10/24"   # shop
#        - 2001:db8::10/64
#        - 192.0.2.77/24
#      gateway6: 2001:db8::1
#      routes:
#      - to: default
#        via: 192.0.2.1
#      - {to: 10.0.0.0/8, via: 192.0.2.2}
      nameservers:
        search: [shop.example]
#        addresses:
#        - 192.0.2.53
#        - 192.0.2.54
      mtu: 1400
"""


FLOW = "network: {version: 2, ethernets: {lan0: {dhcp4: no, addresses: [192.0.2.10/24], gateway4: 192.0.2.1, mtu: 1400}}}\n"


def test_netplan_in_braces(blank):
    assert after(blank, NETPLAN, FLOW, DHCP) == "network: {version: 2, ethernets: {lan0: {dhcp4: true, mtu: 1400}}}\n"
    assert after(blank, NETPLAN, FLOW, MAPPED) == (
        'network: {version: 2, ethernets: {lan0: {nameservers: {addresses: ["198.51.100.2", "198.51.100.3"]}, dhcp4: no, '
        "addresses: [198.51.100.7/25], gateway4: 198.51.100.1, mtu: 1400}}}\n"
    )


def test_netplan_definitions_in_two_files(blank):
    first = "network:\n  ethernets:\n    lan0:\n      addresses: [{192.0.2.10/24: {label: x}}]\n"
    second = "network:\n  ethernets:\n    lan0:\n      gateway4: 192.0.2.1 # out\n"
    blank.write(NETPLAN, first)
    blank.write("/etc/netplan/02.yaml", second)
    draft = planned(blank, DHCP)
    assert draft.read_text(NETPLAN) == (
        "network:\n  ethernets:\n    lan0:\n      dhcp4: true\n#      addresses: [{192.0.2.10/24: {label: x}}]\n")
    assert draft.read_text("/etc/netplan/02.yaml") == "network:\n  ethernets:\n    lan0:\n#      gateway4: 192.0.2.1 # out\n      {}\n"
    draft = planned(blank, MAPPED)
    assert "addresses: [{198.51.100.7/25: {label: x}}]\n" in draft.read_text(NETPLAN)
    assert draft.read_text("/etc/netplan/02.yaml") == second.replace("192.0.2.1", "198.51.100.1")


MATCHED = f'network:\n  ethernets:\n    up:\n      match:\n        macaddress: "{OLD}" # old\n      set-name: lan0\n      dhcp4: true\n'


def test_netplan_matched_by_mac(blank):
    assert after(blank, NETPLAN, MATCHED, NetworkOptions(nics=NICS[:1])) == MATCHED.replace(OLD, NEW)
    draft = planned(blank)
    assert draft.read_text(NETPLAN) == MATCHED.replace(f'macaddress: "{OLD}"', "name: lan0")
    assert "Name=lan0" in draft.read_text(LINK.format("lan0"))


def test_netplan_matched_by_mac_on_several_nics_without_their_macs(blank):
    second = "    lan1:\n      dhcp4: true\n"
    draft_text = after(blank, NETPLAN, MATCHED + second)
    assert draft_text == MATCHED + second
    assert any(OLD in text and "network.nics" in text for text in texts(planned(blank), "error"))


def test_netplan_without_a_mac_that_is_set(blank):
    text = f"network:\n  ethernets:\n    lan0:\n      macaddress: {OLD}\n      dhcp4: true\n"
    assert after(blank, NETPLAN, text) == text.replace("      macaddress", "#      macaddress")
    assert after(blank, NETPLAN, text, NetworkOptions(nics=(TargetNic(OLD),))) == text


def test_netplan_that_is_not_understood_stays(blank):
    text = "network:\n  ethernets:\n    lan0: &x {addresses: [192.0.2.10/24]}\n    lan1: *x\n"
    assert after(blank, NETPLAN, text, DHCP) == text
    assert any(NETPLAN in warning and "line 3" in warning for warning in blank.inspect().warnings)


def test_an_address_that_stays_with_another_gateway(blank):
    same = NetworkOptions("mapped", NICS, (MappedAddress("192.0.2.10", "192.0.2.10/24", "192.0.2.254", ("192.0.2.5",)),))
    blank.write(NETPLAN, BLOCK)
    situation = blank.inspect(network=same)
    engine.apply(blank.tree, engine.plan(situation))
    assert "via: 192.0.2.254\n" in blank.read(NETPLAN) and "addresses: [192.0.2.5]\n" in blank.read(NETPLAN)
    assert [problem for problem in engine.verify(situation) if problem.startswith("network")] == []


# systemd-networkd

def test_networkd_with_drop_ins(blank):
    blank.write("/etc/systemd/network/lan.network", "[Match]\nName=en*\n[Network]\nAddress=192.0.2.10/24\nDNS=192.0.2.53\nDNS=192.0.2.54\n")
    blank.write("/etc/systemd/network/lan.network.d/x.conf", "[Network]\nDNS=9.9.9.9\n[Route]\nGateway=192.0.2.1\n"
                                                             "[Route]\nGateway=192.0.2.2\nDestination=10.0.0.0/8\n")
    draft = planned(blank, MAPPED)
    assert draft.read_text("/etc/systemd/network/lan.network") == (
        "[Match]\nName=en*\n[Network]\nAddress=198.51.100.7/25\nDNS=198.51.100.2 198.51.100.3\n#DNS=192.0.2.54\n")
    assert draft.read_text("/etc/systemd/network/lan.network.d/x.conf") == (
        "[Network]\n#DNS=9.9.9.9\n[Route]\nGateway=198.51.100.1\n[Route]\nGateway=192.0.2.2\nDestination=10.0.0.0/8\n")
    assert any("10.0.0.0/8" in text and "192.0.2.2" in text for text in texts(draft, "warning"))
    draft = planned(blank, DHCP)
    assert draft.read_text("/etc/systemd/network/lan.network") == (
        "[Match]\nName=en*\n[Network]\nDHCP=yes\n#Address=192.0.2.10/24\n#DNS=192.0.2.53\n#DNS=192.0.2.54\n")
    assert draft.read_text("/etc/systemd/network/lan.network.d/x.conf") == (
        "[Network]\n#DNS=9.9.9.9\n#[Route]\n#Gateway=192.0.2.1\n#[Route]\n#Gateway=192.0.2.2\n#Destination=10.0.0.0/8\n")


def test_networkd_ports_and_macs_that_are_set(blank):
    blank.write("/etc/systemd/network/br.netdev", f"[NetDev]\nName=br0\nKind=bridge\nMACAddress={OLD}\n")
    blank.write("/etc/systemd/network/1.network", f"[Match]\nName=lan0\n[Link]\nMACAddress={OLD}\n[Network]\nBridge=br0\n")
    blank.write("/etc/systemd/network/2.network", "[Match]\nName=br0\n[Network]\nAddress=192.0.2.10/24\n")
    draft = planned(blank, DHCP)
    assert draft.read_text("/etc/systemd/network/br.netdev") == f"[NetDev]\nName=br0\nKind=bridge\n#MACAddress={OLD}\n"
    assert draft.read_text("/etc/systemd/network/1.network") == f"[Match]\nName=lan0\n[Link]\n#MACAddress={OLD}\n[Network]\nBridge=br0\n"
    assert "DHCP=yes" in draft.read_text("/etc/systemd/network/2.network")
    assert draft.read_text(LINK.format("br0")) is None and NEW in draft.read_text(LINK.format("lan0"))


# NetworkManager

CONNECTION = f"""[connection]
id=lan
type=ethernet
interface-name=lan0

[ethernet]
cloned-mac-address={OLD}

[ipv4]
# fixed
address1=192.0.2.10/24,192.0.2.1
address2=192.0.2.77/24
dns=192.0.2.53;
ignore-auto-dns=true
route1=10.0.0.0/8,192.0.2.1,100
method=manual

[ipv6]
address1=2001:db8::10/64
gateway=2001:db8::1
method=manual
"""


def test_dhcp_for_networkmanager(blank):
    assert after(blank, KEYFILE, CONNECTION, DHCP) == f"""[connection]
id=lan
type=ethernet
interface-name=lan0

[ethernet]
#cloned-mac-address={OLD}

[ipv4]
# fixed
#address1=192.0.2.10/24,192.0.2.1
#address2=192.0.2.77/24
#dns=192.0.2.53;
#ignore-auto-dns=true
#route1=10.0.0.0/8,192.0.2.1,100
method=auto

[ipv6]
#address1=2001:db8::10/64
#gateway=2001:db8::1
method=auto
"""


def test_mapped_for_networkmanager(blank):
    assert after(blank, KEYFILE, CONNECTION, MAPPED) == f"""[connection]
id=lan
type=ethernet
interface-name=lan0

[ethernet]
#cloned-mac-address={OLD}

[ipv4]
# fixed
address1=198.51.100.7/25,198.51.100.1
address2=192.0.2.77/24
dns=198.51.100.2;198.51.100.3;
ignore-auto-dns=true
route1=10.0.0.0/8,198.51.100.1,100
method=manual

[ipv6]
address1=2001:db8:1::7/64
gateway=2001:db8:1::1
method=manual
"""


def test_old_keyfiles(blank):
    text = f"[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address={OLD.upper()}\n" \
           "[ipv4]\nmethod=manual\naddresses1=192.0.2.10;24;192.0.2.1;\n"
    assert after(blank, KEYFILE, text, MAPPED) == (
        f"[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address={NEW}\n"
        "[ipv4]\nmethod=manual\ndns=198.51.100.2;198.51.100.3;\naddresses1=198.51.100.7;25;198.51.100.1;\n"
    )


def test_keyfiles_keep_their_mode(blank):
    blank.write(KEYFILE, CONNECTION, mode=0o600)
    situation = blank.inspect(network=DHCP)
    engine.apply(blank.tree, engine.plan(situation))
    assert os.stat(blank.path + KEYFILE).st_mode & 0o7777 == 0o600 and "method=auto" in blank.read(KEYFILE)
