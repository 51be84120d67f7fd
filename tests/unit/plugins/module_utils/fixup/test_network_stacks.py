# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bonds, VLANs and bridges of every tool on new NICs, what the operator is told, and files that are broken or mean harm."""

import os
import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.fixup.network_samples import (
    DHCP, KEYFILE, LINK, MAPPED, NETPLAN, NEW, NEW2, NICS, OLD, RED_HAT, SUSE, after, planned, texts)

# bonds, VLANs and bridges: eth0 and eth1 below bond0, its VLAN bond0.7 below br0, which has the address

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
        KEYFILES + "5": f"[connection]\nid=br0\nuuid=5d5b2f6e-0c0e-4d0c-9f0e-5b2f6e0c0e4d\ntype=bridge\ninterface-name=br0\n[bridge]\nmac-address={OLD}\n"
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


# what the tools themselves say, where this machine has them

def tool(name, *folders):
    found = shutil.which(name, path=os.pathsep.join(folders + (os.environ.get("PATH", ""),)))
    return found or pytest.skip(f"no {name} here")


def applied(machine, network, files):
    for path, text in files.items():
        machine.write(path, text, mode=0o600)
    engine.apply(machine.tree, engine.plan(machine.inspect(network=network)))


def said(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


GENERATED = ((NetworkOptions(), f"Address={ADDRESS}"), (DHCP, "DHCP="), (MAPPED, "Address=198.51.100.7/25"))


@pytest.mark.parametrize("network,address", GENERATED, ids=["keep", "dhcp", "mapped"])
def test_netplan_generates(blank, network, address):
    generate = tool("generate", "/usr/libexec/netplan", "/lib/netplan")
    applied(blank, network, STACKS["netplan"])
    said(generate, "--root-dir", blank.path)
    assert address in blank.read("/run/systemd/network/10-netplan-br0.network")
    assert OLD not in blank.read("/run/systemd/network/10-netplan-br0.netdev").lower()
    assert "Bridge=br0" in blank.read("/run/systemd/network/10-netplan-bond0.7.network")
    assert all("Bond=bond0" in blank.read(f"/run/systemd/network/10-netplan-{name}.network") for name in ("first", "eth1"))


@pytest.mark.parametrize("network", [DHCP, MAPPED], ids=lambda network: network.mode)
def test_networkmanager_reads_the_keyfile(blank, network):
    nmcli = tool("nmcli")
    applied(blank, network, STACKS["keyfiles"])
    # Without a daemon nmcli reads a keyfile, checks it, and writes what it has understood.
    text = said(nmcli, "--offline", "connection", "modify", "connection.autoconnect", "no", input=blank.read(KEYFILES + "5"))
    assert OLD not in text.lower()
    assert ("address1=198.51.100.7/25,198.51.100.1" in text and "dns=198.51.100.2;198.51.100.3;" in text and "method=manual" in text
            if network.mode == "mapped" else "method=auto" in text and "address" not in text)


@pytest.mark.parametrize("network", [DHCP, MAPPED], ids=lambda network: network.mode)
def test_ifupdown_reads_the_interfaces(blank, network):
    ifquery = tool("ifquery")
    applied(blank, network, STACKS["ifupdown"])
    told = said(ifquery, "--interfaces", blank.path + "/etc/network/interfaces", "br0")
    assert ("address: 198.51.100.7" in told and "gateway: 198.51.100.1" in told) == (network.mode == "mapped")
    assert "bridge_ports: bond0.7" in told and "hwaddress" not in told


# what lies beside

def test_an_isolated_bridge_keeps_its_address(blank):
    text = "iface lan0 inet dhcp\niface virbr1 inet static\n address 10.0.0.1/24\n bridge_ports none\n"
    assert after(blank, "/etc/network/interfaces", text, DHCP) == text


def test_files_that_ifupdown_sources_from_elsewhere(blank):
    blank.write("/etc/network/interfaces", "source /etc/network/more/*\n")
    text = "iface lan0 inet static\n address 192.0.2.10/24\n"
    assert after(blank, "/etc/network/more/lan", text, DHCP) == "iface lan0 inet dhcp\n# address 192.0.2.10/24\n"
    blank.write("/etc/network/interfaces", "source /srv/network/*\n")
    os.unlink(blank.path + "/etc/network/more/lan")
    blank.write("/srv/network/lan", text)
    assert any("/srv/network/lan" in told for told in texts(planned(blank, DHCP), "error"))


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


# hostile

LINKS = (KEYFILE, RED_HAT + "ifcfg-eth0", NETPLAN, "/etc/systemd/network/lan.network", SUSE + "config", "/etc/resolv.conf")


@pytest.mark.parametrize("path", LINKS)
@pytest.mark.parametrize("network", [NetworkOptions(), DHCP, MAPPED], ids=lambda network: network.mode)
def test_links_out_of_the_image_are_not_followed(blank, tmp_path, path, network):
    secret = tmp_path / "secret"
    secret.write_text(
        "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\naddress1=192.0.2.10/24\n[Match]\nName=lan0\n[Network]\nAddress=192.0.2.10/24\n"
        "IPADDR=192.0.2.10\nPREFIX=24\nNETCONFIG_DNS_STATIC_SERVERS=1.1.1.1\nnameserver 1.1.1.1\n"
    )
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
          "IPADDR='192.0.2.10\nNETMASK=\nGATEWAY=\"\nIPADDR=192.0.2.10 # x\nBOOTPROTO\nIPV6ADDR=x y\n",
          "[Network\nAddress\n=\n[]\nAddress==\n",
          "default\n- - - -\n10.0.0.0/8 via\nvia\nADDRESS0=\n")


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("network", [NetworkOptions(), DHCP, MAPPED], ids=lambda network: network.mode)
def test_broken_files_stop_nothing(blank, network, text):
    good = {RED_HAT + "ifcfg-eth9": "IPADDR=192.0.2.10\nPREFIX=24\n",
            "/etc/network/interfaces": "iface lan0 inet static\n address 192.0.2.10/24\n"}
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
