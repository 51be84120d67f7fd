# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a block device was written to between two moments, by the counters that the kernel keeps (Documentation/block/stat.rst).

They count what was completed; what is on its way shows in the number of requests in flight. Both moments must show none, or be followed by a
sync. Counters that are switched off (queue/iostats) prove nothing.
"""

import os
from typing import Optional, Tuple

SYS_BLOCK = "/sys/dev/block"

# Positions in the line of "stat": completed writes, sectors written, requests in flight, discards (Linux 4.18).
_WRITES, _WRITTEN, _IN_FLIGHT, _DISCARDS = 4, 6, 8, 11


def writes_to(device: str) -> Optional[Tuple[int, int, int]]:
    """(writes, sectors written, discards) of the block device "major:minor" since it exists; None: cannot be told."""
    base = os.path.join(SYS_BLOCK, device)
    whole = os.path.realpath(base) + "/.." if os.path.exists(os.path.join(base, "partition")) else base
    try:
        with open(os.path.join(whole, "queue/iostats"), encoding="ascii") as file:
            if file.read().strip() != "1":
                return None
        with open(os.path.join(base, "stat"), encoding="ascii") as file:
            fields = [int(field) for field in file.read().split()]
    except (OSError, ValueError):
        return None
    if len(fields) <= _DISCARDS or fields[_IN_FLIGHT]:
        return None
    return fields[_WRITES], fields[_WRITTEN], fields[_DISCARDS]
