# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network configuration of every tool, read into one neutral form."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Address, Nic, Route
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.network.bindings import read_bindings
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.network.draft import mac_address, parse_ini
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.network.nics import read_nics
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree

MAC = "52:54:00:12:34:56"
FIRST = Address("192.0.2.10/24", "192.0.2.1")
ROUTE = Route("198.51.100.0/24", "192.0.2.2")
SIXTH = Address("2001:db8::10/64", "2001:db8::1")


@pytest.fixture
def make(tmp_path):
    def make(files):
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return Tree(str(tmp_path))
    return make


def nics(tree):
    """What is read, without any warning."""
    told = []
    found = read_nics(tree, told.append)
    assert told == []
    return found


def test_nothing_is_configured(make):
    assert nics(make({})) == ()


# ifupdown

def test_ifupdown(make):
    source = "/etc/network/interfaces"
    tree = make({"etc/network/interfaces": """
# the loopback
auto lo
iface lo inet loopback

auto lan0
allow-hotplug lan1
iface lan0 inet static
    netmask 255.255.255.0
    address 192.0.2.10
    gateway 192.0.2.1
    dns-nameservers 192.0.2.53 \\
        192.0.2.54
    up ip route add 198.51.100.0/24 via 192.0.2.2
iface lan0 inet6 static
    address 2001:db8::10/64
    gateway 2001:db8::1
iface lan0:1 inet static
    address 192.0.2.11/24
iface lan1 inet dhcp
iface lan1 inet6 auto
iface lan2 inet manual
"""})
    assert nics(tree) == (
        Nic("lan0", "", "static", (FIRST, SIXTH, Address("192.0.2.11/24")), ("192.0.2.53", "192.0.2.54"), source),
        Nic("lan1", "", "dhcp", source=source),
        Nic("lan2", "", "manual", source=source),
    )


def test_ifupdown_sources_other_files_and_never_ends_in_a_circle(make):
    tree = make({
        "etc/network/interfaces": "source interfaces.d/*\nsource-directory /etc/network/more\niface a inet dhcp\n"
                                  "source /etc/network/interfaces\n",
        "etc/network/interfaces.d/b": "source ../interfaces\niface b inet dhcp\n",
        "etc/network/more/c": "iface c inet dhcp\n",
        "etc/network/more/d.bak": "iface d inet dhcp\n",
    })
    assert [(nic.name, nic.source) for nic in nics(tree)] == [
        ("a", "/etc/network/interfaces"), ("b", "/etc/network/interfaces.d/b"), ("c", "/etc/network/more/c")]


def test_bad_addresses_are_told(make):
    told = []
    text = "iface a inet static\n address 300.1.1.1\n netmask 255.0.255.0\n gateway x\n"
    (nic,) = read_nics(make({"etc/network/interfaces": text}), told.append)
    assert nic.addresses == () and len(told) == 2 and "300.1.1.1" in told[1]


# systemd-networkd

def test_networkd(make):
    tree = make({
        "etc/systemd/network/10-lan.network": "[Match]\nName=lan0 en*\n\n[Network]\nAddress=192.0.2.10/24\nAddress=2001:db8::10/64\n"
                                              "Gateway=192.0.2.1\nDNS=192.0.2.53 192.0.2.54\n[Route]\n"
                                              "Destination=198.51.100.0/24\nGateway=192.0.2.2\n",
        "etc/systemd/network/10-lan.network.d/more.conf": "[Network]\nDNS=2001:db8::53\n[Route]\nGateway=2001:db8::1\n"
                                                          "[Address]\nAddress=192.0.2.11/24\n",
        "etc/systemd/network/20-wan.network": f"[Match]\nMACAddress={MAC.upper()}\n[Network]\nDHCP=ipv4\n",
        "etc/systemd/network/30-lo.network": "[Match]\nName=lo\n",
        "usr/lib/systemd/network/80-vendor.network": "[Match]\nName=host0\n[Network]\nDHCP=yes\n",
    })
    assert nics(tree) == (
        Nic("lan0", "", "static", (FIRST, SIXTH, Address("192.0.2.11/24")), ("192.0.2.53", "192.0.2.54", "2001:db8::53"),
            "/etc/systemd/network/10-lan.network", routes=(ROUTE,)),
        Nic("", MAC, "dhcp", source="/etc/systemd/network/20-wan.network"),
    )


# netplan

