# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module recovery_convert between restore and mount, run by the real ansible-playbook."""

import os

from convert_disks import GPT_BIOS, everything, make_machine, require_grub
from recovery_disks import MIB
from recovery_plays import run_tasks


def test_conversion(tmp_path):
    require_grub()
    path, point, journal = make_machine(tmp_path, GPT_BIOS), str(tmp_path / "shop"), str(tmp_path / "journal")
    original = everything(path)
    disk = {"name": "sda", "path": path, "size": 100 * MIB, "data": 1}
    converted = {"agnostic.recovery.recovery_convert": {
        "disks": [disk], "target": "hyperv-gen2", "mount_point": point, "journal": journal, "backend": "kernel"}}
    undone = {"agnostic.recovery.recovery_convert": {"state": "undone", "journal": journal}}
    mounted = {"agnostic.recovery.recovery_mount": {
        "mount_point": point, "disks": "{{ result1.disks }}", "backend": "kernel", "read_only": True}}
    unmounted = {"agnostic.recovery.recovery_mount": {"mount_point": point, "state": "unmounted"}}
    try:
        check, done, again, on, _off, check_undo, back, nothing = run_tasks(tmp_path, [
            dict(converted, check_mode=True), converted, converted, mounted, unmounted, dict(undone, check_mode=True), undone, undone])
    finally:
        run_tasks(tmp_path, [unmounted])
    assert check["changed"] and done["changed"] and done["firmware"] == "uefi" and len(done["steps"]) == 2
    assert done["disks"][0]["size"] > 100 * MIB and done["disks"][0]["name"] == "sda"
    assert not again["changed"] and again["disks"] == done["disks"] and again["steps"] == done["steps"]
    assert on["changed"] and on["disks"][0]["partitions"][-1]["content"]["kind"] == "vfat"
    assert [each["changed"] for each in (check_undo, back, nothing)] == [True, True, False]
    assert everything(path) == original and not os.path.exists(journal)


def test_what_cannot_be_converted_is_one_sentence(tmp_path):
    require_grub()
    path = make_machine(tmp_path, GPT_BIOS, menu="blscfg\n")
    failed, = run_tasks(tmp_path, [{"agnostic.recovery.recovery_convert": {
        "disks": [{"name": "sda", "path": path}], "target": "hyperv-gen2", "mount_point": str(tmp_path / "shop"),
        "journal": str(tmp_path / "journal"), "backend": "kernel"}, "ignore_errors": True}])
    assert failed["failed"] and "blscfg" in failed["msg"] and "Traceback" not in failed["msg"]
