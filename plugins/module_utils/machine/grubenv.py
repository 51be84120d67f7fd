# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GRUB's environment block: variables in a file whose size must never change, since GRUB itself writes into its sectors while booting.

Format (GRUB manual, "The GRUB environment block"; grub-core/lib/envblk.c): a comment line, lines "name=value", and "#" up to the end;
1024 bytes.
"""

from typing import Callable, Optional

HEAD = "# GRUB Environment Block\n"
PADDING = "#"


def edited(text: str, edit: Callable[[str], str]) -> Optional[str]:
    """The block with the value of each variable passed through `edit`, as long as before; None when there is no room for that.

    A text that is no environment block comes back unchanged.
    """
    if not text.startswith(HEAD):
        return text
    used = text.rstrip(PADDING)
    lines = used.split("\n")
    for number, line in enumerate(lines):
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            lines[number] = name + equals + edit(value)
    changed = "\n".join(lines)
    if changed == used:
        return text
    # Bytes count: a value may hold more than ASCII.
    room = _size(text) - _size(changed)
    return None if room < 0 else changed + PADDING * room


def _size(text):
    return len(text.encode("utf-8", "surrogateescape"))
