# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module recovery_mount, run by the real ansible-playbook."""

import os

from ansible_collections.agnostic.recovery.plugins.module_utils.recovery import syscalls
from recovery_plays import run_tasks


def test_module(server, tmp_path):
    path, point = str(server[0]), str(tmp_path / "shop")
    disk = {"name": "sda", "path": path, "size": os.path.getsize(path), "data": 1}
    mounted = {"agnostic.recovery.recovery_mount": {"mount_point": point, "disks": [disk]}}
    unmounted = {"agnostic.recovery.recovery_mount": {"mount_point": point, "state": "unmounted"}}
    refused = {"agnostic.recovery.recovery_mount": {"mount_point": str(tmp_path / "two"), "disks": [{"name": "sda", "path": path}]}}
    written = {"ansible.builtin.copy": {"content": "x", "dest": point + "/boot/written"}}
    tasks = [dict(mounted, check_mode=True), mounted, mounted, written, dict(refused, ignore_errors=True),
             dict(unmounted, check_mode=True), unmounted, unmounted]
    try:
        check, first, again, _written, second_user, check_unmount, away, nothing = run_tasks(tmp_path, tasks)
    finally:
        for entry in reversed(syscalls.mounts_below(point)):
            syscalls.unmount(entry.path, syscalls.MNT_DETACH)
    assert check["changed"] and check["mounts"] == [] and check["disks"] == first["disks"]
    assert first["changed"] and first["root"] == point
    assert [each["path"] for each in first["mounts"]] == ["/", "/boot", "/boot/efi", "/srv/data"]
    assert [(each["spec"][:13], each["path"], each["reason"]) for each in first["missing"]] == [
        ("UUID=99999999", "/mnt/gone", "no volume of the given disks matches")]
    assert not again["changed"] and again["mounts"] == first["mounts"]
    assert second_user["failed"] and "in use by the machine mounted at" in second_user["msg"]
    assert [each["changed"] for each in (check_unmount, away, nothing)] == [True, True, False]
    assert not os.path.exists(point)
