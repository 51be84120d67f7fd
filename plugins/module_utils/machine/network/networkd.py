# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd-networkd: the .network files of the administrator, systemd.network(5)."""

from ...errors import MachineError
from .draft import Draft, is_default, mac_address, parse_ini

FOLDER = "/etc/systemd/network"


def read_networkd(tree, warn):
    """One `Nic` for each file; its name is the first that the file matches, "" if it matches by MAC address alone."""
    found = []
    for path in tree.glob(f"{FOLDER}/*.network"):
        try:
            if not tree.isfile(path):    # also how a file is masked: a link to /dev/null
                continue
            text = "\n".join([tree.read_text(path)] + [tree.read_text(extra) for extra in tree.glob(f"{path}.d/*.conf")])
        except MachineError as error:
            warn(f"A network configuration is not read: {error}")
            continue
        nic = _read_file(path, text, warn)
        if nic is not None:
            found.append(nic)
    return found


def _read_file(path, text, warn):
    sections = parse_ini(text)
    match = {key: value for section, pairs in sections if section == "Match" for key, value in pairs}
    names = match.get("Name", "").split()
    if names[:1] == ["lo"]:
        return None
    draft = Draft(names[0] if names else "", path, warn)
    macs = (match.get("MACAddress") or match.get("PermanentMACAddress") or "").split()
    draft.mac = next((mac for mac in map(mac_address, macs) if mac), "")
    draft.add_method("manual")
    for section, pairs in sections:
        if section == "Network":
            _read_network(draft, pairs)
        elif section == "Address":
            for key, value in pairs:
                if key == "Address" and value:
                    draft.add_address(value)
        elif section == "Route":
            route = dict(pairs)
            gateway = route.get("Gateway", "")
            if gateway and not gateway.startswith("_") and is_default(route.get("Destination", "")):
                draft.add_gateway(gateway)
    return draft.nic()


def _read_network(draft, pairs):
    for key, value in pairs:
        if key == "DHCP" and value.lower() in ("yes", "true", "on", "1", "both", "ipv4", "ipv6", "v4", "v6"):
            draft.add_method("dhcp")
        elif key == "Address" and value:
            draft.add_address(value)
        elif key == "Gateway" and value and not value.startswith("_"):
            draft.add_gateway(value)
        elif key == "DNS":
            draft.add_nameservers(value.split())
