# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file systems are of this host alone."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.repository.mounts import is_local

TABLE = """21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /srv rw,relatime shared:2 master:1 - nfs4 server:/export rw
31 30 0:41 / /srv/local rw - xfs /dev/sdb rw
32 21 0:42 / /both rw - ext4 /dev/sdc rw
33 32 0:43 / /both rw - fuse.sshfs host:/ rw
"""


@pytest.mark.parametrize("path, expected", [
    ("/var/recovery", True), ("/srv/recovery", False), ("/srv", False), ("/srv/local/recovery", True), ("/srvother", True), ("/both/x", False)])
def test_the_deepest_mount_decides(tmp_path, path, expected):
    (tmp_path / "mountinfo").write_text(TABLE)
    assert is_local(path, str(tmp_path / "mountinfo")) == expected


def test_what_cannot_be_told_is_not_local(tmp_path):
    assert not is_local("/srv", str(tmp_path / "missing"))
