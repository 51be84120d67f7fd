# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images through the pipelines on every store, and on a network and servers that fail: each run ends right or with a clear error."""

import fault_proxy
import pytest
import store_shop

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store

REMOTE = ("s3-ceph", "swift-ceph")


def test_capture_verify_restore(location, tmp_path):
    shop = store_shop.Shop(location)
    first = shop.capture()
    before = bytes(shop.content)
    assert first.stored_new_objects == 21                    # 20 chunks and a page
    shop.change(3)
    second = shop.capture()
    assert (second.parent, second.stored_new_objects) == (first.id, 2)
    assert shop.verify() == [first.id, second.id]
    assert shop.restore(first.id, tmp_path / "first") == before
    assert shop.restore(second.id, tmp_path / "second") == bytes(shop.content)


@pytest.mark.parametrize("fault", fault_proxy.FAULTS)
@pytest.mark.parametrize("kind", REMOTE)
def test_one_request_in_three_fails(new_location, behind_proxy, tmp_path, kind, fault):
    location = new_location(kind, read_timeout=1 if fault == fault_proxy.STALL else 60)
    shop = store_shop.Shop(location, chunks=5)
    proxy, through = behind_proxy(location)
    proxy.faults = fault_proxy.Faults([fault], of=3, in_a_row=2)
    image = shop.capture(through)
    assert shop.restore(image.id, tmp_path / "through", through) == bytes(shop.content)
    assert proxy.faults.done[fault] >= 3
    assert shop.verify() == [image.id]


@pytest.mark.parametrize("kind", REMOTE)
def test_everything_fails_now_and_then(new_location, behind_proxy, tmp_path, kind):
    location = new_location(kind, read_timeout=1)
    shop = store_shop.Shop(location, chunks=12)
    proxy, through = behind_proxy(location)
    proxy.faults = fault_proxy.Faults(of=4)
    captured = []
    for turn in range(2):
        captured.append(shop.capture(through).id)
        assert shop.restore(captured[-1], tmp_path / str(turn), through) == bytes(shop.content)
        shop.change(turn)
    assert sum(proxy.faults.done.values()) >= 10
    assert shop.verify(through) == captured
    assert shop.verify() == captured


@pytest.mark.parametrize("fault", [fault_proxy.RESET_AFTER, fault_proxy.ERROR_AFTER, fault_proxy.TWICE])
@pytest.mark.parametrize("kind", REMOTE)
def test_a_commit_whose_answer_is_lost_is_one_commit(new_location, behind_proxy, kind, fault):
    location = new_location(kind)
    shop = store_shop.Shop(location, chunks=2)
    proxy, through = behind_proxy(location)
    proxy.faults = fault_proxy.Faults([fault], of=1, in_a_row=1, wanted=lambda method, path: method == "PUT" and "/images/" in path)
    image = shop.capture(through)
    assert proxy.faults.done == {fault: 1}
    assert shop.verify() == [image.id]
    with open_store(through) as store:
        name = list(store.list("images/"))[0]
        assert not store.put_new(name, b"another's")


@pytest.mark.parametrize("fault", [fault_proxy.SLOW_DOWN, fault_proxy.STALL, fault_proxy.CUT_REQUEST])
@pytest.mark.parametrize("kind", REMOTE)
def test_a_store_that_takes_nothing_ends_a_capture_clearly(new_location, behind_proxy, tmp_path, kind, fault):
    location = new_location(kind)
    shop = store_shop.Shop(location, chunks=3)
    proxy, through = behind_proxy(dict(location, read_timeout=2, retry_seconds=2))
    proxy.faults = fault_proxy.Faults([fault], of=1, in_a_row=1000, wanted=lambda method, path: method == "PUT" and "/chunks/" in path)
    with pytest.raises(RepositoryError, match=r"storing chunks/\S+ failed \d+ times in .* Check it and the network"):
        shop.capture(through)
    assert shop.verify() == []
    image = shop.capture()
    assert shop.restore(image.id, tmp_path / "disk") == bytes(shop.content)


@pytest.mark.parametrize("fault", [fault_proxy.TRUNCATE, fault_proxy.ERROR_500])
@pytest.mark.parametrize("kind", REMOTE)
def test_a_store_that_gives_nothing_ends_a_restore_clearly(new_location, behind_proxy, tmp_path, kind, fault):
    location = new_location(kind)
    shop = store_shop.Shop(location, chunks=3)
    image = shop.capture()
    proxy, through = behind_proxy(dict(location, retry_seconds=2))
    proxy.faults = fault_proxy.Faults([fault], of=1, in_a_row=1000, wanted=lambda method, path: method == "GET" and "/chunks/" in path)
    with pytest.raises(RepositoryError, match=r"reading chunks/\S+ failed \d+ times in .* Incomplete and not to be used: .*disk.partial"):
        shop.restore(image.id, tmp_path / "disk", through)
    assert not (tmp_path / "disk").exists()
    assert shop.restore(image.id, tmp_path / "disk2") == bytes(shop.content)


def test_an_s3_server_without_conditional_put(new_location, behind_proxy, tmp_path):
    location = new_location("s3-ceph")
    proxy, through = behind_proxy(location, refuse=lambda headers: 501 if "If-None-Match" in headers else 0)
    shop = store_shop.Shop(through)
    image = shop.capture()
    assert shop.restore(image.id, tmp_path / "disk") == bytes(shop.content)
    with open_store(through) as store:
        assert not store.put_new(list(store.list("images/"))[0], b"another's")
        assert store.put_new("images/shop/other", b"new")
        assert [note for note in store.notes if "no atomic conditional put" in note] == store.notes != []
    assert proxy.requests


def test_a_list_whose_answer_is_empty_is_asked_for_again(new_location, behind_proxy):
    """An answer cut to nothing must not look like an empty repository."""
    for kind in REMOTE:
        location = new_location(kind)
        image = store_shop.Shop(location, chunks=1).capture()
        proxy, through = behind_proxy(location)
        proxy.faults = fault_proxy.Faults([fault_proxy.TRUNCATE], of=1, in_a_row=2, wanted=lambda method, path: "?" in path)
        proxy.keep = 0
        with open_store(through) as store:
            assert [name.split("/")[-1] for name in store.list("images/")] == [image.id.split("/")[-1]]
        assert proxy.faults.done
