# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all mounts of one machine share while they are being made: its record, its tag and its loop devices."""

import os
from typing import NamedTuple

from . import loop
from .state import Staged


class Place(NamedTuple):
    """A directory to mount on."""
    descriptor: int     # open; what is mounted on it cannot be led astray by a symbolic link
    path: str           # its name on this worker, free of symbolic links


class Session:
    """Used as a context manager: leaving it lets go of the loop devices that nothing is mounted from.

    :param untouched: nothing may be written to the disks, not even the replay of a journal.
    """

    def __init__(self, state, record, untouched):
        self.state = state
        self.record = record
        self.untouched = untouched
        self._loops = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for descriptor, _device in self._loops.values():
            os.close(descriptor)
        self._loops.clear()

    @property
    def tag(self):
        return self.state.tag

    def update(self, **changes):
        """Changes the record, on disk first."""
        record = self.record._replace(**changes)
        self.state.save(record)
        self.record = record

    def begin(self, mounted):
        """Records a mount before it is made."""
        self.update(mounts=self.record.mounts + (mounted,))

    def withdraw(self, mounted):
        """Takes back a mount that could not be made."""
        self.update(mounts=tuple(each for each in self.record.mounts if each != mounted))

    def stage(self, folder, volume):
        self.update(staged=self.record.staged + (Staged(folder, volume),))

    def loop_device(self, volume):
        """A loop device over the volume. One for all mounts of it: to the kernel two devices were two file systems with the same UUID."""
        key = (volume.path, volume.start, volume.size)
        if key not in self._loops:
            self._loops[key] = loop.attach(volume.path, volume.start, volume.size, self.untouched, loop_name(self.tag))
        return self._loops[key][1]


def loop_name(tag):
    return f"agnostic.recovery:{tag}"
