# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of names that are given up: as stored, as read, and what writers make of them."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import tombstones
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.tombstones import GivenUp, Names, chunk_record, pack

A, B, P = b"a" * 32, b"b" * 32, b"p" * 32


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    (tmp_path / "place").mkdir()
    with DirectoryStore(str(tmp_path / "place")) as store:
        yield store


def test_a_list_and_its_decision(store):
    names = pack([chunk_record(B, 0), chunk_record(A, 7)], [P])
    assert names.chunks == A + b"\0\0\0\7" + B + b"\0\0\0\0" and names.count == 3
    assert tombstones.publish(store, 1, 0, names)
    assert not tombstones.publish(store, 1, 0, pack([], []))
    given_up = GivenUp(tombstones.read_lists(store))
    assert given_up.has_chunk(A, 7) and not given_up.has_chunk(A, 0) and given_up.has_page(P) and not given_up.has_page(A)
    assert (given_up.generation(A), given_up.generation(B)) == (0, 1)
    kept = pack([chunk_record(B, 0)], [])
    assert tombstones.decide(store, 1, kept) == kept
    assert tombstones.decide(store, 1, Names(b"", b"")) == kept          # the first decision is the one
    given_up = GivenUp(tombstones.read_lists(store))
    assert not given_up.has_chunk(B, 0) and given_up.has_chunk(A, 7)


def test_forgotten_lists_leave_the_base(store):
    for number, base in ((1, 0), (2, 0), (3, 2)):
        tombstones.publish(store, number, base, pack([chunk_record(A, number - 1)], []))
    for _unused in range(2):
        lists = tombstones.read_lists(store)
        assert [item.number for item in lists] == [3]
        assert GivenUp(lists).generation(A) == 3 and GivenUp(lists).generation(B) == 2
        tombstones.forget(store, 2)
    assert list(store.list("gc/")) == ["gc/00000003"]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:50], lambda data: b"",
                                    lambda data: data[:40] + b"X" + data[41:], lambda data: data + b"more"])
def test_a_damaged_list_is_an_error(store, damage):
    tombstones.publish(store, 1, 0, pack([chunk_record(A, 0)], [P]))
    path = os.path.join(store.path, "gc/00000001")
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(damage(data))
    with pytest.raises(DamagedObjectError, match="gc/00000001"):
        tombstones.read_lists(store)


def test_a_search_finds_exactly_what_is_there():
    names = [chunk_record(bytes([number]) * 32, number) for number in range(1, 200, 3)]
    lists = [tombstones.TombstoneList(1, 0, 0.0, pack(names, []), None)]
    found = [number for number in range(256) if GivenUp(lists).has_chunk(bytes([number]) * 32, number)]
    assert found == list(range(1, 200, 3))
