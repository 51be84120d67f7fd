# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all kinds of checks share: where the machine is reached, how a check ends, how text is matched."""

import re

from typing import NamedTuple, Tuple

from ..errors import TargetError
from ..target.qemu_command import Forward


class CheckFailed(TargetError):
    """The machine does not serve yet; another attempt may find that it does. Other errors end a check at once."""


class CheckTarget(NamedTuple):
    """A recovered machine as the checks reach it."""
    address: str = ""                       # host name or address, "": only by forwarded ports
    forwards: Tuple[Forward, ...] = ()
    run_dir: str = ""                       # of the QEMU guest, "": it is none of ours

    def endpoint(self, port):
        """(host, port) that leads to the machine's TCP port. Raises TargetError where nothing leads there."""
        for forward in self.forwards:
            if forward.guest_port == port:
                return forward.host_address, forward.host_port
        if not self.address:
            raise TargetError(f"Port {port} of the machine cannot be reached: it has no address here and no forward leads to that port.")
        return self.address, port

    def is_forwarded(self, port):
        return bool(self.run_dir) and any(forward.guest_port == port for forward in self.forwards)


class CheckResult(NamedTuple):
    name: str
    kind: str
    passed: bool
    detail: str                             # one line: what was found, or what is wrong
    seconds: float                          # from the first attempt to the verdict
    attempts: int
    required: bool = True
    finished: float = 0.0                   # seconds since 1970


def match_text(what, text, contains=(), regex=""):
    """Checks `text`, named `what` in messages, for substrings and a regular expression. Returns what was found, in words.

    Raises CheckFailed where something is missing.
    """
    for wanted in contains:
        if wanted not in text:
            raise CheckFailed(f"{what} does not contain {wanted!r}: {excerpt(text)}")
    match = re.search(regex, text, re.MULTILINE) if regex else None
    if regex and not match:
        raise CheckFailed(f"{what} does not match {regex!r}: {excerpt(text)}")
    found = [repr(wanted) for wanted in contains] + ([repr(excerpt(match.group(0)))] if match else [])
    return f"{what} contains {', '.join(found)}" if found else ""


def excerpt(text, limit=160):
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit - 3] + "..."
