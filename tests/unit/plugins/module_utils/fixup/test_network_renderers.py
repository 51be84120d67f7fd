# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Netplan, systemd-networkd, NetworkManager and ifcfg on new NICs: what becomes of each file, byte for byte, and that all of it is undone."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux.network import fixup
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions, TargetNic

OLD = "52:54:00:aa:00:01"
NEW = "52:54:00:bb:00:02"
NEW2 = "52:54:00:bb:00:03"
NICS = (TargetNic(NEW), TargetNic(NEW2))
MAPPINGS = (
    MappedAddress("192.0.2.10", "198.51.100.7/25", "198.51.100.1", ("198.51.100.2", "198.51.100.3")),
    MappedAddress("2001:db8::10", "2001:db8:1::7/64", "2001:db8:1::1"),
)
DHCP = NetworkOptions("dhcp", NICS)
MAPPED = NetworkOptions("mapped", NICS, MAPPINGS)
LINK = "/etc/systemd/network/00-agnostic-recovery-{}.link"
NETPLAN = "/etc/netplan/01-lan.yaml"
KEYFILE = "/etc/NetworkManager/system-connections/lan.nmconnection"
RED_HAT = "/etc/sysconfig/network-scripts/"
SUSE = "/etc/sysconfig/network/"


@pytest.fixture
def blank(machine):
    """The machine without a network configuration."""
    machine.write("/etc/network/interfaces", "")
    return machine


def planned(machine, network=NetworkOptions()):
    draft = Draft(machine.tree)
    fixup.plan(machine.inspect(network=network), draft)
    return draft


def after(machine, path, before, network=NetworkOptions(), **others):
    """The planned content of a file; `others` are files beside it."""
    machine.write(path, before)
    for name, text in others.items():
        machine.write(os.path.dirname(path) + "/" + name, text)
    return planned(machine, network).read_text(path)


def texts(draft, severity):
    return [finding.text for finding in draft.findings if finding.severity == severity]


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


# systemd-networkd

def test_networkd_with_drop_ins(blank):
    blank.write("/etc/systemd/network/lan.network", "[Match]\nName=en*\n[Network]\nAddress=192.0.2.10/24\nDNS=192.0.2.53\nDNS=192.0.2.54\n")
    blank.write("/etc/systemd/network/lan.network.d/x.conf", "[Network]\nDNS=9.9.9.9\n[Route]\nGateway=192.0.2.1\n[Route]\nGateway=192.0.2.2\n"
                                                             "Destination=10.0.0.0/8\n")
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


# ifcfg

IFCFG = f"""# lan
DEVICE=eth0
HWADDR={OLD.upper()}
MACADDR={OLD}
BOOTPROTO=none
IPADDR="192.0.2.10"
NETMASK=255.255.255.0
BROADCAST=192.0.2.255
IPADDR1=192.0.2.77
PREFIX1=24
GATEWAY=192.0.2.1
DNS1=192.0.2.53
IPV6ADDR=2001:db8::10/64
IPV6_DEFAULTGW=2001:db8::1%eth0
PEERDNS=no
ONBOOT=yes
"""


def test_mapped_for_red_hat(blank):
    blank.write(RED_HAT + "route-eth0", "# routes\n10.0.0.0/8 via 192.0.2.1 dev eth0\n10.1.0.0/16 via 192.0.2.2\n")
    blank.write("/etc/sysconfig/network", "NETWORKING=yes\nGATEWAY=192.0.2.1\n")
    assert after(blank, RED_HAT + "ifcfg-eth0", IFCFG, MAPPED) == f"""# lan
DEVICE=eth0
HWADDR={NEW}
#MACADDR={OLD}
BOOTPROTO=none
IPADDR="198.51.100.7"
NETMASK=255.255.255.128
#BROADCAST=192.0.2.255
IPADDR1=192.0.2.77
PREFIX1=24
GATEWAY=198.51.100.1
DNS1=198.51.100.2
IPV6ADDR=2001:db8:1::7/64
IPV6_DEFAULTGW=2001:db8:1::1
PEERDNS=no
ONBOOT=yes
DNS2=198.51.100.3
"""
    draft = planned(blank, MAPPED)
    assert draft.read_text(RED_HAT + "route-eth0") == "# routes\n10.0.0.0/8 via 198.51.100.1 dev eth0\n10.1.0.0/16 via 192.0.2.2\n"
    assert draft.read_text("/etc/sysconfig/network") == "NETWORKING=yes\nGATEWAY=198.51.100.1\n"


