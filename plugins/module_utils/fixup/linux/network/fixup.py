# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's network on the target's NICs: interfaces keep their names, and their addresses are kept, asked for by DHCP, or mapped
to others.

One renderer a file, each for one tool that configures networks. All files of a machine change, whichever of its tools is at work; what no
renderer reaches is reported when it would have to change.
"""

import ipaddress
import re

from typing import List

from ....errors import FixupError
from ...draft import Draft
from ...situation import Situation
from . import ifcfg, ifcfg_routes, ifupdown, macs, naming, netplan, networkd, networkmanager, resolv
from .wishes import Wishes, read_wishes

NAME = "network"

RENDERERS = (ifupdown, netplan, networkd, networkmanager, ifcfg)
MODES = ("keep", "dhcp", "mapped")
HOSTS = "/etc/hosts"


def plan(situation: Situation, draft: Draft) -> None:
    _check(situation.options.network)
    wishes = read_wishes(situation, draft)
    naming.plan(situation, draft, wishes)
    for renderer in RENDERERS:
        renderer.plan(draft, wishes)
    macs.plan(draft, wishes)             # after them: they take away addresses that are set, this changes those that are matched
    if wishes.mode == "keep":
        return
    ifcfg_routes.plan(draft, wishes)
    resolv.plan(draft, wishes)
    for text in _unreached(wishes):
        draft.find("error", text)
    for text in _doubts(wishes):
        draft.find("warning", text)
    if wishes.mode == "mapped":
        _plan_hosts(draft, wishes)


def verify(situation: Situation) -> List[str]:
    """In the mode mapped no old address is left, in the mode dhcp no fixed one on an interface that the target's network reaches."""
    wishes = read_wishes(situation, Draft(situation.tree))
    problems = []
    for nic in situation.nics:
        for address in nic.addresses:
            mapping = wishes.mapped(address.address) if wishes.mode == "mapped" else None
            if mapping is not None and ipaddress.ip_interface(mapping.new) != ipaddress.ip_interface(address.address):
                problems.append(f"{nic.source} still gives {address.address} to {nic.name}.")
        if wishes.asks_dhcp(nic):
            problems.append(f"{nic.source} still gives a fixed address to {nic.name}.")
    return problems


def _unreached(wishes: Wishes):
    for nic in wishes.nics:
        if (wishes.asks_dhcp(nic) or wishes.readdressed(nic)) and not any(renderer.configures(nic.source) for renderer in RENDERERS):
            yield f"{nic.source} configures {nic.name or 'a NIC'}; the mode {wishes.mode} does not reach it. Use keep, or change that file."


def _doubts(wishes: Wishes):
    """What the operator should know before the machine boots in another network."""
    if not wishes.nics:
        yield (
            "No configuration of a network interface was found in a form that is known (ifupdown, netplan, systemd-networkd, "
            f"NetworkManager keyfiles, ifcfg), so the mode {wishes.mode} changes nothing. Look how the machine gets its addresses."
        )
        return
    configured = {ipaddress.ip_interface(address.address).ip for nic in wishes.nics for address in nic.addresses}
    for mapping in wishes.addresses if wishes.mode == "mapped" else ():
        if not configured & {ipaddress.ip_address(mapping.old), ipaddress.ip_interface(mapping.new).ip}:
            yield f"The machine configures {mapping.old} nowhere, so its mapping to {mapping.new} changes no interface."
    for nic in wishes.nics:
        if nic.kind == "vlan" and wishes.carries(nic) and nic.method in ("static", "dhcp"):
            yield f"{nic.name} is a VLAN ({nic.source}); it works only if the target's network carries its tag."
        new = wishes.readdressed(nic)
        for route in nic.routes if new is not None else ():
            hop = ipaddress.ip_address(route.gateway)
            networks = [ipaddress.ip_interface(mapping.new).network for mapping in new.mappings]
            if new.gateway(route.gateway) == route.gateway and not any(hop in network for network in networks):
                yield f"{nic.source}: the route to {route.destination} stays over {route.gateway}, which is in no new network of {nic.name}."


def _check(options):
    if options.mode not in MODES:
        raise FixupError(f"{options.mode!r} is no network mode. Known are: {', '.join(MODES)}.")
    for mapping in options.addresses:
        try:
            ipaddress.ip_address(mapping.old)
            ipaddress.ip_interface(mapping.new)
            for address in (mapping.gateway,) * bool(mapping.gateway) + mapping.nameservers:
                ipaddress.ip_address(address)
        except ValueError as error:
            raise FixupError(f"The network mapping of {mapping.old} is wrong: {error}.")
        if "/" not in mapping.new:
            raise FixupError(f"The new address {mapping.new} for {mapping.old} has no prefix length, such as /24.")
    # A second run could not tell new addresses from old ones.
    old = {ipaddress.ip_address(mapping.old): mapping for mapping in options.addresses}
    for mapping in options.addresses:
        other = old.get(ipaddress.ip_interface(mapping.new).ip, mapping)
        if other is not mapping:
            raise FixupError(f"The new address {mapping.new} for {mapping.old} is mapped itself, to {other.new}. Map it in another run.")


def _plan_hosts(draft, wishes):
    text = draft.read_text(HOSTS)
    for mapping in wishes.addresses if text is not None else ():
        new = str(ipaddress.ip_interface(mapping.new).ip)
        text = re.sub(r"^(\s*)%s(?=\s)" % re.escape(mapping.old), lambda match, new=new: match.group(1) + new, text, flags=re.MULTILINE)
    if text is not None:
        draft.write_text(HOSTS, text, "the machine's own address changes")
