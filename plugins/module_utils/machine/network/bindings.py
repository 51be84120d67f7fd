# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that give the NIC with a certain MAC address its name: udev rules and systemd's .link files."""

import re
from typing import NamedTuple

from ...errors import MachineError
from .draft import mac_address, parse_ini


class Binding(NamedTuple):
    name: str
    mac: str
    source: str


def read_bindings(tree, warn):
    """A tuple of `Binding`: .link files first, since udev applies them before the rules of /etc/udev/rules.d name a NIC."""
    found = []
    readers = (("/etc/systemd/network/*.link", _read_link), ("/etc/udev/rules.d/*.rules", _read_rules))
    for pattern, read in readers:
        for path in tree.glob(pattern):
            if not tree.isfile(path):
                continue
            try:
                found.extend(read(path, tree.read_text(path)))
            except MachineError as error:
                warn(f"A file that names network cards is not read: {error}")
    return tuple(found)


def _read_link(path, text):
    """systemd.link(5)"""
    macs, name = [], ""
    for section, pairs in parse_ini(text):
        for key, value in pairs:
            if section == "Match" and key in ("MACAddress", "PermanentMACAddress"):
                macs.extend(mac for mac in map(mac_address, value.split()) if mac)
            elif section == "Link" and key == "Name":
                name = value
    return [Binding(name, mac, path) for mac in macs if name]


def _read_rules(path, text):
    """udev(7): ATTR{address}=="52:54:00:…", …, NAME="eth0" """
    found = []
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        if line.lstrip().startswith("#"):
            continue
        mac = re.search(r'ATTRS?\{address\}\s*==\s*"([^"]*)"', line)
        name = re.search(r'\bNAME\s*:?=\s*"([^"]+)"', line)
        if mac and name and mac_address(mac.group(1)):
            found.append(Binding(name.group(1), mac_address(mac.group(1)), path))
    return found
