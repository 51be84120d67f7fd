# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A capture that stays in its frozen window for ever: precopy_process.py DISK FOLDER LIMIT.

Prints the process id of its watchdog when the file systems are frozen, and how the capture ended.
"""

import os
import sys
import time

from precopy_disk import capture, repository_at

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Snapshots


class Hang(Snapshots):
    """Stays in `create` until the file systems are not frozen any more, or without an end."""

    def create(self):
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            print(file.read().split()[0], flush=True)
        time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 1e6)


def main(disk, folder, limit):
    with repository_at(folder) as repository:
        try:
            capture(repository, disk, limit=float(limit), snapshots=Hang())
            print("captured", flush=True)
        except RecoveryError as error:
            print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
