# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager's keyfiles: nm-settings-keyfile(5)."""

import re

from ...errors import MachineError
from .draft import Draft, parse_ini

FOLDERS = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
TYPES = ("ethernet", "802-3-ethernet", "bond", "bridge", "team", "vlan", "infiniband")
METHODS = {"auto": "dhcp", "dhcp": "dhcp", "manual": "static"}


def read_networkmanager(tree, warn):
    """One `Nic` for each wired connection; its name is "" if the connection is not bound to an interface name."""
    found, names = [], set()
    for folder in FOLDERS:
        for path in tree.glob(f"{folder}/*"):
            name = path.rsplit("/", 1)[-1]
            # files of the administrator hide the packaged ones; other endings are what editors leave behind
            if name in names or not tree.isfile(path) or re.search(r"(~|\.(bak|orig|rpmnew|rpmsave|swp|dpkg-\w+))$", name):
                continue
            names.add(name)
            try:
                nic = _read_file(path, tree.read_text(path), warn)
            except MachineError as error:
                warn(f"A NetworkManager connection is not read: {error}")
                continue
            if nic is not None:
                found.append(nic)
    return found


def _read_file(path, text, warn):
    sections = {}
    for section, pairs in parse_ini(text):
        sections.setdefault(section, {}).update(pairs)
    connection = sections.get("connection", {})
    if connection.get("type") not in TYPES:
        return None
    draft = Draft(connection.get("interface-name", ""), path, warn)
    wired = sections.get("ethernet") or sections.get("802-3-ethernet") or {}
    draft.set_mac(wired.get("mac-address", ""))
    draft.add_method("manual")
    for family in ("ipv4", "ipv6"):
        _read_family(draft, sections.get(family, {}), family)
    return draft.nic()


def _read_family(draft, values, family):
    method = values.get("method", "")
    # IPv6 is "auto" in nearly every connection, whatever IPv4 does, so it only counts where it is all there is.
    if family == "ipv4" or method != "auto":
        draft.add_method(METHODS.get(method, "manual"))
    numbered = sorted((int(match.group(1)), value) for match, value in (
        (re.match(r"address(?:es)?([0-9]+)$", key), value) for key, value in values.items()) if match)
    for _number, value in numbered:
        parts = [part for part in re.split(r"[,;]", value) if part.strip()]
        if parts:
            draft.add_address(parts[0])
        if len(parts) > 1:
            draft.add_gateway(parts[1])
    if values.get("gateway"):
        draft.add_gateway(values["gateway"])
    draft.add_nameservers([part.strip() for part in re.split(r"[;, ]", values.get("dns", "")) if part.strip()])
