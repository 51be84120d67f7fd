# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager's keyfiles in the modes dhcp and mapped, and MAC addresses that they give to interfaces: nm-settings-keyfile(5).

Only files of the administrator change: a file in /etc hides one of the same name in /usr/lib, but a package may bring that anew.
"""

import re

from ....machine.network.networkmanager import LEFT_OVER, addresses
from ...draft import Draft
from .ini import read_lines, without_macs
from .wishes import REASON_MAC, REASONS, NewAddresses, Wishes

FOLDER = "/etc/NetworkManager/system-connections/"
VOLATILE = "/run/NetworkManager/system-connections/*"

FAMILIES = {"ipv4": 4, "ipv6": 6}
# What describes a static configuration, or keeps out what DHCP says.
_STATIC = re.compile(r"(?:address(?:es)?|routes?|routing-rule)[0-9]+(?:_options)?\Z|(?:gateway|dns|ignore-auto-dns|ignore-auto-routes)\Z")
_ADDRESS = re.compile(r"address(?:es)?[0-9]+\Z")
_ROUTE = re.compile(r"routes?[0-9]+\Z")
# Settings that give an address to the interface; mac-address of [ethernet] tells which NIC it is.
_SET_MAC = {("ethernet", "cloned-mac-address"), ("802-3-ethernet", "cloned-mac-address"), ("bridge", "mac-address")}


def configures(path: str) -> bool:
    return path.startswith(FOLDER)


def plan(draft: Draft, wishes: Wishes) -> None:
    if wishes.mode != "keep":
        for path in draft.glob(VOLATILE):
            draft.find("warning", f"{path} is made anew at each boot, by what is not known here; it is left as it is.")
    for path in draft.glob(FOLDER + "*"):
        nic = wishes.of_file(path)
        text = None if nic is None or LEFT_OVER.search(path) else draft.read_text(path)
        if text is None:
            continue
        if wishes.carries(nic):
            text = without_macs(text, _SET_MAC, wishes.is_foreign_mac)
            draft.write_text(path, text, REASON_MAC)
        if wishes.asks_dhcp(nic):
            draft.write_text(path, _dhcp(text), REASONS["dhcp"])
        elif wishes.readdressed(nic) is not None:
            draft.write_text(path, _mapped(text, wishes.readdressed(nic)), REASONS["mapped"])


def _dhcp(text: str) -> str:
    result = []
    for line in read_lines(text):
        if line.section in FAMILIES and line.key == "method":
            result.append(line.with_value("auto") if line.value == "manual" else line.text)
        elif line.section in FAMILIES and _STATIC.match(line.key):
            result.append(line.commented())
        else:
            result.append(line.text)
    return "\n".join(result)


def _mapped(text: str, new: NewAddresses) -> str:
    lines = read_lines(text)
    result = []
    for line in lines:
        if line.section not in FAMILIES or not line.key:
            result.append(line.text)
            continue
        servers = new.nameservers(FAMILIES[line.section])
        if line.key == "dns" and servers:
            result.append(line.with_value(_listed(servers)))
        elif line.key == "gateway":
            result.append(line.with_value(new.gateway(line.value)))
        elif _ADDRESS.match(line.key):
            result.append(line.with_value(_new_address(line.value, new)))
        elif _ROUTE.match(line.key):
            parts = re.split(r"([,;])", line.value)
            result.append(line.with_value("".join(parts[:2] + [new.gateway(part) for part in parts[2:3]] + parts[3:])))
        else:
            result.append(line.text)
        if line.key == "method" and line.value == "manual" and servers and not _has(lines, line.section, "dns"):
            result.append("dns=" + _listed(servers))
    return "\n".join(result)


def _new_address(value, new):
    """192.0.2.10/24,192.0.2.1 or, of old times, 192.0.2.10;24;192.0.2.1;"""
    ((old, gateway),) = addresses({"address1": value}) or (("", ""),)
    address = new.address(old)
    if address is None:
        return value
    gateway = new.gateway(gateway) if gateway else ""
    if "/" not in re.split("[,;]", value)[0] and ";" in value:
        return f"{address.ip};{address.network.prefixlen};" + (f"{gateway};" if gateway else "")
    return f"{address},{gateway}" if gateway else str(address)


def _has(lines, section, key):
    return any((line.section, line.key) == (section, key) for line in lines)


def _listed(values):
    return "".join(value + ";" for value in values)
