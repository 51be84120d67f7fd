# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ifcfg files: Red Hat's initscripts and NetworkManager (sysconfig.txt), SUSE's wicked (ifcfg(5))."""

import re

from ...errors import MachineError
from ..osrelease import parse_assignments
from .draft import Draft

RED_HAT = "/etc/sysconfig/network-scripts"
SUSE = "/etc/sysconfig/network"
LEFT_OVER = re.compile(r"(~|\.(bak|old|orig|rpmnew|rpmsave|rpmorig|swp|scpmbackup|template))$")


def read_ifcfg(tree, warn):
    """One `Nic` for each interface but loopback; files of aliases (ifcfg-eth0:1) are united with their interface."""
    drafts = {}
    for folder in (RED_HAT, SUSE):
        for path in tree.glob(f"{folder}/ifcfg-*"):
            name = path.rsplit("/ifcfg-", 1)[-1]
            if name == "lo" or LEFT_OVER.search(name) or not tree.isfile(path):
                continue
            try:
                _read_file(tree, path, name, drafts, warn)
            except MachineError as error:
                warn(f"A network configuration is not read: {error}")
    return [draft.nic() for draft in drafts.values()]


def _read_file(tree, path, name, drafts, warn):
    values = parse_assignments(tree.read_text(path))
    device = (values.get("DEVICE") or name).split(":", 1)[0]
    if device == "lo" or values.get("TYPE", "").lower() in ("wireless", "wifi"):
        return
    draft = drafts.setdefault(device, Draft(device, path, warn))
    if values.get("HWADDR"):
        draft.set_mac(values["HWADDR"])
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
        _read_suse_routes(tree, device, draft)


def _read_suse_routes(tree, device, draft):
    """ifroute-<device>: "default 192.0.2.1 - -"."""
    path = f"{SUSE}/ifroute-{device}"
    if not tree.isfile(path):
        return
    for line in tree.read_text(path).split("\n"):
        words = line.split()
        if len(words) > 1 and words[0] == "default" and words[1] != "-":
            draft.add_gateway(words[1])
