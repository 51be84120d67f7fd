# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SELinux labels of files, folders and links that fix-ups create: those that the image's own policy gives.

So a recovered machine needs no boot that relabels all its files, and no service is refused a file that it has to read.
"""

from typing import NamedTuple

from ..errors import MachineError
from ..machine.selinux import read_policy


class Label(NamedTuple):
    value: bytes           # of the extended attribute security.selinux; b"": as its folder's
    doubt: str             # a sentence: why it may be wrong; "": it is the policy's


class Labels:
    """Asks the policy of the image at `tree`, which is read once."""

    def __init__(self, tree):
        policy = read_policy(tree)
        self.used = policy is not None             # whether the machine uses SELinux
        self._contexts = policy.contexts if self.used else None
        self._doubt = " ".join(policy.problems) if self.used else ""

    def of(self, path: str, kind: int) -> Label:
        """`path` is canonical, `kind` its file type as in st_mode."""
        if self._contexts is None:
            return Label(b"", self._doubt)
        try:
            rule, unclear = self._contexts.lookup(path, kind)
        except MachineError as error:
            self._contexts, self._doubt = None, f"The policy cannot be asked. {error}"
            return Label(b"", self._doubt)
        doubts = [self._doubt] if self._doubt else []
        doubts.extend(f"{rule_.origin} cannot be understood." for rule_ in unclear[:1])
        if rule is None:
            doubts.append("No rule of the policy matches.")
        # The kernel counts the final NUL to the label, as libselinux does (setfilecon.c).
        return Label(rule.context.encode("ascii") + b"\0" if rule is not None and rule.context else b"", " ".join(doubts))
