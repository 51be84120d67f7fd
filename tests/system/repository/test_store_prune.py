# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prune and replicate on every store."""

import time

import pytest
from store_shop import KEY, Shop

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.replicate import replicate
from ansible_collections.agnostic.recovery.plugins.module_utils.image.writer import ImageWriter
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository

SECOND = 1.1         # S3 tells times in seconds


@pytest.fixture(name="settled")
def fixture_settled(monkeypatch):
    """open_repository at a location whose listings, on these small servers, settle at once."""
    def settled(store):
        if store.settle:
            monkeypatch.setattr(store, "settle", 0)
        return open_repository(store, KEY)
    return settled


def test_prune_beside_a_capture_that_sleeps(location, settled, tmp_path):
    shop = Shop(location)
    first = shop.capture()
    shop.change(3)
    second = shop.capture()
    with open_store(location) as store, open_store(location) as other:
        repository = settled(store)
        time.sleep(SECOND)       # so that the removed image's objects are older than the session, also by a clock of whole seconds
        sleeper = ImageWriter(open_repository(other, KEY), "sleeper", NoProgress())
        time.sleep(SECOND)
        result = prune(repository, [first.id], NoProgress())
        assert (result.deleted, result.open_sessions) == (0, 1) and result.announced == 2
        time.sleep(SECOND)
        result = prune(repository, [], NoProgress(), silent=1)
        assert (result.deleted, result.ended_sessions) == (2, 1)
        with pytest.raises(RepositoryError, match="was ended"):
            sleeper.commit({}, "offline", {})
    assert shop.verify() == [second.id]
    assert shop.restore(second.id, tmp_path / "restored") == shop.content


def test_a_replica_of_each_store_in_a_directory_and_back(location, new_location, tmp_path):
    shop = Shop(location)
    image = shop.capture()
    there = new_location("directory")
    with open_store(location) as source, open_store(there) as target:
        assert replicate(open_repository(source, KEY), target, KEY, NoProgress()).images == (image.id,)
        source.delete(next(source.list("images/")))
        assert replicate(open_repository(target, KEY), source, KEY, NoProgress()).stored_objects == 1
    assert shop.verify() == [image.id]
    assert shop.restore(image.id, tmp_path / "restored", there) == shop.content