NETPLAN = {
    "etc/netplan/01-first.yaml": f"""
network:
  version: 2
  ethernets:
    ens3:
      dhcp4: true
    second:
      match: {{macaddress: "{MAC}"}}
      set-name: lan0
      addresses: [192.0.2.10/24, {{"2001:db8::10/64": {{label: x}}}}]
      routes:
        - {{to: default, via: 192.0.2.1}}
        - {{to: 198.51.100.0/24, via: 192.0.2.2}}
      gateway6: 2001:db8::1
      nameservers: {{addresses: [192.0.2.53]}}
    any:
      match: {{name: "en*"}}
  wifis:
    wlan0: {{}}
""",
    "etc/netplan/99-last.yaml": "network: {ethernets: {ens3: {dhcp4: false, addresses: [192.0.2.99/24]}},\n"
                                "          vlans: {v10: {id: 10, link: ens3}}}\n",
}


def test_netplan(make):
    assert nics(make(NETPLAN)) == (
        Nic("ens3", "", "static", (Address("192.0.2.99/24"),), source="/etc/netplan/99-last.yaml"),
        Nic("lan0", MAC, "static", (FIRST, SIXTH), ("192.0.2.53",), "/etc/netplan/01-first.yaml", routes=(ROUTE,)),
        Nic("en*", "", "manual", source="/etc/netplan/01-first.yaml"),
        Nic("v10", "", "manual", source="/etc/netplan/99-last.yaml", kind="vlan", lower=("ens3",)),
    )


@pytest.mark.parametrize("text", [
    "a: [", "- 1\n", "network: 5\n", "network: {ethernets: {a: {addresses: 5}}}\n", "!!python/object:os.system x\n", "[" * 5000,
    "network: {ethernets: {a: {match: x, routes: [1]}}}\n", "\0",
], ids=range(8))
def test_bad_netplan_never_fails(make, text):
    read_nics(make({"etc/netplan/x.yaml": text}))


def test_netplan_with_aliases_is_told_and_not_read(make):
    text = "a0: &a0 [x, x]\nnetwork: {ethernets: {eth0: {addresses: [*a0]}}}\n"
    told = []
    assert read_nics(make({"etc/netplan/1.yaml": text}), told.append) == ()
    assert told == ["The netplan file /etc/netplan/1.yaml is not read: line 1 is more than simple YAML."]


# NetworkManager

def test_networkmanager(make):
    tree = make({
        "etc/NetworkManager/system-connections/lan.nmconnection": f"""
[connection]
id=lan
type=ethernet
interface-name=lan0

[ethernet]
mac-address={MAC.upper()}

[ipv4]
address1=192.0.2.10/24,192.0.2.1
address2=192.0.2.11/24
dns=192.0.2.53;192.0.2.54;
method=manual

[ipv6]
method=auto
""",
        "etc/NetworkManager/system-connections/Wired connection 1": "[connection]\ntype=802-3-ethernet\n[ipv4]\nmethod=auto\n"
                                                                    "[ipv6]\nmethod=ignore\n",
        "etc/NetworkManager/system-connections/wifi.nmconnection": "[connection]\ntype=wifi\n",
        "etc/NetworkManager/system-connections/lan.nmconnection.bak": "[connection]\ntype=ethernet\n",
        "usr/lib/NetworkManager/system-connections/lan.nmconnection": "[connection]\ntype=ethernet\ninterface-name=hidden\n",
    })
    folder = "/etc/NetworkManager/system-connections/"
    assert nics(tree) == (
        Nic("", "", "dhcp", source=folder + "Wired connection 1"),
        Nic("lan0", MAC, "static", (FIRST, Address("192.0.2.11/24")), ("192.0.2.53", "192.0.2.54"), folder + "lan.nmconnection"),
    )


# ifcfg

def test_ifcfg_of_red_hat(make):
    tree = make({
        "etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\nIPADDR=127.0.0.1\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0": f"DEVICE=\"eth0\"\nHWADDR={MAC.upper()}\nBOOTPROTO=none\nONBOOT=yes\n"
                                                    "IPADDR=192.0.2.10\nPREFIX=24\nIPADDR1=192.0.2.11\nNETMASK1=255.255.255.0\n"
                                                    "GATEWAY=192.0.2.1\nDNS1=192.0.2.53\nDNS2=192.0.2.54\n"
                                                    "IPV6ADDR=2001:db8::10/64\nIPV6_DEFAULTGW=2001:db8::1%eth0\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0:1": "DEVICE=eth0:1\nIPADDR=192.0.2.12\nNETMASK=255.255.255.0\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0.bak": "DEVICE=eth9\n",
        "etc/sysconfig/network-scripts/ifcfg-eth1": "DEVICE=eth1\nBOOTPROTO=dhcp\n",
    })
    folder = "/etc/sysconfig/network-scripts/"
    assert nics(tree) == (
        Nic("eth0", MAC, "static", (FIRST, Address("192.0.2.11/24"), SIXTH, Address("192.0.2.12/24")), ("192.0.2.53", "192.0.2.54"),
            folder + "ifcfg-eth0"),
        Nic("eth1", "", "dhcp", source=folder + "ifcfg-eth1"),
    )


