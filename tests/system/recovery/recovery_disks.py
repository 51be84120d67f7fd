# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds real disks for the tests: partition tables by sfdisk, file systems by mkfs on loop devices, files by mounting them."""

import contextlib
import glob
import hashlib
import os
import subprocess
from typing import NamedTuple

from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import loop, state, syscalls

MIB = 1 << 20
OS_RELEASE = "ID=debian\nVERSION_ID=12\n"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
MAKERS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "ext2": ["mkfs.ext2", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "vfat": ["mkfs.vfat"],
    "swap": ["mkswap", "-q"],
}


class Part(NamedTuple):
    number: int
    start: int      # bytes
    size: int


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    assert done.returncode == 0, (command, done.stderr.decode())
    return done.stdout.decode()


def make_disk(path, size_mib, script):
    """A disk file with the partition table of an sfdisk script. Returns {number: Part}."""
    with open(path, "wb") as disk:
        disk.truncate(size_mib * MIB)
    run("sfdisk", "-q", str(path), input=script.encode())
    parts = {}
    for line in run("sfdisk", "-d", str(path)).splitlines():
        if " start=" not in line:
            continue
        name, _separator, fields = line.partition(" : ")
        values = dict(field.strip().partition("=")[::2] for field in fields.split(","))
        number = int(name[len(str(path)):].strip().lstrip("p"))
        parts[number] = Part(number, int(values["start"]) * 512, int(values["size"]) * 512)
    return parts


@contextlib.contextmanager
def device(path, part=None):
    """A loop device over a partition, or over the whole disk."""
    descriptor, name = loop.attach(str(path), part.start if part else 0, part.size if part else 0, False, "recovery-tests")
    try:
        yield name
    finally:
        os.close(descriptor)


def make_fs(path, part, kind, *options):
    with device(path, part) as name:
        run(*MAKERS[kind], *options, name)


@contextlib.contextmanager
def mounted(path, part, kind, folder, data=""):
    """The file system mounted at `folder`; independent of the code under test but for the system call."""
    os.makedirs(folder, exist_ok=True)
    with device(path, part) as name:
        syscalls.mount(name, str(folder), kind, 0, data)
        try:
            yield folder
        finally:
            syscalls.unmount(str(folder))


def fill_root(folder, fstab, folders=()):
    """The least that makes a file system look like the root of a Linux machine."""
    for name in ("etc", "usr/bin") + tuple(folders):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    write(os.path.join(folder, "etc/os-release"), OS_RELEASE)
    write(os.path.join(folder, "etc/fstab"), fstab)


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def contents(path):
    """A digest of all that is stored in the disk file, with its place; holes are skipped."""
    total, offset = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as disk:
        end = disk.seek(0, os.SEEK_END)
        while True:
            try:
                start = os.lseek(disk.fileno(), offset, os.SEEK_DATA)
            except OSError:
                return total.hexdigest()
            offset = os.lseek(disk.fileno(), start, os.SEEK_HOLE)
            for place in range(start, offset, MIB):
                data = os.pread(disk.fileno(), min(MIB, offset - place), place)
                total.update(b"%d %d" % (place, end) + data)


def ours_attached(place):
    """The loop devices that belong to a mount point, whichever disk they are over."""
    devices = (loop._status(path) for path in glob.glob("/dev/loop[0-9]*"))
    return [device for device in devices if device and device.name == f"agnostic.recovery:{state.tag_of(place)}"]
