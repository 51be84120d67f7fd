# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of INI files, as systemd and NetworkManager have them: one value changes, all else stays byte for byte."""

import re

from typing import Callable, Collection, List, NamedTuple, Tuple

_SECTION = re.compile(r"\s*\[([^\]]*)\]\s*\Z")
_SETTING = re.compile(r"(?P<head>\s*(?P<key>[^\s=\[#;][^=]*?)\s*=\s*)(?P<value>.*?)(?P<tail>\s*)\Z")


class Line(NamedTuple):
    text: str
    section: str             # that the line stands in, or begins
    key: str                 # "": a heading, a comment or nothing
    value: str
    heading: bool

    def with_value(self, value: str) -> str:
        setting = _SETTING.match(self.text)
        return setting.group("head") + value + setting.group("tail")

    def commented(self) -> str:
        return "#" + self.text


def read_lines(text: str) -> List[Line]:
    lines, section = [], ""
    for line in text.split("\n"):
        heading, setting = _SECTION.match(line), _SETTING.match(line)
        if heading:
            section = heading.group(1)
        key, value = (setting.group("key"), setting.group("value")) if setting and not heading else ("", "")
        lines.append(Line(line, section, key, value, heading is not None))
    return lines


def without_macs(text: str, settings: Collection[Tuple[str, str]], is_foreign: Callable[[str], bool]) -> str:
    """The settings, given as (section, key), become comments where their value is a foreign MAC address."""
    return "\n".join(
        line.commented() if (line.section, line.key) in settings and is_foreign(line.value) else line.text for line in read_lines(text)
    )
