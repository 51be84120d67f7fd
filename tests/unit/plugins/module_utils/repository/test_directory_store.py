# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory store on a real directory."""

import errno
import fcntl
import os
import threading

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import session as session_module
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.store import check_name


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    with DirectoryStore(str(tmp_path / "repository")) as store:
        store.create()
        yield store


def test_what_is_put_is_there_at_once_and_after_a_flush_for_others_too(store):
    store.put("chunks/ab/abcd", b"content")
    assert store.get("chunks/ab/abcd") == b"content"
    assert store.size("chunks/ab/abcd") == 7
    assert store.peek("chunks/ab/abcd", 3) == (b"con", 7)
    with DirectoryStore(store.path) as other:
        assert other.size("chunks/ab/abcd") is None
        store.flush()
        assert other.get("chunks/ab/abcd") == b"content"
        assert other.get("chunks/ab/abcd", 3, 2) == b"te"


def test_a_full_batch_gets_its_names_without_a_flush(store):
    for number in range(40):
        store.put(f"chunks/{number:02x}/x", b"1")
    with DirectoryStore(store.path) as other:
        assert sum(1 for _name in other.list("chunks/")) == 32


def test_the_data_may_be_used_again_after_put(store):
    data = bytearray(b"one")
    store.put("chunks/01/x", memoryview(data))
    data[:] = b"two"
    store.flush()
    assert store.get("chunks/01/x") == b"one"


def test_put_replaces_put_new_does_not(store):
    store.put("a", b"1")
    store.flush()
    store.put("a", b"22")
    assert store.size("a") == 2
    store.flush()
    assert store.put_new("a", b"333") is False
    assert store.get("a") == b"22"
    assert store.put_new("images/x/y", b"333") is True
    assert store.get("images/x/y") == b"333"


def test_only_one_of_many_put_new_wins(store):
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append((store.put_new("images/m/i", b"%d" % n), n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for won, number in results if won]
    assert len(winners) == 1
    assert store.get("images/m/i") == b"%d" % winners[0]


def test_missing_and_short(store):
    with pytest.raises(DamagedObjectError, match="chunks/00/gone is missing"):
        store.get("chunks/00/gone")
    assert store.size("chunks/00/gone") is None
    assert store.peek("chunks/00/gone", 1) is None
    store.put_new("short", b"12345")
    with pytest.raises(DamagedObjectError, match="cut short"):
        store.get("short", 3, 4)
    store.delete("short")
    store.delete("short")
    assert store.size("short") is None


def test_list_is_sorted_and_leaves_tmp_out(store):
    for name in ("images/b/2", "images/a/1", "index/00/0", "repository.json"):
        store.put(name, b"")
    store.flush()
    assert list(store.list("images/")) == ["images/a/1", "images/b/2"]
    assert list(store.list("")) == ["images/a/1", "images/b/2", "index/00/0", "repository.json"]
    assert list(store.list("nothing/")) == []


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "a//b", "", "a/", ".hidden", "a/.b", "a\0b", "a b", "tmp/x", "\u00e4",
                                  "x" * 300, "a/" * 600 + "b"])
def test_unsafe_names_are_refused(store, name):
    for method in (lambda: store.put(name, b""), lambda: store.put_new(name, b""), lambda: store.get(name), lambda: store.size(name),
                   lambda: store.delete(name)):
        with pytest.raises(RepositoryError, match="not one that a repository can hold"):
            method()


def test_names_that_the_format_uses_are_safe():
    for name in ("repository.json", "keys/slots/0a", "images/web%2F1/20261122T010203Z-9f3a61c2", "chunks/ab/" + "ab" * 32 + ".17"):
        assert check_name(name) == name


def test_symbolic_links_are_not_followed(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    os.mkdir(os.path.join(store.path, "chunks"))
    os.symlink(str(tmp_path / "secret"), os.path.join(store.path, "chunks", "link"))
    with pytest.raises(RepositoryError):
        store.get("chunks/link")
    with pytest.raises(DamagedObjectError, match="not a regular file"):
        store.size("chunks/link")


def test_create_refuses_a_directory_with_other_files(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RepositoryError, match="holds other files .letter.txt."):
        DirectoryStore(str(tmp_path)).create()


def test_a_missing_directory_is_one_clear_error(tmp_path):
    with pytest.raises(RepositoryError, match="cannot be opened: No such file or directory. Check the path and that its file system"):
        DirectoryStore(str(tmp_path / "none")).get("x")


def test_locations(tmp_path):
    assert open_store({"path": str(tmp_path)}).label == str(tmp_path)
    with pytest.raises(RepositoryError, match="type 'tape' is not known"):
        open_store({"type": "tape", "path": "/x"})
    with pytest.raises(RepositoryError, match="absolute path"):
        open_store({"type": "directory", "path": "here"})


def test_close_removes_the_session_and_what_was_not_flushed(store):
    store.put("a", b"1")
    assert len(os.listdir(os.path.join(store.path, "tmp"))) == 1
    store.close()
    assert os.listdir(os.path.join(store.path, "tmp")) == []
    assert store.size("a") is None


def test_a_dead_session_is_removed_and_a_living_one_is_not(store):
    store.put("a", b"1")
    (living,) = os.listdir(os.path.join(store.path, "tmp"))
    for name, lock in (("dead", b"flock\n"), ("nolocks", b"no locks here\n"), ("empty", None), ("unlocked-old", b"no locks here\n")):
        path = os.path.join(store.path, "tmp", name)
        os.mkdir(path)
        if lock is not None:
            for file_name, data in (("lock", lock), ("1", b"half an object")):
                with open(os.path.join(path, file_name), "wb") as file:
                    file.write(data)
        if name == "unlocked-old":
            os.utime(path, (1, 1))
    with DirectoryStore(store.path) as other:
        other.put("b", b"2")
        names = set(os.listdir(os.path.join(store.path, "tmp")))
    assert living in names and "nolocks" in names and len(names) == 3
    store.flush()
    assert store.get("a") == b"1"


def test_a_file_system_without_locks_still_works(store, monkeypatch):
    def no_locks(_fd, _operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(session_module.fcntl, "flock", no_locks)
    store.put("a", b"1")
    store.flush()
    monkeypatch.setattr(session_module.fcntl, "flock", fcntl.flock)
    with DirectoryStore(store.path) as other:
        other.put("b", b"1")
        assert len(os.listdir(os.path.join(store.path, "tmp"))) == 2


def test_after_a_failed_batch_flush_fails_too(store):
    store.put("blocked/x", b"1")
    with open(os.path.join(store.path, "blocked"), "w"):
        pass                                     # a file where the directory has to be
    with pytest.raises(RepositoryError):
        store.flush()
    with pytest.raises(RepositoryError):
        store.flush()
    with pytest.raises(RepositoryError):
        store.put("other", b"1")
    assert os.listdir(os.path.join(store.path, "tmp")) and store.size("blocked/x") is None
