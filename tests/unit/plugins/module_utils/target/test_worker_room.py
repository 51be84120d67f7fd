# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What workers and clouds have room for."""

import os

from collections import namedtuple

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target.openstack_quota import _difference, _left, COMPUTE
from ansible_collections.agnostic.recovery.plugins.module_utils.target.worker import room


def test_this_machine(tmp_path):
    found = room(str(tmp_path / "not" / "there" / "yet"))
    there = os.statvfs(str(tmp_path))
    assert 0 < found.free <= there.f_blocks * there.f_frsize and 0 < found.memory < 1 << 24 and found.cpus >= 1
    assert found.path == str(tmp_path / "not" / "there" / "yet")


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemAvailable: many\n", "MemAvailable:\n"])
def test_a_machine_that_does_not_tell(tmp_path, text):
    (tmp_path / "meminfo").write_text(text)
    with pytest.raises(TargetError, match="what room this worker has"):
        room(str(tmp_path), str(tmp_path / "meminfo"))


def test_what_a_quota_leaves():
    limits = namedtuple("Limits", "instances instances_used total_cores total_cores_used total_ram")(10, 3, -1, 5, 4096)
    assert _left(limits, COMPUTE) == {"servers": 7, "cores": None, "memory": None}
    assert [_difference(*each) for each in ((3, 5), (0, 0), (None, 1), (5, None))] == [0, 0, None, None]
