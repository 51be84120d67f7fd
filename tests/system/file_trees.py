# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies below a folder, to be compared with another."""

import hashlib
import os
import stat


def tree_of(folder):
    """Path -> what can be told of each file below the folder, with a digest of its content."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            status = os.lstat(path)
            entry = [status.st_mode, status.st_nlink]
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    entry += [status.st_size, hashlib.sha256(file.read()).hexdigest()]
            found[os.path.relpath(path, folder)] = entry
    return found
