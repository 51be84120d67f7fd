# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a run: what happened, what was made, what is gone again.

One JSON object a line in `journal.jsonl` of the run's directory, appended and flushed to disk before the call returns. A resource is
written *before* it is created, so whatever was created is listed, also when the run was killed in between. Entries, all with `time`
(ISO 8601, UTC):

  {"type": "begin", "run": id, "kind": "drill", "attributes": {...}}
  {"type": "controller", "name": ...}                                      it runs the run from here on, and no other one
  {"type": "event", "name": ..., "machine": ..., "phase": "begin" | "end" | "point", "status": "ok" | "failed", "detail": ...}
  {"type": "record", "section": ..., "machine": ..., "data": ...}          what a step measured; sections: evidence.py
  {"type": "resource", "kind": ..., "id": ..., "machine": ..., "attributes": {...}}
  {"type": "gone", "kind": ..., "id": ..., "proof": [sentence, ...]}
  {"type": "end", "status": "ok" | "failed", "detail": ...}
"""

import fcntl
import json
import os
import re
import secrets
import time

from typing import Any, Dict, NamedTuple, Tuple

from ..errors import RecoveryError

JOURNAL_FILE = "journal.jsonl"
PHASES = ("begin", "end", "point")
TORN_DOWN = "torn down"                 # the event of the role teardown, of a run that was left by its controller
_RUN_ID = re.compile(r"[a-z][a-z0-9-]{0,40}-\d{8}T\d{6}Z-[0-9a-f]{4,}")


class JournalError(RecoveryError):
    """A journal cannot be read or written."""


class Resource(NamedTuple):
    """Something that a run made, or was about to make."""
    kind: str                           # qemu_guest mount file ...
    id: str                             # unique among its kind: a path, a cloud's id
    machine: str = ""
    attributes: Dict[str, Any] = {}
    created: str = ""                   # when it was announced
    gone: str = ""                      # when it was shown gone, "": it may exist
    proof: Tuple[str, ...] = ()


def new_run_id(kind, now=None):
    """"drill-20261122T010203Z-4f2a": says what and when, and is unique."""
    return f"{kind}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{secrets.token_hex(2)}"


def timestamp(now=None):
    """ISO 8601, UTC, with milliseconds."""
    now = time.time() if now is None else now
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


class Journal:
    """Appends to the journal of the run whose directory is `run_dir`.

    With the name of a controller, a run has one controller at a time: the one that took it over last. As every step is written down before it is
    done, an earlier one that still lives does nothing more.
    """

    def __init__(self, run_dir, controller=""):
        self.run_dir = run_dir
        self.controller = controller
        self.path = os.path.join(run_dir, JOURNAL_FILE)

    def begin(self, run_id, kind, attributes=None):
        """Makes the run's directory and opens its journal. Raises JournalError where that run has begun already."""
        if not _RUN_ID.fullmatch(run_id):
            raise JournalError(f"{run_id!r} is no id of a run; they look like drill-20261122T010203Z-4f2a.")
        try:
            os.makedirs(self.run_dir, mode=0o700, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.close(handle)
            folder = os.open(self.run_dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise JournalError(f"Run {run_id} has begun already: {self.path} exists.")
        except OSError as error:
            raise JournalError(f"The journal {self.path} cannot be made: {error}.") from error
        self._append({"type": "begin", "run": run_id, "kind": kind, "attributes": attributes or {}})
        self.take_over()

    def take_over(self):
        """From here on this controller runs the run."""
        if self.controller:
            self._append({"type": "controller", "name": self.controller})

    def event(self, name, phase="point", machine="", status="ok", detail=""):
        self._append({"type": "event", "name": name, "machine": machine, "phase": phase, "status": status, "detail": detail})

    def record(self, section, data, machine=""):
        self._append({"type": "record", "section": section, "machine": machine, "data": data})

    def resource(self, kind, resource_id, machine="", attributes=None):
        """To be called before the resource is created."""
        self._append({"type": "resource", "kind": kind, "id": resource_id, "machine": machine, "attributes": attributes or {}})

    def gone(self, kind, resource_id, proof):
        """To be called after the resource was removed and shown to be gone."""
        self._append({"type": "gone", "kind": kind, "id": resource_id, "proof": list(proof)})

    def end(self, status="ok", detail=""):
        self._append({"type": "end", "status": status, "detail": detail})

    def _append(self, entry):
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if self.controller and entry["type"] != "controller":
                    self._see_that_it_is_ours()
                line = json.dumps(dict(time=timestamp(), **entry), sort_keys=True).encode("utf-8") + b"\n"
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":
                    line = b"\n" + line             # a writer died in the middle of its line
                left = memoryview(line)
                while left:
                    left = left[os.write(handle, left):]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise JournalError(f"The journal {self.path} cannot be written: {error}.") from error

    def _see_that_it_is_ours(self):
        last = next((entry for entry in reversed(read_journal(self.run_dir)) if entry["type"] == "controller"), None)
        if last and last["name"] != self.controller:
            raise JournalError(f"The run {os.path.basename(self.run_dir)} was taken over by {last['name']} at {last['time']}, so {self.controller} does "
                               "nothing more in it. Follow it there.")


def read_journal(run_dir):
    """All entries of a run's journal, oldest first. Raises JournalError.

    A line that is no JSON was cut short by a crash. Its writer never came to act on it, so it is left out.
    """
    path = os.path.join(run_dir, JOURNAL_FILE)
    try:
        with open(path, "rb") as stream:
            return parse_journal(stream)
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read: {error}.") from error


def parse_journal(lines):
    """The entries of a journal's lines (bytes); see read_journal."""
    entries = []
    for line in lines:
        try:
            entry = json.loads(line.decode("utf-8"))
        except ValueError:
            continue
        if isinstance(entry, dict) and "type" in entry:
            entries.append(entry)
    return entries


def find_begun(root, plan_id):
    """The directory of the newest run under `root` of this plan that has not ended well, or of which something is left, "": there is none.

    So a plan is not carried out a second time beside what it has made. Raises JournalError.
    """
    found = [(entries[0]["time"], run_dir) for run_dir, entries in _journals(root)
             if plan_of(entries) == plan_id and (not _ended_well(entries) or open_resources(entries))]
    return max(found)[1] if found else ""


def plan_of(entries):
    """The id of the plan that a run carries out, "": it has none."""
    begin = next((entry for entry in entries if entry["type"] == "begin"), {})
    return begin.get("attributes", {}).get("plan", "")


def unfinished(root):
    """Ids of the runs under `root` that have not come to their end: neither ended nor torn down, or something is left that is not what a failover
    is for."""
    found = []
    for run_dir, entries in _journals(root):
        name = os.path.basename(run_dir)
        ended = any(entry["type"] == "end" or (entry["type"], entry.get("name")) == ("event", TORN_DOWN) for entry in entries)
        serves = name.startswith("failover-") and _ended_well(entries)
        if open_resources(entries) and not serves or not ended:
            found.append(name)
    return found


def _journals(root):
    """(directory, entries) of each run under `root`, by name; none where there is no such folder."""
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        run_dir = os.path.join(root, name)
        if os.path.exists(os.path.join(run_dir, JOURNAL_FILE)):
            yield run_dir, read_journal(run_dir)


def _ended_well(entries):
    last = next((entry for entry in reversed(entries) if entry["type"] == "end"), None)
    return bool(last) and last["status"] == "ok"


def resources(entries):
    """All resources of a run, in the order of their creation. One that was made again after it was gone is listed again."""
    found = []
    for entry in entries:
        if entry["type"] == "resource":
            known = _open_index(found, entry)
            resource = Resource(entry["kind"], entry["id"], entry.get("machine", ""), entry.get("attributes", {}), entry["time"])
            if known is None:
                found.append(resource)
            else:                                    # a resumed run announces it once more
                found[known] = resource._replace(created=found[known].created)
        elif entry["type"] == "gone":
            known = _open_index(found, entry)
            if known is not None:
                found[known] = found[known]._replace(gone=entry["time"], proof=tuple(entry.get("proof", ())))
    return found


def open_resources(entries):
    """The tear-down plan: what is not shown gone, last created first."""
    return [resource for resource in reversed(resources(entries)) if not resource.gone]


def progress(entries, machine):
    """How far the run has come with a machine: ({step that ended well: detail}, {section: data recorded last}).

    What was done before the machine's folder was removed is done no more.
    """
    steps, records = {}, {}
    folders = {entry["id"] for entry in entries if entry["type"] == "resource" and entry["kind"] == "folder" and entry.get("machine") == machine}
    for entry in entries:
        if entry["type"] == "gone" and entry["kind"] == "folder" and entry["id"] in folders:
            steps, records = {}, {}
        elif entry.get("machine") != machine:
            continue
        elif entry["type"] == "event" and entry["phase"] != "begin" and entry["status"] == "ok":
            steps[entry["name"]] = entry["detail"]
        elif entry["type"] == "event":
            steps.pop(entry["name"], None)               # it is done once more
        elif entry["type"] == "record":
            records[entry["section"]] = entry["data"]
    return steps, records


def _open_index(found, entry):
    for index, resource in enumerate(found):
        if (resource.kind, resource.id) == (entry["kind"], entry["id"]) and not resource.gone:
            return index
    return None
