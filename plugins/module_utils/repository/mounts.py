# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a directory is on a file system of this host alone, where every process sees a change at once."""

import os

_LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "tmpfs", "ramfs", "overlay")


def is_local(path: str, table: str = "/proc/self/mountinfo") -> bool:
    """False also where it cannot be told. The format of the table is that of proc(5)."""
    place = os.path.realpath(path).rstrip("/") + "/"
    deepest, kind = "", ""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields = line.split()
                point = fields[4].rstrip("/") + "/"
                if place.startswith(point) and len(point) >= len(deepest):      # of several at one point the last is seen
                    deepest, kind = point, fields[fields.index("-") + 1]
    except OSError:
        return False
    return kind in _LOCAL
