# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a worker has room for."""

import os

from typing import NamedTuple

from ..errors import TargetError


class WorkerRoom(NamedTuple):
    path: str            # the folder that was asked for
    free: int            # bytes that root may still write there
    memory: int          # MiB that programs can take without swapping
    cpus: int


def room(path: str, meminfo: str = "/proc/meminfo") -> WorkerRoom:
    """`path` need not exist yet: the file system counts that it would be made on. Raises TargetError."""
    place = os.path.abspath(path)
    while not os.path.isdir(place) and place != "/":
        place = os.path.dirname(place)
    try:
        found = os.statvfs(place)
        with open(meminfo, encoding="ascii") as file:
            # proc(5): "MemAvailable:    1234 kB"
            memory = {name: int(rest.split()[0]) for name, _colon, rest in (line.partition(":") for line in file)}["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise TargetError(f"Nobody can tell what room this worker has at {place}: {error}.") from error
    return WorkerRoom(path, found.f_bfree * found.f_frsize, memory // 1024, len(os.sched_getaffinity(0)))
