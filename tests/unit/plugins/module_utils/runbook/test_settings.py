# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How machines are recovered, in a repository: kept, read, exchanged, forged."""

import pytest

pytest.importorskip("cryptography")

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import KeyAccessError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.replicate import replicate
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keyadmin import KeyAdministration
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository)
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.store import SETTINGS
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.settings import (
    forget_settings, keep_settings, read_settings, seal_again, secrets_in)

KEY = KeyFile(b"\7" * 64)
NOW = 1795000000.0
WEB = {"dr_wave": 2, "dr_checks": [{"kind": "sql", "password": "hidden"}], "dr_network": {"mode": "keep", "address": "192.0.2.1"}}


@pytest.fixture(name="store")
def fixture_store(tmp_path):
    with DirectoryStore(str(tmp_path / "repository")) as store:
        init_repository(store, KEY, chunk_size=4096)
        yield store


@pytest.fixture(name="repository")
def fixture_repository(store):
    return open_repository(store, KEY)


def variables(repository, machine=None):
    found, messages = read_settings(repository, machine)
    assert messages == []
    return found


def test_the_newest_counts_whatever_the_clock_says(repository):
    keep_settings(repository, "web", dict(WEB, dr_wave=1), NOW)
    keep_settings(repository, "web", WEB, NOW - 3600)
    keep_settings(repository, "w\u00e9b/.x", {"dr_rpo": "\U0001f600", "dr_worker": "here", "ansible_connection": "local"}, NOW)
    assert variables(repository) == {"web": WEB, "w\u00e9b/.x": {"dr_rpo": "\U0001f600"}}
    assert variables(repository, "web") == {"web": WEB}
    assert [name[:30] for name in repository.store.list(SETTINGS)][-2:] == ["settings/web/20261118T110640Z-", "settings/web/20261118T110641Z-"]
    forget_settings(repository, "web")
    assert list(variables(repository)) == ["w\u00e9b/.x"]


def test_nothing_of_them_can_be_read_in_the_store(repository, store):
    keep_settings(repository, "web", WEB, NOW)
    name, = store.list(SETTINGS)
    assert name.startswith("settings/web/20261118T110640Z-")
    for word in (b"hidden", b"192.0.2.1", b"dr_checks"):
        assert word not in store.get(name)


def test_a_source_neither_opens_nor_makes_them(repository, store):
    source = open_repository(store, CaptureCredential(export_capture_credential(repository)))
    for call in (lambda: keep_settings(source, "web", WEB, NOW), lambda: read_settings(source)):
        with pytest.raises(KeyAccessError, match="capture credential opens no settings"):
            call()


def test_an_unencrypted_repository_keeps_none(tmp_path):
    with DirectoryStore(str(tmp_path / "open")) as store:
        init_repository(store, NoKey(), chunk_size=4096, encrypted=False)
        with pytest.raises(KeyAccessError, match="could say what runs on workers"):
            keep_settings(open_repository(store, NoKey()), "web", WEB, NOW)


def test_a_new_epoch_takes_them_along_and_believes_no_older_key(repository, store):
    keep_settings(repository, "web", WEB, NOW)
    KeyAdministration(store, KEY).begin_epoch(2)
    renewed = open_repository(store, KEY)
    found, messages = read_settings(renewed)
    assert found == {} and "not sealed under the newest epoch" in messages[0] and "keep them again" in messages[0]
    seal_again(repository, renewed, NOW)
    assert variables(renewed) == {"web": WEB}
    # Who knew the old key, and reaches the store, says something newer: it does not count.
    keep_settings(repository, "web", {"dr_checks": [{"kind": "command", "argv": ["evil"]}]}, NOW + 9)
    found, messages = read_settings(renewed)
    assert found["web"] == WEB and len(messages) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "exchange", "empty"])
def test_damaged_ones_are_passed_over(repository, store, damage):
    keep_settings(repository, "web", dict(WEB, dr_wave=1), NOW)
    keep_settings(repository, "web", WEB, NOW + 1)
    keep_settings(repository, "db", {"dr_wave": 3}, NOW + 1)
    db, _old, newest = store.list(SETTINGS)
    content = {"flip": store.get(newest)[:-1] + b"\0", "cut": store.get(newest)[:70], "exchange": store.get(db), "empty": b""}[damage]
    store.delete(newest)
    store.put_new(newest, content)
    found, messages = read_settings(repository)
    assert found["web"]["dr_wave"] == 1 and found["db"] == {"dr_wave": 3}
    assert len(messages) == 1 and newest in messages[0]


def test_too_much(repository):
    with pytest.raises(RepositoryError, match="more than the 1048576 that are kept"):
        keep_settings(repository, "web", {"dr_network": {"x": "y" * (1 << 20)}}, NOW)


def test_a_replica_has_them_too(repository, tmp_path):
    keep_settings(repository, "web", WEB, NOW)
    with DirectoryStore(str(tmp_path / "replica")) as target:
        replicate(repository, target, KEY, NoProgress())
        keep_settings(repository, "web", dict(WEB, dr_wave=4), NOW)
        replicate(repository, target, KEY, NoProgress(), wanted=[])
        assert variables(open_repository(target, KEY))["web"]["dr_wave"] == 4


def test_the_secrets_in_variables():
    assert list(secrets_in(WEB)) == ["hidden"]
    assert list(secrets_in([{"dr_luks_keys": [{"passphrase": "b", "password": {"password": "c"}}]}, "password", None])) == ["b", "c"]
