# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The primitives against published vectors and other implementations."""

import hashlib
import hmac
import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import crypto
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import Ids


def test_hkdf_rfc5869_case_1():
    output = crypto.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xf0, 0xfa)), 42)
    assert output.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_hkdf_rfc5869_case_2():
    output = crypto.hkdf(bytes(range(0x00, 0x50)), bytes(range(0x60, 0xb0)), bytes(range(0xb0, 0x100)), 82)
    assert output.hex() == ("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")


@pytest.mark.parametrize("key", [b"k" * 32, b"", b"x" * 64])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_ids_are_hmac_sha256(key, size):
    data = os.urandom(size)
    assert Ids(key).of(bytearray(data)) == hmac.new(key, data, hashlib.sha256).digest()
    assert Ids(None).of(memoryview(data)) == hashlib.sha256(data).digest()


class TestWithCryptography:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("cryptography")

    @pytest.mark.parametrize("without", [False, True])
    def test_scrypt_rfc7914(self, monkeypatch, without):
        if without:
            monkeypatch.delattr(hashlib, "scrypt", raising=False)
        assert crypto.scrypt(b"password", b"NaCl", 1024, 8, 16).hex() == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"

    def test_scrypt_that_the_host_refuses(self):
        with pytest.raises(RepositoryError, match="cannot derive a key by scrypt"):
            crypto.scrypt(b"password", b"NaCl", 1000, 8, 16)

    def test_x25519_rfc7748(self):
        # Section 6.1.
        bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
        alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        assert crypto.public_key(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
        assert crypto.shared_secret(bob, alice_public).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"

    def test_x25519_agrees(self):
        alice, bob = crypto.new_private_key(), crypto.new_private_key()
        assert crypto.shared_secret(alice, crypto.public_key(bob)) == crypto.shared_secret(bob, crypto.public_key(alice))

    def test_gcm_test_case_16(self):
        # McGrew and Viega, "The Galois/Counter Mode of Operation", AES-256 with associated data.
        key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
        nonce = bytes.fromhex("cafebabefacedbaddecaf888")
        text = bytes.fromhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                             "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        bound = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        sealed = crypto.seal(key, nonce, bound, text)
        assert sealed.hex() == ("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b")
        assert crypto.unseal(key, nonce, bound, sealed) == text

    @pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 70000])
    def test_sealing_into_a_buffer(self, size):
        key, nonce, text = os.urandom(32), os.urandom(12), os.urandom(size)
        buffer = bytearray(crypto.sealed_size(size) + 7)
        written = crypto.seal_into(key, nonce, b"bound", bytearray(text), memoryview(buffer)[7:])
        assert written == size + crypto.TAG_SIZE
        plain = bytearray(crypto.sealed_size(size))
        assert crypto.open_into(key, nonce, b"bound", memoryview(buffer)[7:7 + written], memoryview(plain)) == size
        assert plain[:size] == text

    def test_anything_altered_is_refused(self):
        key, nonce = os.urandom(32), os.urandom(12)
        sealed = crypto.seal(key, nonce, b"bound", b"text")
        flipped = bytearray(sealed)
        for position in range(len(sealed)):
            flipped[position] ^= 0x40
            with pytest.raises(crypto.AuthenticationError):
                crypto.unseal(key, nonce, b"bound", bytes(flipped))
            flipped[position] ^= 0x40
        for arguments in ((os.urandom(32), nonce, b"bound"), (key, os.urandom(12), b"bound"), (key, nonce, b"other")):
            with pytest.raises(crypto.AuthenticationError):
                crypto.unseal(*arguments, sealed=sealed)
        with pytest.raises(crypto.AuthenticationError):
            crypto.unseal(key, nonce, b"bound", sealed[:10])

    def test_a_public_key_of_small_order_is_refused(self):
        with pytest.raises(crypto.AuthenticationError):
            crypto.shared_secret(crypto.new_private_key(), bytes(32))