def test_dhcp_for_red_hat(blank):
    blank.write(RED_HAT + "ifcfg-eth0:1", "DEVICE=eth0:1\nIPADDR=192.0.2.11\nPREFIX=24\n")
    blank.write(RED_HAT + "route-eth0", "ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nGATEWAY0=192.0.2.2\n")
    blank.write("/etc/sysconfig/network", "NETWORKING=yes\nGATEWAY=192.0.2.1\n")
    assert after(blank, RED_HAT + "ifcfg-eth0", IFCFG, DHCP) == f"""IPV6INIT=yes
IPV6_AUTOCONF=yes
# lan
DEVICE=eth0
HWADDR={NEW}
#MACADDR={OLD}
BOOTPROTO=dhcp
#IPADDR="192.0.2.10"
#NETMASK=255.255.255.0
#BROADCAST=192.0.2.255
#IPADDR1=192.0.2.77
#PREFIX1=24
#GATEWAY=192.0.2.1
#DNS1=192.0.2.53
#IPV6ADDR=2001:db8::10/64
#IPV6_DEFAULTGW=2001:db8::1%eth0
#PEERDNS=no
ONBOOT=yes
"""
    draft = planned(blank, DHCP)
    assert draft.read(RED_HAT + "ifcfg-eth0:1") is None
    assert draft.read_text(RED_HAT + "route-eth0") == "#ADDRESS0=10.0.0.0\n#NETMASK0=255.0.0.0\n#GATEWAY0=192.0.2.2\n"
    assert draft.read_text("/etc/sysconfig/network") == "NETWORKING=yes\n#GATEWAY=192.0.2.1\n"


def test_an_address_without_mask_gets_one(blank):
    assert after(blank, RED_HAT + "ifcfg-eth0", "DEVICE=eth0\nIPADDR0=192.0.2.10\nDNS1=1.1.1.1\nDNS2=1.1.1.2\nDNS3=1.1.1.3\n", MAPPED) == (
        "DEVICE=eth0\nIPADDR0=198.51.100.7\nPREFIX0=25\nDNS1=198.51.100.2\nDNS2=198.51.100.3\n#DNS3=1.1.1.3\n")


SUSE_FILE = "BOOTPROTO='static'\nIPADDR='192.0.2.10/24'\nIPADDR_1='192.0.2.77'\nPREFIXLEN_1='24'\nLLADDR='%s'\nSTARTMODE='auto'\n" % OLD
SUSE_ROUTES = "default 192.0.2.1 - -\n10.0.0.0/8 203.0.113.1 - -\n10.1.0.0 192.0.2.2 255.255.0.0 eth0\n"
SUSE_CONFIG = "# netconfig\nNETCONFIG_DNS_POLICY=\"auto\"\nNETCONFIG_DNS_STATIC_SERVERS=\"192.0.2.53\"\n"


@pytest.fixture
def suse(blank):
    blank.write(SUSE + "ifcfg-eth0", SUSE_FILE)
    blank.write(SUSE + "routes", SUSE_ROUTES)
    blank.write(SUSE + "ifroute-eth0", "10.2.0.0/16 192.0.2.1 - -\n")
    blank.write(SUSE + "config", SUSE_CONFIG)
    return blank


def test_mapped_for_suse(suse):
    draft = planned(suse, MAPPED)
    assert draft.read_text(SUSE + "ifcfg-eth0") == SUSE_FILE.replace("192.0.2.10/24", "198.51.100.7/25").replace("LLADDR", "#LLADDR")
    assert draft.read_text(SUSE + "routes") == SUSE_ROUTES.replace("192.0.2.1 ", "198.51.100.1 ")
    assert draft.read_text(SUSE + "ifroute-eth0") == "10.2.0.0/16 198.51.100.1 - -\n"
    assert draft.read_text(SUSE + "config") == SUSE_CONFIG.replace("192.0.2.53", "198.51.100.2 198.51.100.3")


def test_dhcp_for_suse(suse):
    draft = planned(suse, DHCP)
    assert draft.read_text(SUSE + "ifcfg-eth0") == (
        "BOOTPROTO='dhcp4'\n#IPADDR='192.0.2.10/24'\n#IPADDR_1='192.0.2.77'\n#PREFIXLEN_1='24'\n#LLADDR='%s'\nSTARTMODE='auto'\n" % OLD)
    assert draft.read_text(SUSE + "routes") == "#default 192.0.2.1 - -\n10.0.0.0/8 203.0.113.1 - -\n#10.1.0.0 192.0.2.2 255.255.0.0 eth0\n"
    assert draft.read_text(SUSE + "ifroute-eth0") == "#10.2.0.0/16 192.0.2.1 - -\n"
    assert draft.read_text(SUSE + "config") == SUSE_CONFIG.replace("192.0.2.53", "")


