# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Safe edits of files in a mounted root that nobody vouches for.

Every path is reached by `Tree.directory`, that is, component by component without following a link out of the root; the last name is
then used relative to that descriptor with O_NOFOLLOW. A file is replaced by a synced temporary file in its own folder and a rename, so
it is whole at every moment. One with several names (hard links) is rewritten in place, so that its names stay one file; the journal
holds the original.
"""

import contextlib
import errno
import os
import stat

from typing import Dict, NamedTuple, Optional, Tuple

from ..errors import FixupError

LABEL = "security.selinux"                       # xattr(7)
TEMPORARY = ".agnostic-recovery-new"             # suffix of files that a killed run may leave; undo removes them

_BLOCK = 1024 * 1024


class Status(NamedTuple):
    """What an edit must keep and undo must bring back."""
    mode: int                                    # as st_mode
    uid: int
    gid: int
    atime: int                                   # ns since 1970
    mtime: int                                   # ns since 1970
    xattrs: Dict[str, bytes]                     # ACLs, capabilities and the SELinux label among them


@contextlib.contextmanager
def place(tree, path):
    """(descriptor of the folder, name) of a canonical path; operating system errors come out as FixupError."""
    folder, name = os.path.split(path)
    try:
        with tree.directory(folder) as descriptor:
            yield descriptor, name
    except OSError as error:
        raise FixupError(f"{path} in the recovery image at {tree.root} cannot be changed: {_why(error)}.") from error


def _why(error):
    if error.errno == errno.EPERM:
        return "operation not permitted (is it immutable? see lsattr, chattr -i)"
    if error.errno == errno.EROFS:
        return "its file system is mounted read-only (is it damaged or in need of fsck?)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "its file system is full"
    return error.strerror or str(error)


def _open(folder, name, flags, mode=0o600):
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode, dir_fd=folder)


def _open_regular(folder, name, flags):
    descriptor = _open(folder, name, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FixupError(f"{name} is no regular file any more.")
    return descriptor


def _status(descriptor):
    info = os.fstat(descriptor)
    try:
        xattrs = {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        xattrs = {}
    return Status(info.st_mode, info.st_uid, info.st_gid, info.st_atime_ns, info.st_mtime_ns, xattrs)


def read_status(tree, path) -> Status:
    with place(tree, path) as (folder, name):
        descriptor = _open_regular(folder, name, os.O_RDONLY)
        try:
            return _status(descriptor)
        finally:
            os.close(descriptor)


def read_label(tree, path: str) -> Optional[bytes]:
    """The SELinux label of anything, links not followed: b"" without one, None where the file system, as it is mounted, keeps none."""
    with place(tree, path) as (folder, name):
        try:
            return os.getxattr(_way(folder, name), LABEL, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENODATA:
                return b""
            if error.errno == errno.ENOTSUP:
                return None
            raise


def write_file(tree, path: str, data: bytes, mode: int, label: bytes = b"") -> None:
    """Gives the file a new content. An existing one keeps its status; a new one is root's, with `mode` and the SELinux label `label`, or
    without one its folder's.
    """
    with place(tree, path) as (folder, name):
        try:
            old = _open_regular(folder, name, os.O_RDONLY)
        except FileNotFoundError:
            _replace(folder, name, data, _new_status(folder, mode, label))
            return
        try:
            status, links = _status(old), os.fstat(old).st_nlink
        finally:
            os.close(old)
        if links > 1:
            _rewrite(folder, name, data)
        else:
            _replace(folder, name, data, status)


def restore_file(tree, path: str, data: bytes, status: Status) -> None:
    """Brings back a content with its whole status, times included. A file that now has several names keeps them."""
    with place(tree, path) as (folder, name):
        try:
            descriptor = _open_regular(folder, name, os.O_RDONLY)
            links = os.fstat(descriptor).st_nlink
            os.close(descriptor)
        except FileNotFoundError:
            links = 1
        if links > 1:
            _rewrite(folder, name, data, status)
        else:
            _replace(folder, name, data, status, times=True)


def _replace(folder, name, data, status, times=False):
    temporary = name + TEMPORARY
    _unlink(folder, temporary)
    descriptor = _open(folder, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            _write_all(descriptor, data)
            _set_status(descriptor, status, times)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _unlink(folder, temporary)
        raise
    os.fsync(folder)


def _rewrite(folder, name, data, status=None):
    descriptor = _open_regular(folder, name, os.O_WRONLY)
    try:
        _write_all(descriptor, data)
        os.ftruncate(descriptor, len(data))
        if status is not None:
            _set_status(descriptor, status, True)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_file(tree, path: str, offset: int, data: bytes) -> None:
    """Writes `data` behind the first `offset` bytes, which must be the whole file. On failure the file is as long as before.

    In place: what is in front is never touched, so an interrupted append leaves an initramfs that works as before up to its old end, a
    full /boot needs room for the addition only, and boot loaders' and other names of the file stay valid.
    """
    with place(tree, path) as (folder, name):
        descriptor = _open_regular(folder, name, os.O_WRONLY)
        try:
            if os.fstat(descriptor).st_size != offset:
                raise FixupError(f"{path} changed between plan and apply. Plan again.")
            try:
                _write_all(descriptor, data, offset)
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, offset)
                raise
        finally:
            os.close(descriptor)


def read_link(tree, path: str) -> Tuple[Optional[str], Optional[Status]]:
    """(target, status) of a symbolic link, (None, None) when nothing is there. Raises FixupError for anything else."""
    with place(tree, path) as (folder, name):
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None, None
        if not stat.S_ISLNK(info.st_mode):
            raise FixupError(f"{path} in the recovery image at {tree.root} is no symbolic link.")
        way = _way(folder, name)
        xattrs = {key: os.getxattr(way, key, follow_symlinks=False) for key in _names(way, follow_symlinks=False)}
        status = Status(info.st_mode, info.st_uid, info.st_gid, info.st_atime_ns, info.st_mtime_ns, xattrs)
        return os.fsencode(os.readlink(name, dir_fd=folder)).decode("utf-8", "surrogateescape"), status


def write_link(tree, path: str, target: str, status: Optional[Status] = None, label: bytes = b"") -> None:
    """Makes a symbolic link, or replaces one. It gets the whole `status`, times included; without one it is root's, with the SELinux
    label of the link that it replaces. A new one gets `label`, or without it its folder's.
    """
    _target, old = read_link(tree, path)
    with place(tree, path) as (folder, name):
        temporary = name + TEMPORARY
        _unlink(folder, temporary)
        os.symlink(target.encode("utf-8", "surrogateescape"), os.fsencode(temporary), dir_fd=folder)
        try:
            way = _way(folder, temporary)
            if status is not None:
                os.chown(temporary, status.uid, status.gid, dir_fd=folder, follow_symlinks=False)
                for key, value in status.xattrs.items():
                    _set_xattr(way, key, value, follow_symlinks=False)
                os.utime(temporary, ns=(status.atime, status.mtime), dir_fd=folder, follow_symlinks=False)
            else:
                wanted = old.xattrs.get(LABEL, b"") if old is not None else _new_label(folder, label)
                if wanted:
                    _set_xattr(way, LABEL, wanted, follow_symlinks=False)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _unlink(folder, temporary)
            raise
        os.fsync(folder)


def _way(folder, name):
    """A name for calls that take no folder: xattr calls can address a link itself only by a path."""
    return f"/proc/self/fd/{folder}/{name}"


def truncate_file(tree, path: str, size: int, status: Status) -> None:
    """Cuts an extended file back to its old size and gives it its old status."""
    with place(tree, path) as (folder, name):
        descriptor = _open_regular(folder, name, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            _set_status(descriptor, status, True)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_file(tree, path: str) -> None:
    """Removes a file, or what a killed replacement of it left; it is no error when it is gone."""
    with place(tree, path) as (folder, name):
        _unlink(folder, name)
        os.fsync(folder)


def remove_temporary(tree, path: str) -> None:
    with place(tree, path) as (folder, name):
        _unlink(folder, name + TEMPORARY)


def make_folder(tree, path: str, mode: int, label: bytes) -> None:
    """An empty `label` gives it that of the folder around it."""
    with place(tree, path) as (folder, name):
        os.mkdir(name, mode, dir_fd=folder)
        descriptor = _open(folder, name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _set_status(descriptor, _new_status(folder, mode, label), False)
        finally:
            os.close(descriptor)
        os.fsync(folder)


def remove_folder(tree, path: str) -> None:
    """Removes an empty folder; one that holds something stays."""
    with place(tree, path) as (folder, name):
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def folder_times(tree, path: str):
    """(atime, mtime) in ns."""
    info = tree.stat(path)
    return info.st_atime_ns, info.st_mtime_ns


def set_folder_times(tree, path: str, atime: int, mtime: int) -> None:
    with place(tree, path + "/.") as (folder, _name):
        os.utime(folder, ns=(atime, mtime))


def _unlink(folder, name):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _write_all(descriptor, data, offset=0):
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view[:_BLOCK], offset)
        view = view[written:]
        offset += written


def _new_status(folder, mode, label):
    """Of something new, which is root's."""
    label = _new_label(folder, label)
    return Status(mode, 0, 0, 0, 0, {LABEL: label} if label else {})


