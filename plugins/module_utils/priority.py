# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How urgently this process gets processor and disk: nice(2) and ioprio_set(2).

Both belong to a thread and are inherited by the threads and processes that it starts from then on. But where the kernel groups processes by
their sessions, niceness counts within a session only, and between sessions that of the session (sched(7), "The autogroup feature"): a job,
which has a session of its own, sets that as well.
"""

import ctypes
import os
import platform
from contextlib import contextmanager
from typing import Iterator

from .errors import RecoveryError

IO_CLASSES = {"none": 0, "best-effort": 2, "idle": 3}      # linux/ioprio.h; "none": follows the niceness
_SESSION_NICE = "/proc/self/autogroup"
_WHO_PROCESS = 1
_CLASS_SHIFT = 13
_LOWEST_LEVEL = 7                # of the class best-effort, which has 0 (first) to 7; the kernel's default is 4
# Numbers of ioprio_set in the kernel's system call tables; 30 is that of asm-generic/unistd.h, which newer architectures share. That of
# ioprio_get is the next in all of them.
_IOPRIO_SET = {"x86_64": 251, "i386": 289, "i686": 289, "ppc64": 273, "ppc64le": 273, "s390x": 282, "armv7l": 314,
               "aarch64": 30, "riscv64": 30, "loongarch64": 30}


def set_priority(nice: int, io_class: str, whole_session: bool = False) -> None:
    """Run at this niceness (-20 to 19, absolute) and class of disk access; `whole_session`: so does all of this process's session.

    Raises RecoveryError where that is not allowed.
    """
    if io_class != "none" and platform.machine() not in _IOPRIO_SET:
        raise RecoveryError(f"ionice is not known for the architecture {platform.machine()}; leave it out.")
    level = _LOWEST_LEVEL if io_class == "best-effort" else 0
    try:
        _set(nice, IO_CLASSES[io_class] << _CLASS_SHIFT | level)
    except OSError as error:
        raise RecoveryError(f"The job cannot run with nice {nice} and ionice {io_class}: {error.strerror}.") from error
    if whole_session:
        _set_session(nice)


@contextmanager
def urgent() -> Iterator[None]:
    """The calling thread, and what it starts, runs as any other program as long as the context lasts, where that is allowed."""
    nice, io_priority, session = os.getpriority(os.PRIO_PROCESS, 0), _ioprio(1, 0), _session_nice()
    try:
        _set(min(nice, 0), 0)
    except OSError:
        pass            # only root may become more urgent
    if session > 0:
        _set_session(0)
    try:
        yield
    finally:
        _set(nice, io_priority)
        if session > 0:
            _set_session(session)


def _set(nice: int, io_priority: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    _ioprio(0, io_priority)


def _session_nice() -> int:
    """0 where sessions are no groups, or this process is in none: its group was made before the first session (the file is empty then)."""
    try:
        with open(_SESSION_NICE, encoding="ascii") as file:
            _group, _word, nice = file.read().partition(" nice ")          # "/autogroup-72 nice 0"
    except OSError:
        return 0
    return int(nice or 0)


def _set_session(nice: int) -> None:
    try:
        with open(_SESSION_NICE, "w", encoding="ascii") as file:
            file.write(str(nice))
    except OSError:
        pass            # sessions are no groups, or others than root may not change it that often


def _ioprio(call: int, value: int) -> int:
    """ioprio_set (0) or ioprio_get (1) of the calling thread; 0 on architectures whose numbers are not known here."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        return 0
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number + call), _WHO_PROCESS, 0, value)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
