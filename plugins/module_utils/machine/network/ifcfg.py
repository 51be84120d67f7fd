# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ifcfg files: Red Hat's initscripts and NetworkManager (sysconfig.txt), SUSE's wicked (ifcfg(5))."""

import re

from ...errors import MachineError
from ..osrelease import parse_assignments
from .draft import Draft, is_default, put_below

RED_HAT = "/etc/sysconfig/network-scripts"
SUSE = "/etc/sysconfig/network"
SUSE_ROUTES = SUSE + "/routes"
KINDS = {"bond": "bond", "bridge": "bridge", "vlan": "vlan", "team": "other", "ovsbridge": "other", "tun": "other"}    # TYPE=
LEFT_OVER = re.compile(r"(~|\.(bak|old|orig|rpmnew|rpmsave|rpmorig|swp|scpmbackup|template))$")


def read_ifcfg(tree, warn):
    """One `Nic` for each interface but loopback; files of aliases (ifcfg-eth0:1) are united with their interface."""
    drafts, uppers = {}, []
    for folder in (RED_HAT, SUSE):
        for path in tree.glob(f"{folder}/ifcfg-*"):
            name = path.rsplit("/ifcfg-", 1)[-1]
            if name == "lo" or LEFT_OVER.search(name) or not tree.isfile(path):
                continue
            try:
                _read_file(tree, path, name, drafts, uppers, warn)
            except MachineError as error:
                warn(f"A network configuration is not read: {error}")
    put_below(drafts.values(), uppers)
    _read_common_routes(tree, drafts.values(), warn)
    return [draft.nic() for draft in drafts.values()]


def _read_file(tree, path, name, drafts, uppers, warn):
    values = parse_assignments(tree.read_text(path))
    device = (values.get("DEVICE") or name).split(":", 1)[0]
    if device == "lo" or values.get("TYPE", "").lower() in ("wireless", "wifi"):
        return
    draft = drafts.setdefault(device, Draft(device, path, warn))
    if values.get("HWADDR"):
        draft.set_mac(values["HWADDR"])
    if ":" not in name:
        _read_place(draft, device, values, uppers)
    protocol = values.get("BOOTPROTO", "").lower()
    draft.add_method("dhcp" if protocol.startswith(("dhcp", "bootp", "auto")) else "manual")
    for key, value in values.items():
        match = re.match(r"IPADDR(_?\w*)$", key)
        if match and value:
            suffix = match.group(1)
            # PREFIX goes before NETMASK in both families of systems
            masks = [values.get(key + suffix, "") for key in ("PREFIX", "PREFIXLEN", "NETMASK")]
            draft.add_address(value, next(filter(None, masks), ""))
    for value in [values.get("IPV6ADDR", "")] + values.get("IPV6ADDR_SECONDARIES", "").split():
        if value:
            draft.add_address(value)
    for key in ("GATEWAY", "GATEWAY0", "IPV6_DEFAULTGW"):
        if values.get(key):
            draft.add_gateway(values[key])
    draft.add_nameservers([values[key] for key in sorted(values) if re.match(r"DNS[0-9]+$", key) and values[key]])
    if path.startswith(SUSE + "/"):
        _read_suse_routes(tree, f"{SUSE}/ifroute-{device}", draft)
    elif ":" not in name:
        for route_file in (f"{RED_HAT}/route-{name}", f"{RED_HAT}/route6-{name}"):
            _read_red_hat_routes(tree, route_file, draft)


def _read_place(draft, device, values, uppers):
    """What the interface is, and what it is built on or belongs to."""
    yes = [key for key in ("VLAN", "BRIDGE", "BONDING_MASTER") if values.get(key, "").lower() in ("yes", "true")]
    if "VLAN" in yes or values.get("ETHERDEVICE") or values.get("TYPE", "").lower() == "vlan":
        draft.kind = "vlan"
        below = values.get("PHYSDEV") or values.get("ETHERDEVICE") or (device.rsplit(".", 1)[0] if "." in device else "")
        draft.lower.extend([below] if below else [])
    elif "BONDING_MASTER" in yes or values.get("BONDING_OPTS"):
        draft.kind = "bond"
        draft.lower.extend(values[key] for key in sorted(values) if re.match(r"BONDING_SLAVE_?[0-9]+$", key) and values[key])
    elif "BRIDGE" in yes:                # SUSE; on Red Hat's the value is the bridge that the interface belongs to
        draft.kind = "bridge"
        draft.lower.extend(values.get("BRIDGE_PORTS", "").split())
    else:
        draft.kind = KINDS.get(values.get("TYPE", "").lower(), "")
    for key in ("MASTER", "BRIDGE", "TEAM_MASTER"):
        if values.get(key) and key not in yes:
            uppers.append((device, values[key]))


def _read_red_hat_routes(tree, path, draft):
    """route-<device>: "198.51.100.0/24 via 192.0.2.2 dev eth0", or ADDRESS0=, NETMASK0=, GATEWAY0=."""
    if not tree.isfile(path):
        return
    text = tree.read_text(path)
    for line in text.split("\n"):
        match = re.match(r"\s*([0-9a-fA-F.:/]+|default)\s(?:.*\s)?via\s+(\S+)", line)
        if match:
            draft.add_route(match.group(1), match.group(2))
    values = parse_assignments(text)
    for key in sorted(values):
        number = key[len("ADDRESS"):]
        if re.match(r"ADDRESS[0-9]+$", key) and values.get("GATEWAY" + number):
            mask = values.get("NETMASK" + number) or ("0.0.0.0" if values[key] == "0.0.0.0" else "32")
            draft.add_route(f"{values[key]}/{mask}", values["GATEWAY" + number])


def _read_suse_routes(tree, path, draft):
    for destination, gateway, _device in _suse_routes(tree, path):
        draft.add_route(destination, gateway)


def _read_common_routes(tree, drafts, warn):
    """/etc/sysconfig/network/routes: without a device, a route belongs where its gateway is."""
    try:
        routes = _suse_routes(tree, SUSE_ROUTES)
    except MachineError as error:
        warn(f"A network configuration is not read: {error}")
        return
    for destination, gateway, device in routes:
        for draft in drafts:
            if draft.source.startswith(SUSE + "/") and (draft.name == device or not device and draft.reaches(gateway)):
                draft.add_route(destination, gateway)
                break


def _suse_routes(tree, path):
    """[(destination, gateway, device or ""), …] of ifroute(5): "default 192.0.2.1 - eth0". A third word may be a mask of old times."""
    found = []
    for line in tree.read_text(path).split("\n") if tree.isfile(path) else ():
        words = line.split("#", 1)[0].split()
        if len(words) < 2 or words[1] == "-":
            continue
        destination, gateway, mask, device = (words + ["-", "-"])[:4]
        if mask != "-" and "/" not in destination and not is_default(destination):
            destination = f"{destination}/{mask}"
        found.append((destination, gateway, "" if device == "-" else device))
    return found
