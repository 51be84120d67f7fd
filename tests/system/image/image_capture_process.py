# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures one disk file, all of it, in a process of its own.

Usage: image_capture_process.py REPOSITORY KEY_FILE MACHINE DISK [WORKERS]. Prints "started" when it begins and then the image id.
"""

import os
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.diskread import CaptureDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.memory import keep_freed_memory
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges


def main(path, key_file, machine, disk, workers="0"):
    with open(key_file, "rb") as file:
        key = KeyFile(file.read())
    keep_freed_memory()
    source = os.open(disk, os.O_RDONLY)
    size = os.lseek(source, 0, os.SEEK_END)
    with DirectoryStore(path) as store:
        repository = open_repository(store, key)
        print("started", flush=True)
        try:
            captured = CaptureDisk("sda", size, 512, lambda offset, length: os.pread(source, length, offset), Ranges([(0, size)]))
            info = capture_image(repository, machine, {}, [captured], "offline", {}, NoProgress(), workers=int(workers))
        except RecoveryError as error:
            sys.exit(str(error))
    print(info.id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
