# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The envelope: round trips, and every kind of tampering."""

import os
import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import Zlib
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import (
    CHUNK, HEADER_SIZE, NO_KEY_ID, OVERHEAD, PAGE, EnvelopeError, Opener, Sealer)

LIMIT = 10000
KEY = b"k" * 32


class _Same:
    """A stand-in for nothing but the fields that an envelope is bound to."""
    def __init__(self, repository, other_id=None):
        self.id = other_id or repository.id
        self.suite = repository.suite


def key_id(repository):
    return b"K" * 32 if repository.suite else NO_KEY_ID


def sealed(repository, text, magic=CHUNK, object_id=b"o" * 32):
    return bytes(Sealer(magic, repository, KEY, key_id(repository), Zlib()).seal(object_id, text))


def opened(repository, data, magic=CHUNK, object_id=b"o" * 32, limit=LIMIT, key=KEY):
    return bytes(Opener(magic, repository, limit).open(object_id, data, lambda _id: key))


@pytest.mark.parametrize("text", [b"x", b"text " * 500, os.urandom(LIMIT), bytes(LIMIT)], ids=["byte", "text", "noise", "zeros"])
def test_round_trip(repository, text):
    data = sealed(repository, text)
    assert opened(repository, data) == text
    assert len(data) <= len(text) + OVERHEAD
    if repository.suite:
        assert text[:16] not in data[HEADER_SIZE:] or len(text) < 16


def test_buffers_are_used_again(repository):
    sealer = Sealer(CHUNK, repository, KEY, key_id(repository), Zlib())
    opener = Opener(CHUNK, repository, LIMIT)
    texts = [os.urandom(size) for size in (5000, 10, 9000, 1)] + [b"a" * 9000]
    for text in texts:
        assert bytes(opener.open(b"i", bytes(sealer.seal(b"i", text)), lambda _id: KEY)) == text


def test_nonces_differ(repository):
    if repository.suite:
        assert len({sealed(repository, b"same")[40:52] for _unused in range(100)}) == 100


def test_every_flipped_bit_is_noticed(repository):
    data = sealed(repository, b"some text " * 20)
    for position in range(len(data)):
        for bit in (1, 128):
            altered = bytearray(data)
            altered[position] ^= bit
            with pytest.raises(EnvelopeError):
                opened(repository, bytes(altered))


def test_every_length_is_checked(repository):
    data = sealed(repository, b"some text " * 20)
    for length in range(len(data)):
        with pytest.raises(EnvelopeError):
            opened(repository, data[:length])
    with pytest.raises(EnvelopeError):
        opened(repository, data + b"\0")


def test_objects_cannot_be_swapped(repository):
    data = sealed(repository, b"text")
    with pytest.raises(EnvelopeError):
        opened(repository, data, object_id=b"p" * 32)
    with pytest.raises(EnvelopeError):
        opened(repository, data, magic=PAGE)
    with pytest.raises(EnvelopeError):
        opened(_Same(repository, b"z" * 16), data)
    if repository.suite:
        with pytest.raises(EnvelopeError):
            opened(repository, data, key=b"l" * 32)


def test_sizes_that_are_claimed_are_limited(repository):
    text = bytes(LIMIT + 1)
    with pytest.raises(EnvelopeError, match="larger than it can be"):
        opened(repository, sealed(repository, text))
    data = bytearray(sealed(repository, b"text"))
    struct.pack_into(">I", data, 52, 0xFFFFFFFF)
    with pytest.raises(EnvelopeError, match="larger than it can be"):
        opened(repository, bytes(data))


def test_a_suite_downgrade_is_refused(repository):
    data = bytearray(sealed(repository, b"text"))
    data[5] ^= 1
    with pytest.raises(EnvelopeError, match="cipher suite"):
        opened(repository, bytes(data))


def test_a_newer_format_is_told(repository):
    data = bytearray(sealed(repository, b"text"))
    data[4] = 2
    with pytest.raises(EnvelopeError, match="format 2"):
        opened(repository, bytes(data))
