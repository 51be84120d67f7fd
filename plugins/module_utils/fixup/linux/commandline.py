# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel command lines where boot loaders and their generators keep them, each changed in place: every other byte of the file stays.

Forms: GRUB manual (`linux`, /etc/default/grub), GRUB legacy manual (`kernel`), UAPI boot loader specification (`options`), syslinux
(`APPEND`), kernel-install(8) (/etc/kernel/cmdline), dracut.conf(5) and dracut.cmdline(7) (`kernel_cmdline`, /etc/cmdline.d).
"""

import re

from typing import Callable, Iterator, Tuple

from ...machine.bootloader import BOOT_FOLDERS, EXTLINUX_FILES, GRUB2_FILES, GRUB_LEGACY_FILES

# Each pattern's group "line" is the command line.
GRUB2 = re.compile(r"^[ \t]*(?:linux|linux16|linuxefi)[ \t]+\S+(?P<line>[^\n]*?)[ \t]*$", re.MULTILINE)
_LEGACY = re.compile(r"^[ \t]*kernel[ \t]+(?:--\S+[ \t]+)*\S+(?P<line>[^\n]*?)[ \t]*$", re.MULTILINE)
_OPTIONS = re.compile(r"^options(?P<line>[ \t][^\n]*?)[ \t]*$", re.MULTILINE)
_APPEND = re.compile(r"^[ \t]*append(?P<line>[ \t][^\n]*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_WHOLE = re.compile(r"\A(?P<line>[^\n]+?)[ \t]*$", re.MULTILINE)
_EACH = re.compile(r"^(?P<line>[^#\n][^\n]*?)[ \t]*$", re.MULTILINE)
_KERNELOPTS = re.compile(r"""^[ \t]*set[ \t]+(?:default_)?kernelopts=(?P<quote>["'])(?P<line>[^\n]*?)(?P=quote)""", re.MULTILINE)
_KOPT = re.compile(r"^# (?:kopt|defoptions|altoptions)\w*=(?P<line>[^\n]*?)[ \t]*$", re.MULTILINE)
_DRACUT = re.compile(r"""^[ \t]*kernel_cmdline\+?=(?P<quote>["'])(?P<line>[^\n]*?)(?P=quote)""", re.MULTILINE)
_EXTLINUX = re.compile(
    r"""^[ \t]*(?:EXTLINUX|U_BOOT)_(?:ROOT|PARAMETERS)=(?P<quote>["'])(?P<line>[^\n]*?)(?P=quote)""", re.MULTILINE
)
_DEFAULT = re.compile(
    r"""^[ \t]*GRUB_CMDLINE_LINUX(?:_XEN_REPLACE)?(?:_DEFAULT|_RECOVERY)?=(?P<quote>["'])(?P<line>[^\n]*?)(?P=quote)""", re.MULTILINE
)
GRUB_COMMON = re.compile(r"""^[ \t]*GRUB_CMDLINE_LINUX=(?P<quote>["'])(?P<line>[^\n]*?)(?P=quote)""", re.MULTILINE)

# What the boot loader reads: a change takes effect at the next boot.
ENTRIES = (
    [(pattern, GRUB2) for pattern in GRUB2_FILES]
    + [(folder + "/loader/entries/*.conf", _OPTIONS) for folder in BOOT_FOLDERS]
    + [(pattern, _APPEND) for pattern in EXTLINUX_FILES]
    + [(pattern, _LEGACY) for pattern in GRUB_LEGACY_FILES]
)
# What its generators read: a change survives the next kernel update.
DEFAULT_GRUB = ("/etc/default/grub", "/etc/default/grub.d/*.cfg")
SOURCES = (
    [(pattern, _DEFAULT) for pattern in DEFAULT_GRUB]
    + [("/etc/kernel/cmdline", _WHOLE), ("/etc/cmdline.d/*.conf", _EACH)]
    + [("/etc/dracut.conf", _DRACUT), ("/etc/dracut.conf.d/*.conf", _DRACUT)]
    + [("/etc/default/extlinux", _EXTLINUX), ("/etc/default/u-boot", _EXTLINUX)]
)
# What else the loader's own files hold: a variable that entries name, and in GRUB legacy comments that Debian's update-grub reads.
VARIABLES = [(pattern, _KERNELOPTS) for pattern in GRUB2_FILES] + [(pattern, _KOPT) for pattern in GRUB_LEGACY_FILES]
# The same without GRUB_CMDLINE_LINUX_DEFAULT, for what belongs on every command line once.
COMMON_SOURCES = [("/etc/default/grub", GRUB_COMMON), ("/etc/kernel/cmdline", _WHOLE)]


def files(draft, forms) -> Iterator[Tuple[str, str, "re.Pattern"]]:
    """(path, text, pattern) of every file of these forms that the image has, each file once."""
    seen = set()
    for glob, pattern in forms:
        for place in unique(draft, (glob,)):
            text = None if place in seen else draft.read_text(place)
            seen.add(place)
            if text is not None:
                yield place, text, pattern


def unique(draft, patterns) -> Tuple[str, ...]:
    """Canonical paths of the files that match, each once, whatever links lead there."""
    return tuple(dict.fromkeys(draft.tree.resolve(path) for pattern in patterns for path in draft.glob(pattern)))


def edited(text: str, pattern, edit: Callable[[str], str]) -> str:
    """`text` with each of its command lines passed through `edit`."""
    pieces, at = [], 0
    for match in pattern.finditer(text):
        pieces.extend((text[at:match.start("line")], edit(match.group("line"))))
        at = match.end("line")
    return "".join(pieces) + text[at:]


def lines(text: str, pattern) -> Tuple[str, ...]:
    return tuple(match.group("line") for match in pattern.finditer(text))


def arguments(line: str, name: str) -> Tuple[str, ...]:
    """The values of an argument on a command line, in order."""
    return tuple(word[len(name) + 1:] for word in line.replace('"', " ").split() if word.startswith(name + "="))
