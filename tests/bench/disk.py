# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark disk: 8 GiB, one ext4 file system of real files, about 60 % used, deleted data in its free space."""

import os
import shutil
import subprocess
import tempfile

SIZE = 8 << 30
USED = int(SIZE * 0.6)
DELETED = 2 << 30
SOURCES = ("/usr", "/var/lib", "/opt", "/root/.pyenv/versions", "/etc")


def _copy(sources, target, limit):
    """Copies real files until `limit` bytes of file system blocks are taken, going round the sources again where they are short."""
    taken = 0
    turn = 0
    while taken < limit:
        turn += 1
        before = taken
        for source in sources:
            for base, _dirs, names in os.walk(source):
                for name in names:
                    path = os.path.join(base, name)
                    if os.path.islink(path) or not os.path.isfile(path):
                        continue
                    size = (os.path.getsize(path) + 4095) // 4096 * 4096
                    if size > 256 << 20:
                        continue
                    copy = os.path.join(target, str(turn), path.lstrip("/"))
                    os.makedirs(os.path.dirname(copy), exist_ok=True)
                    shutil.copyfile(path, copy)
                    taken += size
                    if taken >= limit:
                        return
        if taken == before:
            raise RuntimeError("no files to copy: " + ", ".join(sources))


def build(path):
    """Makes the disk file once; a killed build leaves only `<path>.partial`."""
    if os.path.exists(path):
        return
    partial = path + ".partial"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(partial, "wb") as disk:
        disk.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", partial], check=True)
    mount = tempfile.mkdtemp(prefix="agnostic-recovery-bench-")
    sources = [source for source in SOURCES if os.path.isdir(source)]
    subprocess.run(["mount", "-o", "loop", partial, mount], check=True)
    try:
        gone = os.path.join(mount, "deleted")
        _copy(sources[::-1], gone, DELETED)  # other files than the kept ones, as far as the machine has them
        _copy(sources, os.path.join(mount, "kept"), USED)
        subprocess.run(["sync", "-f", mount], check=True)
        shutil.rmtree(gone)
    finally:
        subprocess.run(["umount", mount], check=True)
        os.rmdir(mount)
    os.rename(partial, path)
