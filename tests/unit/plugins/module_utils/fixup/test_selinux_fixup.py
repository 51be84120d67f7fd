# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SELinux labels of what fix-ups create."""

import errno
import os
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import FixupError
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, journal, writer
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.labels import Labels
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import selinux

BASE = "/etc/selinux/targeted/contexts/files/file_contexts"
RULES = """
/.*                                 system_u:object_r:default_t:s0
/etc(/.*)?                          system_u:object_r:etc_t:s0
/etc/made.*                   --    system_u:object_r:made_t:s0
/etc/none/.*                        <<none>>
/var/lib(/.*)?                      system_u:object_r:var_lib_t:s0
/usr/lib/systemd/system(/.*)? -l    system_u:object_r:systemd_unit_t:s0
"""
FOLDER_LABEL = b"system_u:object_r:folder_t:s0\0"


def label(machine, path):
    return os.getxattr(machine.path + path, writer.LABEL, follow_symlinks=False).rstrip(b"\0").decode()


@pytest.fixture
def labelled(machine):
    """The machine with SELinux; its folders have a label that no rule gives."""
    try:
        os.setxattr(machine.path, writer.LABEL, FOLDER_LABEL)
    except OSError as error:
        pytest.skip(f"files in {machine.path} cannot have SELinux labels: {error.strerror}")
    machine.write("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
    machine.write(BASE, RULES)
    machine.write(BASE + ".subs_dist", "/etc/systemd/system /usr/lib/systemd/system\n")
    for folder, _folders, _files in os.walk(machine.path):
        os.setxattr(folder, writer.LABEL, FOLDER_LABEL)
    return machine


def fix_up(machine, change):
    """Plans by `change`, a function of a draft, and the fix-up for labels; applies; gives situation, findings and problems."""
    situation = machine.inspect()
    draft = Draft(machine.tree)
    draft.fixup = "test"
    change(draft)
    draft.fixup = selinux.NAME
    selinux.plan(situation, draft)
    engine.apply(machine.tree, engine.Plan("kvm", tuple(draft.changes), tuple(draft.findings)))
    return situation, draft.findings, selinux.verify(situation)


def make_some(draft):
    draft.write_text("/etc/made.conf", "x", "test")
    draft.write_text("/etc/new/deep/a", "x", "test")
    draft.write_text("/srv/a", "x", "test")
    draft.write_text("/etc/none/a", "x", "test")
    draft.write_link("/etc/systemd/system/a.service", "/dev/null", "test")
    draft.write_text("/etc/default/grub", "changed", "test")


def test_new_files_get_the_label_of_the_policy(labelled):
    before = labelled.snapshot()
    own = "system_u:object_r:odd_t:s0"
    os.setxattr(labelled.path + "/etc/default/grub", writer.LABEL, own.encode() + b"\0")
    _situation, findings, problems = fix_up(labelled, make_some)
    assert findings == [] and problems == []
    assert {path: label(labelled, path).split(":")[2] for path in (
        "/etc/made.conf", "/etc/new", "/etc/new/deep", "/etc/new/deep/a", "/srv/a", "/etc/systemd/system/a.service", "/etc/none", "/etc/none/a",
        journal.FOLDER, journal.FOLDER + "/1/journal.json", journal.FOLDER + "/1/original-5",
    )} == {
        "/etc/made.conf": "made_t", "/etc/new": "etc_t", "/etc/new/deep": "etc_t", "/etc/new/deep/a": "etc_t", "/srv/a": "default_t",
        "/etc/systemd/system/a.service": "systemd_unit_t", "/etc/none": "etc_t", "/etc/none/a": "etc_t",
        journal.FOLDER: "var_lib_t", journal.FOLDER + "/1/journal.json": "var_lib_t", journal.FOLDER + "/1/original-5": "var_lib_t",
    }
    # What was there keeps its own, right or wrong.
    assert label(labelled, "/etc/default/grub") == own
    assert label(labelled, "/etc") == FOLDER_LABEL.rstrip(b"\0").decode()
    engine.undo(labelled.tree)
    assert labelled.snapshot() == before
    assert label(labelled, "/etc/default/grub") == own


def test_a_replaced_file_or_link_without_a_label_stays_without(labelled):
    labelled.write("/etc/made.old", "x")
    os.symlink("a", labelled.path + "/etc/link")

    def change(draft):
        draft.write_text("/etc/made.old", "y", "test")
        draft.write_link("/etc/link", "b", "test")

    assert fix_up(labelled, change)[1:] == ([], [])
    for path in ("/etc/made.old", "/etc/link"):
        assert writer.read_label(labelled.tree, path) == b""


def test_the_whole_run(labelled):
    situation = labelled.inspect()
    planned = engine.plan(situation)
    assert [finding for finding in planned.findings if finding.fixup == selinux.NAME] == []
    applied = engine.apply(labelled.tree, planned)
    assert engine.verify(situation) == ()
    labels = Labels(labelled.tree)
    new = [path for path in applied.paths if any(change.path == path and change.before is None for change in planned.changes
                                                 if hasattr(change, "before"))]
    assert len(new) > 1
    for path in new:
        kind = stat.S_IFMT(os.lstat(labelled.path + path).st_mode)
        assert writer.read_label(labelled.tree, path) == labels.of(path, kind).value != b""
    assert engine.plan(labelled.inspect()).changes == ()


def test_verify_finds_a_label_that_is_not_the_policys(labelled):
    situation, _findings, _problems = fix_up(labelled, make_some)
    os.setxattr(labelled.path + "/etc/made.conf", writer.LABEL, b"a:b:other_t\0")
    os.removexattr(labelled.path + "/srv/a", writer.LABEL)
    assert selinux.verify(situation) == [
        "/etc/made.conf has the SELinux label a:b:other_t instead of system_u:object_r:made_t:s0.",
        "/srv/a has the SELinux label (none) instead of system_u:object_r:default_t:s0.",
    ]


@pytest.mark.parametrize("change", [
    lambda machine: machine.write("/etc/selinux/config", "SELINUX=disabled\n"),
    lambda machine: os.unlink(machine.path + "/etc/selinux/config"),
])
def test_without_selinux_nothing_is_said(labelled, change):
    change(labelled)
    os.unlink(labelled.path + BASE)
    assert fix_up(labelled, make_some)[1:] == ([], [])
    assert label(labelled, "/etc/made.conf") == FOLDER_LABEL.rstrip(b"\0").decode()


@pytest.mark.parametrize("change,text", [
    (lambda machine: os.unlink(machine.path + BASE), "file_contexts"),
    (lambda machine: machine.write(BASE, "/usr/.* u:r:usr_t\n"), "No rule of the policy matches."),
    (lambda machine: machine.write("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=../x\n"), "no name of a policy"),
    (lambda machine: machine.write(BASE, "".join(f"/.*{'(a|b|.)*' * 90}{number}x u:r:t\n" for number in range(2000))), "more work"),
])
def test_a_policy_that_does_not_tell(labelled, change, text):
    change(labelled)
    _situation, findings, problems = fix_up(labelled, make_some)
    assert problems == []
    assert findings and all(finding.severity == "warning" and finding.fixup == selinux.NAME for finding in findings)
    said = " ".join(finding.text for finding in findings)
    assert text in said and "/etc/new/deep/a" in said and "restorecon" in said and "/etc/default/grub" not in said
    assert label(labelled, "/etc/new/deep/a") == FOLDER_LABEL.rstrip(b"\0").decode()


def test_a_rule_that_is_not_understood(labelled):
    labelled.write(BASE + ".local", "/etc/(?=made).* system_u:object_r:local_t:s0\n/other/(?=made).* u:r:other_t\n")
    _situation, findings, problems = fix_up(labelled, make_some)
    assert problems == [] and len(findings) == 1
    assert f"{BASE}.local, line 1 cannot be understood." in findings[0].text
    assert "/etc/made.conf" in findings[0].text and "/srv/a" not in findings[0].text
    assert label(labelled, "/etc/made.conf") == "system_u:object_r:made_t:s0"


def test_a_mount_that_keeps_no_labels(labelled, monkeypatch):
    """As FUSE file systems without extended attributes answer."""
    def no_labels(function):
        def call(target, name, *arguments, **more):
            if name == writer.LABEL:
                raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
            return function(target, name, *arguments, **more)
        return call

    labelled.write("/etc/fstab", "/dev/sda2 / ext4 defaults 0 1\n/dev/sda1 /boot/efi vfat defaults 0 0\n")
    os.makedirs(labelled.path + "/boot/efi")
    monkeypatch.setattr(writer.os, "getxattr", no_labels(os.getxattr))
    monkeypatch.setattr(writer.os, "setxattr", no_labels(os.setxattr))

    def change(draft):
        make_some(draft)
        draft.write_text("/boot/efi/EFI/a", "x", "test")

    _situation, findings, problems = fix_up(labelled, change)
    assert problems == [] and len(findings) == 1
    assert "/etc/made.conf" in findings[0].text and "/boot/efi" not in findings[0].text and "restorecon" in findings[0].text
    assert labelled.read("/etc/made.conf") == "x"


def test_a_worker_whose_own_selinux_refuses_the_label(labelled, monkeypatch):
    real = os.setxattr

    def refuses(target, name, value, **more):
        if name == writer.LABEL and b"made_t" in value:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(target, name, value, **more)

    before = labelled.snapshot()
    monkeypatch.setattr(writer.os, "setxattr", refuses)
    with pytest.raises(FixupError, match="made_t.*mac_admin"):
        fix_up(labelled, make_some)
    assert labelled.snapshot() == before


def test_many_files_are_not_all_named(labelled):
    os.unlink(labelled.path + BASE)
    _situation, findings, _problems = fix_up(
        labelled, lambda draft: [draft.write_text(f"/etc/made{number:03}", "x", "test") for number in range(50)]
    )
    assert "/etc/made019 and 30 more." in findings[0].text and "/etc/made020" not in findings[0].text


@pytest.mark.parametrize("step", range(1, 40, 3))
def test_a_killed_run_leaves_no_file_without_its_label(labelled, killed_at, step):
    """A name is given to a file only when the file has its label."""
    before = labelled.snapshot()
    with killed_at(step, "setxattr", "rename", "fsync"):
        fix_up(labelled, make_some)
    for path, kind in (("/etc/made.conf", stat.S_IFREG), ("/srv/a", stat.S_IFREG), ("/etc/systemd/system/a.service", stat.S_IFLNK)):
        if os.path.lexists(labelled.path + path):
            assert writer.read_label(labelled.tree, path) == Labels(labelled.tree).of(path, kind).value
    for number in journal.numbers(labelled.tree):
        journal.undo(labelled.tree, number)
    after = labelled.snapshot()
    assert all(after[path] == value for path, value in before.items() if value[4] is not None)
