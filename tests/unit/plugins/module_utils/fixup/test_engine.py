# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan, apply, verify and undo as a whole."""

import json
import os
import shutil
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine, journal, writer

FOLDER = journal.FOLDER


def apply(machine, **options):
    situation = machine.inspect(**options)
    planned = engine.plan(situation)
    applied = engine.apply(machine.tree, planned)
    return situation, planned, applied


def test_plan_writes_nothing_and_is_data(machine):
    before = machine.snapshot()
    planned = engine.plan(machine.inspect())
    assert machine.snapshot() == before
    data = json.loads(json.dumps(change.plan_data(planned)))
    assert {entry["fixup"] for entry in data["changes"]} == {"disk_names", "network", "serial_console", "initramfs"}
    assert all(entry["reason"] and entry["path"].startswith("/") for entry in data["changes"])
    assert {finding.severity for finding in planned.findings} <= {"info"}


def test_apply_verifies_and_a_second_one_changes_nothing(machine):
    situation, planned, applied = apply(machine)
    assert engine.verify(situation) == ()
    assert applied.number == 1 and set(applied.paths) == {entry.path for entry in planned.changes}
    after = machine.snapshot()
    _situation, again, nothing = apply(machine)
    assert again.changes == () and nothing.number == 0
    assert machine.snapshot() == after


def test_undo_brings_back_everything(machine):
    machine.write("/boot/grub/device.map", "(hd0) /dev/sda\n", 0o640)
    before = machine.snapshot()
    apply(machine)
    assert not machine.exists("/boot/grub/device.map")
    assert engine.undoable(machine.tree)
    engine.undo(machine.tree)
    assert machine.snapshot() == before
    assert not machine.exists("/var") and engine.undo(machine.tree) == ()


def test_two_targets_one_after_the_other_are_undone_together(machine):
    before = machine.snapshot()
    apply(machine, drivers="target")
    _situation, planned, applied = apply(machine, target="aws-nitro", drivers="target")
    assert applied.number == 2
    assert any(isinstance(entry, change.AppendArchive) for entry in planned.changes)
    engine.undo(machine.tree)
    assert machine.snapshot() == before


def test_mode_of_a_changed_file_stays(machine):
    apply(machine)
    assert stat.S_IMODE(os.stat(machine.path + "/etc/default/grub").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(machine.path + "/etc/initramfs-tools/hooks/agnostic-recovery").st_mode) == 0o755


def test_names_of_one_file_stay_one_file(machine):
    os.link(machine.path + "/etc/fstab", machine.path + "/etc/fstab.same")
    before = machine.snapshot()
    apply(machine)
    assert os.stat(machine.path + "/etc/fstab").st_ino == os.stat(machine.path + "/etc/fstab.same").st_ino
    assert "UUID=" in machine.read("/etc/fstab.same")
    engine.undo(machine.tree)
    assert machine.snapshot() == before


@pytest.mark.parametrize("step", list(range(1, 16)) + list(range(16, 72, 4)))
def test_a_run_that_stops_anywhere_is_undone(machine, killed_at, step):
    """Every write to the image counts as a step; the process ends before one of them and cleans up nothing."""
    before = machine.snapshot()
    planned = engine.plan(machine.inspect())
    with killed_at(step, "rename", "pwrite", "mkdir", "unlink", "fsync", "ftruncate") as kills:
        engine.apply(machine.tree, planned)
    if not kills:
        return                                   # a whole run has fewer steps
    begun = engine.unfinished(machine.tree)
    engine.recover(machine.tree)
    if begun:
        assert machine.snapshot() == before
    else:
        _without_empty_folders(machine, before)
    situation, _planned, _applied = apply(machine)
    assert engine.verify(situation) == ()


def _without_empty_folders(machine, before):
    """Before the journal exists nothing is changed, and only empty folders of ours can be left."""
    after = machine.snapshot()
    left = set(after) - set(before)
    assert all("/var" in path and (after[path][4] is None or path.endswith(writer.TEMPORARY)) for path in left)
    assert all(after[path] == value for path, value in before.items() if value[4] is not None)
    shutil.rmtree(machine.path + "/var", ignore_errors=True)


def test_undo_refuses_files_that_were_changed_since(machine):
    apply(machine)
    machine.write("/etc/fstab", "# edited on the running machine\n")
    with pytest.raises(FixupError, match="/etc/fstab"):
        engine.undo(machine.tree)
    assert "edited" in machine.read("/etc/fstab") and "UUID=" in machine.read("/boot/grub/grub.cfg")


def test_a_file_that_changes_between_plan_and_apply_stops_it(machine):
    planned = engine.plan(machine.inspect())
    machine.write("/boot/grub/grub.cfg", "other\n")
    before = machine.snapshot()
    with pytest.raises(FixupError, match="changed between"):
        engine.apply(machine.tree, planned)
    engine.recover(machine.tree)
    assert machine.snapshot() == before


def test_a_failed_edit_undoes_the_others(machine, monkeypatch):
    before = machine.snapshot()

    def full(tree, path, offset, data):
        raise FixupError("no space left")

    monkeypatch.setattr(writer, "append_file", full)
    with pytest.raises(FixupError, match="no space"):
        apply(machine)
    assert machine.snapshot() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "state": "begun"}',
                                  '{"format": 1, "state": "begun", "entries": [{"path": 1}], "made": [], "folders": []}'])
def test_damaged_journals_are_an_error(machine, text):
    machine.write(FOLDER + "/1/journal.json", text)
    with pytest.raises(FixupError, match="journal"):
        engine.undo(machine.tree)


def test_diff(machine):
    planned = engine.plan(machine.inspect())
    parts = {part["prepared"].split("\n", 2)[1][4:]: part["prepared"] for part in change.diff(planned.changes)}
    assert "-/dev/sda2\t/  ext4\terrors=remount-ro 0 1\n" in parts["/etc/fstab"] and "\n+UUID=11111111" in parts["/etc/fstab"]
    assert "virtio_scsi.ko" in parts["/boot/initrd.img-6.1.0-9-amd64"]
    # Two fix-ups change this file; the diff is the sum.
    assert parts["/boot/grub/grub.cfg"].count("+\tlinux") == 1


def test_names_that_are_no_text_can_be_printed(machine):
    machine.write("/etc/udev/rules.d/70-caf\udce9.rules", 'ATTR{address}=="52:54:00:aa:00:01", NAME="lan0"\n')
    planned = engine.plan(machine.inspect())
    json.dumps(change.plan_data(planned)).encode("utf-8")
    assert any("caf\\xe9" in entry["path"] for entry in change.plan_data(planned)["changes"])
    assert all(part["prepared"].encode("utf-8") for part in change.diff(planned.changes))
    engine.apply(machine.tree, planned)
    engine.undo(machine.tree)
