# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes an assembled machine down again, whatever made it and whatever was killed in between.

What is mounted is read from the kernel, who helps from /proc, what is attached from the loop driver; the record only says what else
must happen: which copies are written back, which disks must be on stable storage at the end.
"""

import contextlib
import os
import time

from ..errors import TargetError
from . import loop, processes, syscalls
from .backends import guestfs, mtools
from .session import loop_name

BUSY_PATIENCE = 10.0        # seconds that a process may still use the mount
_DETACH_PATIENCE = 10.0
_HELPER_PATIENCE = 30.0     # seconds for a FUSE file system to write its cache to the disk


def tear_down(state, record, patience=BUSY_PATIENCE):
    """Unmounts, ends helpers, detaches, flushes, forgets. Raises TargetError at the end if anything did not go as it should.

    A copy of a FAT file system is written back only if the machine had been mounted completely.
    """
    problems = []
    if record.status == "mounted":
        problems += _read_only_by_error(record)
        problems += _write_back(state.tag, record)
    state.save(record._replace(status="unmounting", staged=()))
    busy = _unmount_all(record.mount_point, patience)
    if busy:
        problems.append(busy)
    problems += _end_helpers(state, record)
    left = _detach_loops(state.tag, record, 0.0 if busy else _DETACH_PATIENCE)
    if left:
        problems.append(f"{', '.join(left)} still hold the disks, since a process uses files of the unmounted machine. "
                        "Do not start the machine.")
    if not record.read_only:
        problems += _flush(record)
    if not left:
        if record.created:
            _remove_folder(record.mount_point)
        state.remove()
    if problems:
        raise TargetError(f"The machine at {record.mount_point} was unmounted, but: " + " ".join(problems))


def _read_only_by_error(record):
    """A file system that was mounted to be written, and is not writable any more, had an error (errors=remount-ro)."""
    below = {entry.path: entry for entry in syscalls.mounts_below(record.mount_point)}
    found = []
    for each in record.mounts:
        entry = below.get(record.mount_point + each.path.rstrip("/"))
        if entry and not each.read_only and not record.read_only and not entry.writable:
            found.append(f"{each.path} ({each.device}) became read-only after an error; changes may be lost. Check this file system.")
    return found


def _write_back(tag, record):
    problems = []
    for staged in record.staged:
        try:
            mtools.write_back(tag, staged)
        except (TargetError, OSError) as error:
            problems.append(str(error))
    return problems


def _unmount_all(folder, patience):
    """Unmounts everything at and below `folder`. Returns what to say if somebody had to be cut off, or ""."""
    error = syscalls.unmount_below(folder, patience)
    if error is None:
        return ""
    users = ", ".join(processes.users_of_folder(folder)) or "a process that cannot be named"
    for entry in reversed(syscalls.mounts_below(folder)):
        with contextlib.suppress(OSError):
            syscalls.flush(entry.path)
        with contextlib.suppress(OSError):      # gone meanwhile
            syscalls.unmount(entry.path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    return f"{error.filename} was in use by {users} ({error.strerror}) and had to be detached lazily."


def _end_helpers(state, record):
    problems = []
    try:
        guestfs.stop(state.tag, record.appliance, state.log)
    except (TargetError, OSError) as error:
        problems.append(str(error))
    # A helper that was starting when its parent was killed may mount only now.
    deadline = time.monotonic() + _HELPER_PATIENCE
    while processes.wait_until_gone(state.tag, 0.2) and time.monotonic() < deadline:
        syscalls.unmount_below(record.mount_point, 0.0)
    killed = processes.end_all(state.tag)
    if killed:
        problems.append(f"{len(killed)} helper process(es) had to be killed; the file systems may not be consistent.")
    return problems


def _detach_loops(tag, record, patience):
    """Waits until the kernel has let go of our loop devices. Returns the paths of those that stay."""
    deadline = time.monotonic() + patience
    while True:
        # Nameless ones: a kill between the two steps of an old kernel leaves them.
        left = [device for device in loop.devices_over(disk.path for disk in record.disks) if device.name in ("", loop_name(tag))]
        if not left or time.monotonic() > deadline:
            return [device.path for device in left]
        for device in left:
            if not device.flags & loop.LO_FLAGS_AUTOCLEAR:
                loop.detach(device)
        time.sleep(0.05)


def _flush(record):
    problems = []
    for disk in record.disks:
        try:
            descriptor = os.open(disk.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            problems.append(f"{disk.path} could not be written to stable storage: {error.strerror}.")
    return problems


def _remove_folder(path):
    with contextlib.suppress(OSError):      # somebody has put something there: it stays
        os.rmdir(path)