def test_ifcfg_of_suse(make):
    tree = make({
        "etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='192.0.2.10/24'\n"
                                            "IPADDR_1='192.0.2.11'\nNETMASK_1=255.255.255.0\n",
        "etc/sysconfig/network/ifroute-eth0": "# routes\ndefault 192.0.2.1 - -\n198.51.100.0/24 192.0.2.2 - -\n",
        "etc/sysconfig/network/ifcfg-eth1": "BOOTPROTO='dhcp'\n",
    })
    assert [nic[:4] + (nic.routes,) for nic in nics(tree)] == [
        ("eth0", "", "static", (FIRST, Address("192.0.2.11/24")), (ROUTE,)),
        ("eth1", "", "dhcp", (), ()),
    ]


def test_common_routes_of_suse_belong_where_their_gateway_is(make):
    tree = make({
        "etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\nIPADDR='192.0.2.10/24'\n",
        "etc/sysconfig/network/ifcfg-eth1": "BOOTPROTO='static'\nIPADDR='203.0.113.5/24'\n",
        "etc/sysconfig/network/routes": "default 203.0.113.1 - -\n198.51.100.0 192.0.2.2 255.255.255.0 eth0\n10.0.0.0/8 172.16.0.1 - -\n",
    })
    assert [(nic.addresses, nic.routes) for nic in nics(tree)] == [
        ((Address("192.0.2.10/24"),), (ROUTE,)), ((Address("203.0.113.5/24", "203.0.113.1"),), ())]


@pytest.mark.parametrize("text", [
    "198.51.100.0/24 via 192.0.2.2 dev eth0\ndefault dev eth0 via 192.0.2.1\n# 10.0.0.0/8 via 192.0.2.9\n",
    "ADDRESS0=198.51.100.0\nNETMASK0=255.255.255.0\nGATEWAY0=192.0.2.2\nADDRESS1=0.0.0.0\nNETMASK1=0.0.0.0\nGATEWAY1=192.0.2.1\n",
], ids=["ip", "assignments"])
def test_routes_of_red_hat(make, text):
    folder = "etc/sysconfig/network-scripts/"
    (nic,) = nics(make({folder + "ifcfg-eth0": "DEVICE=eth0\nIPADDR=192.0.2.10\nPREFIX=24\n", folder + "route-eth0": text}))
    assert nic.addresses == (FIRST,) and nic.routes == (ROUTE,)


# what interfaces are built on, said in the words of each tool: eth0 and eth1 are ports of bond0, bond0.7 is its VLAN, a port of br0

RED_HAT = "etc/sysconfig/network-scripts/ifcfg-"
SUSE = "etc/sysconfig/network/ifcfg-"
KEYFILES = "etc/NetworkManager/system-connections/"
STACKS = {
    "ifupdown": {
        "etc/network/interfaces": "iface eth0 inet manual\n bond-master bond0\niface eth1 inet manual\n"
                                  "iface bond0 inet manual\n bond-slaves eth1\n bond-mode 1\niface bond0.7 inet manual\n"
                                  "iface br0 inet dhcp\n bridge_ports bond0.7\n",
    },
    "networkd": {
        "etc/systemd/network/a.netdev": "[NetDev]\nName=bond0\nKind=bond\n",
        "etc/systemd/network/b.netdev": "[NetDev]\nName=bond0.7\nKind=vlan\n[VLAN]\nId=7\n",
        "etc/systemd/network/c.netdev": "[NetDev]\nName=br0\nKind=bridge\n",
        "etc/systemd/network/1.network": "[Match]\nName=eth0\n[Network]\nBond=bond0\n",
        "etc/systemd/network/2.network": "[Match]\nName=eth1\n[Network]\nBond=bond0\n",
        "etc/systemd/network/3.network": "[Match]\nName=bond0\n[Network]\nVLAN=bond0.7\n",
        "etc/systemd/network/4.network": "[Match]\nName=bond0.7\n[Network]\nBridge=br0\n",
        "etc/systemd/network/5.network": "[Match]\nName=br0\n[Network]\nDHCP=yes\n",
    },
    "netplan": {
        "etc/netplan/a.yaml": "network:\n  ethernets:\n    first:\n      match: {name: eth0}\n    eth1: {}\n  bonds:\n    bond0:\n"
                              "      interfaces: [first, eth1]\n  vlans:\n    bond0.7: {id: 7, link: bond0}\n"
                              "  bridges:\n    br0:\n      interfaces:\n      - bond0.7\n      dhcp4: yes\n",
    },
    "keyfiles": {
        KEYFILES + "1": "[connection]\ntype=ethernet\ninterface-name=eth0\nmaster=u-bond\nslave-type=bond\n",
        KEYFILES + "2": "[connection]\ntype=ethernet\ninterface-name=eth1\ncontroller=bond0\nport-type=bond\n",
        KEYFILES + "3": "[connection]\ntype=bond\ninterface-name=bond0\nuuid=u-bond\n",
        KEYFILES + "4": "[connection]\ntype=vlan\ninterface-name=bond0.7\nmaster=br0\n[vlan]\nid=7\nparent=u-bond\n",
        KEYFILES + "5": "[connection]\ntype=bridge\ninterface-name=br0\n[ipv4]\nmethod=auto\n",
    },
    "ifcfg of Red Hat": {
        RED_HAT + "eth0": "MASTER=bond0\nSLAVE=yes\n",
        RED_HAT + "eth1": "MASTER=bond0\nSLAVE=yes\n",
        RED_HAT + "bond0": "TYPE=Bond\nBONDING_MASTER=yes\n",
        RED_HAT + "bond0.7": "VLAN=yes\nBRIDGE=br0\n",
        RED_HAT + "br0": "TYPE=Bridge\nBOOTPROTO=dhcp\n",
    },
    "ifcfg of SUSE": {
        SUSE + "eth0": "STARTMODE='hotplug'\n",
        SUSE + "eth1": "STARTMODE='hotplug'\n",
        SUSE + "bond0": "BONDING_MASTER='yes'\nBONDING_SLAVE_0='eth0'\nBONDING_SLAVE_1='eth1'\n",
        SUSE + "bond0.7": "ETHERDEVICE='bond0'\nVLAN_ID='7'\n",
        SUSE + "br0": "BRIDGE='yes'\nBRIDGE_PORTS='bond0.7'\nBOOTPROTO='dhcp'\n",
    },
}


