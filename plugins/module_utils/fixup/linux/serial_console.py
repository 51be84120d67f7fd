# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's messages and a login on the serial console, so that a machine that does not come up can be seen and mended in a cloud.

`console=` for every boot entry and for what makes new ones (kernel Documentation/admin-guide/serial-console.rst: the last one named
becomes /dev/console); systemd starts a login on that console by itself (systemd-getty-generator(8)), System V init needs a line in
/etc/inittab. GRUB shows its menu there too, output only: noise on a serial line must not stop its countdown.
"""

import re

from typing import List

from ..draft import Draft
from ..situation import Situation
from . import commandline

NAME = "serial_console"

INITTAB = "/etc/inittab"
SECURETTY = "/etc/securetty"
REASON = "boot messages and a login on the target's serial console"
MARK = "# serial console of the recovery target (agnostic.recovery)"

_GRUB_ENTRY = re.compile(r"^[ \t]*(?:menuentry|submenu)\b", re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    console = situation.profile.console
    if not console:
        return
    device, _comma, speed = console.partition(",")
    for path, text, pattern in commandline.files(draft, commandline.ENTRIES):
        text = commandline.edited(text, pattern, lambda line: _with_console(line, console))
        # Without its module GRUB would stop at an unknown command.
        if pattern is commandline.GRUB2 and draft.glob(path.rpartition("/")[0] + "/*/serial.mod"):
            text = _with_grub_terminal(text, device, speed)
        draft.write_text(path, text, REASON)
    for path, text, pattern in commandline.files(draft, commandline.COMMON_SOURCES):
        text = commandline.edited(text, pattern, lambda line: _with_console(line, console).strip())
        if path.endswith("/grub"):
            text = _with_grub_settings(text, console)
        draft.write_text(path, text, REASON)
    if not situation.systemd:
        _plan_inittab(draft, device, speed)


def verify(situation: Situation) -> List[str]:
    device = situation.profile.console.partition(",")[0]
    if not device:
        return []
    return [
        f"{path} starts a kernel without console={device}."
        for path, text, pattern in commandline.files(Draft(situation.tree), commandline.ENTRIES)
        for line in commandline.lines(text, pattern) if not _has_console(line, device)
    ]


def _has_console(line, device):
    return any(value.partition(",")[0] == device for value in commandline.arguments(line, "console"))


def _with_console(line, console):
    if _has_console(line, console.partition(",")[0]):
        return line
    # A screen that was the console stays one; the one named last becomes /dev/console.
    missing = [] if _has_console(line, "tty0") else ["console=tty0"]
    return " ".join([line] + missing + ["console=" + console])


def _unit(device):
    """GRUB counts the COM ports as the kernel does: ttyS0 is unit 0."""
    digits = re.search(r"\AttyS(\d+)\Z", device)
    return digits.group(1) if digits else ""


def _with_grub_terminal(text, device, speed):
    """Before the first entry, behind the header that chooses the terminal."""
    entry = _GRUB_ENTRY.search(text)
    if MARK in text or entry is None or not _unit(device) or re.search(r"^[ \t]*terminal_output[^\n]*\bserial\b", text, re.MULTILINE):
        return text
    lines = f"{MARK}\nif serial --unit={_unit(device)} --speed={speed or '115200'}; then\n  terminal_output --append serial\nfi\n"
    return text[:entry.start()] + lines + text[entry.start():]


def _with_grub_settings(text, console):
    """What grub-mkconfig makes the same from. A choice that is already made stays."""
    device, _comma, speed = console.partition(",")
    lines = []
    if not commandline.lines(text, commandline.GRUB_COMMON):
        lines.append(f'GRUB_CMDLINE_LINUX="console=tty0 console={console}"\n')
    if _unit(device) and not re.search(r"^[ \t]*(?:GRUB_TERMINAL|GRUB_TERMINAL_OUTPUT|GRUB_SERIAL_COMMAND)=", text, re.MULTILINE):
        lines.append('GRUB_TERMINAL_OUTPUT="console serial"\n')
        lines.append(f'GRUB_SERIAL_COMMAND="serial --unit={_unit(device)} --speed={speed or "115200"}"\n')
    if lines:
        text += ("" if not text or text.endswith("\n") else "\n") + MARK + "\n" + "".join(lines)
    return text


def _plan_inittab(draft, device, speed):
    text = draft.read_text(INITTAB)
    if text is not None and not re.search(r"^[^#\n]*\b%s\b" % re.escape(device), text, re.MULTILINE):
        separator = "" if not text or text.endswith("\n") else "\n"
        line = f"T0:2345:respawn:/sbin/getty -L {device} {speed or '115200'} vt100\n"
        draft.write_text(INITTAB, f"{text}{separator}{MARK}\n{line}", REASON)
    text = draft.read_text(SECURETTY)
    if text is not None and device not in text.split():
        separator = "" if not text or text.endswith("\n") else "\n"
        draft.write_text(SECURETTY, f"{text}{separator}{device}\n", REASON)
