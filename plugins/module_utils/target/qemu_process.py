# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU processes, each in a run directory of its own: start, find, tell and end them.

A process's working directory is its run directory, and this is also how it is recognised, so that a process id that was used again is
never mistaken for it. Nothing here stays running but QEMU, or the switch of a segment, and a `timeout` above it, which ends it when its
lifetime has passed, also when everything that knew of it is gone.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from ..errors import MachineError, TargetError
from ..machine.data import from_data, to_data
from .qemu_command import LOG_FILE, QMP_SOCKET
from .qmp import Qmp

LOCK_FILE = "lock"
PROGRAMS = ("qemu", "vde_switch", "timeout")
# QEMU gives back what it holds within seconds of being told to; these seconds are for slow disks.
QUIT_SECONDS = 15
_START_SECONDS = 60


def launch(run_dir, lifetime, arguments):
    """Starts QEMU under its watcher. Returns None once it answers, else what it said before it ended."""
    log_path = os.path.join(run_dir, LOG_FILE)
    with open(log_path, "wb") as log:
        process = start_watched(run_dir, lifetime, arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            # QEMU listens early, but greets only once all devices are up.
            with Qmp(run_dir, QMP_SOCKET, timeout=max(1.0, deadline - time.monotonic())):
                return None
        except (OSError, TargetError):
            time.sleep(0.05)
    hung = process.poll() is None
    if hung:
        kill(run_dir)
        process.wait()
    with open(log_path, encoding="utf-8", errors="replace") as log:
        text = log.read().strip()
    return text or (f"it did not answer within {_START_SECONDS} s" if hung else f"it ended at once with status {process.returncode}")


def start_watched(run_dir, lifetime, arguments, **streams):
    """Starts a program in `run_dir`, out of reach of what ends its starter. Returns the Popen of what watches it.

    `timeout` ends the program when its lifetime has passed; the parent-death signal ends it should someone kill `timeout`.
    """
    if not shutil.which("timeout"):
        raise TargetError("The program timeout is missing on this host: install coreutils.")
    watcher = ["timeout", "--kill-after=10", str(lifetime)]
    watcher += ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return subprocess.Popen(watcher + arguments, cwd=run_dir, env=dict(os.environ, TMPDIR=run_dir), start_new_session=True, **streams)


def tell(run_dir, name):
    """Sends one command. True where QEMU took it, or closed the socket because it is ending."""
    try:
        with Qmp(run_dir, QMP_SOCKET) as qmp:
            qmp.execute(name)
    except (OSError, TargetError):
        return False
    return True


def kill(run_dir):
    """Ends everything that runs in `run_dir`. Raises TargetError where something cannot be ended."""
    for pid in find_processes(run_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_gone(run_dir, QUIT_SECONDS):
        raise TargetError(f"Process {find_processes(run_dir)[0]} in {run_dir} cannot be killed; it waits for the host's kernel.")


def wait_gone(run_dir, seconds):
    """Waits for the programs in `run_dir` and their watchers to be gone."""
    deadline = time.monotonic() + seconds
    while find_processes(run_dir):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def find_process(run_dir, program):
    """Process id of the program (by the start of its name) whose working directory is `run_dir`, 0: none."""
    return next(iter(find_processes(run_dir, (program,))), 0)


def find_processes(run_dir, programs=PROGRAMS):
    """Process ids of the programs (by the start of their names) whose working directory is `run_dir`."""
    try:
        wanted = os.stat(run_dir)
    except OSError:
        return []
    names = tuple(program.encode("ascii") for program in programs)
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", "rb") as stream:
                if not stream.read().startswith(names):
                    continue
            if os.path.samestat(os.stat(f"/proc/{pid}/cwd"), wanted):
                found.append(int(pid))
        except OSError:
            continue                       # gone meanwhile, a zombie, or another user's
    return found


@contextlib.contextmanager
def locked(run_dir):
    """One starter or stopper at a time for one run directory."""
    with open(os.path.join(run_dir, LOCK_FILE), "a", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_state(run_dir, name, value):
    """Keeps a named tuple in a file of `run_dir`, whole or not at all."""
    path = os.path.join(run_dir, name)
    with open(path + ".partial", "w", encoding="utf-8") as stream:
        json.dump(to_data(value), stream)
    os.replace(path + ".partial", path)


def read_state(run_dir, name, kind):
    """The named tuple of the type `kind` that was kept in a file of `run_dir`, None where there is none that can be read."""
    try:
        with open(os.path.join(run_dir, name), encoding="utf-8") as stream:
            return from_data(kind, json.load(stream))
    except (OSError, ValueError, MachineError):
        return None


def remove_run_dir(run_dir):
    """Removes a run directory in which nothing runs, unless something of others is in it."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(run_dir, LOCK_FILE))
        os.rmdir(run_dir)


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def is_free(address, port):
    with socket.socket() as probe:
        # Connections that the guest closed linger in TIME_WAIT; they hold nothing of it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
