# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/network/interfaces: interfaces(5). Addresses in the modes dhcp and mapped; in all modes a MAC address that the machine gives its
NIC.

A cloud's network drops what comes from another MAC address than its own. Only lines of the interfaces in question change, each in
place; what is no longer wanted becomes a comment.
"""

import functools
import ipaddress
import re

from ....machine.network.draft import mac_address
from ...draft import Draft
from .wishes import Wishes

FILES = ("/etc/network/interfaces", "/etc/network/interfaces.d/*")
REASON_MAC = "the target's network drops what comes from the MAC address that is set here"
REASONS = {"dhcp": "the target's network gives the address", "mapped": "the address on the target's network"}
TOOL = "ifupdown"

# Options that describe a static address.
STATIC = ("address", "netmask", "broadcast", "network", "gateway", "pointopoint", "dns-nameservers", "dns-nameserver", "metric")
_ENDS_STANZA = re.compile(r"\s*(?:iface|auto|mapping|source|source-directory|rename|template|allow-\S+|no-\S+)\s")


def configures(path: str) -> bool:
    return path.startswith("/etc/network/interfaces")


def plan(draft: Draft, wishes: Wishes) -> None:
    for pattern in FILES:
        for path in draft.glob(pattern):
            text = draft.read_text(path)
            if text is None:
                continue
            text = edited(text, wishes, _without_mac)
            draft.write_text(path, text, REASON_MAC)
            if wishes.mode == "dhcp":
                draft.write_text(path, edited(text, wishes, functools.partial(_dhcp, set())), REASONS["dhcp"])
            elif wishes.mode == "mapped":
                draft.write_text(path, edited(text, wishes, _mapped), REASONS["mapped"])


def edited(text: str, wishes: Wishes, edit) -> str:
    """`text` with the lines of each stanza of a wished interface passed through `edit`."""
    lines = text.split("\n")
    result, at = [], 0
    while at < len(lines):
        words = lines[at].split()
        if words[:1] != ["iface"] or len(words) < 4 or wishes.named(words[1]) is None:
            result.append(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not _ENDS_STANZA.match(lines[end] + " "):
            end += 1
        result.extend(edit(lines[at:end], wishes))
        at = end
    return "\n".join(result)


def _without_mac(stanza, wishes):
    wish = wishes.named(stanza[0].split()[1])
    return [
        _commented(line) if _option(line) == "hwaddress" and mac_address(line.split()[-1]) not in ("", wish.mac) else line
        for line in stanza
    ]


def _dhcp(seen, stanza, _wishes):
    _iface, name, family, method = stanza[0].split()[:4]
    if method != "static":
        seen.add((name, family))
        return stanza
    # A second address of the same interface has no meaning beside DHCP.
    if ":" in name or (name, family) in seen:
        return [_commented(line) for line in stanza]
    seen.add((name, family))
    head = re.sub(r"(\s)static(?=\s|$)", r"\1auto" if family == "inet6" else r"\1dhcp", stanza[0], count=1)
    return [head] + [_commented(line) if _option(line) in STATIC else line for line in stanza[1:]]


def _mapped(stanza, wishes):
    address = next((line.split()[1] for line in stanza[1:] if _option(line) == "address" and len(line.split()) > 1), "")
    mapping = wishes.mapped(address) if address else None
    if mapping is None:
        return stanza
    new = ipaddress.ip_interface(mapping.new)
    has_mask = any(_option(line) == "netmask" for line in stanza[1:])
    values = {
        "address": str(new.ip) if has_mask else str(new),
        "netmask": str(new.netmask) if new.version == 4 else str(new.network.prefixlen),
    }
    if mapping.gateway:
        values["gateway"] = mapping.gateway
    if mapping.nameservers:
        values["dns-nameservers"] = values["dns-nameserver"] = " ".join(mapping.nameservers)
    result = [stanza[0]]
    for line in stanza[1:]:
        option = _option(line)
        if option in values:
            result.append(
                re.sub(r"^(\s*\S+\s+).*?(\s*)$", lambda match, value=values[option]: match.group(1) + value + match.group(2), line)
            )
        elif option in ("broadcast", "network"):
            result.append(_commented(line))      # both follow from address and mask
        else:
            result.append(line)
    return result


def _option(line):
    words = line.split()
    return words[0] if words and not words[0].startswith("#") else ""


def _commented(line):
    return "#" + line if line.strip() and not line.lstrip().startswith("#") else line
