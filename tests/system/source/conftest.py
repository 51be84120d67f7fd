# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests of sources on real file systems."""

import os
import shutil
import tempfile

import pytest

ROOM = 4 << 30      # bytes; images are sparse and need far less


@pytest.fixture
def work():
    """A folder for disk images, in memory where there is room: file systems on loop devices sync thousands of times."""
    memory = "/dev/shm"
    base = memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > ROOM else None
    folder = tempfile.mkdtemp(prefix="agnostic-recovery-source-", dir=base)
    yield folder
    shutil.rmtree(folder)
