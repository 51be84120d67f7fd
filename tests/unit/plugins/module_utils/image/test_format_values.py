# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values in docs/format.md, section 14: what is stored today is read for good."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image import envelope
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import Zlib
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import CHUNK, NO_KEY_ID, Opener, Sealer
from ansible_collections.agnostic.recovery.plugins.module_utils.image.index import PageBuilder
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import merkle_root
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import Secrets
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import Ids, Repository, RepositoryInfo

ID_KEY, INDEX_KEY = bytes(range(32)), bytes(range(32, 64))
PLAIN_CHUNK = bytes.fromhex("5a494143010000000000000000000000000000000000000000000000000000000000000000000000"
                            "000000000000000000000000" "00000005" "00000005" "00000000" "68656c6c6f" "f30798589db0140c26a62424f699966c")
SEALED_CHUNK = bytes.fromhex("5a494143010100000202020202020202020202020202020202020202020202020202020202020202"
                             "000102030405060708090a0b" "00000005" "00000005" "00000000" "d3c3f94a4f" "cdb061df937c85fffab8516ac18d87f0")


def repository(suite):
    info = RepositoryInfo(bytes(range(16)).hex(), 1, 1 << 20, suite != "none", suite, "", "")
    return Repository(None, info, None if suite == "none" else Secrets(ID_KEY, INDEX_KEY, b"", ()))


def test_ids_and_keys():
    found = repository("aes-256-gcm")
    assert found.chunk_ids.of(b"abc").hex() == "f0133729c4163dede81e21cd47839256da58171238c8a0d874397c73b14e1e47"
    assert found.page_key.hex() == "b27a081ab010d4b978e3e2939eddad0c7e2d114a3718f2364b03c42c164b467b"
    assert found.manifest_key.hex() == "8c5c6760424dc2db58ef52a32b297c1928d2586aabdc918a0aa43a3a1b7dfc75"
    page_name_key = bytes.fromhex("3cc0a3345437cfd49890fde1dcb16a17b0de9b18fef9062735e52ccacf8190c3")
    assert found.page_ids.of(b"x") == Ids(page_name_key).of(b"x")


def test_page():
    builder = PageBuilder(2)
    builder.set_stored(1, b"\xab" * 32)
    assert builder.data().hex() == "0100000000000002" + "00" * 52 + "02" + "00" * 19 + "ab" * 32
    assert repository("aes-256-gcm").page_ids.of(builder.data()).hex() == "d26cabca49ef7042c64668055154a49258fc7b6af921fb613f77946ed49c22f7"


def test_plain_chunk():
    plain = repository("none")
    chunk_id = plain.chunk_ids.of(b"hello")
    assert bytes(Sealer(CHUNK, plain, None, NO_KEY_ID, Zlib()).seal(chunk_id, b"hello")) == PLAIN_CHUNK
    assert bytes(Opener(CHUNK, plain, 4096).open(chunk_id, PLAIN_CHUNK, None)) == b"hello"


def test_sealed_chunk(monkeypatch):
    pytest.importorskip("cryptography")
    encrypted = repository("aes-256-gcm")
    chunk_id = bytes.fromhex("53c40272a70c15ca4ee0af4df1f155fd6c41e00ce2307d8987ecd4bb36a7e990")
    assert encrypted.chunk_ids.of(b"hello") == chunk_id
    monkeypatch.setattr(envelope.os, "urandom", lambda count: bytes(range(count)))
    assert bytes(Sealer(CHUNK, encrypted, b"\1" * 32, b"\2" * 32, Zlib()).seal(chunk_id, b"hello")) == SEALED_CHUNK
    assert bytes(Opener(CHUNK, encrypted, 4096).open(chunk_id, SEALED_CHUNK, lambda key_id: b"\1" * 32)) == b"hello"


def test_merkle_root():
    assert merkle_root([("sda", 5000, bytes(32))]).hex() == "246ed876244c2922df324804f10593b1ed091beedfb6734f7c589d3cc7a0cc11"
