# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A safe view of a mounted root file system that nobody vouches for.

A recovered machine may be compromised: its /etc/fstab may be a symbolic link to the worker's /etc/shadow, a FIFO, or larger
than memory. Here every path is resolved inside the root as chroot(2) would resolve it: absolute links restart at the root, ".."
stops there, and the number of links is bounded. Directories are opened one component after the other without following
links, and everything is done relative to the directory so reached, so that a link swapped in between leads nowhere.

Paths are text. Bytes that are no UTF-8 appear as lone surrogates, whatever the locale, and turn back into the same bytes.
"""

import contextlib
import errno
import fnmatch
import os
import stat

from ..errors import MachineError

MAX_LINKS = 40                 # symbolic links in one path; the kernel's own bound (path_resolution(7))
READ_LIMIT = 8 * 1024 * 1024   # bytes; far above any text file that configures a machine


class Tree:
    """The root file system mounted at `root`. All paths are those the machine itself would use, and begin at its own "/".

    `hidden` are paths, free of links, at which nothing seems to be and which are never touched: mount points, in the root of a running
    host, of what is no part of the machine, such as a file server that may not answer.

    Raises `MachineError` for what is missing, cannot be resolved or is not what the call needs; the questions (`exists`,
    `isfile`, `isdir`, `islink`) answer False instead.
    """

    def __init__(self, root, hidden=()):
        self.root = os.path.realpath(root)
        self._hidden = frozenset(hidden)
        if not os.path.isdir(self.root):
            raise MachineError(f"There is no mounted root file system at {self.root}.")

    def __repr__(self):
        return f"Tree({self.root!r})"

    # questions

    def exists(self, path):
        return self._mode(path) is not None

    def isfile(self, path):
        return stat.S_ISREG(self._mode(path) or 0)

    def isdir(self, path):
        return stat.S_ISDIR(self._mode(path) or 0)

    def islink(self, path):
        return stat.S_ISLNK(self._mode(path, follow=False) or 0)

    # places

    def stat(self, path, follow=True):
        """`os.stat_result` of what `path` names; of the link itself if `follow` is false."""
        with self._located(path, follow) as place:
            return place.stat()

    def readlink(self, path):
        """The target of a symbolic link, as written in it."""
        with self._located(path, follow=False) as place:
            return _text(os.readlink(place.name, dir_fd=place.descriptor))

    def resolve(self, path, missing=False):
        """The path free of links and dots, "/usr/lib/…". With `missing`, components at the end need not exist yet."""
        with self._located(path, follow=True, missing=missing) as place:
            if not missing:
                place.stat()
            return place.path

    def host_path(self, path):
        """Where `path` lies on this host, for programs that need a name. It was true when asked: prefer `open` and `directory`."""
        return self.root.rstrip("/") + self.resolve(path)

    @contextlib.contextmanager
    def directory(self, path):
        """A descriptor of the directory, closed on leaving; for `dir_fd` arguments together with O_NOFOLLOW."""
        with self._located(path, follow=True) as place:
            descriptor = os.open(place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place.descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def listdir(self, path):
        """The sorted names in a directory."""
        with self._translated(path), self.directory(path) as descriptor:
            return sorted(_text(os.fsencode(name)) for name in os.listdir(descriptor))

    def glob(self, pattern):
        """Sorted paths that match. "*", "?" and "[…]" match inside one component, a leading dot only if written. No "**"."""
        found = ["/"]
        for part in _components(pattern):
            if any(letter in part for letter in "*?["):
                found = [os.path.join(folder, name) for folder in found for name in self._matches(folder, part)]
            else:
                found = [os.path.join(folder, part) for folder in found]
        return [path for path in found if self._mode(path, follow=False) is not None]

    # contents

    def open(self, path):
        """A regular file, opened for reading bytes. FIFOs, devices and sockets are refused before they are opened."""
        with self._located(path, follow=True) as place:
            self._require_regular(path, place.stat())
            descriptor = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=place.descriptor)
        try:
            self._require_regular(path, os.fstat(descriptor))
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def read_bytes(self, path, limit=READ_LIMIT):
        """The content of a regular file of at most `limit` bytes; `limit` None reads any size."""
        with self._translated(path), self.open(path) as file:
            if limit is None:
                return file.read()
            data = file.read(limit + 1)
        if len(data) > limit:
            raise MachineError(f"{path} in the root file system at {self.root} is larger than {limit} bytes, too much to be read.")
        return data

    def read_text(self, path, limit=READ_LIMIT):
        """The content as text; bytes that are no UTF-8 become lone surrogates, so that encoding with "surrogateescape" restores them."""
        return _text(self.read_bytes(path, limit))

    # how

    def _mode(self, path, follow=True):
        try:
            return self.stat(path, follow).st_mode
        except MachineError:
            return None

    def _matches(self, folder, pattern):
        if not self.isdir(folder):
            return []
        return [name for name in self.listdir(folder)
                if fnmatch.fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))]

    def _require_regular(self, path, status):
        if not stat.S_ISREG(status.st_mode):
            raise MachineError(f"{path} in the root file system at {self.root} is not a regular file.")

    @contextlib.contextmanager
    def _translated(self, path):
        try:
            yield
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise MachineError(f"{path} in the root file system at {self.root} cannot be read: {reason}.") from error

    @contextlib.contextmanager
    def _located(self, path, follow, missing=False):
        with self._translated(path):
            walk = _Walk(self.root, self._hidden)
            try:
                yield walk.to(path, follow, missing)
            finally:
                walk.close()


class _Place:
    """A name in an open directory. The name is not followed any more; "." is the directory itself."""

    def __init__(self, descriptor, name, path):
        self.descriptor = descriptor
        self.name = name
        self.path = path

    def stat(self):
        return os.stat(self.name, dir_fd=self.descriptor, follow_symlinks=False)


class _Walk:
    """The way through a root: descriptors and names of the directories from the root down to where it stands."""

    def __init__(self, root, hidden):
        self._hidden = hidden
        self._descriptors = [os.open(root, os.O_PATH | os.O_DIRECTORY)]
        self._names = []

    def close(self):
        self._leave(0)
        os.close(self._descriptors.pop())

    def to(self, path, follow, missing=False):
        pending = _components(path)[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                self._leave(max(0, len(self._names) - 1))
                continue
            is_hidden = bool(self._hidden) and self._path([name]) in self._hidden
            if is_hidden and not missing:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            target = self._link_target(name, missing) if not is_hidden and (pending or follow) else None
            if target is not None:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    self._leave(0)
                pending.extend(_components(target)[::-1])
            elif not pending:
                return _Place(self._descriptors[-1], _bytes(name), self._path([name]))
            elif missing and (is_hidden or not self._has(name)):
                rest = [name] + pending[::-1]
                if ".." in rest:
                    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
                return _Place(self._descriptors[-1], _bytes(name), self._path(rest))
            else:
                self._enter(name)
        return _Place(self._descriptors[-1], b".", self._path([]))

    def _enter(self, name):
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        self._descriptors.append(os.open(_bytes(name), flags, dir_fd=self._descriptors[-1]))
        self._names.append(name)

    def _leave(self, depth):
        while len(self._names) > depth:
            os.close(self._descriptors.pop())
            self._names.pop()

    def _link_target(self, name, missing):
        try:
            return _text(os.readlink(_bytes(name), dir_fd=self._descriptors[-1]))
        except OSError as error:
            if error.errno == errno.EINVAL or (missing and error.errno == errno.ENOENT):    # no link
                return None
            raise

    def _has(self, name):
        try:
            os.stat(_bytes(name), dir_fd=self._descriptors[-1], follow_symlinks=False)
            return True
        except FileNotFoundError:
            return False

    def _path(self, rest):
        return "/" + "/".join(self._names + rest)


def _components(path):
    return [part for part in path.split("/") if part not in ("", ".")]


def _bytes(text):
    return text.encode("utf-8", "surrogateescape")


def _text(data):
    return data.decode("utf-8", "surrogateescape")
