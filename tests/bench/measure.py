# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one command as a whole and says what it took: the operating system's own figures of the finished processes."""

import os
import shutil
import signal
import subprocess
import threading
import time
from typing import NamedTuple


OURS = "agnostic.recovery"
_HERE = os.path.dirname(os.path.abspath(__file__))
_PYTHON = "/usr/bin/python3"


class Figure(NamedTuple):
    tool: str
    step: str          # capture, restore, ...
    seconds: float     # wall clock, including a sync of the file system written to
    cpu: float         # user + system seconds of all processes
    peak: int          # bytes: the largest sum of resident memory over the process group, sampled every 50 ms
    stored: int        # bytes that the step left behind, 0 where that means nothing


def _resident(group):
    """Bytes of resident memory of all processes of a process group."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(pid)) == group:
                with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
                    total += int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            continue
    return total


def run(tool, step, command, sync_path, stored=lambda: 0, env=None):
    """Runs the shell pipeline `command`; raises RuntimeError with the end of its output when it fails."""
    started = time.monotonic()
    before = os.times()
    process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, env=dict(os.environ, **(env or {})))
    peak = [0]
    over = threading.Event()

    def watch():
        while not over.wait(0.05):
            peak[0] = max(peak[0], _resident(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        output = process.communicate()[0]
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        over.set()
        watcher.join()
    if process.returncode:
        raise RuntimeError(f"{tool} {step} ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")
    subprocess.run(["sync", "-f", sync_path], check=True)
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Figure(tool, step, time.monotonic() - started, cpu, peak[0], stored())


def tree_bytes(path):
    """Bytes of all regular files below a path, or of the file itself."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(base, name)) for base, _dirs, names in os.walk(path) for name in names)


def engine_call(work, action, *arguments):
    """The command that lets the engine do something in a process of its own; its key lies in the work folder."""
    return " ".join((_PYTHON, os.path.join(_HERE, "engine.py"), action) + arguments + ("--key-file", os.path.join(work, "key")))


def peer_environment(work):
    """Environment variables of restic and borg."""
    return {"RESTIC_PASSWORD": "bench", "BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": os.path.join(work, "borg-home"),
            "RESTIC_CACHE_DIR": os.path.join(work, "restic-cache"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}


def read_through(path):
    """Bring a file into the page cache."""
    with open(path, "rb") as file:
        while file.read(8 << 20):
            pass


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)
