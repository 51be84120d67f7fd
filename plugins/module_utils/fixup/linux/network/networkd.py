# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd-networkd's .network files in the modes dhcp and mapped: systemd.network(5)."""

import ipaddress
import re

from ...draft import Draft
from .ifupdown import REASONS
from .wishes import Wishes

FILES = "/etc/systemd/network/*.network"
TOOL = "systemd-networkd"

_SECTION = re.compile(r"\s*\[(\w+)\]\s*\Z")
_SETTING = re.compile(r"(?P<head>\s*(?P<key>\w+)\s*=\s*)(?P<value>.*?)(?P<tail>\s*)\Z")


def configures(path: str) -> bool:
    return path.startswith("/etc/systemd/network/")


def plan(draft: Draft, wishes: Wishes) -> None:
    if wishes.mode == "keep":
        return
    of_wishes = {source for wish in wishes.interfaces for source in wish.sources}
    for path in draft.glob(FILES):
        text = draft.read_text(path)
        if text is not None and path in of_wishes:
            draft.write_text(path, edited(text, wishes), REASONS[wishes.mode])


def edited(text: str, wishes: Wishes) -> str:
    lines = text.split("\n")
    mapping = next(filter(None, (wishes.mapped(value) for _section, key, value in _settings(lines) if key == "Address")), None)
    if wishes.mode == "mapped" and mapping is None:
        return text
    result, section, has_dhcp = [], "", any(key == "DHCP" and section == "Network" for section, key, _value in _settings(lines))
    for line in lines:
        head = _SECTION.match(line)
        if head:
            section = head.group(1)
            result.append(line)
            if section == "Network" and wishes.mode == "dhcp" and not has_dhcp:
                result.append("DHCP=yes")
                has_dhcp = True
            continue
        setting = _SETTING.match(line)
        if setting is None or line.lstrip().startswith(("#", ";")):
            result.append(line)
        else:
            result.append(_dhcp(line, section, setting) if wishes.mode == "dhcp" else _mapped(section, setting, wishes, mapping))
    return "\n".join(result)


def _settings(lines):
    section = ""
    for line in lines:
        head, setting = _SECTION.match(line), _SETTING.match(line)
        if head:
            section = head.group(1)
        elif setting and not line.lstrip().startswith(("#", ";")):
            yield section, setting.group("key"), setting.group("value")


def _dhcp(line, section, setting):
    key = setting.group("key")
    if section == "Network" and key == "DHCP":
        return (
            setting.group("head") + "yes" + setting.group("tail") if setting.group("value").lower() in ("no", "false", "off", "0") else line
        )
    if section == "Network" and key in ("Address", "Gateway", "DNS") or section in ("Address", "Route"):
        return "#" + line
    return line


def _mapped(section, setting, wishes, mapping):
    key, value = setting.group("key"), setting.group("value")
    own = wishes.mapped(value) if key == "Address" else None
    if own is not None and section in ("Network", "Address"):
        value = str(ipaddress.ip_interface(own.new))
    elif key == "Gateway" and section in ("Network", "Route") and mapping.gateway:
        value = mapping.gateway
    elif key == "DNS" and section == "Network" and mapping.nameservers:
        value = " ".join(mapping.nameservers)
    return setting.group("head") + value + setting.group("tail")
