# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a changed disk: killed at every step of apply and undo, damaged, and used on a disk that is not as it was."""

import contextlib
import json
import os
import random

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.partition_edit import Write
from ansible_collections.agnostic.recovery.plugins.module_utils.recovery.conversion import journal

SIZE, GROWN = 300000, 400000
STEPS = ("pwrite", "fsync", "replace", "ftruncate", "unlink", "rmdir", "makedirs")
BEFORE = random.Random(4).getrandbits(8 * SIZE).to_bytes(SIZE, "little")


class Killed(BaseException):
    """Stands for a kill: nothing but the test catches it."""


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "sda.raw"
    path.write_bytes(BEFORE)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "journal")


def change(path):
    content = (Write(100000, b"c" * 150000), Write(290000, b"d" * 60000))        # the second goes beyond the old end
    return journal.DiskChange("sda", path, SIZE, GROWN, content, (Write(GROWN - 512, b"e" * 512), Write(0, b"t" * 512)), "uefi", ("one",))


def wanted():
    after = bytearray(BEFORE.ljust(GROWN, b"\0"))
    for write in change("").content + change("").table:
        after[write.offset:write.offset + len(write.data)] = write.data
    return bytes(after)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


@contextlib.contextmanager
def killed_at(monkeypatch, step):
    """Dies before the given step and does nothing more; gives a list that holds the kill if there was one."""
    done, kills = [0], []

    def counted(function):
        def call(*arguments, **more):
            done[0] += 1
            if done[0] >= step:
                raise Killed()
            return function(*arguments, **more)
        return call

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(journal.os, name, counted(getattr(os, name)))
        try:
            yield kills
        except Killed as kill:
            kills.append(kill)


def test_apply_and_undo(disk, folder):
    journal.apply(folder, change(disk))
    assert read(disk) == wanted()
    data = journal.read(folder)
    assert (data["state"], data["steps"], data["firmware"]) == ("applied", ["one"], "uefi")
    assert os.stat(folder).st_mode & 0o77 == 0 and os.stat(folder + "/before.bin").st_mode & 0o77 == 0
    assert journal.undo(folder) == disk
    assert read(disk) == BEFORE and not os.path.exists(folder)


def test_killed_at_every_step_of_apply(disk, folder, monkeypatch):
    step = 0
    while True:
        step += 1
        with killed_at(monkeypatch, step) as kills:
            journal.apply(folder, change(disk))
        if not kills:
            break
        if journal.exists(folder):
            journal.undo(folder)
        assert read(disk) == BEFORE, step
    assert step > 15 and read(disk) == wanted()


def test_killed_at_every_step_of_undo(disk, folder, monkeypatch):
    journal.apply(folder, change(disk))
    step = 0
    while journal.exists(folder):
        step += 1
        with killed_at(monkeypatch, step):
            journal.undo(folder)
    assert step > 5 and read(disk) == BEFORE
    journal.forget(folder)
    assert not os.path.exists(folder)


def test_a_write_that_fails_is_undone(disk, folder, monkeypatch):
    real, calls = os.pwrite, []

    def full(descriptor, data, offset):
        calls.append(offset)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(journal.os, "pwrite", full)
    with pytest.raises(TargetError, match="sda .* cannot be written: No space left on device"):
        journal.apply(folder, change(disk))
    assert read(disk) == BEFORE and not os.path.exists(folder)


def test_a_journal_of_another_conversion_is_not_overwritten(disk, folder):
    journal.apply(folder, change(disk))
    kept = read(folder + "/before.bin")
    with pytest.raises(TargetError, match="journal of another conversion"):
        journal.apply(folder, change(disk)._replace(size_before=GROWN))
    assert read(folder + "/before.bin") == kept


def test_a_disk_of_another_size_is_refused(disk, folder):
    os.truncate(disk, SIZE + 512)
    with pytest.raises(TargetError, match="changed its size"):
        journal.apply(folder, change(disk))


def test_a_changed_table_is_not_undone(disk, folder):
    journal.apply(folder, change(disk))
    with open(disk, "r+b") as stream:
        stream.seek(5)
        stream.write(b"x")
    changed = read(disk)
    with pytest.raises(TargetError, match="Nothing is undone"):
        journal.undo(folder)
    assert read(disk) == changed and journal.exists(folder)


def test_a_changed_content_is_undone(disk, folder):
    journal.apply(folder, change(disk))
    with open(disk, "r+b") as stream:
        stream.seek(150000)
        stream.write(b"written by the machine")
    journal.undo(folder)
    assert read(disk) == BEFORE


@pytest.mark.parametrize("damage", [
    lambda folder: os.truncate(folder + "/before.bin", 100),
    lambda folder: os.unlink(folder + "/before.bin"),
    lambda folder: os.truncate(folder + "/journal.json", 100),
    lambda folder: rewrite(folder, format=2),
    lambda folder: rewrite(folder, pieces=[{"offset": "0"}]),
    lambda folder: rewrite(folder, path=7),
    lambda folder: rewrite(folder, path="/nonexistent/disk"),
], ids=["short", "gone", "cut", "format", "piece", "type", "no-disk"])
def test_a_damaged_journal_changes_nothing(disk, folder, damage):
    journal.apply(folder, change(disk))
    damage(folder)
    changed = read(disk)
    with pytest.raises(TargetError):
        journal.undo(folder)
    assert read(disk) == changed


def rewrite(folder, **fields):
    with open(folder + "/journal.json", encoding="utf-8") as stream:
        data = json.load(stream)
    with open(folder + "/journal.json", "w", encoding="utf-8") as stream:
        json.dump(dict(data, **fields), stream)
