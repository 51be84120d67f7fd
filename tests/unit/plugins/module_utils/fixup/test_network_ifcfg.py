# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ifcfg files of Red Hat and SUSE, and what stands beside them, on new NICs: what becomes of each file, byte for byte."""

import pytest

from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.fixup.network_samples import (
    DHCP, MAPPED, NEW, OLD, RED_HAT, SUSE, after, planned)

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
