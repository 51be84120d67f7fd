# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The envelope around every stored piece of an image: chunk, index page, manifest.

    header (64 bytes) | payload | tag (16 bytes)

docs/format.md describes the header. In an encrypted repository the payload is encrypted with AES-256-GCM; in an unencrypted one the
tag is a checksum. Either binds header, repository and object id, so that no object can stand in for another.
"""

import hashlib
import os
import struct
from typing import Callable, NamedTuple

from ..repository.crypto import NONCE_SIZE, TAG_SIZE, AuthenticationError, open_into, seal_into, sealed_size
from ..repository.repository import SUITE_AES_256_GCM, SUITE_NONE
from .codec import NONE, CodecError, decompress

CHUNK = b"ZIAC"
PAGE = b"ZIAP"
MANIFEST = b"ZIAM"
FORMAT = 1
HEADER_SIZE = 64
OVERHEAD = HEADER_SIZE + TAG_SIZE
NO_KEY_ID = bytes(32)

_HEADER = struct.Struct(">4sBBBx32s12sII4x")     # magic, format, suite, codec, key id, nonce, plain length, payload length


class EnvelopeError(ValueError):
    """What is wrong with a sealed object, in words that follow "is damaged: "."""


class Header(NamedTuple):
    codec: int
    key_id: bytes        # names the data key of a chunk; zeros elsewhere
    nonce: bytes
    length: int          # bytes of the plain content
    stored: int          # bytes of the payload


class Sealer:
    """Seals objects of one kind with one key. For one thread: the result lies in a buffer that the next call uses again."""

    def __init__(self, magic: bytes, repository, key, key_id: bytes, compressor):
        self._magic = magic
        self._repository_id = repository.id
        self._suite = repository.suite
        self._key = key
        self._key_id = key_id
        self._compressor = compressor
        self._buffer = bytearray()

    def seal(self, object_id: bytes, plain) -> memoryview:
        """The stored form of `plain`. Compressed where that makes it smaller."""
        payload = self._compressor.compress(plain)
        codec = self._compressor.codec
        if len(payload) >= len(plain):
            payload, codec = plain, NONE
        needed = HEADER_SIZE + sealed_size(len(payload))
        if len(self._buffer) < needed:
            self._buffer = bytearray(needed)
        nonce = os.urandom(NONCE_SIZE) if self._suite else bytes(NONCE_SIZE)
        _HEADER.pack_into(self._buffer, 0, self._magic, FORMAT, self._suite, codec, self._key_id, nonce, len(plain), len(payload))
        view = memoryview(self._buffer)
        bound = bytes(view[:HEADER_SIZE]) + self._repository_id + object_id
        if self._suite == SUITE_AES_256_GCM:
            seal_into(self._key, nonce, bound, payload, view[HEADER_SIZE:])
        else:
            view[HEADER_SIZE:HEADER_SIZE + len(payload)] = payload
            view[HEADER_SIZE + len(payload):OVERHEAD + len(payload)] = _checksum(bound, payload)
        return view[:OVERHEAD + len(payload)]


class Opener:
    """Opens objects of one kind, of at most `limit` plain bytes. For one thread: a result may lie in a buffer that is used again."""

    def __init__(self, magic: bytes, repository, limit: int):
        self._magic = magic
        self._repository_id = repository.id
        self._suite = repository.suite
        self._limit = limit
        self._buffer = bytearray()

    def open(self, object_id: bytes, data: bytes, key_of: Callable[[bytes], bytes]):
        """The plain content. `key_of` gives the key for a key id. Raises EnvelopeError."""
        header = read_header(self._magic, data, len(data), self._suite, self._limit)
        view = memoryview(data)
        bound = bytes(view[:HEADER_SIZE]) + self._repository_id + object_id
        payload = view[HEADER_SIZE:HEADER_SIZE + header.stored]
        if self._suite == SUITE_AES_256_GCM:
            key = key_of(header.key_id)
            needed = sealed_size(header.stored)
            if len(self._buffer) < needed:
                self._buffer = bytearray(needed)
            output = memoryview(self._buffer)
            try:
                open_into(key, header.nonce, bound, view[HEADER_SIZE:], output[:needed])
            except AuthenticationError as error:
                raise EnvelopeError(str(error)) from error
            payload = output[:header.stored]
        elif _checksum(bound, payload) != bytes(view[-TAG_SIZE:]):
            raise EnvelopeError("its checksum does not match")
        try:
            return decompress(header.codec, payload, header.length)
        except CodecError as error:
            raise EnvelopeError(str(error)) from error


def read_header(magic: bytes, data: bytes, size: int, suite: int, limit: int) -> Header:
    """Check and take apart the header of an object of `size` bytes of which `data` is at least the start. Raises EnvelopeError."""
    if size < OVERHEAD or len(data) < HEADER_SIZE:
        raise EnvelopeError("it is cut short")
    found, version, found_suite, codec, key_id, nonce, length, stored = _HEADER.unpack_from(data)
    if found != magic:
        raise EnvelopeError("it does not begin as it must")
    if version != FORMAT:
        raise EnvelopeError(f"it is of format {version}, which this version does not know")
    if found_suite != suite:
        raise EnvelopeError("its cipher suite is not that of the repository")
    if data[7] or any(data[60:64]) or (suite == SUITE_NONE and (any(nonce) or any(key_id))):
        raise EnvelopeError("a reserved field is not zero")
    if length > limit or stored > limit:
        raise EnvelopeError("it claims to be larger than it can be")
    if size != OVERHEAD + stored:
        raise EnvelopeError("its length is not what its header says")
    return Header(codec, key_id, nonce, length, stored)


def _checksum(bound: bytes, payload) -> bytes:
    digest = hashlib.sha256(bound)
    digest.update(payload)
    return digest.digest()[:TAG_SIZE]