@pytest.mark.parametrize("tool", sorted(STACKS))
def test_what_interfaces_are_built_on(make, tool):
    found = {nic.name: (nic.kind, sorted(nic.lower), nic.method) for nic in nics(make(STACKS[tool]))}
    assert found == {
        "eth0": ("", [], "manual"), "eth1": ("", [], "manual"), "bond0": ("bond", ["eth0", "eth1"], "manual"),
        "bond0.7": ("vlan", ["bond0"], "manual"), "br0": ("bridge", ["bond0.7"], "dhcp"),
    }


def test_keyfiles_in_the_old_form_and_with_routes(make):
    (nic,) = nics(make({KEYFILES + "a": "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\naddresses1=192.0.2.10;24;192.0.2.1;\n"
                                        "route1=198.51.100.0/24,192.0.2.2,100\nroute2=10.0.0.0/8,,5\n"}))
    assert nic.addresses == (FIRST,) and nic.routes == (ROUTE,)


# MAC bindings

def test_names_bound_to_mac_addresses(make):
    other = "52:54:00:ab:cd:ef"
    tree = make({
        "etc/udev/rules.d/70-persistent-net.rules": (
            "# SUBSYSTEM==\"net\", ATTR{address}==\"00:00:00:00:00:01\", NAME=\"no\"\n"
            f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{MAC}", \\\n'
            '  ATTR{dev_id}=="0x0", ATTR{type}=="1", KERNEL=="eth*", NAME="lan0"\n'),
        "etc/systemd/network/10-wan.link": f"[Match]\nMACAddress={other.upper()}\n[Link]\nName=wan0\n",
        "etc/network/interfaces": "iface lan0 inet dhcp\n",
        "etc/systemd/network/20-wan.network": f"[Match]\nMACAddress={other}\n[Network]\nDHCP=yes\n",
    })
    assert [(binding.name, binding.mac) for binding in read_bindings(tree, pytest.fail)] == [("wan0", other), ("lan0", MAC)]
    assert [(nic.name, nic.mac) for nic in nics(tree)] == [("lan0", MAC), ("wan0", other)]


@pytest.mark.parametrize("text,expected", [
    ("52-54-00-12-34-56", MAC), (" 5254.0012.3456 ", MAC), ("permanent", ""), ("", ""), ("52:54:00:12:34", ""), ("52:54:00:12:34:5g", ""),
])
def test_mac_addresses(text, expected):
    assert mac_address(text) == expected


def test_ini_files_keep_repeated_sections_and_keys():
    assert parse_ini("x=0\n[A]\n# c\nk=1\nk=2=3\n;x\n[A]\nlong=a\\\nb\nnonsense\n[B]") == [
        ("A", [("k", "1"), ("k", "2=3")]), ("A", [("long", "a b")]), ("B", [])]


def test_unreadable_files_are_told_and_the_others_read(make):
    tree = make({
        "etc/systemd/network/10-a.network": "#" * (9 * 1024 * 1024),
        "etc/systemd/network/20-b.network": "[Match]\nName=b\n[Network]\nDHCP=yes\n",
    })
    told = []
    assert [nic.name for nic in read_nics(tree, told.append)] == ["b"]
    assert len(told) == 1 and "10-a.network" in told[0]
