# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prune: what goes, what stays, and what captures that run meanwhile make of it."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import prune as module
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.image.writer import ImageWriter
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.sessions import SILENT_SECONDS, read_sessions
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.tombstones import read_lists

CHUNK = 4096


@pytest.fixture(name="disk")
def fixture_disk(memory_disk):
    def disk(*letters, name="sda"):
        """A disk of one chunk for each letter."""
        content = "".join(letter * CHUNK for letter in letters).encode("ascii")
        return memory_disk(name, content, [(0, len(content))])
    return disk


@pytest.fixture(name="age")
def fixture_age(repository, monkeypatch):
    """Makes what is stored so far older, as seen by the store's clock."""
    def age(seconds):
        for folder, _folders, names in os.walk(repository.store.path):
            for name in names:
                path = os.path.join(folder, name)
                status = os.stat(path)
                os.utime(path, (status.st_atime, status.st_mtime - seconds))
    return age


def objects(repository, *prefixes):
    return [name for prefix in prefixes or ("chunks/", "index/") for name in repository.store.list(prefix)]


def run(repository, *remove, **options):
    return prune(repository, remove, NoProgress(), **options)


def intact(repository):
    return not verify(repository, level="full").problems


def restored(repository, image, tmp_path):
    path = str(tmp_path / "restored")
    restore_image(repository, image, {"sda": path}, NoProgress())
    with open(path, "rb") as file:
        data = file.read()
    os.unlink(path)
    return data


def test_what_no_image_needs_goes_and_nothing_else(repository, capture, disk, age):
    first = capture(disk("a", "b", "c"))
    second = capture(disk("a", "b", "d"))
    capture(disk("c", "e"), machine="other")
    age(10)
    result = run(repository, first.id)
    assert list(image_ids(repository, "shop")) == [second.id]
    assert result.deleted == 1                                       # the first image's page: c is needed by another machine
    assert result.images == 2 and result.announced == 0 and result.deleted_bytes > 0
    assert len(objects(repository, "chunks/")) == 5 and len(objects(repository, "index/")) == 2
    assert intact(repository)
    assert run(repository).deleted == 0
    result = run(repository, next(iter(image_ids(repository, "other"))))
    assert result.deleted == 3                                       # c, e and the page
    assert intact(repository)


def test_check_mode_tells_and_changes_nothing(repository, capture, disk, age):
    first = capture(disk("a", "b"))
    capture(disk("a"))
    age(10)
    before = sorted(repository.store.list(""))
    result = run(repository, first.id, check=True)
    assert result.announced == 2 and result.announced_bytes > 0 and result.deleted == 0
    assert sorted(repository.store.list("")) == before
    assert run(repository, first.id).deleted == 2


def test_what_a_dead_capture_left_goes_when_its_session_is_silent_for_long(repository, disk, age):
    ImageWriter(repository, "shop", NoProgress()).first_pass([disk("a", "b").capture_disk()])
    repository.store.flush()
    age(100)
    result = run(repository)
    assert result.open_sessions == 1 and result.deleted == 0
    age(SILENT_SECONDS)
    result = run(repository)
    assert result.ended_sessions == 1 and result.deleted == 3
    assert not objects(repository)
    run(repository)
    assert not read_sessions(repository.store)


def test_a_capture_whose_session_was_ended_cannot_commit(repository, disk, age):
    for between in (1, 3):                                           # the session ended; all its traces removed too
        writer = ImageWriter(repository, "shop", NoProgress())
        writer.first_pass([disk("a").capture_disk()])
        repository.store.flush()
        age(2 * SILENT_SECONDS)
        for _unused in range(between):
            run(repository)
            age(1)
        with pytest.raises(RepositoryError, match="was ended"):
            writer.commit({}, "offline", {})
    assert not list(image_ids(repository))
    run(repository)
    assert not read_sessions(repository.store) and not objects(repository)


def test_a_running_capture_delays_the_deletion_and_keeps_what_it_found(repository, capture, disk, age, tmp_path):
    first = capture(disk("a", "b"))
    age(2000)
    writer = ImageWriter(repository, "shop", NoProgress())           # has the first image as its parent
    result = run(repository, first.id)
    assert result.deleted == 0 and result.announced == 3
    writer.first_pass([disk("a").capture_disk()])
    assert run(repository).announced == 0                            # still waiting, and nothing new
    second = writer.commit({}, "offline", {})
    age(2000)
    assert run(repository).deleted == 2                              # b and the page of the first image
    assert restored(repository, second.id, tmp_path) == b"a" * CHUNK
    assert intact(repository)


