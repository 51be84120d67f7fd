# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest wrote to its serial console: reading the log that QEMU keeps, and turning terminal output into plain text."""

import os
import re
import time

from typing import NamedTuple

from ..errors import TargetError

# ECMA-48: CSI sequences, OSC strings (ended by BEL or ST), other escapes, then single control characters but tab and line feed.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f]")
_LIMIT = 1 << 20


class Found(NamedTuple):
    text: str            # what matched
    seconds: float       # how long it took


def plain_text(data):
    """Readable text from the bytes of a terminal: no escape sequences, no carriage returns."""
    return _ESCAPES.sub("", data.decode("utf-8", "replace"))


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