# bonds, VLANs and bridges: eth0 and eth1 below bond0, its VLAN bond0.7 below br0, which has the address

BELOW = "BOOTPROTO=none\n"
ADDRESS = "192.0.2.10/24"
KEYFILES = "/etc/NetworkManager/system-connections/"
STACKS = {
    "ifupdown": {
        "/etc/network/interfaces": "iface bond0 inet manual\n bond-slaves eth0 eth1\niface bond0.7 inet manual\n"
                                   f"iface br0 inet static\n address {ADDRESS}\n gateway 192.0.2.1\n bridge_ports bond0.7\n"
                                   f" hwaddress {OLD}\n up ip route add 10.0.0.0/8 via 192.0.2.2\n",
    },
    "networkd": {
        "/etc/systemd/network/a.netdev": "[NetDev]\nName=bond0\nKind=bond\n",
        "/etc/systemd/network/b.netdev": "[NetDev]\nName=bond0.7\nKind=vlan\n[VLAN]\nId=7\n",
        "/etc/systemd/network/c.netdev": f"[NetDev]\nName=br0\nKind=bridge\nMACAddress={OLD}\n",
        "/etc/systemd/network/1.network": "[Match]\nName=eth0\n[Network]\nBond=bond0\n",
        "/etc/systemd/network/2.network": "[Match]\nName=eth1\n[Network]\nBond=bond0\n",
        "/etc/systemd/network/3.network": "[Match]\nName=bond0\n[Network]\nVLAN=bond0.7\n",
        "/etc/systemd/network/4.network": "[Match]\nName=bond0.7\n[Network]\nBridge=br0\n",
        "/etc/systemd/network/5.network": f"[Match]\nName=br0\n[Address]\nAddress={ADDRESS}\n[Route]\nGateway=192.0.2.1\n",
    },
    "netplan": {
        NETPLAN: "network:\n  ethernets:\n    first:\n      match: {macaddress: '52:54:00:aa:00:01'}\n      set-name: eth0\n    eth1: {}\n"
                 "  bonds:\n    bond0:\n      interfaces: [first, eth1]\n  vlans:\n    bond0.7: {id: 7, link: bond0}\n"
                 f"  bridges:\n    br0:\n      interfaces:\n      - bond0.7\n      addresses:\n      - {ADDRESS}\n"
                 f"      gateway4: 192.0.2.1\n      macaddress: {OLD}\n",
    },
    "keyfiles": {
        KEYFILES + "1": "[connection]\ntype=ethernet\ninterface-name=eth0\nmaster=u-bond\nslave-type=bond\n",
        KEYFILES + "2": "[connection]\ntype=ethernet\ninterface-name=eth1\ncontroller=bond0\nport-type=bond\n",
        KEYFILES + "3": "[connection]\ntype=bond\ninterface-name=bond0\nuuid=u-bond\n[ipv4]\nmethod=disabled\n",
        KEYFILES + "4": "[connection]\ntype=vlan\ninterface-name=bond0.7\nmaster=br0\n[vlan]\nid=7\nparent=u-bond\n",
        KEYFILES + "5": f"[connection]\ntype=bridge\ninterface-name=br0\n[bridge]\nmac-address={OLD}\n"
                        f"[ipv4]\nmethod=manual\naddress1={ADDRESS},192.0.2.1\n",
    },
    "ifcfg of Red Hat": {
        RED_HAT + "ifcfg-eth0": f"HWADDR={OLD}\nMASTER=bond0\nSLAVE=yes\n",
        RED_HAT + "ifcfg-eth1": "MASTER=bond0\nSLAVE=yes\n",
        RED_HAT + "ifcfg-bond0": "TYPE=Bond\nBONDING_MASTER=yes\nBOOTPROTO=none\n",
        RED_HAT + "ifcfg-bond0.7": "VLAN=yes\nBRIDGE=br0\n",
        RED_HAT + "ifcfg-br0": "TYPE=Bridge\nBOOTPROTO=static\nIPADDR=192.0.2.10\nPREFIX=24\nGATEWAY=192.0.2.1\nMACADDR=%s\n" % OLD,
    },
    "ifcfg of SUSE": {
        SUSE + "ifcfg-bond0": "BOOTPROTO='none'\nBONDING_MASTER='yes'\nBONDING_SLAVE_0='eth0'\nBONDING_SLAVE_1='eth1'\n",
        SUSE + "ifcfg-bond0.7": "ETHERDEVICE='bond0'\nVLAN_ID='7'\n",
        SUSE + "ifcfg-br0": f"BOOTPROTO='static'\nBRIDGE='yes'\nBRIDGE_PORTS='bond0.7'\nIPADDR='{ADDRESS}'\nLLADDR='{OLD}'\n",
        SUSE + "routes": "default 192.0.2.1 - -\n",
    },
}


