# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key of 32 bytes sealed to an X25519 public key: 104 bytes, docs/format.md section 4."""

import hashlib
import struct
from typing import NamedTuple

from .crypto import NONCE_SIZE, AuthenticationError, hkdf, new_private_key, public_key, seal, shared_secret, unseal

SIZE = 104
_HEADER = struct.Struct(">4sBB2x16s32s")     # magic, format, suite, recipient, ephemeral public key
_FORMAT = 1
_SUITE = 1


class Purpose(NamedTuple):
    """What a sealed key is for: `magic` begins the object, `label` keeps its keys apart from those of other purposes."""
    magic: bytes
    label: bytes


def seal_key(purpose: Purpose, recipient: bytes, bound: bytes, key: bytes, proof: bytes = b"") -> bytes:
    """Seal `key` to the public key `recipient` and bind it to `bound`. Only who knows `proof` can open it, or could have made it."""
    ephemeral = new_private_key()
    header = _HEADER.pack(purpose.magic, _FORMAT, _SUITE, recipient_id(recipient), public_key(ephemeral))
    wrapping = hkdf(shared_secret(ephemeral, recipient) + proof, header[-32:] + recipient, purpose.label)
    return header + seal(wrapping, bytes(NONCE_SIZE), header + bound, key)


def open_key(purpose: Purpose, data: bytes, private: bytes, bound: bytes, proof: bytes = b"") -> bytes:
    """Undo `seal_key`. Raises AuthenticationError: altered, or sealed to another key."""
    check_sealed(purpose, data)
    header = data[:_HEADER.size]
    recipient = public_key(private)
    if recipient_of(data) != recipient_id(recipient):
        raise AuthenticationError("it is sealed to another key")
    wrapping = hkdf(shared_secret(private, header[-32:]) + proof, header[-32:] + recipient, purpose.label)
    return unseal(wrapping, bytes(NONCE_SIZE), header + bound, data[_HEADER.size:])


def check_sealed(purpose: Purpose, data: bytes) -> None:
    """What can be checked without a key. Raises AuthenticationError."""
    if len(data) != SIZE:
        raise AuthenticationError("it is not of the right length")
    if data[:6] != purpose.magic + bytes((_FORMAT, _SUITE)):
        raise AuthenticationError("it is of a format that this version does not know")


def recipient_of(data: bytes) -> bytes:
    """Which public key a sealed key is for, as `recipient_id` names it."""
    return data[8:24]


def recipient_id(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:16]
