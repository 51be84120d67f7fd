# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No snapshot outlives the capture that made it, however that ended."""

import contextlib
import fcntl
import os
import resource
import signal
import time

from ..errors import SourceError
from . import devmapper, lvm_commands

PREFIX = "dr-snap-"       # of the names of reserves in LVM, and of our devices in device mapper
REAL = "-real"            # end of the name of the second mapping of a volume
LOCK = "/run/agnostic.recovery/lvm-snapshots.lock"
_PATIENCE = 60.0          # seconds


class Guard:
    """From `begin` to `end` this process may have snapshots; no other one of this host. A second process removes them if this one dies."""

    def __init__(self):
        self._watchdog = 0
        self._to_watchdog = -1

    def begin(self) -> None:
        """Removes what earlier captures have left. Raises SourceError."""
        lock = _locked()
        try:
            remove_leftovers()
            self._start(lock)
        finally:
            os.close(lock)        # the watchdog has it too, and holds it until it ends

    def end(self) -> None:
        """Remove everything. Raises SourceError."""
        if not self._watchdog:
            return
        remove_leftovers()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._to_watchdog, b".")
        os.close(self._to_watchdog)
        os.waitpid(self._watchdog, 0)
        self._watchdog = 0

    def _start(self, lock):
        orders, self._to_watchdog = os.pipe()
        self._watchdog = os.fork()
        if self._watchdog == 0:
            # Nothing of the caller's code may run here, whatever happens.
            try:
                _watch(orders, lock)
            finally:
                os._exit(0)
        os.close(orders)


def _watch(orders, lock):
    """Wait for the word that all is well, or for the end of the pipe, which is the end of our parent."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    before = 2
    for keep in sorted((orders, lock)) + [min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)]:
        os.closerange(before + 1, keep)
        before = keep
    if not os.read(orders, 1):
        remove_leftovers()


def remove_forgotten() -> None:
    """Remove what dead captures have left; nothing while another capture of this host has snapshots. Raises SourceError."""
    if not os.path.exists(devmapper.CONTROL) or not lvm_commands.is_installed():
        return
    try:
        lock = _locked(patience=0)
    except SourceError:
        return
    try:
        remove_leftovers()
    finally:
        os.close(lock)


def remove_leftovers() -> None:
    """Remove all snapshots and reserves of captures, whoever made them and however far that had come. Raises SourceError.

    The kernel's tables tell all that there is to know: the second mapping holds the table that the volume had.
    """
    there = devmapper.devices()
    ours = [device for device in there if device.name.startswith(PREFIX)]
    reals = [device for device in ours if device.name.endswith(REAL)]
    for device in there:
        table = devmapper.table(device.name)
        for real in reals:
            if table and table[0].kind == "snapshot-origin" and table[0].parameters == real.number:
                devmapper.load(device.name, devmapper.table(real.name))
                devmapper.exchange(device.name, uevent=0)
    for device in [each for each in ours if each not in reals] + reals:
        devmapper.remove(device.name)
    for volume in lvm_commands.tagged_volumes():
        if volume.split("/")[1].startswith(PREFIX):
            lvm_commands.remove_volume(volume)


def _locked(patience: float = _PATIENCE) -> int:
    """The descriptor that holds the lock of this host's snapshots; waits while leftovers are removed. Raises SourceError."""
    os.makedirs(os.path.dirname(LOCK), mode=0o700, exist_ok=True)
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise SourceError("Another capture of this host holds snapshots of its volumes. Wait for it, or cancel it.") from error
        time.sleep(0.5)
