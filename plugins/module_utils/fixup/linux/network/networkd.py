# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd-networkd's .network files with their drop-ins in the modes dhcp and mapped, and MAC addresses that .network and .netdev files
give to interfaces: systemd.network(5), systemd.netdev(5)."""

from ...draft import Draft
from .ini import read_lines, without_macs
from .wishes import REASON_MAC, REASONS, NewAddresses, Wishes

FOLDER = "/etc/systemd/network/"
STATIC = ("Address", "Gateway", "DNS")
# Addresses that an interface is given; the one in [Match] tells which interface it is.
SET_MACS = {("Link", "MACAddress"), ("NetDev", "MACAddress")}


def configures(path: str) -> bool:
    return path.startswith(FOLDER)


def plan(draft: Draft, wishes: Wishes) -> None:
    for path in draft.glob(f"{FOLDER}*.netdev"):
        text = draft.read_text(path)
        names = [line.value for line in read_lines(text or "") if (line.section, line.key) == ("NetDev", "Name")]
        if names and names[0] in wishes.carried:
            draft.write_text(path, without_macs(text, SET_MACS, wishes.is_foreign_mac), REASON_MAC)
    for path in draft.glob(f"{FOLDER}*.network"):
        nic = wishes.of_file(path)
        if nic is None or not (wishes.carries(nic) or wishes.readdressed(nic)):
            continue
        for place in (path,) + draft.glob(f"{path}.d/*.conf"):
            text = draft.read_text(place)
            if text is None:
                continue
            if wishes.carries(nic):
                text = without_macs(text, SET_MACS, wishes.is_foreign_mac)
                draft.write_text(place, text, REASON_MAC)
            if wishes.asks_dhcp(nic):
                draft.write_text(place, _dhcp(text, place == path), REASONS["dhcp"])
            elif wishes.readdressed(nic) is not None:
                draft.write_text(place, _mapped(text, wishes.readdressed(nic), place == path), REASONS["mapped"])


def _dhcp(text: str, main: bool) -> str:
    """`main`: the file itself and not one of its drop-ins."""
    lines = read_lines(text)
    missing = main and not any((line.section, line.key) == ("Network", "DHCP") for line in lines)
    result = []
    for line in lines:
        if (line.section, line.key) == ("Network", "DHCP"):
            result.append(line.with_value("yes") if line.value.lower() in ("no", "false", "off", "0") else line.text)
        elif line.section in ("Address", "Route") and (line.heading or line.key) or line.section == "Network" and line.key in STATIC:
            result.append(line.commented())
        else:
            result.append(line.text)
        if line.heading and line.section == "Network" and missing:
            result.append("DHCP=yes")
            missing = False
    if missing:
        result.append("[Network]\nDHCP=yes\n")
    return "\n".join(result)


def _mapped(text: str, new: NewAddresses, main: bool) -> str:
    lines = read_lines(text)
    servers = new.nameservers()
    result, told = [], False
    for line in lines:
        if line.key == "Address" and line.section in ("Network", "Address") and new.address(line.value) is not None:
            result.append(line.with_value(str(new.address(line.value))))
        elif line.key == "Gateway" and line.section in ("Network", "Route"):
            result.append(line.with_value(new.gateway(line.value)))
        elif servers and (line.section, line.key) == ("Network", "DNS"):
            # All stand in the first line of the file itself; drop-ins only add to that.
            result.append(line.with_value(" ".join(servers)) if main and not told else line.commented())
            told = told or main
        else:
            result.append(line.text)
    if servers and main and not told:
        at = next((index for index, line in enumerate(lines) if line.heading and line.section == "Network"), None)
        if at is None:
            result.append("[Network]\nDNS=" + " ".join(servers) + "\n")
        else:
            result.insert(at + 1, "DNS=" + " ".join(servers))
    return "\n".join(result)
