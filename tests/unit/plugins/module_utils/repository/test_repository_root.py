# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root object: making, opening, and every way in which it can be wrong."""

import json
import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import DamagedObjectError, KeyAccessError, RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import repository as module
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository, read_info

KEY_FILE = KeyFile(b"\7" * 64)


@pytest.fixture(name="store", params=["encrypted", "plain"])
def fixture_store(request, tmp_path):
    if request.param == "encrypted":
        pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "repository")) as store:
        store.key = KEY_FILE if request.param == "encrypted" else NoKey()
        init_repository(store, store.key, chunk_size=1 << 16, encrypted=request.param == "encrypted")
        yield store


def rewrite(store, content):
    with open(os.path.join(store.path, "repository.json"), "wb") as file:
        file.write(content)


def test_init_and_open(store):
    repository = open_repository(store, store.key)
    assert repository.can_read and repository.chunk_size == 1 << 16
    assert repository.info == read_info(store)
    assert repository.info.encrypted == (repository.secrets is not None)


def test_a_second_init_is_refused(store):
    with pytest.raises(RepositoryError, match="There is a repository at .* already"):
        init_repository(store, store.key, encrypted=store.key is KEY_FILE)


def test_no_repository(tmp_path):
    with pytest.raises(RepositoryError, match="There is no repository at .*repository_init makes a new one"):
        read_info(DirectoryStore(str(tmp_path)))


def test_an_interrupted_init_can_be_repeated(store):
    os.unlink(os.path.join(store.path, "repository.json"))
    init_repository(store, store.key, encrypted=store.key is KEY_FILE)
    assert open_repository(store, store.key).can_read


def test_every_flipped_byte_is_noticed(store):
    with open(os.path.join(store.path, "repository.json"), "rb") as file:
        content = file.read()
    for position in range(len(content)):
        for flip in (0x01, 0x80):
            rewrite(store, content[:position] + bytes((content[position] ^ flip,)) + content[position + 1:])
            with pytest.raises(RepositoryError, match="repository.json of the repository at .* is damaged|format version"):
                read_info(store)
    for length in range(len(content)):
        rewrite(store, content[:length])
        with pytest.raises(DamagedObjectError):
            read_info(store)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"[" * 60000, b"x" * 100000])
def test_other_content(store, content):
    rewrite(store, content)
    with pytest.raises(DamagedObjectError):
        read_info(store)


def test_a_newer_format_is_told(store):
    root = json.loads(store.get("repository.json").decode("ascii"))
    rewrite(store, module._encode_root(dict({name: value for name, value in root.items() if name != "checksum"}, format_version=2)))
    with pytest.raises(RepositoryError, match="has format version 2; this version of agnostic.recovery reads up to 1"):
        read_info(store)


@pytest.mark.parametrize("change", [{"chunk_size": 1 << 17}, {"public_key": "00" * 32}, {"id": "0" * 32},
                                    {"created": "1970-01-01T00:00:00Z"}])
def test_who_alters_it_and_mends_the_checksum_is_found_out(tmp_path, change):
    pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "r")) as store:
        init_repository(store, KEY_FILE)
        root = json.loads(store.get("repository.json").decode("ascii"))
        root.pop("checksum")
        rewrite(store, module._encode_root(dict(root, **change)))
        with pytest.raises(RepositoryError):
            open_repository(store, KEY_FILE)


def test_an_unencrypted_repository_in_place_of_an_encrypted_one_is_noticed(tmp_path):
    with DirectoryStore(str(tmp_path / "r")) as store:
        init_repository(store, NoKey(), encrypted=False)
        with pytest.raises(KeyAccessError, match="is not encrypted, but a key was given"):
            open_repository(store, KEY_FILE)
        with pytest.raises(KeyAccessError, match="has no capture credential"):
            module.export_capture_credential(open_repository(store, NoKey()))


@pytest.mark.parametrize("chunk_size", [0, 1000, 2048, 3 << 20, 16 << 20])
def test_chunk_sizes(tmp_path, chunk_size):
    with pytest.raises(RepositoryError, match="power of two"):
        init_repository(DirectoryStore(str(tmp_path / "r")), NoKey(), chunk_size=chunk_size, encrypted=False)


def test_an_unencrypted_repository_takes_no_key(tmp_path):
    with pytest.raises(KeyAccessError, match="takes no key"):
        init_repository(DirectoryStore(str(tmp_path / "r")), KEY_FILE, encrypted=False)


@pytest.mark.parametrize("public_key", ["0", "zz" * 32, "00" * 31, "00" * 32 + "\n"])
def test_a_public_key_that_is_none(store, public_key):
    root = json.loads(store.get("repository.json").decode("ascii"))
    rewrite(store, module._encode_root(dict({name: value for name, value in root.items() if name != "checksum"}, public_key=public_key)))
    with pytest.raises(DamagedObjectError):
        open_repository(store, store.key)
