# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicas: equal bit for bit, only what is missing travels, and what a replica has pruned comes back under new names."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.replicate import replicate
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository)

KEY = KeyFile(b"\7" * 64)


@pytest.fixture(name="target")
def fixture_target(tmp_path):
    with DirectoryStore(str(tmp_path / "replica")) as store:
        yield store


def key_of(repository):
    return NoKey() if repository.secrets is None else KEY


def run(repository, target, key=None, **options):
    return replicate(repository, target, key or key_of(repository), NoProgress(), **options)


def contents(store):
    """All that a reader may need."""
    return {name: store.get(name) for name in store.list("") if not name.startswith(("sessions/", "gc/"))}


def age(store, seconds):
    for folder, _folders, names in os.walk(store.path):
        for name in names:
            path = os.path.join(folder, name)
            os.utime(path, (0, os.stat(path).st_mtime - seconds))


def test_a_replica_is_equal_bit_for_bit_and_what_is_there_does_not_travel(repository, capture, memory_disk, target):
    disk = memory_disk.random(1, size=200000)
    capture(disk)
    assert run(repository, target, check=True).images and not target.examine()
    assert run(repository, target).made
    assert contents(target) == contents(repository.store)
    disk.content = disk.content[:5000] + b"0123456789" + disk.content[5010:]
    second = capture(disk)
    result = run(repository, target)
    assert result.images == (second.id,) and not result.made
    assert result.stored_objects <= 1 + second.stored_new_objects
    assert contents(target) == contents(repository.store)
    assert run(repository, target)[:5] == ((), (), False, 0, 0)


def test_a_foreign_repository_is_refused(repository, capture, memory_disk, target):
    capture(memory_disk.random(2))
    init_repository(target, key_of(repository), chunk_size=4096, encrypted=repository.secrets is not None)
    before = contents(target)
    with pytest.raises(RepositoryError, match="another repository"):
        run(repository, target)
    assert contents(target) == before


def test_a_damaged_chunk_does_not_travel(repository, capture, memory_disk, target):
    capture(memory_disk.random(3, size=100000))
    name = next(repository.store.list("chunks/"))
    path = os.path.join(repository.store.path, name)
    with open(path, "r+b") as file:
        file.seek(-20, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DamagedObjectError, match=name):
        run(repository, target)
    assert target.size(name) is None and not list(target.list("images/"))


def test_the_capture_credential_suffices(repository, capture, memory_disk, target):
    if repository.secrets is None:
        pytest.skip("an unencrypted repository has no capture credential")
    capture(memory_disk.random(4))
    credential = CaptureCredential(export_capture_credential(repository))
    run(open_repository(repository.store, credential), target, credential)
    assert contents(target) == contents(repository.store)


def test_what_the_replica_has_pruned_comes_back_under_new_names(repository, capture, memory_disk, target, tmp_path):
    disk = memory_disk("sda", b"a" * 4096 + b"b" * 4096, [(0, 8192)])
    first = capture(disk)
    run(repository, target)
    replica = open_repository(target, key_of(repository))
    age(target, 10)
    assert prune(replica, [first.id], NoProgress()).deleted == 3
    again = run(repository, target)
    assert again.images == (first.id,)
    assert all(name.endswith(".1") for name in target.list("chunks/"))
    assert not verify(replica, level="full").problems
    path = str(tmp_path / "restored")
    restore_image(replica, first.id, {"sda": path}, NoProgress())
    with open(path, "rb") as file:
        assert file.read() == disk.content
    second = capture(disk)                           # its chunks have their old names at the source
    run(repository, target)
    assert sorted(image_ids(replica)) == sorted([first.id, second.id])
    assert not verify(replica, level="full").problems
    assert all(name.endswith(".1") for name in target.list("chunks/"))
