# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Index pages: packing, checks, storing once, packs."""

import os
import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import index
from ansible_collections.agnostic.recovery.plugins.module_utils.image.index import (
    STORED, UNALLOCATED, ZERO, Page, PageBuilder, PageStore, chunk_name, page_name)

IDS = [bytes((number,)) * 32 for number in range(10)]


def entry(state=0, kind=0, reserved=0, number=0, offset=0, length=0, chunk_id=bytes(32)):
    return struct.pack(">BBHIQI32s", state, kind, reserved, number, offset, length, chunk_id)


def page_data(*entries, packs=(), version=1, count=None):
    return struct.pack(">BBHI", version, 0, len(packs), len(entries) if count is None else count) + b"".join(packs) + b"".join(entries)


def test_build_and_read():
    builder = PageBuilder(5)
    builder.set_stored(1, IDS[1])
    builder.set_zero(2)
    builder.set_stored(4, IDS[4], generation=7)
    page = Page(builder.data())
    assert [page.state(number) for number in range(page.count)] == [UNALLOCATED, STORED, ZERO, UNALLOCATED, STORED]
    assert page.chunk_id(1) == IDS[1]
    assert page.location(1) == ("chunks/01/" + "01" * 32, 0, None)
    assert page.location(4).name == "chunks/04/" + "04" * 32 + ".7"
    assert [page.chunk_generation(number) for number in range(5)] == [None, 0, None, None, 7]
    assert builder.data() == page_data(
        entry(), entry(STORED, chunk_id=IDS[1]), entry(ZERO), entry(), entry(STORED, number=7, chunk_id=IDS[4]))


def test_packs_are_read():
    pack = b"\xab" * 32
    page = Page(page_data(entry(STORED, 1, number=1, offset=1000, length=200, chunk_id=IDS[3]), packs=(b"\0" * 32, pack)))
    assert page.location(0) == ("packs/ab/" + "ab" * 32, 1000, 200)
    assert page.chunk_generation(0) is None


@pytest.mark.parametrize("data", [
    b"", b"\1", page_data(), page_data(entry(), version=2), page_data(entry(), count=2), page_data(entry()) + b"\0",
    page_data(entry(), count=0), page_data(*[entry()] * 4097), page_data(entry(3)), page_data(entry(ZERO, chunk_id=IDS[1])),
    page_data(entry(UNALLOCATED, number=1)), page_data(entry(STORED, reserved=1, chunk_id=IDS[1])),
    page_data(entry(STORED, 2, chunk_id=IDS[1])),
    page_data(entry(STORED, 0, offset=1, chunk_id=IDS[1])), page_data(entry(STORED, 1, length=5, chunk_id=IDS[1])),
    page_data(entry(STORED, 1, chunk_id=IDS[1]), packs=(IDS[2],)), b"\1\1" + page_data(entry())[2:]])
def test_pages_that_are_refused(data):
    with pytest.raises(ValueError):
        Page(data)


def test_the_largest_page():
    assert Page(page_data(*[entry()] * 4096)).count == 4096
    assert len(page_data(*[entry()] * 4096, packs=(IDS[1],) * index.MAX_PACKS)) < index.MAX_PAGE_SIZE


def test_names():
    assert chunk_name(IDS[9]) == "chunks/09/" + "09" * 32
    assert page_name(IDS[9]) == "index/09/" + "09" * 32


def test_store_once_and_load(repository):
    pages = PageStore(repository)
    data = page_data(entry(STORED, chunk_id=os.urandom(32)), entry())
    page_id = repository.page_ids.of(data)
    assert pages.store(page_id, data) > 0
    assert pages.store(page_id, data) == 0
    assert pages.load(page_id, 2).state(0) == STORED
    with pytest.raises(DamagedObjectError, match="index page index/.* is damaged: it has a wrong number of entries"):
        pages.load(page_id, 3)


def test_a_page_under_another_name_is_refused(repository):
    pages = PageStore(repository)
    first, second = page_data(entry()), page_data(entry(ZERO))
    ids = [repository.page_ids.of(data) for data in (first, second)]
    for page_id, data in zip(ids, (first, second)):
        pages.store(page_id, data)
    repository.store.put(page_name(ids[0]), repository.store.get(page_name(ids[1])))
    with pytest.raises(DamagedObjectError, match=page_name(ids[0])):
        pages.load(ids[0], 1)


def test_a_page_whose_content_is_not_its_name_is_refused(repository):
    pages = PageStore(repository)
    pages.store(IDS[5], page_data(entry()))
    with pytest.raises(DamagedObjectError, match="not what its name says"):
        pages.load(IDS[5], 1)
