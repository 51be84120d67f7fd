# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd-networkd: the .network and .netdev files of the administrator, systemd.network(5) and systemd.netdev(5)."""

from ...errors import MachineError
from .draft import Draft, mac_address, parse_ini, put_below

FOLDER = "/etc/systemd/network"
KINDS = {"bond": "bond", "vlan": "vlan", "bridge": "bridge"}
ABOVE = ("Bond", "Bridge", "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "VRF")    # settings of a lower interface that name the one above


def read_networkd(tree, warn):
    """One `Nic` for each .network file; its name is the first that the file matches, "" if it matches by MAC address alone."""
    kinds = dict(filter(None, (_read_netdev(tree, path, warn) for path in tree.glob(f"{FOLDER}/*.netdev"))))
    found, uppers = [], []
    for path in tree.glob(f"{FOLDER}/*.network"):
        text = _read(tree, path, warn)
        if text is not None:
            found.extend(_read_network(path, text, uppers, warn))
    for draft in found:
        draft.kind = kinds.get(draft.name, "")
    put_below(found, uppers)
    return [draft.nic() for draft in found]


def _read(tree, path, warn):
    """The text with that of its drop-ins, None: there is none to read."""
    try:
        if not tree.isfile(path):    # also how a file is masked: a link to /dev/null
            return None
        return "\n".join([tree.read_text(path)] + [tree.read_text(extra) for extra in tree.glob(f"{path}.d/*.conf")])
    except MachineError as error:
        warn(f"A network configuration is not read: {error}")
        return None


def _read_netdev(tree, path, warn):
    text = _read(tree, path, warn)
    values = dict(pair for section, pairs in parse_ini(text or "") if section == "NetDev" for pair in pairs)
    return (values["Name"], KINDS.get(values.get("Kind", "").lower(), "other")) if values.get("Name") else None


def _read_network(path, text, uppers, warn):
    """A list of one draft, or of none for loopback."""
    sections = parse_ini(text)
    match = {key: value for section, pairs in sections if section == "Match" for key, value in pairs}
    names = match.get("Name", "").split()
    if names[:1] == ["lo"]:
        return []
    draft = Draft(names[0] if names else "", path, warn)
    macs = (match.get("MACAddress") or match.get("PermanentMACAddress") or "").split()
    draft.mac = next((mac for mac in map(mac_address, macs) if mac), "")
    draft.add_method("manual")
    for section, pairs in sections:
        if section == "Network":
            _read_settings(draft, pairs)
            uppers.extend((draft.name, value) for key, value in pairs if key in ABOVE and draft.name)
        elif section == "Address":
            for key, value in pairs:
                if key == "Address" and value:
                    draft.add_address(value)
        elif section == "Route":
            route = dict(pairs)
            gateway = route.get("Gateway", "")
            if gateway and not gateway.startswith("_"):      # "_dhcp4": what DHCP says
                draft.add_route(route.get("Destination", ""), gateway)
    return [draft]


def _read_settings(draft, pairs):
    for key, value in pairs:
        if key == "DHCP" and value.lower() in ("yes", "true", "on", "1", "both", "ipv4", "ipv6", "v4", "v6"):
            draft.add_method("dhcp")
        elif key == "Address" and value:
            draft.add_address(value)
        elif key == "Gateway" and value and not value.startswith("_"):
            draft.add_gateway(value)
        elif key == "DNS":
            draft.add_nameservers(value.split())
