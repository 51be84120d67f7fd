# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory store: objects are files below one directory, on a local disk or on NFS.

Crash consistency. A later capture trusts that an object which has its name is whole, so a file gets its final name only after its data
are on stable storage. One fdatasync per object in series would make the disk's latency the speed limit; so objects are
written to temporary files whose write-back is started at once, and a batch of them is synchronised and renamed together, by
the thread whose `put` fills the batch, while other threads go on. `flush` synchronises every directory in which a name was
made or relied upon: an object that another process has just renamed may have a name that is not durable yet.
"""

import errno
import os
import stat
import threading
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set

from ..errors import DamagedObjectError, RepositoryError
from .directory_errors import directory_error
from .mounts import is_local
from .session import Session
from .store import MAX_OBJECT_SIZE, ROOT, Entry, ObjectStore, Peek, check_name, missing

_BATCH_OBJECTS = 32
_BATCH_BYTES = 32 << 20
_LEFTOVERS = {"lost+found", "keys", "tmp"}       # what an interrupted repository_init may have left, or mkfs made
_NETWORK_SETTLE = 120           # seconds; NFS clients may keep what they know of a directory for 60 s (nfs(5), acdirmax)
_NO_SYNC = (errno.EINVAL, errno.EROFS, errno.EOPNOTSUPP)


class _Pending(NamedTuple):
    fd: int
    temporary: str
    name: str
    size: int


class DirectoryStore(ObjectStore):
    """Objects below the directory `path`. Opened by the first call that needs it."""

    def __init__(self, path: str):
        self.path = path
        self.label = path
        self._lock = threading.Lock()
        self._root = -1
        self._session = None                     # type: Optional[Session]
        self._counter = 0
        self._pending = {}                       # type: Dict[str, _Pending]
        self._batch = []                         # type: List[_Pending]
        self._batch_bytes = 0
        self._directories = set()                # type: Set[str]   # known to exist
        self._unsynced = set()                   # type: Set[str]   # to be synchronised by the next flush
        self._failed = None                      # type: Optional[RepositoryError]

    @property
    def settle(self) -> float:
        return 0 if is_local(self.path) else _NETWORK_SETTLE

    # -- the place --------------------------------------------------------------------------------------------------------

    def examine(self) -> bool:
        try:
            found = set(os.listdir(self.path))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise directory_error(error, self.path, "cannot be read") from error
        foreign = sorted(found - _LEFTOVERS)
        if foreign and ROOT not in found:
            raise RepositoryError(f"The directory {self.path} holds other files ({', '.join(foreign[:3])}); "
                                  "give an empty or new one for a repository.")
        return True

    def create(self) -> None:
        if not self.examine():
            try:
                os.makedirs(self.path, exist_ok=True)
            except OSError as error:
                raise directory_error(error, self.path, "cannot be created") from error
        self._open_root()
        self._sync_directory(os.path.dirname(self.path) or "/")

    def _open_root(self) -> int:
        """All paths are taken relative to one open directory, so a mount that goes away is noticed and not written beside."""
        with self._lock:
            if self._root < 0:
                try:
                    self._root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
                except OSError as error:
                    raise directory_error(error, self.path, "cannot be opened") from error
            return self._root

    def _open_session(self) -> Session:
        root = self._open_root()
        with self._lock:
            if self._session is None:
                try:
                    self._session = Session(root)
                except OSError as error:
                    raise directory_error(error, self.path, "cannot be written") from error
            return self._session

    def close(self) -> None:
        with self._lock:
            for item in self._pending.values():
                os.close(item.fd)
            self._pending.clear()
            self._batch, self._batch_bytes = [], 0
            if self._session is not None:
                self._session.remove()
                self._session = None
            if self._root >= 0:
                os.close(self._root)
                self._root = -1

    # -- writing ----------------------------------------------------------------------------------------------------------

    def put(self, name: str, data) -> None:
        item = self._write_temporary(check_name(name), data)
        batch = []                               # type: List[_Pending]
        with self._lock:
            self._pending[name] = item
            self._batch.append(item)
            self._batch_bytes += item.size
            if len(self._batch) >= _BATCH_OBJECTS or self._batch_bytes >= _BATCH_BYTES:
                batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._publish(batch)

    def put_new(self, name: str, data) -> bool:
        item = self._write_temporary(check_name(name), data)
        root = self._root
        directory = os.path.dirname(name)
        try:
            try:
                os.fsync(item.fd)
                self._make_directory(directory)
                try:
                    os.link(item.temporary, name, src_dir_fd=root, dst_dir_fd=root)
                except FileExistsError:
                    # Over NFS a repeated request can report a clash with its own first try: two names tell.
                    if os.fstat(item.fd).st_nlink != 2:
                        return False
            finally:
                os.close(item.fd)
                os.unlink(item.temporary, dir_fd=root)
            self._sync_name(directory)
            return True
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise RepositoryError(f"The file system of {self.path} has no hard links, which a repository needs to commit images "
                                      "safely; use a Linux file system or NFS.") from error
            raise directory_error(error, self.path, "cannot be written") from error

    def flush(self) -> None:
        with self._lock:
            batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._publish(batch)
        if self._failed is not None:
            raise self._failed
        with self._lock:
            unsynced, self._unsynced = self._unsynced, set()
        for directory in sorted(unsynced | {os.path.dirname(name) for name in unsynced}):
            self._sync_directory(directory)

    def delete(self, name: str) -> None:
        if self._unlink(name):
            self._sync_directory(os.path.dirname(name))

    def delete_all(self, names: Iterable[str]) -> None:
        for name in names:
            self._unlink(name)

    def _unlink(self, name: str) -> bool:
        try:
            os.unlink(check_name(name), dir_fd=self._open_root())
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise directory_error(error, self.path, "cannot be changed") from error

    def _write_temporary(self, name: str, data) -> _Pending:
        session = self._open_session()
        with self._lock:
            if self._failed is not None:
                raise self._failed
            self._counter += 1
            temporary = f"{session.path}/{self._counter:x}"
        view = memoryview(data)
        try:
            fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=self._root)
        except OSError as error:
            raise directory_error(error, self.path, "cannot be written") from error
        try:
            written = 0
            while written < len(view):
                written += os.write(fd, view[written:])
            _start_writeback(fd)
        except OSError as error:
            os.close(fd)
            self._discard(temporary)
            raise directory_error(error, self.path, "cannot be written") from error
        return _Pending(fd, temporary, name, len(view))

    def _publish(self, batch: List[_Pending]) -> None:
        """Make a batch durable, then give the files their names. After a failure nothing of the batch that is not durable has one."""
        done = 0
        try:
            for item in batch:
                os.fdatasync(item.fd)
            for item in batch:
                directory = os.path.dirname(item.name)
                self._make_directory(directory)
                os.rename(item.temporary, item.name, src_dir_fd=self._root, dst_dir_fd=self._root)
                done += 1
                with self._lock:
                    self._unsynced.add(directory)
        except OSError as error:
            failure = directory_error(error, self.path, "cannot be written")
            with self._lock:
                self._failed = self._failed or failure
            for item in batch[done:]:
                self._discard(item.temporary)
            raise failure
        finally:
            with self._lock:
                for item in batch:
                    if self._pending.get(item.name) is item:
                        del self._pending[item.name]
            for item in batch:
                os.close(item.fd)

    def _discard(self, temporary: str) -> None:
        try:
            os.unlink(temporary, dir_fd=self._root)
        except OSError:
            pass                                 # the session's directory is removed at the end anyway

    def _make_directory(self, path: str) -> None:
        if not path or path in self._directories:
            return
        parent = os.path.dirname(path)
        self._make_directory(parent)
        try:
            os.mkdir(path, dir_fd=self._root)
        except FileExistsError:
            pass
        with self._lock:
            self._directories.add(path)
            self._unsynced.add(parent)

    def _sync_name(self, directory: str) -> None:
        """Make a name in `directory` durable, and the directories above it."""
        while True:
            self._sync_directory(directory)
            if not directory:
                return
            directory = os.path.dirname(directory)

    def _sync_directory(self, directory: str) -> None:
        try:
            fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise directory_error(error, self.path, "cannot be written") from error

    # -- reading ----------------------------------------------------------------------------------------------------------

    def get(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        fd = self._open_object(name)
        if fd is None:
            raise missing(self.path, name)
        try:
            size = os.fstat(fd).st_size
            if length is None:
                length = max(0, size - offset)
            if length > MAX_OBJECT_SIZE:
                raise DamagedObjectError(f"The object {name} in {self.path} is larger ({size} bytes) than any object can be.")
            data = _read(fd, offset, length)
        except OSError as error:
            raise directory_error(error, self.path, f"cannot be read (object {name})") from error
        finally:
            os.close(fd)
        if len(data) != length:
            raise DamagedObjectError(f"The object {name} in {self.path} is cut short.")
        return data

    def peek(self, name: str, length: int) -> Optional[Peek]:
        fd = self._open_object(name)
        if fd is None:
            return None
        try:
            return Peek(_read(fd, 0, length), os.fstat(fd).st_size)
        except OSError as error:
            raise directory_error(error, self.path, f"cannot be read (object {name})") from error
        finally:
            os.close(fd)

    def size(self, name: str) -> Optional[int]:
        item = self._pending.get(check_name(name))
        if item is not None:
            return item.size
        try:
            status = os.stat(name, dir_fd=self._open_root(), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise directory_error(error, self.path, f"cannot be read (object {name})") from error
        if not stat.S_ISREG(status.st_mode):
            raise DamagedObjectError(f"The object {name} in {self.path} is not a regular file.")
        with self._lock:
            self._unsynced.add(os.path.dirname(name))
        return status.st_size

    def list(self, prefix: str) -> Iterator[str]:
        if prefix and not prefix.endswith("/"):
            raise ValueError("a prefix ends with a slash")
        self._open_root()
        path = prefix.rstrip("/")
        try:
            with os.scandir(os.path.join(self.path, path)) as entries:
                # With their slash, so that the names below come in the order of whole names: "a-b/c" before "a/b".
                found = sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)
        except FileNotFoundError:
            return
        except OSError as error:
            raise directory_error(error, self.path, "cannot be listed") from error
        for name in found:
            if not prefix and name in ("tmp/", "lost+found/"):
                continue
            if not name.endswith("/"):
                yield prefix + name
            else:
                yield from self.list(prefix + name)

    def scan(self, prefix: str) -> Iterator[Entry]:
        for name in self.list(prefix):
            try:
                status = os.stat(name, dir_fd=self._root, follow_symlinks=False)
            except FileNotFoundError:
                continue                         # removed since
            except OSError as error:
                raise directory_error(error, self.path, f"cannot be read (object {name})") from error
            yield Entry(name, status.st_size, status.st_mtime)

    def _open_object(self, name: str) -> Optional[int]:
        """A descriptor of the object's file, or None when there is none."""
        root = self._open_root()
        item = self._pending.get(check_name(name))
        try:
            if item is not None:
                try:
                    return os.open(item.temporary, os.O_RDONLY, dir_fd=root)
                except FileNotFoundError:
                    pass                         # got its name in this moment
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise directory_error(error, self.path, f"cannot be read (object {name})") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise DamagedObjectError(f"The object {name} in {self.path} is not a regular file.")
        return fd


def _start_writeback(fd: int) -> None:
    """Let the kernel begin to write the file out now, so that the fdatasync of the batch finds little left to do.

    POSIX_FADV_DONTNEED starts asynchronous write-back of dirty pages (Linux, mm/fadvise.c); only clean pages would be dropped.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _read(fd: int, offset: int, length: int) -> bytes:
    """`length` bytes, or fewer at the end of the file."""
    data = os.pread(fd, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    got = len(data)
    while got < length:
        part = os.pread(fd, length - got, offset + got)
        if not part:
            break
        parts.append(part)
        got += len(part)
    return b"".join(parts)
