# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MAC addresses of the old NIC in the interfaces' own configuration: the new one in its place, or the interface's name where that is
not known.

A configuration that matches by MAC address applies to nothing on the target. Netplan's files are changed by their renderer: their lines
mean something only where they stand.
"""

import re

from ...draft import Draft
from . import netplan
from .wishes import Wishes

REASON = "it is bound to the MAC address of the old NIC"

# Of a line with the old MAC: what it is replaced by where the new one is not known. "{name}" is the interface, "#" makes it a comment.
_UNBOUND = (
    (re.compile(r"^(\s*)(?:Permanent)?MACAddress\s*=.*$", re.IGNORECASE), r"\1Name={name}"),                     # systemd.network(5)
    (re.compile(r"^(\s*(?:HWADDR|MACADDR|mac-address|cloned-mac-address)\b.*)$", re.IGNORECASE), r"#\1"),  # ifcfg, NetworkManager
)


def plan(draft: Draft, wishes: Wishes) -> None:
    for wish in wishes.interfaces:
        if not wish.old_mac or wish.old_mac == wish.mac:
            continue
        old = re.compile("[:-]".join(wish.old_mac.split(":")), re.IGNORECASE)
        for path in dict.fromkeys(wish.sources):
            text = None if netplan.configures(path) else draft.read_text(path)
            if text is None or not old.search(text):
                continue
            lines = [
                line if line.lstrip().startswith(("#", ";")) or not old.search(line) else _changed(line, old, wish)
                for line in text.split("\n")
            ]
            if None in lines:
                draft.find(
                    "error", f"{path} is bound to the old MAC address {wish.old_mac}. Give the target's MAC address in network.nics."
                )
            else:
                draft.write_text(path, "\n".join(lines), REASON)


def _changed(line, old, wish):
    """None: the line cannot do without a MAC address."""
    # A MAC address that the machine gives its NIC would be dropped by the target's network, so there the new one is set as well.
    if wish.mac:
        return old.sub(wish.mac, line)
    for pattern, replacement in _UNBOUND:
        if pattern.match(line):
            return pattern.sub(replacement.format(name=wish.name), line)
    return None
