# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Safe edits inside a root."""

import errno
import os
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError, MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import writer
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("the worker's own")
    return tmp_path / "root"


def test_write_keeps_status_and_leaves_nothing_behind(root):
    path = root / "etc/a"
    path.write_text("old")
    os.chmod(str(path), 0o4750)
    try:
        os.setxattr(str(path), "user.note", b"kept")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    names = os.listxattr(str(path))
    writer.write_file(Tree(str(root)), "/etc/a", b"new", 0o644)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o4750
    assert os.listxattr(str(path)) == names
    assert os.listdir(str(root / "etc")) == ["a"]


def test_a_link_as_last_name_is_not_followed(root):
    (root / "etc/a").symlink_to("../../secret")
    (root / "etc/b").symlink_to(str(root.parent / "secret"))
    tree = Tree(str(root))
    for name in ("a", "b"):
        with pytest.raises(FixupError):
            writer.write_file(tree, "/etc/" + name, b"x", 0o644)
        with pytest.raises(FixupError):
            writer.append_file(tree, "/etc/" + name, 16, b"x")
    assert (root.parent / "secret").read_text() == "the worker's own"


def test_a_draft_stays_in_the_root(root):
    (root / "etc/passwd").symlink_to("/../../secret")
    (root / "etc/out").symlink_to("../..")
    draft = Draft(Tree(str(root)))
    draft.write_text("/etc/passwd", "x", "test")
    draft.write_text("/etc/out/secret", "x", "test")
    assert {change.path for change in draft.changes} == {"/secret"}
    assert all(change.before is None or change.path != "/secret" or change.before == b"x" for change in draft.changes)


def test_things_that_are_no_files_are_reported_and_left(root):
    os.mkfifo(str(root / "etc/fifo"))
    (root / "etc/folder").mkdir()
    (root / "etc/circle").symlink_to("circle")
    with open(str(root / "etc/huge"), "wb") as file:
        file.truncate(1 << 40)
    draft = Draft(Tree(str(root)))
    for name in ("fifo", "folder", "circle", "huge"):
        assert draft.read("/etc/" + name) is None
        draft.write_text("/etc/" + name, "x", "test")
    assert draft.changes == [] and len(draft.findings) >= 4


def test_append_on_failure_leaves_the_old_length(root, monkeypatch):
    (root / "etc/a").write_bytes(b"12345")
    real = os.pwrite
    calls = []

    def fails(descriptor, data, offset):
        calls.append(offset)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(writer.os, "pwrite", fails)
    with pytest.raises(FixupError, match="full"):
        writer.append_file(Tree(str(root)), "/etc/a", 5, bytes(3 << 20))
    assert (root / "etc/a").read_bytes() == b"12345"


def test_append_refuses_a_file_of_another_length(root):
    (root / "etc/a").write_bytes(b"12345")
    with pytest.raises(FixupError, match="Plan again"):
        writer.append_file(Tree(str(root)), "/etc/a", 4, b"x")


def test_draft_collects_changes_of_one_file(root):
    (root / "etc/a").write_text("1\n")
    draft = Draft(Tree(str(root)))
    draft.fixup = "one"
    draft.write_text("/etc/a", "1\n", "the same")
    draft.write_text("/etc/a", "2\n", "first")
    draft.fixup = "two"
    assert draft.read_text("/etc/a") == "2\n"
    draft.write_text("/etc/a", "3\n", "second")
    assert [(change.fixup, change.before, change.after) for change in draft.changes] == [("one", b"1\n", b"2\n"), ("two", b"2\n", b"3\n")]
    assert (root / "etc/a").read_text() == "1\n"


def test_bytes_that_are_no_text_survive(root):
    (root / "etc/a").write_bytes(b"caf\xe9\r\n\xff\n")
    draft = Draft(Tree(str(root)))
    draft.write_text("/etc/a", draft.read_text("/etc/a") + "more\n", "test")
    assert draft.changes[0].after == b"caf\xe9\r\n\xff\nmore\n"


def test_missing_root():
    with pytest.raises(MachineError):
        Tree("/nonexistent/agnostic")
