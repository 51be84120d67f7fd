# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 at every step of mounting and unmounting: a later process cleans up, and nothing that was complete is lost."""

import os
import signal
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import loop, mount, processes, state, syscalls
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.backends import mtools
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.model import RestoredDisk
from recovery_disks import device, ours_attached, run, write

# Every call that changes something outside the process.
STEPS = ((syscalls, "mount"), (syscalls, "unmount"), (loop, "attach"), (state.State, "save"), (state.State, "remove"), (mtools, "_run"),
         (subprocess, "Popen"))


def killed_at(step, after, work):
    """Runs `work` in a child that kills itself before or after its step number `step`. Returns whether it came that far."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    try:
        count = [0]
        for owner, name in STEPS:
            setattr(owner, name, _deadly(getattr(owner, name), count, step, after))
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _deadly(call, count, step, after):
    def wrapper(*args, **kwargs):
        count[0] += 1
        mine = count[0] == step
        if mine and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*args, **kwargs)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapper


def all_steps(start, work, check):
    """Kills before each step; after it is the same as before the next but for the last, and for descriptors that die with the process."""
    step = 1
    while True:
        start()
        came_so_far = killed_at(step, step % 2 == 0, work)
        check()
        if not came_so_far:
            return step
        step += 1


def assert_nothing_left(place):
    assert not syscalls.mounts_below(place[0])
    assert not ours_attached(place[0])
    assert not processes.marked_with(state.tag_of(place[0]))
    assert not os.path.exists(place[0])
    assert [name for name in os.listdir(place[1]) if name.endswith(".json")] == []


@pytest.mark.parametrize("backend", ["auto", "fuse"])
def test_killed_while_mounting(server, place, backend):
    if backend == "fuse" and not os.path.exists("/dev/fuse"):
        pytest.skip("the machine has no /dev/fuse")
    disks = [RestoredDisk("sda", str(server[0]))]

    def check():
        mount.unmount_machine(*place)
        assert_nothing_left(place)

    steps = all_steps(lambda: None, lambda: mount.mount_machine(disks, place[0], backend, state_folder=place[1]), check)
    assert steps > 10
    with device(*(server[0], server[1][1])) as name:
        run("fsck.vfat", "-n", name)


def test_killed_while_unmounting(server, place):
    path, parts = server
    disks = [RestoredDisk("sda", str(path))]
    turn = [0]

    def start():
        turn[0] += 1
        root = mount.mount_machine(disks, place[0], state_folder=place[1]).root
        for folder in ("/boot", "/boot/efi", "/srv/data"):
            write(f"{root}{folder}/turn.txt", str(turn[0]))
            os.makedirs(f"{root}{folder}/folder {turn[0]}")

    def check():
        mount.unmount_machine(*place)
        assert_nothing_left(place)
        with device(path, parts[1]) as name:
            run("fsck.vfat", "-n", name)
            assert run("mtype", "-i", name, "::/turn.txt") == str(turn[0])

    assert all_steps(start, lambda: mount.unmount_machine(*place), check) > 8


def test_next_mount_cleans_up_by_itself(server, place):
    disks = [RestoredDisk("sda", str(server[0]))]
    assert killed_at(12, True, lambda: mount.mount_machine(disks, place[0], state_folder=place[1]))
    assert mount.find_mounted(*place) is None and mount.is_known(*place)
    assert len(mount.mount_machine(disks, place[0], state_folder=place[1]).mounts) == 4
