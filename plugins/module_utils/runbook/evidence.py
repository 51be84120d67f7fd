# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence: what runs measured, as JSON data with a schema of its own, made from their journals alone.

{"schema": "agnostic.recovery/evidence", "version": 1, "created": time, "passed": bool, "runs": [run, ...]}

run:     {"id", "kind", "expected_failure": bool, "started", "ended", "disaster", "result": "passed" | "failed" | "incomplete", "reason",
          "rto_seconds", "machines": [machine, ...], "timeline": [event, ...], "resources": [resource, ...], "resources_left": int,
          "plan": id, "versions": {name: text}, "warnings": [text, ...]}
machine: {"name", "wave", "passed", "rto_seconds", "rpo_seconds", "image", "stored", "restore", "fixup", "target", "checks": [result, ...],
          "screenshots": [{"file", "caption", "sha256"}], "console", "warnings"}
event:   {"name", "machine", "start", "end", "seconds", "status": "ok" | "failed" | "open", "detail"}

Times are ISO 8601 in UTC, sizes are bytes, durations are seconds; null is "not measured". Sections of journal records that are understood:
image (as image_info returns it), restore, fixup (changes, findings, seconds), target, checks (list), screenshot ({"file", "caption"}),
console (text), warning (text), versions ({name: text}), plan (as run_plan returns it).
"""

import calendar
import hashlib
import os
import time

from ..errors import RecoveryError
from .journal import resources

SCHEMA, VERSION = "agnostic.recovery/evidence", 1
SECTIONS = ("image", "restore", "fixup", "target", "checks", "screenshot", "console", "warning", "versions", "plan")


class EvidenceError(RecoveryError):
    """The journal of a run does not tell what evidence needs."""


def parse_time(text):
    """Seconds since 1970 of an ISO 8601 time in UTC, with or without a fraction. Raises EvidenceError."""
    base, _dot, fraction = text.rstrip("Z").partition(".")
    try:
        return calendar.timegm(time.strptime(base, "%Y-%m-%dT%H:%M:%S")) + (float("0." + fraction) if fraction else 0.0)
    except ValueError:
        raise EvidenceError(f"{text!r} is no time; times look like 2026-11-22T01:02:03Z.")


def build_evidence(runs):
    """The evidence of several runs. `runs`: list of (run directory, journal entries). Raises EvidenceError."""
    built = [build_run(run_dir, entries) for run_dir, entries in runs]
    if not built:
        raise EvidenceError("There is no run to report on.")
    # From the journals, not from the clock: the same journals always give the same evidence.
    created = max(entry["time"] for _run_dir, entries in runs for entry in entries)
    passed = all(run["result"] == "passed" for run in built)
    return {"schema": SCHEMA, "version": VERSION, "created": created, "passed": passed, "runs": built}


def build_run(run_dir, entries):
    """The evidence of one run. Raises EvidenceError."""
    begin = next((entry for entry in entries if entry["type"] == "begin"), None)
    if begin is None:
        raise EvidenceError(f"The journal in {run_dir} has no beginning: it is damaged, or is no journal of a run.")
    end = next((entry for entry in reversed(entries) if entry["type"] == "end"), None)
    attributes = begin.get("attributes", {})
    run = {
        "id": begin["run"], "kind": begin["kind"], "title": attributes.get("title", ""),
        "expected_failure": bool(attributes.get("expect_failure")),
        "started": begin["time"], "ended": end["time"] if end else None, "disaster": attributes.get("disaster") or _declared(entries),
        "timeline": timeline(entries), "plan": attributes.get("plan", ""), "versions": {}, "warnings": [],
    }
    reference = parse_time(run["disaster"] or run["started"])
    run["machines"] = [_machine(run_dir, name, entries, reference) for name in _machine_names(entries)]
    run["resources"] = [dict(resource._asdict(), gone=resource.gone or None, proof=list(resource.proof)) for resource in resources(entries)]
    run["resources_left"] = sum(1 for resource in run["resources"] if not resource["gone"])
    for entry in _records(entries, ""):
        if entry["section"] == "plan":
            waves = {planned["wanted"]["machine"]: planned["wanted"]["wave"] for planned in entry["data"]["machines"]}
            for machine in run["machines"]:
                machine["wave"] = waves.get(machine["name"])
        elif entry["section"] == "versions":
            run["versions"].update(entry["data"])
        elif entry["section"] == "warning":
            run["warnings"].append(str(entry["data"]))
    times = [machine["rto_seconds"] for machine in run["machines"]]
    run["rto_seconds"] = max(times) if times and None not in times else None
    run["result"], run["reason"] = _verdict(run, end)
    return run


def _declared(entries):
    """When the event "disaster" says that the source was lost: a drill that captures first counts from there. None: there is no such event."""
    return next((entry["time"] for entry in entries if entry["type"] == "event" and entry["name"] == "disaster"), None)


def _verdict(run, end):
    if end is None:
        return "incomplete", "the run did not come to its end"
    if run["resources_left"] and run["kind"] != "failover":          # what a failover has made stays
        return "failed", f"{run['resources_left']} of {len(run['resources'])} resources are not shown gone"
    if run["expected_failure"]:
        came_up = [machine["name"] for machine in run["machines"] if machine["passed"]]
        unproven = [machine["name"] for machine in run["machines"] if not machine["checks"]]
        if came_up or unproven or not run["machines"]:
            return "failed", (f"{', '.join(came_up)} came up, which it must not" if came_up else "nothing was checked")
        return "passed", "the machine did not come up, as expected"
    if end["status"] != "ok":
        return "failed", end["detail"] or "a step failed"
    bad = [machine["name"] for machine in run["machines"] if not machine["passed"]]
    if bad:
        return "failed", f"not proven to serve: {', '.join(bad)}"
    return ("passed", "all required checks passed") if run["machines"] else ("failed", "no machine was recovered")


def timeline(entries):
    """Events with start and end, by start. One whose end is missing is "open"."""
    events, pending = [], {}
    for entry in entries:
        if entry["type"] != "event":
            continue
        key = (entry["machine"], entry["name"])
        if entry["phase"] == "end" and key in pending:
            event = pending.pop(key)
            seconds = round(parse_time(entry["time"]) - parse_time(event["start"]), 3)
            event.update(end=entry["time"], seconds=seconds, status=entry["status"])
            event["detail"] = entry["detail"] or event["detail"]
            continue
        event = {"name": entry["name"], "machine": entry["machine"], "start": entry["time"], "end": entry["time"], "seconds": 0.0,
                 "status": entry["status"], "detail": entry["detail"]}
        if entry["phase"] == "begin":
            event.update(end=None, seconds=None, status="open")
            pending[key] = event
        events.append(event)
    return events


def _machine_names(entries):
    names = []
    for entry in entries:
        name = entry.get("machine", "")
        if name and name not in names:
            names.append(name)
    return names


def _records(entries, machine):
    return [entry for entry in entries if entry["type"] == "record" and entry["machine"] == machine]


def _machine(run_dir, name, entries, reference):
    machine = {"name": name, "wave": None, "image": None, "stored": None, "restore": None, "fixup": None, "target": None, "checks": [], "screenshots": [],
               "console": "", "warnings": []}
    for entry in _records(entries, name):
        section, data = entry["section"], entry["data"]
        if section == "checks":
            # A run that went on has checked again; a machine that served already came back when it was first seen to.
            machine["checks"] = machine["checks"] if _serves(machine["checks"]) and _serves(data) else data
        elif section == "screenshot":
            machine["screenshots"].append(_screenshot(run_dir, data))
        elif section == "warning":
            machine["warnings"].append(str(data))
        elif section in ("image", "restore", "fixup", "target", "console"):
            machine[section] = data
    required = _required(machine["checks"])
    machine["passed"] = _serves(machine["checks"])
    # Recovery is over when the last thing that must work has been seen to work.
    machine["rto_seconds"] = round(max(check["finished"] for check in required) - reference, 1) if machine["passed"] else None
    image = machine["image"]
    if image:
        machine["stored"] = _stored(image)
        lost = reference - parse_time(image["created"])
        machine["rpo_seconds"] = round(lost, 1) if lost >= 0 else None
    else:
        machine["rpo_seconds"] = None
    return machine


def _required(checks):
    return [check for check in checks if check.get("required", True)]


def _serves(checks):
    return bool(_required(checks)) and all(check["passed"] for check in _required(checks))


def _stored(image):
    """Sizes of an image, and how many used bytes one newly stored byte stands for."""
    stored = {key: image.get(key) for key in ("size", "used", "stored_new", "stored_new_objects")}
    stored["ratio"] = round(stored["used"] / stored["stored_new"], 2) if stored["used"] and stored["stored_new"] else None
    return stored


def _screenshot(run_dir, data):
    """Names a picture by its place under the run's directory, so that evidence can be moved together with it."""
    path = os.path.join(run_dir, data["file"])
    picture = {"file": os.path.relpath(path, run_dir), "caption": data.get("caption", ""), "sha256": None}
    try:
        with open(path, "rb") as stream:
            picture["sha256"] = hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        pass                                   # the report says that the picture is missing
    return picture
