# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification in parts, and beside a prune."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import verify as module
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import object_name
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify


def flip_last_bit(store, name):
    with open(os.path.join(store.path, name), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))


def test_all_parts_together_read_everything_once(repository, capture, memory_disk):
    capture(memory_disk.random(5, size=300000))
    full = verify(repository, level="full")
    results = [verify(repository, level="sampled", parts=7, part=part) for part in range(1, 8)]
    assert full.read == full.chunks == sum(result.read for result in results)
    assert all(result.chunks == full.chunks for result in results)
    name = next(repository.store.list("chunks/"))
    flip_last_bit(repository.store, name)
    found = [bool(verify(repository, level="sampled", parts=7, part=part).problems) for part in range(1, 8)]
    assert sum(found) == 1
    assert not verify(repository).problems


def test_without_a_part_the_day_chooses(repository, capture, memory_disk, monkeypatch):
    capture(memory_disk.random(5, size=300000))
    read = 0
    for day in range(20000, 20014):
        monkeypatch.setattr(module.time, "time", lambda day=day: day * 86400 + 5)
        read += verify(repository, level="sampled").read
    assert read == verify(repository, level="full").read
    with pytest.raises(RepositoryError, match="no part 15 of 14"):
        verify(repository, level="sampled", part=15)


def test_an_image_that_is_removed_meanwhile_is_no_problem(repository, capture, memory_disk, monkeypatch):
    image = capture(memory_disk.random(5, size=100000))
    os.unlink(os.path.join(repository.store.path, next(repository.store.list("index/"))))
    assert verify(repository).problems
    locate = module._Verify.locate

    def remove_first(self, ids):
        locate(self, ids)
        repository.store.delete(object_name(image.id))

    monkeypatch.setattr(module._Verify, "locate", remove_first)
    assert not verify(repository).problems
