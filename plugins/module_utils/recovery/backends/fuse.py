# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ext2, ext3 and ext4 without the kernel's driver: fuse2fs of e2fsprogs, which takes the partition's offset in the disk file.

It replays the journal when it mounts, but does not write one: the disk is consistent only after an orderly unmount.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import os
import shutil
import subprocess
import time

from .. import processes, syscalls
from ..model import CannotMount

NAME = "fuse"
KINDS = ("ext2", "ext3", "ext4")
_PATIENCE = 120.0       # seconds; a replay of a large journal may come first


def mount_volume(session, volume, place, options, read_only):
    """Mounts `volume` on the directory `place`. Raises CannotMount."""
    del options         # only btrfs has any
    program = shutil.which("fuse2fs")
    if not program:
        raise CannotMount(f"{volume.label}: fuse2fs is not installed on the worker "
                          "(package fuse2fs on Debian and Ubuntu, fuse2fs or e2fsprogs on others)")
    if not os.path.exists("/dev/fuse"):
        raise CannotMount(f"{volume.label}: /dev/fuse does not exist on the worker")
    wanted = ["nosuid", "nodev", "noexec", f"fsname=agnostic.recovery:{session.tag}", f"offset={volume.start}"]
    if read_only or session.untouched:
        wanted += ["ro", "norecovery"] if session.untouched else ["ro"]
    environment = dict(os.environ, LC_ALL="C")
    environment[processes.MARK] = session.tag
    log = session.state.log
    with open(log, "wb") as stream:
        daemon = subprocess.Popen([program, "-f", "-o", ",".join(wanted), volume.path, place.path], env=environment, cwd="/",
                                  stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
    processes.children.add(daemon.pid)
    _await_mount(daemon, volume, place, log)


def _await_mount(daemon, volume, place, log):
    deadline = time.monotonic() + _PATIENCE
    while True:
        entry = syscalls.mount_at(place.path)
        if entry is not None and entry.type.startswith("fuse"):
            return
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            with open(log, encoding="utf-8", errors="replace") as stream:
                said = " ".join(stream.read().split())[-300:]
            raise CannotMount(f"{volume.label}: fuse2fs did not mount it: {said or 'no reason given'}")
        time.sleep(0.02)
