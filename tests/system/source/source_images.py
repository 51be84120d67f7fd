# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk images with real file systems for the tests: make, mount, freeze, stop dead, copy by a used map, compare, check."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_map

SHUTDOWN = 0x8004587D           # FS_IOC_SHUTDOWN: the file system stops at once and writes nothing any more
SHUTDOWN_NO_LOG_FLUSH = 2
FREEZE, THAW = 0xC0045877, 0xC0045878


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"this machine lacks {program}")
    if os.geteuid():
        pytest.skip("needs root for loop devices and mounts")


def run(*command, accept=(0,)):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          check=False, env=dict(os.environ, LC_ALL="C"))
    assert done.returncode in accept, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def make_image(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return str(path)


@contextlib.contextmanager
def loop(path, *options):
    device = run("losetup", "--find", "--show", *options, path).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def mounted(path, folder, kind, options="rw"):
    """The file system in the file `path`, mounted; skips the test where the kernel cannot mount it."""
    os.makedirs(folder, exist_ok=True)
    with loop(path) as device:
        done = subprocess.run(["mount", "-t", kind, "-o", options, device, folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        if done.returncode and ("unknown filesystem" in done.stdout or "wrong fs type" in done.stdout):
            raise CannotMount(done.stdout)
        assert not done.returncode, done.stdout
        try:
            yield folder
        finally:
            run("umount", folder)


class CannotMount(Exception):
    pass


@contextlib.contextmanager
def frozen(folder):
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, FREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, THAW, 0)
    finally:
        os.close(fd)


def sync(folder):
    """Write back this file system only: os.sync() would wait for every busy disk of the machine."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        assert not ctypes.CDLL(None).syncfs(fd)
    finally:
        os.close(fd)


def stop_dead(folder):
    """What a power failure leaves: nothing further reaches the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", SHUTDOWN_NO_LOG_FLUSH))
    finally:
        os.close(fd)


def copy_image(path, to):
    run("cp", "--sparse=always", path, to)
    return to


def map_of(path, kind, is_frozen=False):
    """The used map of a file that holds one file system and no partition table: (Ranges, PartMap)."""
    with open_disk(path, "disk", live=True) as source:
        found = used_map(source.read_at, Disk("disk", source.size, content=Content(kind)), is_frozen)
    return found.ranges, found.parts[0]


def copy_used(path, to, ranges):
    """A new file that has the used ranges of `path` and zeros elsewhere."""
    with open(path, "rb") as source, open(to, "wb") as target:
        target.truncate(os.path.getsize(path))
        for start, end in ranges:
            for offset in range(start, end, 1 << 20):
                source.seek(offset)
                data = source.read(min(1 << 20, end - offset))
                if any(data):
                    target.seek(offset)
                    target.write(data)
    return to


def check(image, kind):
    """The file system must be sound by its own checker."""
    if kind == "xfs":
        run("xfs_repair", "-n", image)
    elif kind == "vfat":
        run("fsck.vfat", "-n", image)
    else:
        run("e2fsck", "-fn", image)
