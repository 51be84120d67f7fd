# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a job as a process of its own that outlives its caller, runs it, and writes how it goes and ends."""

import os
import resource
import signal
import sys
import time
import traceback

from ..errors import RecoveryError
from ..priority import set_priority
from . import identity, state as states
from .memory import keep_freed_memory
from .process import Process, is_alive, this_process
from .progress import JobProgress
from .secrets import Scrubber

# A job that finished while nobody looked is handed out to the next call for it, once, for this long.
# Older results are not: a nightly capture must not be answered with the one of the night before.
HANDED_OUT_SECONDS = 3600

# How a call for a job is answered.
STARTED = "started"
JOINED = "joined"            # it was running already
HANDED_OUT = "handed_out"    # it had finished, and nobody had been told


def start(folder, spec, engine="", attach=True):
    """Start the job that `spec` asks for, or join it; returns a dictionary of answer, state and earlier.

    `earlier` is the state of an earlier run of this job that did not finish well and that nobody was told of, or None.
    Raises RecoveryError when a running job uses what this one needs, or, with `attach` False, when it runs already.
    """
    job_id = identity.job_id(spec)
    folder.create()
    with folder.locked():
        found = folder.read(job_id)
        earlier = None
        if found is not None:
            if found["status"] == states.RUNNING:
                if not attach:
                    raise RecoveryError("The job {0} runs already, since {1:d} s.".format(job_id, int(time.time() - found["started"])))
                return {"answer": JOINED, "state": found, "earlier": None}
            if attach and _is_fresh(found) and identity.may_be_handed_out(spec):
                return {"answer": HANDED_OUT, "state": found, "earlier": None}
            if not found["collected"] and found["status"] != states.FINISHED:
                earlier = found
        needs = identity.resources(spec)
        _refuse_overlap(folder, needs)
        folder.make_job(job_id)
        if engine:
            os.utime(engine)      # in use: not to be tidied away
        folder.tidy()
        _detach(folder, job_id, spec, needs, engine)
        return {"answer": STARTED, "state": folder.read(job_id), "earlier": earlier}


def _is_fresh(state):
    return state["status"] == states.FINISHED and not state["collected"] and time.time() - state["ended"] < HANDED_OUT_SECONDS


def _refuse_overlap(folder, needs):
    for other in folder.jobs():
        if other["status"] != states.RUNNING:
            continue
        for need in needs:
            if need in other["resources"]:
                raise RecoveryError("Another job runs: {0} ({1}). Wait for it, or cancel it.".format(need, other["id"]))


def collect(folder, job_id):
    """Note that the caller has been told how the job ended; returns its state. The result is not handed out again."""
    with folder.locked():
        state = status(folder, job_id)
        if state["status"] != states.RUNNING and not state["collected"]:
            folder.write(dict(state, collected=True))
        return state


def status(folder, job_id):
    """The state of a job. Raises RecoveryError where there is none."""
    state = folder.read(job_id)
    if state is None:
        raise RecoveryError("There is no job {0} in {1}.".format(job_id, folder.path))
    return state


def cancel(folder, job_id, seconds=20.0):
    """Ask a running job to stop, and kill it when it has not stopped after `seconds`; returns its last state."""
    state = status(folder, job_id)
    if state["status"] != states.RUNNING:
        return state
    process = Process(**state["process"])
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + seconds
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not is_alive(process):
            break
    state = status(folder, job_id)
    if state["status"] == states.DIED:
        state.update(status=states.CANCELLED, ended=time.time(), error={"type": "Cancelled", "message": "The job was cancelled."})
        folder.write(state)
    return state


def _detach(folder, job_id, spec, needs, engine):
    """Fork twice; returns when the job has written its first state. Raises RecoveryError if it does not."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        # Nothing of the caller's code may run in the children, whatever happens.
        try:
            os.close(reading)
            os.setsid()
            if os.fork() == 0:
                _become_daemon(folder.job_path(job_id, "log"), keep=writing)
                _run(folder, job_id, spec, needs, engine, lambda: os.close(writing))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    os.read(reading, 1)      # end of file: the job wrote its state and closed its end, or died
    os.close(reading)
    if folder.read(job_id) is None:
        raise RecoveryError("The job {0} did not start; see {1} on this host.".format(job_id, folder.job_path(job_id, "log")))


def _become_daemon(log, keep):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))      # a core file would hold the key
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)
    # Whatever else the caller had open (the lock, a pipe of sshd) must not be kept open by the job.
    highest = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)
    os.closerange(3, keep)
    os.closerange(keep + 1, highest)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _run(folder, job_id, spec, needs, engine, ready):
    """The life of the detached process."""
    state = states.new_state(job_id, spec, needs, this_process(), engine)
    scrub = Scrubber(spec)

    def write(fields):
        state.update(fields, updated=time.time(), serial=state["serial"] + 1)
        folder.write(state)

    progress = JobProgress(write)
    signal.signal(signal.SIGTERM, lambda number, frame: progress.cancel())
    folder.write(state)
    ready()
    progress.start()
    end = {}
    try:
        if spec.get("nice") is not None or spec.get("ionice"):
            set_priority(spec.get("nice") or 0, spec.get("ionice") or "none", whole_session=True)
        from . import tasks     # here only: whoever asks for a state need not load the pipelines
        keep_freed_memory()
        end = {"status": states.FINISHED, "result": tasks.run(spec, progress)}
    except Exception as error:      # pylint: disable=broad-except  # whatever it is, the caller must be told
        if progress.cancelled():
            end = {"status": states.CANCELLED, "error": {"type": "Cancelled", "message": "The job was cancelled."}}
        else:
            end = {"status": states.FAILED, "error": _describe(error, scrub, folder.job_path(job_id, "log"))}
            if not isinstance(error, RecoveryError):
                sys.stderr.write(scrub(traceback.format_exc()))
    progress.stop()
    folder.free_reserve(job_id)
    write(dict(progress.fields(), ended=time.time(), **end))


def _describe(error, scrub, log):
    if isinstance(error, RecoveryError):
        return {"type": type(error).__name__, "message": scrub(str(error))}
    if isinstance(error, MemoryError):
        return {"type": "MemoryError", "message": "The host ran out of memory. Ask for fewer workers."}
    message = "{0}: {1}. This is a defect of the engine, or a fault of this host; the traceback is in {2}.".format(
        type(error).__name__, error, log)
    return {"type": type(error).__name__, "message": scrub(message)}
