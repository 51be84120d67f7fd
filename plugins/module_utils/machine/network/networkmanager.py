# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager's keyfiles: nm-settings-keyfile(5)."""

import re

from ...errors import MachineError
from .draft import Draft, parse_ini, put_below

FOLDERS = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")    # /run does not survive a boot
KINDS = {"ethernet": "", "802-3-ethernet": "", "infiniband": "", "bond": "bond", "bridge": "bridge", "vlan": "vlan", "team": "other"}
NO_GATEWAY = ("", "0.0.0.0", "::")
METHODS = {"auto": "dhcp", "dhcp": "dhcp", "manual": "static"}
LEFT_OVER = re.compile(r"(~|\.(bak|orig|rpmnew|rpmsave|swp|dpkg-\w+))$")     # what editors and packages leave behind
_ADDRESS = re.compile(r"address(?:es)?([0-9]+)$")
_ROUTE = re.compile(r"routes?([0-9]+)$")


def read_networkmanager(tree, warn):
    """One `Nic` for each wired connection; its name is "" if the connection is not bound to an interface name."""
    found, seen, uppers, identities = [], set(), [], {}
    for folder in FOLDERS:
        for path in tree.glob(f"{folder}/*"):
            name = path.rsplit("/", 1)[-1]
            if name in seen or not tree.isfile(path) or LEFT_OVER.search(name):    # the administrator's files hide packaged ones
                continue
            seen.add(name)
            try:
                draft = _read_file(path, tree.read_text(path), uppers, identities, warn)
            except MachineError as error:
                warn(f"A NetworkManager connection is not read: {error}")
                continue
            if draft is not None:
                found.append(draft)
    # Both directions name the other connection by its interface or its UUID.
    put_below(found, [(lower, identities.get(upper, upper)) for lower, upper in uppers])
    for draft in found:
        draft.lower = [identities.get(lower, lower) for lower in draft.lower]
    return [draft.nic() for draft in found]


def _read_file(path, text, uppers, identities, warn):
    sections = {}
    for section, pairs in parse_ini(text):
        sections.setdefault(section, {}).update(pairs)
    connection = sections.get("connection", {})
    if connection.get("type") not in KINDS:
        return None
    draft = Draft(connection.get("interface-name", ""), path, warn)
    draft.kind = KINDS[connection["type"]]
    if draft.name:
        identities[connection.get("uuid", draft.name)] = draft.name
    wired = sections.get("ethernet") or sections.get("802-3-ethernet") or {}
    draft.set_mac(wired.get("mac-address", ""))
    parent = sections.get("vlan", {}).get("parent", "")
    if parent:
        draft.lower.append(parent)
    upper = connection.get("controller") or connection.get("master")       # the newer and the older word for it
    if upper and draft.name:
        uppers.append((draft.name, upper))
    draft.add_method("manual")
    if not upper:
        for family in ("ipv4", "ipv6"):
            _read_family(draft, sections.get(family, {}), family)
    return draft


def _read_family(draft, values, family):
    method = values.get("method", "")
    # IPv6 is "auto" in nearly every connection, whatever IPv4 does, so it only counts where it is all there is.
    if family == "ipv4" or method != "auto":
        draft.add_method(METHODS.get(method, "manual"))
    for address, gateway in addresses(values):
        draft.add_address(address)
        if gateway not in NO_GATEWAY:
            draft.add_gateway(gateway)
    if values.get("gateway"):
        draft.add_gateway(values["gateway"])
    for parts in _numbered(_ROUTE, values):
        if len(parts) > 1 and parts[1] not in NO_GATEWAY:
            draft.add_route(parts[0], parts[1])
    draft.add_nameservers([part.strip() for part in re.split(r"[;, ]", values.get("dns", "")) if part.strip()])


def addresses(values):
    """[(address/prefix, gateway or ""), …] of address1=192.0.2.10/24,192.0.2.1 and of the old form addresses1=192.0.2.10;24;192.0.2.1"""
    found = []
    for parts in _numbered(_ADDRESS, values):
        if "/" not in parts[0] and len(parts) > 1 and parts[1].isdigit():
            parts = [f"{parts[0]}/{parts[1]}"] + parts[2:]
        found.append((parts[0], (parts + [""])[1]))
    return found


def _numbered(key, values):
    """The parts of address1=…, address2=… in the order of their numbers."""
    found = sorted((int(match.group(1)), value) for match, value in ((key.match(name), value) for name, value in values.items()) if match)
    parted = ([part.strip() for part in re.split(r"[,;]", value)] for _number, value in found)
    return [parts for parts in parted if parts[0]]