@pytest.fixture(params=sorted(STACKS))
def stack(blank, request):
    for path, text in STACKS[request.param].items():
        blank.write(path, text)
    return blank


@pytest.mark.parametrize("network", [NetworkOptions(nics=NICS), DHCP, MAPPED], ids=lambda network: network.mode)
def test_stacks_survive_and_everything_is_undone(stack, network):
    before = stack.snapshot()
    situation = stack.inspect(network=network)
    old = {nic.name: (nic.kind, nic.lower) for nic in situation.nics}
    plan = engine.plan(situation)
    assert [finding.text for finding in plan.findings if finding.severity == "error"] == []
    engine.apply(stack.tree, plan)
    assert [problem for problem in engine.verify(situation) if problem.startswith("network")] == []
    now = stack.inspect(network=network)
    assert [change for change in engine.plan(now).changes if change.fixup == "network"] == []
    assert {nic.name: (nic.kind, nic.lower) for nic in now.nics} == old
    bridge = next(nic for nic in now.nics if nic.name == "br0")
    assert (bridge.method, [address[:] for address in bridge.addresses]) == {
        "keep": ("static", [(ADDRESS, "192.0.2.1")]),
        "dhcp": ("dhcp", []),
        "mapped": ("static", [("198.51.100.7/25", "198.51.100.1")]),
    }[network.mode]
    assert {NEW, NEW2} == {stack.read(LINK.format(name)).split("MACAddress=")[1].split()[0] for name in ("eth0", "eth1")}
    assert not any(stack.exists(LINK.format(name)) for name in ("bond0", "bond0.7", "br0"))
    assert not any(line.strip() and not line.startswith("#") and OLD in line.lower()
                   for path in all_files(stack) for line in stack.read(path).split("\n"))
    engine.undo(stack.tree)
    assert stack.snapshot() == before


def all_files(machine):
    """Of the network's configuration."""
    for place in ("/etc/network", "/etc/systemd/network", "/etc/netplan", "/etc/NetworkManager", "/etc/sysconfig"):
        for folder, _folders, files in os.walk(machine.path + place):
            for name in files:
                yield os.path.join(folder, name)[len(machine.path):]


def test_the_operator_is_told_of_vlans_and_commands(blank):
    for path, text in STACKS["ifupdown"].items():
        blank.write(path, text.replace("bond0.7 inet manual", "bond0.7 inet dhcp"))
    told = texts(planned(blank, MAPPED), "warning")
    assert any("bond0.7 is a VLAN" in text for text in told) and any("up ip route add 10.0.0.0/8 via 192.0.2.2" in text for text in told)


# what lies beside

def test_an_isolated_bridge_keeps_its_address(blank):
    text = "iface lan0 inet dhcp\niface virbr1 inet static\n address 10.0.0.1/24\n bridge_ports none\n"
    assert after(blank, "/etc/network/interfaces", text, DHCP) == text


def test_resolv_conf(blank):
    blank.write("/etc/network/interfaces", "iface lan0 inet static\n address 192.0.2.10/24\n")
    text = "search shop.example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\noptions rotate\n"
    assert after(blank, "/etc/resolv.conf", text, MAPPED) == (
        "search shop.example\nnameserver 198.51.100.2\nnameserver 198.51.100.3\noptions rotate\n")
    assert after(blank, "/etc/resolv.conf", text, DHCP) == text
    os.unlink(blank.path + "/etc/resolv.conf")
    os.symlink("../run/resolv.conf", blank.path + "/etc/resolv.conf")
    blank.write("/run/resolv.conf", text)
    assert planned(blank, MAPPED).read_text("/run/resolv.conf") == text


