# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in a guest: kills the capture at a moment, and tells in how many seconds the file systems could be written to again.

    killer.py frozen|snapshot|upload
"""

import glob
import json
import os
import signal
import sys
import threading
import time

JOBS = "/var/lib/agnostic.recovery/jobs"
PATIENCE = 1800


class Writer(threading.Thread):
    """Writes to the root file system without end; `since` is the moment at which the write began that is not done yet, or 0."""

    def __init__(self):
        super().__init__(daemon=True)
        self.since = 0.0

    def run(self):
        with open("/written", "wb", buffering=0) as file:
            while True:
                self.since = time.monotonic()
                file.write(b".")
                self.since = 0.0
                file.seek(0)
                time.sleep(0.01)

    def waits(self):
        since = self.since
        return since and time.monotonic() - since > 0.3


def running_job():
    """The state of the capture that runs, or None."""
    for path in glob.glob(JOBS + "/*/state.json"):
        try:
            with open(path, encoding="utf-8") as file:
                state = json.load(file)
        except (OSError, ValueError):
            continue
        if isinstance(state, dict) and state.get("status") == "running" and os.path.exists("/proc/{0}".format(state["process"]["pid"])):
            return state
    return None


def snapshot_exists():
    """Whether a volume's table is that of the origin of one of our snapshots: it lies on the second mapping."""
    for path in glob.glob("/sys/block/dm-*/slaves/*/dm/name"):
        with open(path, encoding="ascii") as file:
            if file.read().startswith("dr-snap-") and not owner(path).startswith("dr-snap-"):
                return True
    return False


def owner(path):
    with open(path.split("/slaves/")[0] + "/dm/name", encoding="ascii") as file:
        return file.read()


def main(moment):
    writer = Writer()
    writer.start()
    deadline = time.monotonic() + PATIENCE
    job = None
    while time.monotonic() < deadline:
        job = job or running_job()
        if job and {"frozen": writer.waits, "snapshot": snapshot_exists, "upload": lambda: uploading(running_job())}[moment]():
            break
        time.sleep(0.01)
    else:
        sys.exit("the moment did not come")
    killed = time.monotonic()
    os.kill(job["process"]["pid"], signal.SIGKILL)
    while writer.waits():
        time.sleep(0.01)
    print(json.dumps({"moment": moment, "writable_after": round(time.monotonic() - killed, 2)}))


def uploading(job):
    return job and job["phase"] == "capture" and job["done"] > 0


if __name__ == "__main__":
    main(sys.argv[1])
