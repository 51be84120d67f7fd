# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which interface of the machine becomes which NIC of the target, and which addresses change."""

import ipaddress
import re

from typing import List, NamedTuple, Optional, Tuple

from ....machine.model import Nic
from ....machine.network.draft import mac_address
from ...draft import Draft
from ...situation import MappedAddress, Situation

# Interfaces that software makes; they take their place from the physical ones below them.
_VIRTUAL = re.compile(r"(?:bond|team|br|virbr|vlan|vxlan|docker|veth|tun|tap|wg|dummy|ib)[-_]?\w*\Z|.*[.:@]")
_PATTERN = re.compile(r"[*?\[!]")

REASONS = {"dhcp": "the target's network gives the address", "mapped": "the address on the target's network"}
REASON_MAC = "the target's network drops what comes from the MAC address that is set here"


class Wish(NamedTuple):
    """An interface of the machine and how its NIC is recognised on the target."""
    name: str                        # that it had and keeps
    old_mac: str                     # that its configuration is bound to, "": none
    mac: str                         # of the target's NIC, "": not known
    drivers: Tuple[str, ...]         # by which the only NIC is recognised when its MAC is not known
    sources: Tuple[str, ...]         # configuration files that describe it


class Wishes(NamedTuple):
    mode: str                        # keep dhcp mapped
    interfaces: Tuple[Wish, ...]
    addresses: Tuple[MappedAddress, ...]
    nics: Tuple[Nic, ...]            # all that the machine configures
    carried: Tuple[str, ...]         # names of the physical interfaces and of what is built on them

    def named(self, name: str):
        """The wish for an interface, None when it is not one of the physical ones."""
        return next((wish for wish in self.interfaces if wish.name == name.split(":", 1)[0]), None)

    def mapped(self, address: str):
        """The mapping of an old address given without or with prefix, None: it stays."""
        bare = _bare(address)
        return next((mapping for mapping in self.addresses if _bare(mapping.old) == bare), None)

    def carries(self, nic: Nic) -> bool:
        """Whether the target's network reaches the interface: an isolated bridge or a tunnel has nobody who gives it an address."""
        if not nic.kind and (not nic.name or _PATTERN.search(nic.name)):
            return not _VIRTUAL.match(_PATTERN.split(nic.name)[0])
        return nic.name in self.carried

    def asks_dhcp(self, nic: Nic) -> bool:
        """Whether the interface gives up fixed addresses for what DHCP says."""
        return self.mode == "dhcp" and nic.method == "static" and self.carries(nic)

    def readdressed(self, nic: Nic) -> "Optional[NewAddresses]":
        """The new addresses of an interface, None: they stay."""
        mappings = [self.mapped(address.address) for address in nic.addresses] if self.mode == "mapped" else []
        if not any(mappings):
            return None
        return NewAddresses(tuple(dict.fromkeys(filter(None, mappings))), tuple(_bare(a.gateway) for a in nic.addresses if a.gateway))

    def configured(self, folder: str, name: str) -> Optional[Nic]:
        """The interface of this name whose configuration lies below `folder`, None: there is none."""
        return next((nic for nic in self.nics if nic.name == name and nic.source.startswith(folder)), None)

    def of_file(self, path: str) -> Optional[Nic]:
        """The interface that a file describes, for tools with one file an interface."""
        return next((nic for nic in self.nics if nic.source == path), None)

    def is_foreign_mac(self, text: str) -> bool:
        """Whether this is a MAC address that none of the target's NICs is known to have."""
        return mac_address(text) not in [""] + [wish.mac for wish in self.interfaces]


