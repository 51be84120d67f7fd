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

from ...draft import Draft
from .wishes import REASON_MAC, REASONS, Wishes

FILES = ("/etc/network/interfaces", "/etc/network/interfaces.d/*")

# Options that describe a static address.
STATIC = ("address", "netmask", "broadcast", "network", "gateway", "pointopoint", "dns-nameservers", "dns-nameserver", "metric")
COMMANDS = ("up", "pre-up", "post-up", "down", "pre-down", "post-down")
_ENDS_STANZA = re.compile(r"\s*(?:iface|auto|mapping|source|source-directory|rename|template|allow-\S+|no-\S+)\s")


def configures(path: str) -> bool:
    return path.startswith("/etc/network/")


def plan(draft: Draft, wishes: Wishes) -> None:
    paths = [path for pattern in FILES for path in draft.glob(pattern)]
    paths.extend(nic.source for nic in wishes.nics if configures(nic.source))       # "source" lines may name others
    for path in dict.fromkeys(paths):
        text = draft.read_text(path)
        if text is None:
            continue
        text = edited(text, wishes.carried, functools.partial(_without_mac, wishes))
        draft.write_text(path, text, REASON_MAC)
        if wishes.mode == "dhcp":
            text = edited(text, wishes.carried, functools.partial(_dhcp, set()))
        elif wishes.mode == "mapped":
            text = edited(text, [nic.name for nic in wishes.nics], functools.partial(_mapped, wishes))
        draft.write_text(path, text, REASONS.get(wishes.mode, ""))
    for command in _commands(draft, wishes):
        draft.find("warning", command)


def edited(text: str, names, edit) -> str:
    """`text` with the lines of each stanza of the named interfaces passed through `edit`."""
    lines = text.split("\n")
    result, at = [], 0
    while at < len(lines):
        words = lines[at].split()
        if words[:1] != ["iface"] or len(words) < 4 or words[1].split(":", 1)[0] not in names:
            result.append(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not _ENDS_STANZA.match(lines[end] + " "):
            end += 1
        result.extend(edit(lines[at:end]))
        at = end
    return "\n".join(result)


def _without_mac(wishes, stanza):
    return [_commented(line) if _option(line) == "hwaddress" and wishes.is_foreign_mac(line.split()[-1]) else line for line in stanza]


def _dhcp(seen, stanza):
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


def _mapped(wishes, stanza):
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


def _commands(draft, wishes):
    """Commands of readdressed interfaces that hold an address of an old network: such a route fails, and ifup with it."""
    for nic in wishes.nics:
        if not configures(nic.source) or not (wishes.asks_dhcp(nic) or wishes.readdressed(nic)):
            continue
        old = [ipaddress.ip_interface(address.address).network for address in nic.addresses]
        for line in (draft.read_text(nic.source) or "").split("\n"):
            if _option(line) in COMMANDS and any(_lies_in(word, old) for word in re.split(r"[\s/]+", line)):
                yield f"{nic.source} runs a command with an address of the old network; change it there: {line.strip()}"


def _lies_in(word, networks):
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _option(line):
    words = line.split()
    return words[0] if words and not words[0].startswith("#") else ""


def _commented(line):
    return "#" + line if line.strip() and not line.lstrip().startswith("#") else line
