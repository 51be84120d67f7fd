# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old interface names on new NICs: a .link file for systemd's udev, a rule for older ones; and old rules that would stand in the way.

A raw rule with NAME= loses against predictable naming on current distributions, and a .link file means nothing to older ones
(systemd.link(5), udev(7)).
"""

import re

from ....machine.network.draft import mac_address
from ...draft import Draft
from ...situation import Situation
from .wishes import Wishes

LINK = "/etc/systemd/network/00-agnostic-recovery-{}.link"
RULES = "/etc/udev/rules.d/70-agnostic-recovery-net.rules"
LINK_RULES = "/etc/udev/rules.d/80-net-setup-link.rules"         # masked by a link to /dev/null: .link files are not applied

REASON = "the interface keeps its name on the target's NIC, since its configuration is bound to that name"
REASON_OLD = "it gives a name to the old NIC by its MAC address and keeps that name from the new one"
HEAD = "# Written by agnostic.recovery: the NIC of the recovery target.\n"

_MAC = re.compile(r'ATTRS?\{address\}\s*==\s*"([^"]*)"')
_NAME = re.compile(r'\bNAME\s*:?=\s*"')


def plan(situation: Situation, draft: Draft, wishes: Wishes) -> None:
    new = {wish.mac for wish in wishes.interfaces if wish.mac}
    for path in draft.glob("/etc/udev/rules.d/*.rules"):
        text = draft.read_text(path)
        if text is not None and "NAME" in text and path != RULES:
            draft.write_text(path, _without_old(text, new), REASON_OLD)
    with_links = situation.systemd and not situation.tree.islink(LINK_RULES)
    rules = []
    for wish in wishes.interfaces:
        if not wish.mac and not wish.drivers:
            continue
        if with_links:
            match = f"MACAddress={wish.mac}" if wish.mac else f"Driver={' '.join(wish.drivers)}"
            draft.write_text(LINK.format(wish.name), f"{HEAD}[Match]\n{match}\n\n[Link]\nName={wish.name}\n", REASON)
        elif wish.mac:
            rules.append(
                f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{wish.mac}", ATTR{{type}}=="1", NAME="{wish.name}"\n'
            )
        else:
            rules.append(f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="{"|".join(wish.drivers)}", ATTR{{type}}=="1", NAME="{wish.name}"\n')
    if rules:
        draft.write_text(RULES, HEAD + "".join(rules), REASON)


def _without_old(text, new):
    """Rules that name a NIC by a MAC that the target has not, as comments. A rule may go on over several lines, each ending with a
    backslash."""
    lines, result, at = text.split("\n"), [], 0
    while at < len(lines):
        end = at + 1
        while lines[end - 1].endswith("\\") and end < len(lines):
            end += 1
        rule = "".join(lines[at:end])
        mac = _MAC.search(rule)
        old = (
            not rule.lstrip().startswith("#")
            and mac
            and _NAME.search(rule)
            and mac_address(mac.group(1))
            and mac_address(mac.group(1)) not in new
        )
        result.extend("#" + line if old else line for line in lines[at:end])
        at = end
    return "\n".join(result)