class NewAddresses(NamedTuple):
    """Of one interface in the mode mapped."""
    mappings: Tuple[MappedAddress, ...]
    gateways: Tuple[str, ...]        # the old ones

    def address(self, text: str) -> Optional[ipaddress.IPv4Interface]:
        """The new address with its network (IPv4 or IPv6) for an old one, None: it stays."""
        bare = _bare(text)
        mapping = next((mapping for mapping in self.mappings if _bare(mapping.old) == bare), None)
        return None if mapping is None else ipaddress.ip_interface(mapping.new)

    def gateway(self, text: str) -> str:
        """The new gateway for an old one; what is no gateway of the interface, or has no new one, is given back."""
        if _bare(text) not in self.gateways:
            return text
        version = ipaddress.ip_address(_bare(text)).version
        return next((mapping.gateway for mapping in self.mappings
                     if mapping.gateway and ipaddress.ip_address(mapping.gateway).version == version), text)

    def nameservers(self, version: int = 0) -> Tuple[str, ...]:
        """The new name servers, of one version of IP or of both; empty: they stay."""
        servers = dict.fromkeys(server for mapping in self.mappings for server in mapping.nameservers)
        return tuple(server for server in servers if version in (0, ipaddress.ip_address(server).version))


def _bare(address):
    """An address without prefix and zone, in its shortest form. Text that is none is compared as it is."""
    text = address.split("/", 1)[0].split("%", 1)[0].strip().lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def read_wishes(situation: Situation, draft: Draft) -> Wishes:
    """Gives each physical interface a NIC: by name as asked for, else the NIC with its old MAC, else the next one."""
    interfaces = _physical(situation)
    options = situation.options.network
    left = list(options.nics)
    macs = {}
    for wish in interfaces:
        chosen = next((nic for nic in left if nic.name == wish.name), None)
        if chosen is not None:
            macs[wish.name] = chosen.mac
            left.remove(chosen)
    for nic in left:
        if nic.name:
            draft.find(
                "warning", f"No interface {nic.name} is configured on the machine, so the target's NIC {nic.mac} gets no configuration."
            )
    left = [nic for nic in left if not nic.name]
    rest = [wish for wish in interfaces if wish.name not in macs]
    for wish in sorted(rest, key=lambda wish: not any(nic.mac == wish.old_mac for nic in left)):
        chosen = next((nic for nic in left if nic.mac == wish.old_mac), left[0] if left else None)
        if chosen is not None:
            macs[wish.name] = chosen.mac
            left.remove(chosen)
    unknown = [wish.name for wish in interfaces if wish.name not in macs]
    if unknown and len(interfaces) > 1:
        draft.find(
            "warning",
            f"It is not known which of the target's NICs {', '.join(unknown)} should become. Give their MAC addresses in network.nics.",
        )
    drivers = situation.profile.nic_drivers if len(interfaces) == 1 else ()
    wishes = tuple(wish._replace(mac=macs.get(wish.name, ""), drivers=drivers) for wish in interfaces)
    return Wishes(options.mode, wishes, options.addresses, situation.nics, _carried(situation.nics, [wish.name for wish in wishes]))


def _physical(situation) -> List[Wish]:
    found, unnamed = {}, 0
    made = {nic.name for nic in situation.nics if nic.kind}
    for nic in situation.nics:
        name = nic.name
        if not name and nic.mac and not nic.kind:
            name, unnamed = f"net{unnamed}", unnamed + 1
        if _is_physical(name, made):
            old = found.get(name, Wish(name, "", "", (), ()))
            found[name] = old._replace(old_mac=old.old_mac or nic.mac, sources=old.sources + (nic.source,))
    for nic in situation.nics:       # ports that have no configuration of their own
        for name in nic.lower:
            if _is_physical(name, made):
                found.setdefault(name, Wish(name, "", "", (), (nic.source,)))
    return list(found.values())


def _is_physical(name, made):
    """A pattern such as "en*" needs no NIC of its own: it fits the new name as well."""
    return bool(name) and name not in made and not _VIRTUAL.match(name) and not _PATTERN.search(name)


def _carried(nics, physical):
    carried = dict.fromkeys(physical)
    while True:
        more = [nic.name for nic in nics if nic.name and nic.name not in carried and any(lower in carried for lower in nic.lower)]
        if not more:
            return tuple(carried)
        carried.update(dict.fromkeys(more))
