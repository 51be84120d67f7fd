# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds the disks of the live machines, or takes them from the cache:

    <cache>/<key>/ssh-key, ssh-key.pub      the key that opens the machines
    <cache>/<key>/<machine>/sda.raw …       their disks, sparse; copy them before use

Needs root and the packages of tests/demo/packages.txt and lvm2.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import yaml
from demobuild import cache, disk
from demobuild.run import BuildError, run

from . import disks, root

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILDER = ("build", "live.yml", "livebuild", "../demo/demobuild")


def load():
    with open(os.path.join(HERE, "live.yml"), encoding="utf-8") as file:
        return yaml.safe_load(file)["live"]


def build(live, directory, lock):
    """Builds into directory/result; see demobuild/cache.py."""
    began = time.monotonic()

    def say(text):
        print("live machines: [%3d s] %s" % (time.monotonic() - began, text), file=sys.stderr, flush=True)

    tree, place, result = (os.path.join(directory, name) for name in ("root", "mount", "result"))
    disk.private_mounts()
    key = os.path.join(result, "ssh-key")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "agnostic.recovery live test", "-f", key])
    say("installing Debian %s" % live["suite"])
    root.bootstrap(live, tree, lock)
    say("configuring it, making its initramfs and its database")
    kernel = root.configure(live, tree, key + ".pub")
    for name, machine in live["machines"].items():
        say("disks of machine %s" % name)
        os.mkdir(os.path.join(result, name))
        disks.create(machine, os.path.join(result, name), tree, place, root.texts(name, machine, kernel))
    say("done")


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    live = load()
    place = os.path.join(os.path.dirname(cache.default_directory()), "live")
    try:
        if os.geteuid():
            raise BuildError("building disks needs root")
        print(cache.ensure(place, cache.key_of(HERE, BUILDER), lambda directory, lock: build(live, directory, lock)))
    except (BuildError, OSError, subprocess.CalledProcessError, shutil.Error) as error:
        sys.exit("live machines: %s" % error)


if __name__ == "__main__":
    main()
