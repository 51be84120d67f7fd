# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses what: processes that hold files of a mount or disk, and the helpers that a mount of ours started. Read from /proc."""

import glob
import os
import signal
import time

from .syscalls import is_below

# Every helper program (FUSE file system, appliance) is started with this variable, and its children inherit it. So a later process finds
# them whatever was killed in between; process numbers in a file could be missing, or belong to another process by then.
MARK = "AGNOSTIC_RECOVERY_MOUNT"


def users_of_folder(folder):
    """Texts like "bash (process 812)" of the processes with a working directory, root, program or open file beneath `folder`."""
    return sorted({describe(pid) for pid in _pids() if any(is_below(link, folder) for link in _links(pid))})


def writers_of(path):
    """Texts like above of the processes that have this file or block device open for writing, other than this process."""
    wanted, name = os.stat(path), os.path.basename(os.path.realpath(path))
    found = set()
    for pid in _pids():
        if pid == os.getpid():
            continue
        for entry in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                # The name first: to look at each open file of the host could hang at a dead network file system.
                if os.path.basename(os.readlink(entry)) == name and os.path.samestat(os.stat(entry), wanted):
                    found.update([describe(pid)] if _is_writable(pid, os.path.basename(entry)) else [])
            except OSError:     # closed in between
                continue
    return sorted(found)


def marked_with(tag):
    """The process numbers, oldest first, of the living helpers of one mount."""
    wanted = os.fsencode(f"{MARK}={tag}")
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                if wanted in stream.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue
    return sorted(found)


def wait_until_gone(tag, seconds):
    """Waits for the helpers to end by themselves. Returns the numbers of those that still live."""
    deadline = time.monotonic() + seconds
    while True:
        reap()
        left = marked_with(tag)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_all(tag, patience=10.0):
    """Ends the helpers of a mount: asks, then kills. Returns the numbers of those that had to be killed."""
    send(marked_with(tag), signal.SIGTERM)
    left = wait_until_gone(tag, patience)
    send(left, signal.SIGKILL)
    wait_until_gone(tag, patience)
    return left


def reap():
    """Collects helpers that are children of this process, so that none stays a zombie while a library user lives on."""
    for pid in list(children):
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                children.discard(pid)
        except ChildProcessError:
            children.discard(pid)


children = set()    # numbers of helpers that this very process started


def describe(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return f"{stream.read().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _links(pid):
    for entry in [f"/proc/{pid}/cwd", f"/proc/{pid}/root", f"/proc/{pid}/exe"] + glob.glob(f"/proc/{pid}/fd/*"):
        try:
            yield os.readlink(entry)
        except OSError:
            continue


def _is_writable(pid, descriptor):
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
