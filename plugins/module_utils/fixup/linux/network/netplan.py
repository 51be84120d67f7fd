# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Netplan's YAML in all modes: NICs recognised by their MAC address, MAC addresses that are set, and addresses in the modes dhcp and
mapped. Source: netplan-yaml reference, netplan.readthedocs.io.

A definition may be spread over files; each part is changed where it stands. Nothing but the values in question changes.
"""

import ipaddress

from typing import Dict

from ....errors import MachineError
from ....machine.model import Nic
from ....machine.network.draft import mac_address
from ....machine.network.netplan import KINDS, is_yes, read_identified
from ....machine.network.yaml_text import Node, parse_yaml
from ...draft import Draft
from .wishes import REASON_MAC, REASONS, NewAddresses, Wishes
from .yaml_edit import with_entry, with_key, with_list, with_scalar, without_entry

FOLDER = "/etc/netplan/"
REASON_MATCH = "it is bound to the MAC address of the old NIC"
STATIC = ("addresses", "gateway4", "gateway6", "routes", "routing-policy")


def configures(path: str) -> bool:
    return path.startswith(FOLDER)


def plan(draft: Draft, wishes: Wishes) -> None:
    nics = read_identified(draft.tree, lambda text: None)      # what cannot be read was reported when the image was inspected
    for path in draft.glob(FOLDER + "*.yaml"):
        text = draft.read_text(path)
        try:
            identities = list(_definitions(text or ""))
        except MachineError:
            continue
        for identity in identities:
            if identity in nics:
                text = _fitted(draft, wishes, path, text, identity, nics[identity])


def _fitted(draft, wishes, path, text, identity, nic):
    """The text with one definition changed; each change is planned with its own reason."""
    if wishes.carries(nic) or nic.mac:
        text = _changed(draft, path, text, _without_mac(text, identity, wishes), REASON_MAC)
        text = _changed(draft, path, text, _matched(draft, wishes, path, text, identity), REASON_MATCH)
    if wishes.asks_dhcp(nic):
        text = _changed(draft, path, text, _dhcp(text, identity, nic), REASONS["dhcp"])
    new = wishes.readdressed(nic)
    if new is not None:
        text = _changed(draft, path, text, _mapped(text, identity, nic, new), REASONS["mapped"])
    return text


def _changed(draft, path, before, after, reason):
    if after != before:
        draft.write_text(path, after, reason)
    return after


def _definitions(text) -> Dict[str, Node]:
    """{identity: map} of the definitions that say something. Raises MachineError."""
    network = parse_yaml(text).get("network")
    found = {}
    for section in network.value if network is not None and network.kind == "map" else ():
        if section.key in KINDS and section.node.kind == "map":
            found.update((entry.key, entry.node) for entry in section.node.value if entry.node.kind == "map" and entry.node.value)
    return found


def _entry(mapping, key):
    """The last entry with this key, None: there is none."""
    found = [entry for entry in mapping.value if entry.key == key] if mapping is not None and mapping.kind == "map" else []
    return found[-1] if found else None


def _without_mac(text, identity, wishes):
    mapping = _definitions(text)[identity]
    entry = _entry(mapping, "macaddress")
    return without_entry(text, mapping, entry) if entry is not None and wishes.is_foreign_mac(str(entry.node.value)) else text


def _matched(draft, wishes, path, text, identity):
    """With the new MAC address in `match`, or the name that the NIC gets where that address is not known."""
    mapping = _definitions(text).get(identity)
    match = mapping.get("match") if mapping is not None else None
    entry = _entry(match, "macaddress")
    old = mac_address(str(entry.node.value)) if entry is not None else ""
    wish = next((wish for wish in wishes.interfaces if old and wish.old_mac == old), None)
    if wish is None or wish.mac == old:
        return text
    if wish.mac:
        return with_scalar(text, entry.node, wish.mac)
    if not wish.drivers:
        draft.find("error", f"{path} is bound to the old MAC address {old}. Give the target's MAC address in network.nics.")
        return text
    return without_entry(text, match, entry) if _entry(match, "name") is not None else with_key(text, entry, "name", wish.name)


def _dhcp(text, identity, nic: Nic):
    mapping = _definitions(text).get(identity)
    if mapping is None:
        return text
    # The new keys belong where the addresses stand; other files of the same definition only lose what is static.
    own = _entry(mapping, "addresses") is not None
    for version in sorted({ipaddress.ip_interface(address.address).version for address in nic.addresses}):
        mapping = _definitions(text)[identity]
        entry = _entry(mapping, f"dhcp{version}")
        if entry is None and own:
            text = with_entry(text, mapping, f"dhcp{version}", "true")
        elif entry is not None and not is_yes(entry.node.value):
            text = with_scalar(text, entry.node, "true")
    for key in STATIC:
        text = _without(text, identity, key)
    servers = _definitions(text).get(identity, Node("map", (), 0, 0)).get("nameservers")
    addresses = _entry(servers, "addresses")
    if addresses is not None and len(servers.value) > 1:       # the search domains stay
        return without_entry(text, servers, addresses)
    return _without(text, identity, "nameservers") if addresses is not None else text


def _without(text, identity, key):
    mapping = _definitions(text).get(identity)
    entry = _entry(mapping, key)
    return text if entry is None else without_entry(text, mapping, entry)


def _mapped(text, identity, nic: Nic, new: NewAddresses):
    own = False                          # whether this file holds one of the addresses
    for index in range(len(_addresses(text, identity))):
        address = _addresses(text, identity)[index]
        if new.address(address.value) is not None:
            text, own = with_scalar(text, address, str(new.address(address.value))), True
    for index in range(len(_gateways(text, identity))):
        gateway = _gateways(text, identity)[index]
        text = with_scalar(text, gateway, new.gateway(gateway.value))
    if not new.nameservers():
        return text
    mapping = _definitions(text).get(identity)
    servers = mapping.get("nameservers") if mapping is not None else None
    entry = _entry(servers, "addresses")
    if entry is not None:
        return with_list(text, entry, new.nameservers())
    if own and not nic.nameservers:
        listed = "[" + ", ".join(f'"{server}"' for server in new.nameservers()) + "]"
        if servers is not None and servers.kind == "map":
            return with_entry(text, servers, "addresses", listed)
        return with_entry(text, mapping, "nameservers", "{addresses: " + listed + "}") if servers is None else text
    return text


def _addresses(text, identity):
    """Scalars; an address with options of its own is the only key of a map."""
    mapping = _definitions(text).get(identity)
    node = mapping.get("addresses") if mapping is not None else None
    items = node.value if node is not None and node.kind == "list" else ()
    firsts = [item.value[0] if item.kind == "map" and item.value else item for item in items]
    return [Node("scalar", first.key, first.start, first.end) if hasattr(first, "key") else first for first in firsts]


def _gateways(text, identity):
    """The scalars that are gateways of the definition or next hops of its routes."""
    mapping = _definitions(text).get(identity)
    if mapping is None:
        return []
    routes = mapping.get("routes")
    found = [mapping.get("gateway4"), mapping.get("gateway6")]
    found.extend(route.get("via") for route in (routes.value if routes is not None and routes.kind == "list" else ()))
    return [node for node in found if node is not None and node.kind == "scalar"]
