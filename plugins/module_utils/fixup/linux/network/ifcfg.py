# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ifcfg files of Red Hat's initscripts and NetworkManager (sysconfig.txt, nm-settings-ifcfg-rh(5)) and of SUSE's wicked (ifcfg(5)) in the
modes dhcp and mapped, and MAC addresses that they give to interfaces.

Assignments change in their quotes; what is no longer wanted becomes a comment.
"""

import re

from typing import List, NamedTuple

from ....machine.network.ifcfg import LEFT_OVER, RED_HAT, SUSE
from ....machine.osrelease import parse_assignments
from ...draft import Draft
from .wishes import REASON_MAC, REASONS, NewAddresses, Wishes

FOLDERS = (RED_HAT + "/", SUSE + "/")

_ASSIGNMENT = re.compile(r"(?P<head>\s*(?:export\s+)?(?P<key>[A-Za-z_]\w*)=)(?P<value>.*)\Z")
_NUMBER = r"(?:_\w+|[0-9]+)?\Z"
_ADDRESS = re.compile(r"IPADDR(?P<number>_\w+|[0-9]*)\Z")
_GATEWAY = re.compile(r"(?:GATEWAY[0-9]*|IPV6_DEFAULTGW)\Z")
_DNS = re.compile(r"DNS[0-9]+\Z")
_STATIC = re.compile(
    r"(?:IPADDR|PREFIX|PREFIXLEN|NETMASK|BROADCAST|NETWORK|GATEWAY|REMOTE_IPADDR)" + _NUMBER
    + r"|(?:IPV6ADDR|IPV6ADDR_SECONDARIES|IPV6_DEFAULTGW|DNS[0-9]+)\Z"
)
_REFUSES_DHCP = ("PEERDNS", "PEERROUTES")          # "no": what DHCP says of name servers and routes is not taken


class Assignment(NamedTuple):
    text: str
    key: str                 # "": no assignment
    value: str               # as the shell would see it


def configures(path: str) -> bool:
    return path.startswith(FOLDERS)


def plan(draft: Draft, wishes: Wishes) -> None:
    for folder in FOLDERS:
        for path in draft.glob(folder + "ifcfg-*"):
            name = path.rsplit("/ifcfg-", 1)[-1]
            text = None if name == "lo" or LEFT_OVER.search(name) else draft.read_text(path)
            if text is None:
                continue
            device = (parse_assignments(text).get("DEVICE") or name).split(":", 1)[0]
            nic = wishes.configured(folder, device)
            if nic is not None:
                _plan_file(draft, wishes, path, text, nic)


def _plan_file(draft, wishes, path, text, nic):
    is_alias = ":" in path.rsplit("/", 1)[-1]
    if wishes.carries(nic):
        text = "\n".join(
            "#" + line.text if line.key in ("MACADDR", "LLADDR") and wishes.is_foreign_mac(line.value) else line.text
            for line in read_assignments(text)
        )
        draft.write_text(path, text, REASON_MAC)
    new = wishes.readdressed(nic)
    if wishes.asks_dhcp(nic) and is_alias:
        draft.remove(path, "a second address of an interface has no meaning beside DHCP")
    elif wishes.asks_dhcp(nic):
        versions = {6 if ":" in address.address else 4 for address in nic.addresses}
        draft.write_text(path, _dhcp(text, path.startswith(SUSE + "/"), versions), REASONS["dhcp"])
    elif new is not None:
        draft.write_text(path, _mapped(text, path.startswith(SUSE + "/"), is_alias, new), REASONS["mapped"])


def read_assignments(text: str) -> List[Assignment]:
    """The lines of a file of shell assignments."""
    found = []
    for line in text.split("\n"):
        match = _ASSIGNMENT.match(line)
        key = match.group("key") if match else ""
        found.append(Assignment(line, key, parse_assignments(line).get(key, "")))
    return found


def with_value(line: Assignment, value: str) -> str:
    """The line with another value, in the quotes of the old one; the same value is no change."""
    if value == line.value:
        return line.text
    match = _ASSIGNMENT.match(line.text)
    quote = match.group("value").lstrip()[:1]
    quote = quote if quote in ("'", '"') else '"' if " " in value else ""
    return match.group("head") + quote + value + quote


def _dhcp(text, is_suse, versions):
    wanted = {}
    if is_suse:
        wanted["BOOTPROTO"] = "dhcp" if len(versions) > 1 else "dhcp4" if 4 in versions else "dhcp6"
    else:
        wanted.update({"BOOTPROTO": "dhcp"} if 4 in versions else {})
        wanted.update({"IPV6INIT": "yes", "IPV6_AUTOCONF": "yes"} if 6 in versions else {})
    result = []
    for line in read_assignments(text):
        if line.key in wanted:
            result.append(with_value(line, wanted.pop(line.key)))
        elif _STATIC.match(line.key) or line.key in _REFUSES_DHCP and line.value.lower() == "no":
            result.append("#" + line.text)
        else:
            result.append(line.text)
    return "\n".join([f"{key}={value}" for key, value in sorted(wanted.items())] + result)


def _mapped(text, is_suse, is_alias, new: NewAddresses):
    lines = read_assignments(text)
    values = {line.key: line.value for line in lines}
    followers = _followers(values, new)
    servers = () if is_suse else new.nameservers()
    left = list(servers)
    result = []
    for line in lines:
        address = _ADDRESS.match(line.key)
        if line.key in followers:
            result.append("#" + line.text if followers[line.key] is None else with_value(line, followers[line.key]))
        elif address and new.address(line.value) is not None:
            result.extend(_new_address(line, address.group("number"), new.address(line.value), values, is_suse))
        elif line.key in ("IPV6ADDR", "IPV6ADDR_SECONDARIES"):
            result.append(with_value(line, " ".join(str(new.address(word) or word) for word in line.value.split())))
        elif _GATEWAY.match(line.key):
            result.append(with_value(line, new.gateway(line.value)))
        elif servers and _DNS.match(line.key):
            result.append(with_value(line, left.pop(0)) if left else "#" + line.text)
        else:
            result.append(line.text)
    taken = sum(bool(_DNS.match(key)) for key in values)
    if left and not is_alias:
        tail = [""] if result[-1:] == [""] else []
        added = [f"DNS{number}={server}" for number, server in enumerate(left, taken + 1)]
        result = result[:len(result) - len(tail)] + added + tail
    return "\n".join(result)


def _followers(values, new):
    """{key: new value, None: it follows from address and mask} of the masks and networks of addresses that change."""
    found = {}
    for key, value in values.items():
        match = _ADDRESS.match(key)
        address = new.address(value) if match else None
        if address is None:
            continue
        number = match.group("number")
        length, mask = str(address.network.prefixlen), str(address.netmask) if address.version == 4 else str(address.network.prefixlen)
        found.update({"PREFIX" + number: length, "PREFIXLEN" + number: length, "NETMASK" + number: mask})
        found.update({"BROADCAST" + number: None, "NETWORK" + number: None})
    return found


def _new_address(line, number, address, values, is_suse):
    """The line of an address, and one for its mask where there was none: the mask of the address's class went for it."""
    if "/" in line.value:
        return [with_value(line, str(address))]
    if any(values.get(key + number) for key in ("PREFIX", "PREFIXLEN", "NETMASK")):
        return [with_value(line, str(address.ip))]
    if is_suse:
        return [with_value(line, str(address))]
    return [with_value(line, str(address.ip)), f"PREFIX{number}={address.network.prefixlen}"]
