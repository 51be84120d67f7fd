# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data keys: random AES keys, one for each capture process, sealed to the repository's public key.

Who seals keeps the key in memory only as long as it captures; to open it takes the private key. The object `keys/data/<id>`
is described in docs/format.md. It is durable before the first chunk that uses it is stored.
"""

import hashlib
import os
import struct
from typing import NamedTuple

from .crypto import KEY_SIZE, NONCE_SIZE, AuthenticationError, hkdf, new_private_key, public_key, seal, shared_secret, unseal
from .keys import Secrets

PREFIX = "keys/data/"
SIZE = 104
_HEADER = struct.Struct(">4sBB2x16s32s")     # magic, format, suite, recipient, ephemeral public key
_MAGIC = b"ZIAK"
_FORMAT = 1
_SUITE = 1
_LABEL = b"zia/1 data key"


class DataKey(NamedTuple):
    id: bytes            # 32 bytes: SHA-256 of the object
    key: bytes


def seal_data_key(repository_id: bytes, recipient: bytes):
    """A fresh data key and the object that keeps it, sealed to the X25519 public key `recipient`: (DataKey, bytes)."""
    key = os.urandom(KEY_SIZE)
    ephemeral = new_private_key()
    header = _HEADER.pack(_MAGIC, _FORMAT, _SUITE, _recipient_id(recipient), public_key(ephemeral))
    wrapping = _wrapping_key(shared_secret(ephemeral, recipient), header, recipient)
    sealed = header + seal(wrapping, bytes(NONCE_SIZE), header + repository_id, key)
    return DataKey(hashlib.sha256(sealed).digest(), key), sealed


def open_data_key(data: bytes, key_id: bytes, repository_id: bytes, secrets: Secrets) -> DataKey:
    """Undo `seal_data_key`. Raises AuthenticationError: altered, or sealed to a key that is not among the secrets."""
    check_data_key(data, key_id)
    header = data[:_HEADER.size]
    _magic, _format, _suite, recipient_id, ephemeral = _HEADER.unpack(header)
    for private in secrets.private_keys:
        recipient = public_key(private)
        if _recipient_id(recipient) == recipient_id:
            wrapping = _wrapping_key(shared_secret(private, ephemeral), header, recipient)
            return DataKey(key_id, unseal(wrapping, bytes(NONCE_SIZE), header + repository_id, data[_HEADER.size:]))
    raise AuthenticationError("it is sealed to a key that this repository's key slots do not hold")


def check_data_key(data: bytes, key_id: bytes) -> None:
    """What can be checked without a private key: the content is the one that the id names."""
    if len(data) != SIZE or hashlib.sha256(data).digest() != key_id:
        raise AuthenticationError("its content is not what its name says")
    if data[:6] != _MAGIC + bytes((_FORMAT, _SUITE)):
        raise AuthenticationError("it is of a format that this version does not know")


def _wrapping_key(shared: bytes, header: bytes, recipient: bytes) -> bytes:
    return hkdf(shared, header[-32:] + recipient, _LABEL)


def _recipient_id(recipient: bytes) -> bytes:
    return hashlib.sha256(recipient).digest()[:16]
