# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest wrote to its serial console: reading the log that QEMU keeps, and turning terminal output into plain text."""

import codecs
import os
import re
import time

from typing import NamedTuple

from ..errors import TargetError

# ECMA-48: CSI sequences, OSC strings (ended by BEL or ST), other escapes.
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")        # all but tab and line feed
# The beginning of a sequence whose end has not come yet. A title that runs on for ever is none.
_CUT_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,256}\x1b?|[ -/]*)\Z")
_LIMIT = 1 << 20
# A machine whose console ends with one of these, and then stays silent, does not come up any more.
_FATAL = re.compile(
    r"Kernel panic - not syncing[^\n]*|^\(initramfs\)|^dracut:/#|^grub rescue>|No bootable device|BdsDxe: No bootable option[^\n]*"
    r"|[^\n]*emergency mode[^\n]*|Give root password for maintenance", re.MULTILINE)
_FATAL_SILENCE = 20.0


class Found(NamedTuple):
    text: str            # what matched
    seconds: float       # how long it took


class TerminalText:
    """Turns a terminal's byte stream into plain text piece by piece; a sequence cut in two by the pieces is held back."""

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data):
        text = self._held + self._decoder.decode(data)
        cut = _CUT_SEQUENCE.search(text)
        end = cut.start() if cut else len(text)
        self._held = text[end:]
        return _strip(text[:end])


def _strip(text):
    return _CONTROLS.sub("", _SEQUENCE.sub("", text))


def plain_text(data):
    """Readable text from the bytes of a terminal: no escape sequences, no carriage returns."""
    return _strip(data.decode("utf-8", "replace"))


def read_console(path, limit=_LIMIT):
    """The last `limit` bytes of a console log as plain text; "" where there is none yet."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - limit))
            return plain_text(stream.read())
    except FileNotFoundError:
        return ""


def last_lines(path, count=3):
    """The last lines of a console log that are not empty, for messages."""
    lines = [line.strip() for line in read_console(path, 16384).splitlines() if line.strip()]
    return " | ".join(line[:200] for line in lines[-count:])


def is_silent(path):
    """Whether nothing has been written to the console for so long that a fatal text at its end is final."""
    try:
        return time.time() - os.stat(path).st_mtime >= _FATAL_SILENCE
    except FileNotFoundError:
        return False


def find_fatal(text):
    """The last line that says that the machine has given up booting; "" where there is none."""
    found = _FATAL.findall(text)
    return found[-1].strip() if found else ""


def fatal_text(path):
    """What the console ends with where the machine has given up booting; "" where it has not, or may still go on."""
    return find_fatal(read_console(path, 4096)) if is_silent(path) else ""


def wait_for_text(path, pattern, timeout, is_alive=None, interval=0.2):
    """Waits until the console log matches the regular expression `pattern`. Returns Found; raises TargetError after `timeout` seconds.

    :param is_alive: called now and then; once it returns False nothing more can come and waiting ends.
    """
    expression = re.compile(pattern, re.MULTILINE)
    began = time.monotonic()
    while True:
        alive = is_alive is None or is_alive()
        match = expression.search(read_console(path))
        took = time.monotonic() - began
        if match:
            return Found(match.group(0), took)
        if not alive or took >= timeout:
            why = f"within {timeout:g} s" if alive else f"before the guest ended after {took:.0f} s"
            raise TargetError(f"The console did not show {pattern!r} {why}. Its last lines: {last_lines(path) or 'none'}")
        time.sleep(interval)
