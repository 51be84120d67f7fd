# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What LVM's own files in a root say about devices: filters of lvm.conf(5), the devices file of lvmdevices(8), backups of metadata."""

import re

from typing import Dict, Iterator, NamedTuple, Tuple

_STRING = r'"(?:[^"\\\n]|\\.)*"'
_FILTER = re.compile(
    r"^(?P<head>[ \t]*(?:devices[ \t]*[{/][ \t]*)?(?:global_)?filter[ \t]*=[ \t]*)"
    r"(?P<value>\[(?:\s|,|#[^\n]*\n|%s)*\]|%s)" % (_STRING, _STRING), re.MULTILINE
)
_ID = re.compile(r'\s*id = "(?P<id>[A-Za-z0-9-]+)"')
_MAX_LENGTH, _MAX_REPEATS = 256, 3   # of an expression that is tried: the image may hold one that takes for ever


class Filter(NamedTuple):
    start: int                       # where its value begins in the text
    end: int
    patterns: Tuple[str, ...]        # 'a|^/dev/sda$|', 'r/.*/'

    def accepts(self, names) -> bool:
        """Whether a device with these names passes (lvm.conf, devices/filter): the first pattern that matches a name decides for that
        name, one accepted name is enough, and what nothing matches is accepted."""
        verdicts = [self._verdict(name) for name in names]
        return "a" in verdicts or "r" not in verdicts

    def _verdict(self, name):
        for pattern in self.patterns:
            if pattern[:1] in ("a", "r") and _matches(pattern[2:-1], name, pattern[:1] == "r"):
                return pattern[0]
        return ""


def _matches(expression, name, otherwise):
    """`otherwise` is the answer for an expression that is not tried."""
    if len(expression) > _MAX_LENGTH or sum(expression.count(letter) for letter in "*+?{") > _MAX_REPEATS:
        return otherwise
    try:
        return re.search(expression, name) is not None
    except (re.error, OverflowError, RecursionError):
        return otherwise


def filters(text: str) -> Iterator[Filter]:
    """The filters of an lvm.conf, in their order."""
    for match in _FILTER.finditer(text):
        value = match.group("value")
        without_comments = re.sub(r"(%s)|#[^\n]*" % _STRING, lambda found: found.group(1) or "", value)
        strings = [found[1:-1].replace('\\"', '"').replace("\\\\", "\\") for found in re.findall(_STRING, without_comments)]
        yield Filter(match.start("value"), match.end("value"), tuple(strings))


def device_entries(text: str) -> Tuple[Dict[str, str], ...]:
    """The entries of a devices file: each a dictionary with IDTYPE, IDNAME, DEVNAME, PVID, PART."""
    found = []
    for line in text.split("\n"):
        fields = dict(word.partition("=")[::2] for word in line.split() if "=" in word and not line.startswith("#"))
        if "IDTYPE" in fields:
            found.append(fields)
    return tuple(found)


def physical_volumes(backup: str) -> Tuple[str, ...]:
    """The UUIDs of the physical volumes that a backup of a volume group's metadata (/etc/lvm/backup/<name>) names."""
    found, inside = [], False
    for line in backup.split("\n"):
        if line.startswith("\t}"):
            inside = False
        elif line.startswith("\tphysical_volumes {"):
            inside = True
        match = _ID.match(line) if inside else None
        if match is not None:
            found.append(match.group("id"))
    return tuple(found)
