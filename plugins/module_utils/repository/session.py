# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary directories of writers in a directory repository.

Each writing process has `tmp/<session>/` with a file `lock` in it on which it holds an flock. A later writer removes the directories of
processes that are gone: those whose lock it can take. Where the file system has no locks (an NFS mount without a lock
service), `lock` says so, and such a directory is removed when nothing in it has changed for a week. To remove a
living writer's directory by mistake costs that writer a clear error, never data: nothing under `tmp` is part of an image.
"""

import errno
import fcntl
import os
import time

_LOCKED = b"flock\n"
_UNLOCKED = b"no locks here\n"
_ABANDONED_AFTER = 7 * 86400     # seconds
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Session:
    """One writer's temporary directory; paths are relative to the open directory `root` (a file descriptor)."""

    def __init__(self, root: int):
        self._root = root
        self._lock_fd = -1
        _make_directory(root, "tmp")
        remove_dead(root)
        while self._lock_fd < 0:
            self.path = f"tmp/{int(time.time()):x}-{os.urandom(6).hex()}"
            os.mkdir(self.path, dir_fd=root)
            self._lock_fd = _create_lock(root, self.path + "/lock")

    def remove(self) -> None:
        """Remove the directory with all that is left in it."""
        if self._lock_fd >= 0:
            _remove_directory(self._root, self.path)
            os.close(self._lock_fd)
            self._lock_fd = -1


def remove_dead(root: int) -> None:
    """Remove what writers that are gone have left behind."""
    tmp = os.open("tmp", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
    try:
        names = os.listdir(tmp)
    finally:
        os.close(tmp)
    for name in names:
        _remove_if_dead(root, "tmp/" + name)


def _create_lock(root: int, path: str) -> int:
    """The open, locked lock file, or -1 when another writer took the fresh directory for a dead one (then: once more)."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666, dir_fd=root)
    except FileNotFoundError:
        return -1
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(fd, _LOCKED)
        except BlockingIOError:
            os.close(fd)
            return -1
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            os.write(fd, _UNLOCKED)
        # The lock counts only if the file still has its name: a cleaner may have been between creation and lock.
        if os.fstat(fd).st_nlink == 0:
            os.close(fd)
            return -1
        return fd
    except OSError:
        os.close(fd)
        raise


def _remove_if_dead(root: int, path: str) -> None:
    try:
        fd = os.open(path + "/lock", os.O_RDWR | os.O_NOFOLLOW, dir_fd=root)
    except FileNotFoundError:
        # It died between mkdir and the lock, or is about to make it: only an empty directory may go.
        _remove_empty(root, path)
        return
    except OSError:
        return
    try:
        if os.pread(fd, 64, 0) == _UNLOCKED:
            if time.time() - os.stat(path, dir_fd=root).st_mtime < _ABANDONED_AFTER:
                return
        else:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_directory(root, path)        # with the lock held, so that a writer that was just starting sees it
    except OSError:
        pass
    finally:
        os.close(fd)


def _remove_directory(root: int, path: str) -> None:
    """The lock goes last, so that a removal that is cut short is finished by the next writer."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        try:
            names = os.listdir(fd)
            for name in sorted(names, key=lambda entry: entry == "lock"):
                os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
    except OSError:
        return          # another writer removes it at the same time, or it is not ours to remove
    _remove_empty(root, path)


def _remove_empty(root: int, path: str) -> None:
    try:
        os.rmdir(path, dir_fd=root)
    except OSError:
        pass


def _make_directory(root: int, path: str) -> None:
    try:
        os.mkdir(path, dir_fd=root)
    except FileExistsError:
        pass
