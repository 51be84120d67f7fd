# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a block device was written to between two moments, by the counters that the kernel keeps (Documentation/block/stat.rst).

They count what was completed; while requests are in flight, and where the counters are switched off (queue/iostats), they prove nothing.
"""

import glob
import os
from typing import Optional, Tuple

SYS_BLOCK = "/sys/dev/block"

Writes = Tuple[int, int, int]

# Positions in the line of "stat": completed writes, sectors written, requests in flight, discards (Linux 4.18).
_WRITES, _WRITTEN, _IN_FLIGHT, _DISCARDS = 4, 6, 8, 11


def writes_to(device: str) -> Optional[Writes]:
    """(writes, sectors written, discards) of the block device "major:minor" since it exists; None: cannot be told."""
    base = os.path.join(SYS_BLOCK, device)
    return _writes(base) if _counted(base) else None


def writes_beside_partitions(disk: str) -> Optional[Writes]:
    """As `writes_to`, of the disk without what went to its partitions, which the disk's own counters have too."""
    base = os.path.join(SYS_BLOCK, disk)
    if not _counted(base):
        return None
    found = [_writes(base)] + [_writes(os.path.dirname(entry)) for entry in sorted(glob.glob(base + "/*/partition"))]
    if None in found or _writes(base) != found[0]:
        return None              # something was written while we were counting
    return tuple(count - sum(part[index] for part in found[1:]) for index, count in enumerate(found[0]))


def _counted(base: str) -> bool:
    whole = os.path.realpath(base) + "/.." if os.path.exists(os.path.join(base, "partition")) else base
    try:
        with open(os.path.join(whole, "queue/iostats"), encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def _writes(base: str) -> Optional[Writes]:
    try:
        with open(os.path.join(base, "stat"), encoding="ascii") as file:
            fields = [int(field) for field in file.read().split()]
    except (OSError, ValueError):
        return None
    if len(fields) <= _DISCARDS or fields[_IN_FLIGHT]:
        return None
    return fields[_WRITES], fields[_WRITTEN], fields[_DISCARDS]
