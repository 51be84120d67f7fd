# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All benchmarks of imaging, beside peers in the same run, in turn. Every tool reads the same disk from a warm page cache, and its
time includes a sync of what it wrote. Prints a table and the promises of each section, and writes them as JSON.
"""

import argparse
import json
import os
import signal
import sys

import again
import disk as bench_disk
import engine
import first
import objects
from figures import show, table
from measure import remove

SECTIONS = ("first", "again", "objects")


def main():
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))       # so that what was started and mounted ends too
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, help="folder with room for 50 GB; the disk is kept there")
    parser.add_argument("--rounds", type=int, default=3, help="of the section first")
    parser.add_argument("--tool", action="append", help="in the section first only this tool (may be repeated)")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="only this section (may be repeated)")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    disk = os.path.join(options.work, "disk.raw")
    bench_disk.build(disk)
    work = os.path.join(options.work, "run")
    results = {}
    for section in options.section or SECTIONS:
        remove(work)
        os.makedirs(work)
        with open(os.path.join(work, "key"), "wb") as file:
            file.write(os.urandom(32))
        try:
            results[section] = measure(section, work, disk, options)
        finally:
            remove(work)
    for section, (figures, promises) in results.items():
        show(section, figures, promises)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({section: {"figures": table(figures), "promises": [promise._asdict() for promise in promises]}
                       for section, (figures, promises) in results.items()}, file, indent=2)
    sys.exit(0 if all(promise.met for _figures, promises in results.values() for promise in promises) else 1)


def measure(section, work, disk, options):
    """(figures, promises) of a section."""
    if section == "first":
        figures = first.measure(work, disk, options.rounds, options.tool)
        return figures, first.promises(figures)
    if section == "objects":
        figures = objects.measure(work, disk)
        return figures, objects.promises(figures)
    return again.measure(work, disk, engine.library("repository.repository").DEFAULT_CHUNK_SIZE >> 20)


if __name__ == "__main__":
    main()
