# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs cases in lanes, one on each processor; each result is kept at once, so that a killed run goes on where it was.

    <output>/results.jsonl             a line for each case that ran, also of earlier runs
    <output>/<set>.json, <set>.md      figures and table of the set
    <output>/consoles/<case>.log .png  what a machine showed that did not come up; <case>.control.… of the one without fix-ups
"""

import argparse
import contextlib
import datetime
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

from typing import Any, Dict, NamedTuple, Tuple

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError

from demobuild import cache
from demobuild.disk import private_mounts
from demobuild.run import BuildError

from . import cases, disks, table, walk

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PRODUCT = os.path.join(HERE, "..", "..", "plugins", "module_utils")


def main():
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    chosen = [cases.parse_case(arguments.case)] if arguments.case else list(cases.cases_of(arguments.set))
    label = "case" if arguments.case else arguments.set
    os.makedirs(os.path.join(arguments.output, "consoles"), exist_ok=True)
    kept = os.path.join(arguments.output, "results.jsonl")
    code = cache.key_of(PRODUCT, sorted(os.listdir(PRODUCT)))
    results = table.load(kept)
    asked = ["recovery"] + ["control"] * arguments.control + ["v2v"] * arguments.v2v
    known = {} if arguments.fresh or arguments.case else results
    left = [Work(case, table.lacking(case.name, known, code, asked), known.get(case.name, {})) for case in chosen]
    with cache.locked(os.path.join(arguments.cache, "run"), exclusive=True):
        private_mounts()
        run_lanes([work for work in left if work.parts], arguments, lambda result: table.append(kept, dict({"code": code}, **result)))
    results = table.load(kept)
    known = [results[case.name] for case in chosen if case.name in results]
    with open(os.path.join(arguments.output, label + ".json"), "w", encoding="utf-8") as file:
        json.dump({"summary": table.summary(known), "results": known}, file, indent=1, sort_keys=True)
    text = table.markdown(known)
    with open(os.path.join(arguments.output, label + ".md"), "w", encoding="utf-8") as file:
        file.write(text)
    print(text)
    sys.exit(0 if len(known) == len(chosen) and table.rate(known) >= cases.PROMISED_RATE.get(label, 1.0) else 1)


class Work(NamedTuple):
    case: cases.Case
    parts: Tuple[str, ...]       # of table.PARTS, that are to run
    known: Dict[str, Any]        # the result so far, if those are not all


def run_lanes(chosen, arguments, keep):
    """Each lane takes the cases of one source after the other. Ends with all lanes."""
    by_source = [list(group) for _source, group in itertools.groupby(chosen, lambda work: work.case.source)]
    waiting = multiprocessing.SimpleQueue()
    lanes = [multiprocessing.Process(target=_lane, args=(number, waiting, arguments, keep)) for number in range(arguments.lanes)]
    try:
        for lane in lanes:
            lane.start()
        for group in by_source + [None] * arguments.lanes:      # a pipe holds only some before one is taken
            waiting.put(group)
        for lane in lanes:
            lane.join()
    finally:
        for lane in lanes:
            if lane.pid:
                lane.terminate()             # it removes its guest and its mounts
                lane.join()


def _lane(number, waiting, arguments, keep):
    with _Sources(arguments.cache, f"work-{number}") as sources:
        for group in iter(waiting.get, None):
            for work in group:
                say(work.case.name)
                run_case(work, sources, arguments.output, keep)


def say(text):
    print(f"matrix {time.strftime('%H:%M:%S')} {multiprocessing.current_process().name[-1:]} {text}", file=sys.stderr, flush=True)


class _Sources:
    """The source that was built and captured last: cases of one source follow each other."""

    def __init__(self, place, folder):
        self._place = place
        self.folder = os.path.join(place, folder)
        self._source = None
        self.built = None
        self.seconds = {}

    def __enter__(self):
        self._clear()
        return self

    def __exit__(self, *exc_info):
        self._clear()

    def take(self, source):
        if source == self._source:
            return
        self._clear()
        began = time.monotonic()
        self.built = disks.build(source, self._place, self.folder, lambda text: say("    " + text))
        self.seconds = {"build": round(time.monotonic() - began, 1)}
        self.seconds["capture"] = round(walk.capture(self.built, self.built.identity.hostname, self.folder), 1)
        os.unlink(self.built.disk)           # the site is lost
        self._source = source

    def _clear(self):
        self._source = None
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True)
        os.makedirs(self.folder)


def run_case(work, sources, output, keep):
    """Keeps the result of one case after each part; what goes wrong is part of it."""
    began = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = {"case": work.case.name, "when": began, "recovered": False, "stage": "build", "reason": "", "seconds": {}}
    if "recovery" not in work.parts:
        result = dict(work.known)
    consoles = {part: os.path.join(output, "consoles", work.case.name + end) for part, end in CONSOLES.items()}
    for path in (consoles[part] + end for part in work.parts for end in (".log", ".png")):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    paths = {part: os.path.join(sources.folder, part + ".raw") for part in work.parts}
    stage = "build"
    try:
        sources.take(work.case.source)
        if "recovery" in work.parts:
            result.update(stage="restore", seconds=dict(sources.seconds))
        _restore(sources, result, paths)
        for part in work.parts:
            stage = part
            PLAYS[part](work.case, sources, result, paths[part], consoles[part])
            keep(result)
    except Exception as error:               # a fault of the matrix itself must not end a run of hours
        expected = isinstance(error, (RecoveryError, BuildError, OSError, subprocess.CalledProcessError, shutil.Error))
        reason = str(error) if expected else traceback.format_exc()
        say(f"    {stage}: {reason}")
        if "recovery" in work.parts and stage in ("build", "recovery"):      # else the case has its result
            keep(dict(result, recovered=False, reason=reason))
    finally:
        for path in paths.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _restore(sources, result, paths):
    """A disk for each part."""
    first, *others = paths.values()
    seconds = walk.restore(sources.built, sources.built.identity.hostname, sources.folder, first)
    for other in others:
        walk.copy(first, other)
    result["seconds"].setdefault("restore", round(seconds, 1))


def _recover(case, sources, result, path, kept):
    """Puts into `result` what it finds."""
    result["stage"] = "fix-ups"
    seconds, built = result["seconds"], sources.built
    fixed = walk.fix_up(case, built, path, sources.folder)
    seconds.update({name: round(value, 3) for name, value in fixed.seconds.items()})
    result.update(changes=fixed.changes, findings=list(fixed.findings), again=fixed.again)
    if fixed.problems or fixed.again:
        raise RecoveryError("; ".join(fixed.problems) or f"a second plan would make {fixed.again} changes")
    result["stage"] = "boot"
    booted = walk.boot(case, built, path, sources.folder, walk.Patience(), kept)
    seconds.update(boot=booted.seconds, boot_processor=booted.processor)
    result.update(recovered=not booted.reason, reason=booted.reason, said=booted.said)
    say(f"    {booted.reason or 'recovered'} ({booted.seconds:.0f} s)")


def _control(case, sources, result, path, kept):
    booted = walk.boot(case, sources.built, path, sources.folder, _patience(result), kept)
    result["control"] = _other(booted)
    say(f"    without fix-ups: {booted.reason or 'boots too'}")


def _patience(result):
    return walk.control_patience(result["seconds"].get("boot_processor", 0.0) if result["recovered"] else 0.0)


def _other(booted):
    return {"recovered": not booted.reason, "reason": booted.reason, "boot": booted.seconds}


def _virt_v2v(case, sources, result, path, kept):
    began = time.monotonic()
    try:
        seconds, disk = walk.convert_with_virt_v2v(path, sources.folder, kept + ".conversion.log")
    except (subprocess.CalledProcessError, OSError) as error:
        result["v2v"] = {"recovered": False, "reason": f"virt-v2v failed: {error}", "seconds": round(time.monotonic() - began, 1)}
    else:
        booted = walk.boot(case, sources.built, disk, sources.folder, _patience(result), kept, "qcow2")
        result["v2v"] = dict(_other(booted), seconds=round(seconds, 1))
    say(f"    with virt-v2v: {result['v2v']['reason'] or 'recovered'}")


CONSOLES = {"recovery": "", "control": ".control", "v2v": ".v2v"}
PLAYS = {"recovery": _recover, "control": _control, "v2v": _virt_v2v}


def _arguments():
    parser = argparse.ArgumentParser(prog="matrix", description="Recovers machines of many kinds on hardware of many kinds.")
    parser.add_argument("--set", choices=cases.SETS, default="smoke")
    parser.add_argument("--case", default="", help="one case by its name, also one of no set; it runs even if it has a result")
    parser.add_argument("--fresh", action="store_true", help="run cases that have a result too")
    parser.add_argument("--no-control", dest="control", action="store_false", help="do not boot the disks without fix-ups")
    parser.add_argument("--lanes", type=int, default=os.cpu_count(), help="how many cases run at the same time")
    parser.add_argument("--v2v", action="store_true", help="convert with virt-v2v as well")
    parser.add_argument("--cache", required=True, metavar="DIR")
    parser.add_argument("--output", required=True, metavar="DIR")
    arguments = parser.parse_args()
    if os.geteuid():
        parser.error("disks are built and mounted by root only")
    try:
        if arguments.case:
            cases.parse_case(arguments.case)
    except ValueError as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    main()
