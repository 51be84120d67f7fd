# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an error of the operating system means for a directory store, and what to do about it."""

import errno

from ..errors import RepositoryError

_GONE = " Its disk or mount has failed or gone away: check it, then run this again."
_ADVICE = {
    errno.ENOSPC: " The file system is full: make room there and run this again; what is stored so far stays valid and is not stored "
                  "twice.",
    errno.EDQUOT: " The disk quota is used up: raise it or make room, then run this again.",
    errno.EROFS: " It is mounted read-only: mount it read-write (after a look at the kernel log: errors can be the cause).",
    errno.EACCES: " Run this as a user who may, or change the directory's owner and mode.",
    errno.EPERM: " Run this as a user who may, or change the directory's owner and mode.",
    errno.ENOENT: " Check the path and that its file system is mounted.",
    errno.ENOTDIR: " Check the path: it must be a directory.",
    errno.EIO: _GONE,
    errno.ESTALE: _GONE,
    errno.ENODEV: _GONE,
    errno.ENXIO: _GONE,
    errno.ENOTCONN: _GONE,
    errno.ETIMEDOUT: _GONE,
}


def directory_error(error: OSError, path: str, what: str) -> RepositoryError:
    """One message for the operator; `what` could not be done with the repository directory at `path`."""
    advice = _ADVICE.get(error.errno, "")
    return RepositoryError(f"The repository directory {path} {what}: {error.strerror}.{advice}")
