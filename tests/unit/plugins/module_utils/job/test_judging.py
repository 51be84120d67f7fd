# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running machine is judged by a process of its own, which cannot harm the capture."""

import errno
import os
import signal
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import cloud_init
from ansible_collections.agnostic.recovery.plugins.module_utils.job import inspection, recoverability
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.source.hostmap import NOWHERE, HostFilesystem, foreign_mounts
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.syscalls import MountEntry
from ansible_collections.agnostic.recovery.plugins.module_utils.source import hostmap
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES

ALL = list(PROFILES)
NAMES = ALL[:4]


@pytest.fixture(autouse=True)
def few_profiles(monkeypatch):
    """As many as the tests need; and however busy this host is, a killed process is waited for."""
    monkeypatch.setattr(recoverability, "PROFILES", {name: PROFILES[name] for name in NAMES})
    monkeypatch.setattr(recoverability, "_PATIENCE", 600.0)


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A root without a kernel: "no" everywhere."""
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "fstab").write_text("")
    return Tree(str(tmp_path / "root"))


def judged(tree, limit=600, cancelled=lambda: False):
    found = recoverability.judge_apart(tree, (), cancelled, limit)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)       # nothing is left
    return found


def at(monkeypatch, name, action):
    """The fix-ups for this target do something else first."""
    plan = cloud_init.plan

    def changed(situation, draft):
        if situation.profile.name == name:
            action()
        plan(situation, draft)

    monkeypatch.setattr(cloud_init, "plan", changed)


def test_all_targets(tree, monkeypatch):
    monkeypatch.setattr(recoverability, "PROFILES", PROFILES)
    found = judged(tree)
    assert found.reason == "" and found.notes == ()
    assert [(verdict.target, verdict.verdict) for verdict in found.targets] == [(name, "no") for name in ALL]
    assert all("No kernel that the boot loader can start" in verdict.errors[0] for verdict in found.targets)


class Clock:
    """An hour has gone by when the file is there."""

    def __init__(self, path):
        self.path = path

    def monotonic(self):
        return time.monotonic() + (3600 if os.path.exists(self.path) else 0)

    @staticmethod
    def sleep(seconds):
        time.sleep(seconds)


def test_it_takes_too_long(tree, monkeypatch, tmp_path):
    def hang():
        (tmp_path / "hangs").write_text("")
        time.sleep(600)

    at(monkeypatch, NAMES[3], hang)
    monkeypatch.setattr(recoverability, "time", Clock(str(tmp_path / "hangs")))
    found = judged(tree, limit=590)
    assert [verdict.verdict for verdict in found.targets] == ["no"] * 3 + ["not_judged"] * (len(NAMES) - 3)
    assert {verdict.reason for verdict in found.targets[3:]} == {"It took longer than 590 s."}


def test_it_takes_too_long_at_once(tree, monkeypatch):
    at(monkeypatch, NAMES[0], lambda: time.sleep(600))
    began = time.monotonic()
    found = judged(tree, limit=1)
    assert time.monotonic() - began < 60
    assert found.targets == () and found.reason == "It took longer than 1 s."


def test_it_dies(tree, monkeypatch):
    at(monkeypatch, NAMES[1], lambda: os.kill(os.getpid(), signal.SIGKILL))
    found = judged(tree)
    assert [verdict.verdict for verdict in found.targets[:2]] == ["no", "not_judged"]
    assert found.targets[1].reason == "The process that judged it ended too early."


def test_it_runs_out_of_memory_or_breaks(tree, monkeypatch):
    def broken():
        raise MemoryError

    at(monkeypatch, NAMES[1], broken)
    found = judged(tree)
    assert [verdict.verdict for verdict in found.targets] == ["no", "not_judged"] + ["no"] * (len(NAMES) - 2)
    assert found.targets[1].reason.startswith("MemoryError")


def test_it_cannot_begin(tree, monkeypatch):
    def refused():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(recoverability.os, "fork", refused)
    found = judged(tree)
    assert found.targets == () and found.reason == "No process could be started for it: Resource temporarily unavailable."


def test_the_job_is_cancelled(tree, monkeypatch):
    at(monkeypatch, NAMES[0], lambda: time.sleep(600))
    began = time.monotonic()
    assert judged(tree, limit=600, cancelled=lambda: time.monotonic() - began > 0.5).targets == ()
    assert time.monotonic() - began < 60


def test_it_keeps_nothing_open(tree, monkeypatch, tmp_path):
    """A lock that the capture holds must not be held by anybody else."""
    listing = str(tmp_path / "listing")

    def list_open():
        with open(listing, "w", encoding="utf-8") as file:
            file.write("\n".join(os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd") if int(name) > 2
                                 and os.path.lexists("/proc/self/fd/" + name)))

    at(monkeypatch, NAMES[0], list_open)
    with open(str(tmp_path / "lock"), "w", encoding="utf-8"):
        judged(tree)
    with open(listing, encoding="utf-8") as file:
        assert str(tmp_path / "lock") not in file.read().split("\n")


def filesystem(path, device):
    return HostFilesystem(path, "ext4", device, device, True, (), NOWHERE)


def test_what_lies_elsewhere_is_hidden(monkeypatch):
    def entry(path, device):
        return MountEntry(1, device, path, (), "ext4", "x", ())

    monkeypatch.setattr(hostmap, "mounts", lambda: [
        entry("/", "8:1"), entry("/proc", "0:3"), entry("/boot", "8:2"), entry("/srv", "8:17"), entry("/mnt", "0:9"), entry("/mnt", "8:1")])
    assert foreign_mounts([filesystem("/boot", "8:2"), filesystem("/", "8:1")]) == ("/proc", "/srv")
    assert foreign_mounts([filesystem("/", "8:1")]) == ("/boot", "/proc", "/srv")


def test_the_root_of_this_host(monkeypatch):
    monkeypatch.setattr(recoverability, "foreign_mounts", lambda filesystems: ("/proc", "/sys"))
    tree = recoverability.running_root([filesystem("/", "8:1")])
    assert tree.isdir("/") and not tree.exists("/proc") and not tree.exists("/proc/self/mountinfo")


def test_disks_without_the_root_of_this_host():
    found = recoverability.judge_running_machine((), [filesystem("/srv", "8:1")])
    assert found.targets == () and found.reason == recoverability.NO_ROOT
    assert inspection.inspect_running_machine("web1", (), [filesystem("/srv", "8:1")]).kernels == ()
