# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose process is it: a process named so that a later one with the same number is not mistaken for it."""

import os
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    start: int       # clock ticks since boot, field 22 of /proc/<pid>/stat (proc_pid_stat(5))
    boot: str        # /proc/sys/kernel/random/boot_id: another boot counts ticks anew


def _boot_id():
    with open("/proc/sys/kernel/random/boot_id") as handle:
        return handle.read().strip()


def _start_ticks(pid):
    """Start time of a live process in clock ticks, or None where there is none (a zombie counts as none)."""
    try:
        with open("/proc/{0:d}/stat".format(pid), "rb") as handle:
            text = handle.read()
    except OSError:
        return None
    # The command name stands in parentheses and may hold any byte, so the fields are counted from the last one.
    fields = text[text.rindex(b")") + 2:].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def this_process():
    """The calling process as a `Process`."""
    pid = os.getpid()
    return Process(pid, _start_ticks(pid) or 0, _boot_id())


def is_alive(process):
    """True while exactly this `Process` runs."""
    return process.boot == _boot_id() and _start_ticks(process.pid) == process.start
