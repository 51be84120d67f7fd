# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/resolv.conf in the mode mapped, where it is a file of its own: resolv.conf(5).

ifupdown without resolvconf, and initscripts without DNS1=, have the name servers only there. Where a program writes it, it is a link or is
written anew at boot.
"""

import re

from ...draft import Draft
from .wishes import REASONS, Wishes

FILE = "/etc/resolv.conf"
_SERVER = re.compile(r"(\s*nameserver\s+)(\S+)")


def plan(draft: Draft, wishes: Wishes) -> None:
    servers = list(dict.fromkeys(server for mapping in wishes.addresses for server in mapping.nameservers))
    if wishes.mode != "mapped" or not servers or draft.tree.islink(FILE) or not draft.tree.isfile(FILE):
        return
    text = draft.read_text(FILE)
    result, told = [], False
    for line in (text or "").split("\n"):
        match = _SERVER.match(line)
        if match is None:
            result.append(line)
        elif not told:
            result.extend(f"nameserver {server}" for server in servers)
            told = True
    if told:
        draft.write_text(FILE, "\n".join(result), REASONS["mapped"])
