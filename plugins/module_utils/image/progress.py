# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pipelines tell while they work, and how they are asked to stop."""

from contextlib import contextmanager

from ..errors import RecoveryError


class CancelledError(RecoveryError):
    """The work was cancelled on request; nothing of it counts."""


class NoProgress:
    """A progress object that shows nothing. All methods may be called by several threads at once."""

    def phase(self, name: str, total_bytes: int) -> None:
        """A new part of the work begins: "capture", "restore" or "verify", of this many bytes."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""

    def cancelled(self) -> bool:
        """True: stop soon."""
        return False

    @contextmanager
    def quiet(self):
        """While the context lasts nothing is written to any file: the file systems of this host may be frozen."""
        yield
