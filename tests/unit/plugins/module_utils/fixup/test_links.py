# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Symbolic links that fix-ups make, redirect and remove, and what undo brings back."""

import errno
import json
import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import change, engine, journal
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft

UNITS = "/etc/systemd/system"


@pytest.fixture
def linked(machine):
    """A root with a link that will go and one that will lead elsewhere, both of a time long ago."""
    os.makedirs(machine.path + UNITS + "/multi-user.target.wants")
    for name, target in (("multi-user.target.wants/tools.service", "/lib/systemd/system/tools.service"), ("alias.service", "../x.service")):
        place = f"{machine.path}{UNITS}/{name}"
        os.symlink(target, place)
        os.utime(place, ns=(10 ** 18, 10 ** 18 + 1), follow_symlinks=False)
    return machine


def planned(machine):
    draft = Draft(machine.tree)
    draft.fixup = "test"
    draft.remove_link(UNITS + "/multi-user.target.wants/tools.service", "goes")
    assert draft.write_link(UNITS + "/alias.service", "/dev/null", "masked")
    assert draft.write_link("/etc/new/folder/link", "caf\udce9", "new")
    return change.Plan("kvm", tuple(draft.changes), ())


def test_links_are_changed_and_undone(linked):
    before = linked.snapshot()
    plan = planned(linked)
    assert linked.snapshot() == before
    engine.apply(linked.tree, plan)
    assert not linked.exists(UNITS + "/multi-user.target.wants/tools.service")
    assert os.readlink(linked.path + UNITS + "/alias.service") == "/dev/null"
    assert os.readlink(os.fsencode(linked.path) + b"/etc/new/folder/link") == b"caf\xe9"
    assert [change.summary(entry)["action"] for entry in plan.changes] == ["removed", "changed", "created"]
    assert_nothing_is_left_to_change(linked)
    engine.undo(linked.tree)
    assert linked.snapshot() == before


def assert_nothing_is_left_to_change(machine):
    draft = Draft(machine.tree)
    draft.remove_link(UNITS + "/multi-user.target.wants/tools.service", "goes")
    draft.write_link(UNITS + "/alias.service", "/dev/null", "masked")
    assert draft.changes == []


def test_the_diff_shows_targets(linked):
    parts = [part["prepared"] for part in change.diff(planned(linked).changes)]
    assert any("-symbolic link to ../x.service" in part and "+symbolic link to /dev/null" in part for part in parts)
    assert any("+++ /dev/null" in part and "-symbolic link to /lib/systemd" in part for part in parts)


def test_what_is_no_link_stays(linked):
    linked.write(UNITS + "/own.service", "[Unit]\n")
    draft = Draft(linked.tree)
    assert not draft.write_link(UNITS + "/own.service", "/dev/null", "masked")
    assert not draft.write_link("/etc", "/dev/null", "masked")
    draft.remove_link(UNITS + "/own.service", "goes")
    draft.remove_link("/no/such/link", "goes")
    assert draft.changes == []


def test_a_draft_sees_its_own_links(linked):
    draft = Draft(linked.tree)
    path = UNITS + "/multi-user.target.wants/tools.service"
    assert draft.links(UNITS + "/*.wants/*") == (path,)
    draft.remove_link(path, "goes")
    assert draft.links(UNITS + "/*.wants/*") == () and draft.read_link(path) is None
    draft.write_link(path, "/lib/systemd/system/tools.service", "as before")
    assert journal.edits(draft.changes) == ()


def test_folders_on_the_way_stay_in_the_image(linked, tmp_path):
    (tmp_path / "outside").mkdir()
    os.symlink(str(tmp_path / "outside"), linked.path + "/etc/rc2.d")
    draft = Draft(linked.tree)
    draft.write_link("/etc/rc2.d/S99x", "/dev/null", "test")
    engine.apply(linked.tree, change.Plan("kvm", tuple(draft.changes), ()))
    assert os.listdir(str(tmp_path / "outside")) == []


def test_a_link_that_changed_since_stops_apply_and_undo(linked):
    plan = planned(linked)
    engine.apply(linked.tree, plan)
    os.unlink(linked.path + UNITS + "/alias.service")
    linked.write(UNITS + "/alias.service", "[Unit]\n")
    with pytest.raises(FixupError, match="alias.service"):
        engine.undo(linked.tree)
    os.unlink(linked.path + UNITS + "/alias.service")
    os.symlink("/dev/null", linked.path + UNITS + "/alias.service")
    engine.undo(linked.tree)
    os.unlink(linked.path + UNITS + "/alias.service")
    with pytest.raises(FixupError, match="Plan again"):
        engine.apply(linked.tree, plan)


@pytest.mark.parametrize("step", range(1, 40))
def test_a_run_that_stops_anywhere_is_undone(linked, killed_at, step):
    before = linked.snapshot()
    plan = planned(linked)
    with killed_at(step, "rename", "pwrite", "mkdir", "unlink", "fsync", "symlink"):
        engine.apply(linked.tree, plan)
    begun = journal.numbers(linked.tree)
    engine.undo(linked.tree)
    if begun:
        assert linked.snapshot() == before
    else:
        after = linked.snapshot()
        assert all(after[path] == value for path, value in before.items() if value[4] is not None)


def test_attributes_of_a_link_come_back(linked):
    place = linked.path + UNITS + "/alias.service"
    try:
        os.setxattr(place, "security.selinux", b"system_u:object_r:systemd_unit_file_t:s0\0", follow_symlinks=False)
        os.chown(place, 12, 34, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        pytest.skip("this file system or user cannot set labels of links")
    engine.apply(linked.tree, planned(linked))
    assert os.getxattr(place, "security.selinux", follow_symlinks=False).startswith(b"system_u:object_r:systemd_unit_file_t")
    engine.undo(linked.tree)
    info = os.lstat(place)
    assert (info.st_uid, info.st_gid, info.st_mtime_ns) == (12, 34, 10 ** 18 + 1)
    assert os.getxattr(place, "security.selinux", follow_symlinks=False) == b"system_u:object_r:systemd_unit_file_t:s0\0"


@pytest.mark.parametrize("entry", [{"link_before": 5}, {"link_before": "x", "status": None}, {"link_before": None, "status": {}}])
def test_damaged_entries_are_an_error(linked, entry):
    engine.apply(linked.tree, planned(linked))
    path = journal.FOLDER + "/1/journal.json"
    data = journal.read(linked.tree, 1)
    data["entries"][1].update(entry)
    linked.write(path, json.dumps(data))
    with pytest.raises(FixupError, match="damaged"):
        engine.undo(linked.tree)
