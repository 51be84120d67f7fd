# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which interface of the machine becomes which NIC of the target."""

import re

from typing import List, NamedTuple, Tuple

from ...draft import Draft
from ...situation import MappedAddress, Situation

# Interfaces that software makes; they take their place from the physical ones below them.
_VIRTUAL = re.compile(r"(?:bond|team|br|virbr|vlan|vxlan|docker|veth|tun|tap|wg|dummy|ib)[-_]?\w*\Z|.*[.:@]")
_PATTERN = re.compile(r"[*?\[!]")


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

    def named(self, name: str):
        """The wish for an interface, None when it is not one of the physical ones."""
        return next((wish for wish in self.interfaces if wish.name == name.split(":", 1)[0]), None)

    def mapped(self, address: str):
        """The mapping of an old address given without or with prefix, None: it stays."""
        bare = address.split("/", 1)[0].lower()
        return next((mapping for mapping in self.addresses if mapping.old.split("/", 1)[0].lower() == bare), None)


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
    return Wishes(
        options.mode, tuple(wish._replace(mac=macs.get(wish.name, ""), drivers=drivers) for wish in interfaces), options.addresses
    )


def _physical(situation) -> List[Wish]:
    found, unnamed = {}, 0
    for nic in situation.nics:
        name = nic.name
        if not name and nic.mac:
            name, unnamed = f"net{unnamed}", unnamed + 1
        if not name or _VIRTUAL.match(name) or _PATTERN.search(name):
            continue                 # a pattern such as "en*" fits the new name as well
        old = found.get(name, Wish(name, "", "", (), ()))
        found[name] = old._replace(old_mac=old.old_mac or nic.mac, sources=old.sources + (nic.source,))
    return list(found.values())
