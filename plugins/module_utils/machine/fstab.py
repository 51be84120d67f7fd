# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/etc/fstab: reading it, and changing single fields while every other byte stays (format: fstab(5)).

Lines are counted from 0 and end with a line feed only, so that an index means the same line for reader and writer.
"""

import re

from .model import Mount

_FIELD = re.compile(r"[^ \t]+")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def parse_fstab(text):
    """The entries of an fstab, as a tuple of `Mount`, in their order. Lines that mount(8) would skip are left out."""
    return tuple(mount for _index, mount in parse_fstab_lines(text))


def parse_fstab_lines(text):
    """The entries with the index of their line, as a list of (index, `Mount`)."""
    found = []
    for index, line in enumerate(text.split("\n")):
        fields = [unescape(field) for field in _FIELD.findall(line.rstrip("\r"))]
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        fields += ["auto", "defaults", "0", "0"][len(fields) - 2:]
        spec, path, kind, options, dump, check = fields[:6]
        found.append((index, Mount(spec, path, kind, options, _number(dump), _number(check))))
    return found


def replace_spec(text, line_index, new_spec):
    """`text` with the first field (the device) of one line replaced; blanks, comments and line ends stay as they are."""
    return _replace_field(text, line_index, 0, new_spec)


def replace_options(text, line_index, new_options):
    """`text` with the fourth field (the mount options) of one line replaced. The line must have such a field."""
    return _replace_field(text, line_index, 3, new_options)


def split_spec(spec):
    """What the device field means: ("UUID", "…"), ("LABEL", "…"), ("PARTUUID", "…"), ("PARTLABEL", "…"), ("ID", "…") or ("", spec)."""
    tag, separator, value = spec.partition("=")
    if separator and tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"):
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        return tag, value
    return "", spec


def unescape(field):
    """Blanks and backslashes are written as octal numbers: "\\040" is a space."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)) if int(match.group(1), 8) < 128 else match.group(0), field)


def escape(value):
    return re.sub(r"[ \t\n\\#]", lambda match: f"\\{ord(match.group(0)):03o}", value)


def _replace_field(text, line_index, number, value):
    lines = text.split("\n")
    fields = list(_FIELD.finditer(lines[line_index]))
    if len(fields) <= number:
        raise ValueError(f"line {line_index + 1} of the fstab has no field {number + 1}")
    field = fields[number]
    line = lines[line_index]
    lines[line_index] = line[:field.start()] + escape(value) + line[field.end():]
    return "\n".join(lines)


def _number(field):
    try:
        return int(field)
    except ValueError:
        return 0
