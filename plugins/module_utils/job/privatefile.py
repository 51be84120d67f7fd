# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that hold a secret."""

import os
import tempfile

from ..errors import KeyAccessError


def ensure_private_file(path, data, check):
    """A file with these bytes that only its owner can read; returns whether it had to be changed. Raises KeyAccessError."""
    try:
        if os.path.exists(path):
            with open(path, "rb") as handle:
                if handle.read() == data and os.fstat(handle.fileno()).st_mode & 0o077 == 0:
                    return False
        if not check:
            _replace(path, data)
        return True
    except OSError as error:
        raise KeyAccessError("The file {0} cannot be written: {1}.".format(path, error.strerror))


def _replace(path, data):
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".recovery-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(handle)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
