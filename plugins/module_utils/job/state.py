# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a job keeps what is known of it: one folder a job, one state file that is replaced as a whole.

    <jobs>/                    0700, owned by the user that runs the jobs
        lock                   held while a job is started
        engine-<hash>.pyz      the library
        wheels-<hash>/         Python libraries that the host has not got
        <job id>/state.json    see `new_state`
        <job id>/log           what the engine could not say in a state: tracebacks
        <job id>/reserve       room for the last state, should the job fill the file system

No file here ever holds a secret.
"""

import fcntl
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from contextlib import contextmanager

from ..errors import RecoveryError
from .process import Process, is_alive

RUNNING = "running"
FINISHED = "finished"
FAILED = "failed"
CANCELLED = "cancelled"
DIED = "died"            # never written: a running job whose process is gone is read as this

KEEP_JOBS = 20
KEEP_SECONDS = 7 * 86400
ENGINE_KEEP_SECONDS = 30 * 86400
RESERVE = 65536


def new_state(job_id, spec, resources, process, engine=""):
    """The state of a job that begins. Times are seconds since 1970, sizes bytes, rates bytes a second.

    `disks` are names, for people; `left` is the seconds that the phase still needs, None: not known. `serial` grows by
    one with every write.
    """
    now = time.time()
    return {
        "id": job_id, "kind": spec["kind"], "machine": spec.get("machine") or "",
        "disks": [disk["name"] for disk in spec.get("disks") or ()], "check": bool(spec.get("check")),
        "status": RUNNING, "phase": "start", "done": 0, "total": 0, "rate": 0, "left": None,
        "started": now, "updated": now, "ended": None, "serial": 0,
        "resources": list(resources), "process": process._asdict(), "engine": engine, "python": sys.version.split()[0],
        "error": None, "result": None, "collected": False,
    }


class JobFolder:
    """The folder of all jobs of one user of this host."""

    def __init__(self, path):
        self.path = os.path.abspath(os.path.expanduser(path))

    def create(self):
        """Make the folder. Raises RecoveryError where another user owns it or could write to it."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            found = os.lstat(self.path)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise RecoveryError("The job folder {0} is not a folder of this user. Name another one by job_dir.".format(self.path))
            os.chmod(self.path, 0o700)
        except OSError as error:
            raise RecoveryError("The job folder {0} cannot be made: {1}.".format(self.path, error.strerror))

    def job_path(self, job_id, name=""):
        if not re.match("[A-Za-z0-9][A-Za-z0-9-]*$", job_id):
            raise RecoveryError("'{0}' is not a job id.".format(job_id))
        return os.path.join(self.path, job_id, name)

    @contextmanager
    def locked(self, seconds=30.0):
        """Hold the lock of the folder. Raises RecoveryError when another process keeps it for `seconds`."""
        handle = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RecoveryError("Another process holds the lock of {0}.".format(self.path))
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)

    def write(self, state):
        """Replace the state of a job as a whole; a reader sees the old or the new one, never a part."""
        folder = self.job_path(state["id"])
        handle, temporary = tempfile.mkstemp(prefix=".state-", dir=folder)
        try:
            with os.fdopen(handle, "w") as stream:
                json.dump(state, stream, sort_keys=True)
            os.rename(temporary, os.path.join(folder, "state.json"))
        except BaseException:
            os.unlink(temporary)
            raise

    def read(self, job_id):
        """The state of a job, or None where there is none. A running job whose process is gone has the status `DIED`."""
        try:
            with open(self.job_path(job_id, "state.json")) as handle:
                state = json.load(handle)
        except (FileNotFoundError, ValueError):
            return None      # not started yet, or cut short by a crash of the host
        if state["status"] == RUNNING and not is_alive(Process(**state["process"])):
            state["status"] = DIED
            state["error"] = {"type": "Died", "message": (
                "The engine process {0} is gone without a word, in phase '{1}': it was killed, ran out of memory, or the host "
                "was restarted.".format(state["process"]["pid"], state["phase"]))}
        return state

    def jobs(self):
        """The states of all jobs, the latest first."""
        states = []
        for name in os.listdir(self.path):
            if os.path.isfile(os.path.join(self.path, name, "state.json")):
                state = self.read(name)
                if state is not None:
                    states.append(state)
        return sorted(states, key=lambda state: state["started"], reverse=True)

    def make_job(self, job_id):
        """An empty folder for a job; what an earlier one of this id left is removed."""
        self.remove(job_id)
        os.mkdir(self.job_path(job_id), 0o700)
        with open(self.job_path(job_id, "reserve"), "wb") as handle:
            handle.write(bytes(RESERVE))

    def free_reserve(self, job_id):
        """Give the reserved room back, so that the last state can be written to a full file system too."""
        os.unlink(self.job_path(job_id, "reserve"))

    def remove(self, job_id):
        shutil.rmtree(self.job_path(job_id), ignore_errors=True)

    def tidy(self, keep=KEEP_JOBS, seconds=KEEP_SECONDS):
        """Remove jobs that ended long ago, and engines and libraries that nothing has used for a month."""
        states = self.jobs()
        now = time.time()
        ended = [state for state in states if state["status"] != RUNNING]
        for number, state in enumerate(ended):
            if number >= keep or now - state["updated"] > seconds:
                self.remove(state["id"])
        in_use = set(state["engine"] for state in states if state["status"] == RUNNING)
        for name in os.listdir(self.path):
            path = os.path.join(self.path, name)
            if path in in_use or now - os.stat(path).st_mtime < ENGINE_KEEP_SECONDS:
                continue
            if name.startswith("engine-"):
                os.unlink(path)
            elif name.startswith("wheels-"):
                shutil.rmtree(path)
