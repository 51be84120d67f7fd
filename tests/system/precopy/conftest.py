# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests of captures of file systems in use."""

import os
import shutil
import tempfile

import pytest

ROOM = 3 << 30      # bytes; disks are sparse and need far less


@pytest.fixture
def work():
    """A folder for disks, in memory where there is room: file systems in use sync all the time."""
    memory = "/dev/shm"
    base = memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > ROOM else None
    folder = tempfile.mkdtemp(prefix="agnostic-recovery-precopy-", dir=base)
    yield folder
    shutil.rmtree(folder)
