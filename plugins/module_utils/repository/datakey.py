# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data keys: random AES keys, one for each capture process, sealed to the repository's public key.

Who seals keeps the key in memory only as long as it captures; to open it takes the private key. The object `keys/data/<id>`
is described in docs/format.md. It is durable before the first chunk that uses it is stored.
"""

import hashlib
import os
from typing import NamedTuple

from .crypto import KEY_SIZE, AuthenticationError, public_key
from .keys import Secrets
from .sealing import SIZE, Purpose, check_sealed, open_key, recipient_id, recipient_of, seal_key

PREFIX = "keys/data/"
_PURPOSE = Purpose(b"ZIAK", b"zia/1 data key")


class DataKey(NamedTuple):
    id: bytes            # 32 bytes: SHA-256 of the object
    key: bytes


def seal_data_key(repository_id: bytes, recipient: bytes):
    """A fresh data key and the object that keeps it, sealed to the X25519 public key `recipient`: (DataKey, bytes)."""
    key = os.urandom(KEY_SIZE)
    sealed = seal_key(_PURPOSE, recipient, repository_id, key)
    return DataKey(hashlib.sha256(sealed).digest(), key), sealed


def open_data_key(data: bytes, key_id: bytes, repository_id: bytes, secrets: Secrets) -> DataKey:
    """Undo `seal_data_key`. Raises AuthenticationError: altered, or sealed to a key that is not among the secrets."""
    check_data_key(data, key_id)
    for private in secrets.private_keys:
        if recipient_id(public_key(private)) == recipient_of(data):
            return DataKey(key_id, open_key(_PURPOSE, data, private, repository_id))
    raise AuthenticationError("it is sealed to a key that this repository's key slots do not hold")


def check_data_key(data: bytes, key_id: bytes) -> None:
    """What can be checked without a private key: the content is the one that the id names."""
    if len(data) != SIZE or hashlib.sha256(data).digest() != key_id:
        raise AuthenticationError("its content is not what its name says")
    check_sealed(_PURPOSE, data)
