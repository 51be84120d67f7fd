# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose root file system is mounted in a folder: folder_host.py ROOT BIND... < JSON

In a mount namespace of its own the folders BIND of this machine are mounted at the same places below ROOT, /etc/cloud gets a file system of
its own, and this process moves into ROOT. Its input is {"exclude", "warm", "spec"}: it does the job "warm" before the move, so that all is
imported then; after it, it judges the host without "exclude" and does the job "spec". Prints {"judged": {target: verdict}, "result"}.
"""

import ctypes
import json
import os
import subprocess
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.recoverability import judge_host
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES

CLONE_NEWNS = 0x20000


def main(root, *binds):
    asked = json.load(sys.stdin)
    tasks.run(asked["warm"], NoProgress())
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    for path in binds:
        mount("--rbind", path, root + path)
    # A file system that is not on the disks: with this file the fix-ups would have one change more.
    mount("-t", "tmpfs", "none", root + "/etc/cloud")
    with open(root + "/etc/cloud/cloud.cfg", "w", encoding="ascii") as file:
        file.write("users: [default]\n")
    os.chroot(root)
    os.chdir("/")
    judged = {judgement.target: judgement.verdict for judgement in judge_host(asked["exclude"], list(PROFILES.values()))[1]}
    print(json.dumps({"judged": judged, "result": tasks.run(asked["spec"], NoProgress())}))


def mount(*arguments):
    subprocess.run(("mount",) + arguments, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
