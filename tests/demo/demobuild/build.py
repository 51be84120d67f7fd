# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the disk of the demo machine, or takes it from the cache.

    tests/demo/build                  prints the path of the cached disk (read-only: it is shared by all runs)
    tests/demo/build --output DIR     leaves a copy of it and build.json in DIR, fresh each time

The disk is built once for each state of the builder's files. Needs root and the packages of packages.txt.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

from . import cache, data, database, disk, root
from .run import BuildError

# What decides how the disk comes out, below tests/demo.
BUILDER = ("build", "demo.yml", "demobuild", "files")


def build(demo, directory, lock):
    """Builds into directory/result; see cache.py."""
    began = time.monotonic()

    def say(text):
        print("demo disk: [%3d s] %s" % (time.monotonic() - began, text), file=sys.stderr, flush=True)

    tree, place, result = (os.path.join(directory, name) for name in ("root", "mount", "result"))
    path = os.path.join(result, demo["disk"]["file"])
    disk.private_mounts()
    say("installing Debian %s" % demo["suite"])
    root.bootstrap(demo, tree, lock)
    say("configuring the machine, making its initramfs")
    kernel = root.configure(demo, tree)
    say("loading %d orders into PostgreSQL" % demo["orders"]["initial"])
    database.create(demo, tree)
    say("making the disk: GPT, ext4, xfs, swap")
    disk.create(demo, path, tree)
    say("copying the files, leaving deleted data in free blocks")
    facts = disk.fill(demo, path, tree, place)
    disk.install_grub(demo, path, tree)
    facts.update({"disk": demo["disk"]["file"], "kernel": kernel, "seconds": round(time.monotonic() - began)})
    with open(os.path.join(result, "build.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=2, sort_keys=True)
        file.write("\n")
    say("done: kernel {kernel}, {used} MiB used, {deleted} MiB deleted".format(
        kernel=kernel, used=facts["used_bytes"] >> 20, deleted=facts["deleted_bytes"] >> 20))


def copy(source, directory):
    """Copies the finished files; a disk of that name appears only when it is whole."""
    os.makedirs(directory, exist_ok=True)
    for name in sorted(os.listdir(source)):
        target = os.path.join(directory, name)
        subprocess.run(["cp", "--sparse=auto", "--reflink=auto", os.path.join(source, name), target + ".partial"], check=True)
        os.rename(target + ".partial", target)


def main():
    parser = argparse.ArgumentParser(prog="build", description="Builds the disk of the demo machine, or takes it from the cache.")
    parser.add_argument("--output", metavar="DIR", help="leave a fresh copy of disk and build.json here")
    parser.add_argument("--cache", metavar="DIR", default=cache.default_directory(), help="default: %(default)s")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    demo = data.load()
    try:
        if os.geteuid():
            raise BuildError("building a disk needs root")
        finished = cache.ensure(arguments.cache, cache.key_of(data.HERE, BUILDER), lambda directory, lock: build(demo, directory, lock))
        if arguments.output:
            with cache.locked(arguments.cache, exclusive=False):
                copy(finished, arguments.output)
        print(os.path.join(arguments.output or finished, demo["disk"]["file"]))
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        sys.exit("demo disk: %s" % error)


if __name__ == "__main__":
    main()