def test_no_known_tool_is_told(blank):
    assert texts(planned(blank, DHCP), "warning")[0].startswith("No configuration of a network interface was found")
    assert texts(planned(blank), "warning") == []


def test_a_mapping_of_no_address_is_told(machine):
    told = texts(planned(machine, NetworkOptions("mapped", (), (MappedAddress("203.0.113.9", "198.51.100.9/24"),))), "warning")
    assert told == ["The machine configures 203.0.113.9 nowhere, so its mapping to 198.51.100.9/24 changes no interface."]


def test_mappings_that_follow_each_other_are_refused(machine):
    chain = (MappedAddress("192.0.2.10", "192.0.2.11/24"), MappedAddress("192.0.2.11", "192.0.2.12/24"))
    with pytest.raises(FixupError, match="another run"):
        planned(machine, NetworkOptions("mapped", (), chain))


def test_an_address_that_stays_with_another_gateway(blank):
    same = NetworkOptions("mapped", NICS, (MappedAddress("192.0.2.10", "192.0.2.10/24", "192.0.2.254", ("192.0.2.5",)),))
    blank.write(NETPLAN, BLOCK)
    situation = blank.inspect(network=same)
    engine.apply(blank.tree, engine.plan(situation))
    assert "via: 192.0.2.254\n" in blank.read(NETPLAN) and "addresses: [192.0.2.5]\n" in blank.read(NETPLAN)
    assert [problem for problem in engine.verify(situation) if problem.startswith("network")] == []


# hostile

LINKS = (KEYFILE, RED_HAT + "ifcfg-eth0", NETPLAN, "/etc/systemd/network/lan.network", SUSE + "config", "/etc/resolv.conf")


@pytest.mark.parametrize("path", LINKS)
@pytest.mark.parametrize("network", [NetworkOptions(), DHCP, MAPPED], ids=lambda network: network.mode)
def test_links_out_of_the_image_are_not_followed(blank, tmp_path, path, network):
    secret = tmp_path / "secret"
    secret.write_text(CONNECTION + IFCFG + "[Match]\nName=lan0\n[Network]\nAddress=192.0.2.10/24\n")
    before = secret.read_text()
    os.makedirs(os.path.dirname(blank.path + path), exist_ok=True)
    os.symlink(str(secret), blank.path + path)
    situation = blank.inspect(network=network)
    engine.apply(blank.tree, engine.plan(situation))
    assert secret.read_text() == before
    assert situation.nics == ()


BROKEN = ("", "\0\xff", "[", "=", "network:\n", "network: {ethernets: {lan0: {addresses: {}, routes: x, nameservers: 5, match: [1]}}}\n",
          "network: {ethernets: {lan0: {addresses: [x, [y], {}], routes: [1, {via: }], gateway4: }}}\n",
          "[ipv4]\nmethod=manual\naddress1=\naddress2=,\nroute1=,\ngateway=x\n[connection]\ntype=ethernet\n",
          "IPADDR='192.0.2.10\nNETMASK=\nGATEWAY=\"\nIPADDR=192.0.2.10 # x\nBOOTPROTO\nIPV6ADDR=x y\n", "[Network\nAddress\n=\n[]\nAddress==\n",
          "default\n- - - -\n10.0.0.0/8 via\nvia\nADDRESS0=\n")


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("network", [NetworkOptions(), DHCP, MAPPED], ids=lambda network: network.mode)
def test_broken_files_stop_nothing(blank, network, text):
    good = {RED_HAT + "ifcfg-eth9": "IPADDR=192.0.2.10\nPREFIX=24\n", "/etc/network/interfaces": "iface lan0 inet static\n address 192.0.2.10/24\n"}
    broken = (KEYFILE, RED_HAT + "ifcfg-eth0", RED_HAT + "route-eth9", SUSE + "ifcfg-eth1", SUSE + "routes", SUSE + "config", NETPLAN,
              "/etc/systemd/network/lan.network", "/etc/systemd/network/x.netdev", "/etc/systemd/network/x.link", "/etc/resolv.conf")
    for path in broken:
        blank.write(path, text.encode("latin-1"))
    for path, content in good.items():
        blank.write(path, content)
    before = blank.snapshot()
    situation = blank.inspect(network=network)
    engine.apply(blank.tree, engine.plan(situation))
    assert [problem for problem in engine.verify(situation) if problem.startswith("network")] == []
    engine.undo(blank.tree)
    assert blank.snapshot() == before