def _new_label(folder, wanted):
    """Of something new: without a wish its folder's, as the kernel would give it. b"" where the file system keeps no labels."""
    try:
        own = os.getxattr(folder, LABEL)
    except OSError as error:
        return wanted if error.errno == errno.ENODATA else b""
    return wanted or own


def _set_status(descriptor, status, times):
    os.fchown(descriptor, status.uid, status.gid)
    os.fchmod(descriptor, stat.S_IMODE(status.mode))
    for name in _names(descriptor):
        if name not in status.xattrs:
            os.removexattr(descriptor, name)
    for name, value in status.xattrs.items():
        _set_xattr(descriptor, name, value)
    if times:
        os.utime(descriptor, ns=(status.atime, status.mtime))


def _set_xattr(target, name, value, **how):
    try:
        os.setxattr(target, name, value, **how)
    except OSError as error:
        # security/selinux/hooks.c, selinux_inode_setxattr
        if name == LABEL and error.errno in (errno.EINVAL, errno.EACCES):
            raise FixupError(
                f"This worker does not let files have the SELinux label {value!r}, as its own SELinux policy does not know it. "
                "Recover on a worker without SELinux, or give this run the right mac_admin."
            ) from error
        raise


def _names(target, **how):
    try:
        return os.listxattr(target, **how)
    except OSError:
        return []
