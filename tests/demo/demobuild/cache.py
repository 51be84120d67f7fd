# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cache of built disks: one directory for each state of the builder, complete or not there.

    <cache>/lock              held by the one builder (exclusive) and by those who copy a disk (shared)
    <cache>/building/         the disk that is being built; of no value to anyone else
    <cache>/<key>/            a finished disk and build.json, renamed into place as the last step
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
from typing import Callable, Iterator, Sequence

KEPT = 2


def default_directory() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "agnostic.recovery", "demo")


def key_of(directory: str, names: Sequence[str]) -> str:
    """A hash over names, modes and contents of the files (directories: all below them) that decide what the disk holds."""
    digest = hashlib.sha256()
    for path in sorted(_files(directory, names)):
        with open(os.path.join(directory, path), "rb") as file:
            content = file.read()
        executable = bool(os.stat(os.path.join(directory, path)).st_mode & 0o100)
        digest.update(("%s %d %d\n" % (path, executable, len(content))).encode("utf-8"))
        digest.update(content)
    return digest.hexdigest()[:16]


def _files(directory: str, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        path = os.path.join(directory, name)
        if not os.path.isdir(path):
            yield name
            continue
        for parent, folders, files in os.walk(path):
            folders[:] = [folder for folder in folders if folder != "__pycache__"]
            for file in files:
                yield os.path.relpath(os.path.join(parent, file), directory)


@contextlib.contextmanager
def locked(cache: str, exclusive: bool) -> Iterator[int]:
    """Waits for the lock and yields its file descriptor."""
    os.makedirs(cache, exist_ok=True)
    descriptor = os.open(os.path.join(cache, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def ensure(cache: str, key: str, build: Callable[[str, int], None]) -> str:
    """The directory of the finished disk; calls build(directory, lock) when there is none. Only whole builds are ever seen."""
    finished = os.path.join(cache, key)
    if os.path.isdir(finished):
        os.utime(finished)
        return finished
    with locked(cache, exclusive=True) as lock:
        if os.path.isdir(finished):
            return finished
        building = os.path.join(cache, "building")
        _remove(building)
        os.makedirs(os.path.join(building, "result"))
        try:
            build(building, lock)
            os.rename(os.path.join(building, "result"), finished)
        finally:
            _remove(building)
        _prune(cache, key)
    return finished


def _prune(cache: str, key: str) -> None:
    others = [entry.path for entry in os.scandir(cache) if entry.is_dir() and entry.name != key]
    others.sort(key=os.path.getmtime, reverse=True)
    for path in others[KEPT - 1:]:
        _remove(path)


def _remove(path: str) -> None:
    # --one-file-system: whatever may still be mounted below is not ours to delete.
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)
