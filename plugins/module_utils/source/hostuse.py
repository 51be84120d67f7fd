# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file systems of this host are mounted read-write from a disk: directly, from its partitions, through loop devices, LVM or LUKS.

Read from /proc/self/mountinfo (proc(5)) and sysfs; where these do not exist (other systems, some containers) nothing is found.
"""

import glob
import os
import re
import stat
from typing import Iterator, List, Set, Tuple

SYS_BLOCK = "/sys/dev/block"
MOUNTINFO = "/proc/self/mountinfo"


def read_write_mounts(disk: os.stat_result) -> List[str]:
    """The mount points, sorted, of what is mounted read-write from the disk file or block device with this status."""
    devices = _with_descendants(_devices_on(disk))
    return sorted({point for device, point in _writable_mounts() if device in devices})


def _devices_on(disk: os.stat_result) -> Set[str]:
    """Block devices ("major:minor") that give access to the disk: itself, and the loop devices backed by it."""
    found = {_number(disk.st_rdev)} if stat.S_ISBLK(disk.st_mode) else set()
    for entry in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            backing = os.stat(_read(entry))
            same = backing.st_rdev == disk.st_rdev if stat.S_ISBLK(disk.st_mode) else os.path.samestat(backing, disk)
            if same:
                found.add(_read(os.path.join(os.path.dirname(os.path.dirname(entry)), "dev")))
        except OSError:
            continue    # the loop device went away, or its file was deleted
    return found


def _with_descendants(devices: Set[str]) -> Set[str]:
    """The devices with their partitions and with what device mapper or MD built on them."""
    found = set()
    waiting = list(devices)
    while waiting:
        device = waiting.pop()
        if device in found:
            continue
        found.add(device)
        base = os.path.join(SYS_BLOCK, device)
        for entry in glob.glob(base + "/*/partition") + glob.glob(base + "/holders/*/dev"):
            try:
                waiting.append(_read(os.path.join(os.path.dirname(entry), "dev")))
            except OSError:
                continue
    return found


def _writable_mounts() -> Iterator[Tuple[str, str]]:
    """(device, mount point) of each mounted file system that is not read-only as a whole."""
    try:
        lines = _read(MOUNTINFO).splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split(" ")
        separator = fields.index("-")
        device, point = fields[2], _unescape(fields[4])
        source, options = _unescape(fields[separator + 2]), fields[separator + 3].split(",")
        if "rw" not in options:
            continue
        yield device, point
        # btrfs mounts carry an anonymous device number; their source names one of the real devices.
        if device.startswith("0:") and source.startswith("/"):
            try:
                status = os.stat(source)
            except OSError:
                continue
            if stat.S_ISBLK(status.st_mode):
                yield _number(status.st_rdev), point


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().rstrip("\n")
