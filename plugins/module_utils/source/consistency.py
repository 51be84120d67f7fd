# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a capture of a running machine is made of beside the freeze: the interfaces of its parts.

    snapshots.check()                       may still refuse
    ... pre-copy passes over everything that no snapshot will hold ...
    applications.before_freeze()            what is held until after_thaw is held for seconds
    freeze
        snapshots.create()                  seconds at most: everything stands still
        last pass over everything that no snapshot holds
    thaw
    applications.after_thaw()               called once whatever happened, also when the freeze failed
    pass over snapshots.pieces()            as long as it takes
    snapshots.overflowed()                  a reason: no image
    snapshots.remove()                      called once whatever happened, never while anything is frozen

`NO_SNAPSHOTS` and `NO_APPLICATIONS` do nothing; they show what the parts have to offer.
"""

from typing import Callable, List, NamedTuple, Tuple

from .ranges import Ranges


class Area(NamedTuple):
    """A stretch of a disk, in bytes."""
    disk: str            # name of the captured disk
    start: int
    size: int


class Piece(NamedTuple):
    """A stretch of a disk that is read from a snapshot.

    `ranges` (used bytes, all inside of the area) and `read_at(offset, length)` count from the start of the disk, so that they
    stand in for the disk's own. `read_at` gives exactly `length` bytes, from several threads at once.
    """
    area: Area
    ranges: Ranges
    read_at: Callable[[int, int], bytes]


class Snapshots:
    """No snapshots; the base of what makes some. Every method may raise SourceError."""

    def check(self) -> None:
        """Refuse now, before anything is read, what cannot work: no room, tools missing. May reserve what `create` needs."""

    def areas(self) -> Tuple[Area, ...]:
        """What `pieces` will cover, known before `create`. The passes leave it out."""
        return ()

    def create(self) -> None:
        """Make the snapshots. Called while the file systems are frozen: must not write to them."""

    def pieces(self) -> Tuple[Piece, ...]:
        """Readers of the snapshots that `create` made. Called after the thaw, once."""
        return ()

    def evidence(self) -> dict:
        """What the manifest should keep of the snapshots, as plain data."""
        return {}

    def overflowed(self) -> str:
        """Why the snapshots cannot be trusted any more, or "". Asked after the last byte of them was read."""
        return ""

    def remove(self) -> None:
        """Remove what `check` and `create` made, also when it was made in part only or not at all."""


class Applications:
    """No application to prepare; the base of what prepares some. Every method may raise SourceError."""

    def before_freeze(self) -> None:
        """Bring the applications into a state that can be recovered from. Called before the last freeze."""

    def after_thaw(self) -> None:
        """Let them go on."""

    def succeeded(self) -> bool:
        """There were some, and all went well: the image is consistent for them too. Asked after `after_thaw`."""
        return False

    def evidence(self) -> List[dict]:
        """What was run and how it ended, as plain data for the manifest."""
        return []


NO_SNAPSHOTS = Snapshots()
NO_APPLICATIONS = Applications()