def test_a_capture_that_begins_after_the_list_uses_nothing_of_it(repository, capture, disk, age, tmp_path):
    first = capture(disk("a", "b"))
    age(2000)
    running = ImageWriter(repository, "other", NoProgress())
    run(repository, first.id)
    second = capture(disk("a"))                                      # a is listed, and still there
    assert any(name.endswith(".1") for name in objects(repository, "chunks/"))
    running.give_up()
    age(2000)
    assert run(repository).deleted == 3
    assert restored(repository, second.id, tmp_path) == b"a" * CHUNK
    third = capture(disk("a", "b"))                                  # a by its parent, b under a new name
    assert restored(repository, third.id, tmp_path) == b"a" * CHUNK + b"b" * CHUNK
    assert intact(repository)


def test_both_names_of_a_chunk_are_verified(repository, capture, disk, age):
    first = capture(disk("a", "b"))
    age(2000)
    running = ImageWriter(repository, "other", NoProgress())
    run(repository, first.id)
    second = capture(disk("a"))                                      # under a new name
    running.first_pass([disk("a").capture_disk()])                                  # under the old one
    third = running.commit({"name": "other"}, "offline", {})
    new, = [name for name in objects(repository, "chunks/") if name.endswith(".1")]
    assert intact(repository)
    for name, image in ((new[:-2], third), (new, second)):
        data = repository.store.get(name)
        repository.store.delete(name)
        problem, = verify(repository).problems
        assert (problem.object, problem.image) == (name, image.id)
        repository.store.put(name, data)
        repository.store.flush()


def test_the_same_page_again_and_again(repository, capture, disk, age):
    """Its name is another one each time, and everybody agrees on it."""
    for generation in range(4):
        image = capture(disk("a"))
        again = capture(disk("a"), machine="other")
        names = objects(repository, "chunks/")
        assert len(names) == 1 and len(objects(repository, "index/")) == 1
        assert names[0].endswith(f".{generation}" if generation else names[0][-5:])
        age(10)
        assert run(repository, image.id, again.id).deleted == 2
    assert len(read_lists(repository.store)) == 4


def test_old_lists_are_forgotten_and_their_names_still_not_written(repository, capture, disk, age, monkeypatch):
    monkeypatch.setattr(module.tombstones, "REMEMBERED", 4)
    for number in range(5):
        image = capture(disk("a"))
        age(10)
        run(repository, image.id)
    lists = read_lists(repository.store)
    assert len(lists) == 2 and lists[-1].base == 3
    assert len(objects(repository, "gc/")) == 2 * 3 + 1              # the next prune removes the one more
    capture(disk("a"))
    assert objects(repository, "chunks/")[0].endswith(".5")
    assert intact(repository)


def test_nothing_is_deleted_while_an_image_cannot_be_read(repository, capture, disk, age):
    first = capture(disk("a"))
    second = capture(disk("b"))
    age(10)
    page = max(objects(repository, "index/"), key=lambda name: os.stat(os.path.join(repository.store.path, name)).st_mtime)
    os.unlink(os.path.join(repository.store.path, page))
    before = objects(repository)
    damaged = next(problem.image for problem in verify(repository).problems)
    other = first.id if damaged == second.id else second.id
    with pytest.raises(DamagedObjectError, match="Nothing can be pruned"):
        run(repository, other)
    assert objects(repository) == before
    run(repository, damaged)
    assert not objects(repository)


def test_listings_that_settle_slowly_leave_the_deletion_to_the_next_prune(repository, capture, disk, age, monkeypatch):
    monkeypatch.setattr(type(repository.store), "settle", 1800)
    image = capture(disk("a"))
    age(10)
    result = run(repository, image.id)
    assert result.deleted == 0 and result.announced == 2
    assert run(repository).deleted == 0
    age(3600)
    assert run(repository).deleted == 2


def test_an_announced_commit_is_kept(repository, disk, age, monkeypatch):
    """A writer that sleeps between the announcement and the manifest can still commit, however late."""
    writer = ImageWriter(repository, "shop", NoProgress())
    writer.first_pass([disk("a").capture_disk()])
    put_new = repository.store.put_new

    def sleep_before_images(name, data):
        if name.startswith("images/"):
            monkeypatch.setattr(repository.store, "put_new", put_new)
            age(100 * SILENT_SECONDS)
            for _unused in range(3):
                assert run(repository).unfinished
        return put_new(name, data)

    monkeypatch.setattr(repository.store, "put_new", sleep_before_images)
    writer.commit({}, "offline", {})
    assert intact(repository) and len(list(image_ids(repository))) == 1
    assert not run(repository).unfinished


def test_a_forged_decision_does_not_delete_what_images_need(repository, capture, disk, age):
    capture(disk("a"))
    age(10)
    store = repository.store
    names = module.tombstones.pack([module._chunk_of(name) for name in objects(repository, "chunks/")],
                                   [module._page_of(name) for name in objects(repository, "index/")])
    assert module.tombstones.publish(store, 1, 0, names)
    module.tombstones.decide(store, 1, module.Names(b"", b""))
    assert run(repository).deleted == 0
    assert intact(repository)
