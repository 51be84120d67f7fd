# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One suite for all stores: each does what the interface says, on a real server."""

import threading
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store


def test_what_was_put_is_read_back_whole_and_in_parts(store):
    content = bytes(range(256)) * 5000
    for data in (content, bytearray(content), memoryview(content)):
        store.put("chunks/ab/abcd", data)
        assert store.get("chunks/ab/abcd") == content
    assert store.get("chunks/ab/abcd", 5) == content[5:]
    assert store.get("chunks/ab/abcd", 1000, 77) == content[1000:1077]
    assert store.get("chunks/ab/abcd", len(content) - 1, 1) == content[-1:]
    assert store.peek("chunks/ab/abcd", 80) == (content[:80], len(content))
    assert store.size("chunks/ab/abcd") == len(content)


def test_an_object_shorter_than_a_peek_and_an_empty_one(store):
    store.put("keys/short", b"abc")
    store.put("keys/empty", b"")
    assert store.peek("keys/short", 80) == (b"abc", 3)
    assert store.peek("keys/empty", 80) == (b"", 0)
    assert store.get("keys/empty") == b""
    assert store.size("keys/empty") == 0


def test_what_is_missing_or_shorter_than_asked_for(store):
    assert store.size("chunks/ab/none") is None
    assert store.peek("chunks/ab/none", 10) is None
    store.delete("chunks/ab/none")
    with pytest.raises(DamagedObjectError, match="chunks/ab/none is missing"):
        store.get("chunks/ab/none")
    store.put("chunks/ab/short", b"12345")
    for offset, length in ((0, 6), (4, 2), (5, 1), (100, 5)):
        with pytest.raises(DamagedObjectError, match="chunks/ab/short in .* is cut short"):
            store.get("chunks/ab/short", offset, length)


def test_put_replaces_and_delete_removes(store, location):
    store.put("chunks/ab/x", b"one")
    store.put("chunks/ab/x", b"two, longer")
    store.flush()
    with open_store(location) as other:
        assert other.get("chunks/ab/x") == b"two, longer"
        other.delete("chunks/ab/x")
        assert other.size("chunks/ab/x") is None
    with open_store(location) as third:
        assert list(third.list("")) == []


def test_put_new_takes_a_free_name_only(store, location):
    assert store.put_new("images/web/1", b"first")
    with open_store(location) as other:
        assert not other.put_new("images/web/1", b"second")
        assert other.get("images/web/1") == b"first"
        assert other.put_new("images/web/2", b"second")


def test_of_many_writers_of_one_name_one_wins(store, location):
    """Where the server has no conditional put, the store says so instead."""
    stores = [open_store(location) for _unused in range(4)]
    won = []
    start = threading.Barrier(8)

    def work(number):
        content = b"content of %d" % number
        start.wait()
        if stores[number % 4].put_new("images/web/contested", content):
            won.append(content)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("images/web/contested") in won
    assert len(won) == 1 or any("no atomic conditional put" in note for note in stores[0].notes)
    for each in stores:
        each.close()


def test_a_list_is_complete_and_sorted_by_whole_names(store):
    names = [f"chunks/{number % 7:02x}/{number:05d}" for number in range(60)]
    names += ["images/web/1", "images/web-1/1", "images/web.1/1", "images/%2Eodd~/1", "index/00/a", "keys/slots/a", "repository.json"]
    for name in names:
        store.put(name, b"x")
    store.put_new("keys/data/b", b"y")
    names.append("keys/data/b")
    store.flush()
    assert list(store.list("")) == sorted(names)
    assert list(store.list("chunks/")) == sorted(name for name in names if name.startswith("chunks/"))
    assert list(store.list("images/web/")) == ["images/web/1"]
    assert list(store.list("images/none/")) == []


def test_a_scan_tells_sizes_and_the_time_of_the_store(store):
    names = {"chunks/00/a": b"x" * 100, "chunks/01/b": b"", "gc/clock": b"now"}
    for name, data in names.items():
        store.put(name, data)
    store.flush()
    before = {entry.name: entry for entry in store.scan("")}
    assert {name: entry.size for name, entry in before.items()} == {name: len(data) for name, data in names.items()}
    assert abs(before["gc/clock"].modified - time.time()) < 3600
    time.sleep(1.1)                  # S3 counts in seconds
    store.put("gc/clock", b"later")
    store.flush()
    after = {entry.name: entry for entry in store.scan("gc/")}
    assert after["gc/clock"].modified > before["gc/clock"].modified
    assert list(after) == ["gc/clock"]


def test_many_objects_are_deleted_at_once(store):
    names = [f"chunks/00/{number:04d}" for number in range(50)]
    for name in names:
        store.put(name, b"x")
    store.flush()
    store.delete_all(names[1:] + ["chunks/00/missing"])
    assert list(store.list("")) == names[:1]


def test_create_refuses_what_is_no_repository(location):
    with open_store(location) as store:
        assert store.examine() is False
        store.create()
        assert store.examine() is True
        store.put_new("keys/slots/left", b"by an interrupted creation")
        store.create()
        store.put("photos/cat", b"meow")
        store.flush()
    with open_store(location) as store:
        for action in (store.examine, store.create):
            with pytest.raises(RepositoryError, match="photos"):
                action()
        store.put_new("repository.json", b"{}")
        assert store.examine() is True


@pytest.mark.parametrize("kind", ["s3-ceph", "swift-ceph"])
def test_a_folder_made_in_a_console_is_no_object(new_location, kind):
    location = new_location(kind)
    with open_store(location) as store:
        store.create()
        store.put("dr/placeholder", b"")
        store.put("dr/images/x", b"1")
    inside = dict(location, prefix="dr")
    with open_store(location) as store:
        client = store._client            # pylint: disable=protected-access  # such names are refused by the store itself
        client.put("dr/", b"")
        client.put("dr/images/", b"")
        store.delete("dr/placeholder")
    with open_store(inside) as store:
        assert list(store.list("")) == ["images/x"]
        store.delete("images/x")
        client = store._client            # pylint: disable=protected-access
        client.delete("dr/images/")
        assert store.examine() is True


def test_many_threads_share_a_store(store):
    def work(number):
        for turn in range(10):
            name = f"chunks/{number:02x}/{turn:04d}"
            content = b"%d %d" % (number, turn) * 2000
            assert store.size(name) is None
            store.put(name, content)
            assert store.get(name) == content
        done.append(number)

    done = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(16))
    store.flush()
    assert len(list(store.list("chunks/"))) == 160


def test_names_that_lead_out_of_the_place_are_refused(store):
    for name in ("../escape", "tmp/x", "/etc/passwd", "a//b", ""):
        with pytest.raises(RepositoryError, match="not one that a repository can hold"):
            store.put(name, b"x")
