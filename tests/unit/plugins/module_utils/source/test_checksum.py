# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

from ansible_collections.agnostic.recovery.plugins.module_utils.source.bitmap import nonzero_runs, set_runs
from ansible_collections.agnostic.recovery.plugins.module_utils.source.checksum import crc16, crc32_be, crc32c


def test_published_check_values():
    """The "check" of each CRC: over the digits 1 to 9 (RFC 3720 for CRC-32C; catalogue of parametrised CRC algorithms)."""
    digits = b"123456789"
    assert crc32c(0xFFFFFFFF, digits) ^ 0xFFFFFFFF == 0xE3069283
    assert crc32c(0xFFFFFFFF, bytes(32)) ^ 0xFFFFFFFF == 0x8A9136AA
    assert crc16(0, digits) == 0xBB3D
    assert crc32_be(0xFFFFFFFF, digits) ^ 0xFFFFFFFF == 0xFC891918


def test_checksums_can_be_chained_anywhere():
    data = bytes(random.Random(1).randrange(256) for _byte in range(133))
    for function in (crc32c, crc16, crc32_be):
        whole = function(0x1234, data)
        for cut in range(len(data)):
            assert function(function(0x1234, data[:cut]), data[cut:]) == whole


def test_runs_of_bits():
    assert set_runs(b"\x00\x00", 16) == ([], 0)
    assert set_runs(b"\xff\xff", 11) == ([(0, 11)], 11)
    assert set_runs(b"\x0d\x80", 16) == ([(0, 1), (2, 4), (15, 16)], 4)
    assert set_runs(b"\x0d\x80", 15) == ([(0, 1), (2, 4)], 3)
    chance = random.Random(2)
    for _round in range(50):
        bits = chance.randrange(1, 300)
        bitmap = bytes(chance.choice((0, 255, chance.randrange(256))) for _byte in range(-(-bits // 8)))
        runs, count = set_runs(bitmap, bits)
        expected = {bit for bit in range(bits) if bitmap[bit // 8] >> bit % 8 & 1}
        assert {bit for first, end in runs for bit in range(first, end)} == expected
        assert count == len(expected)


def test_runs_of_bytes():
    assert nonzero_runs(b"\0\1\2\0\0\n") == [(1, 3), (5, 6)]


def test_long_checksums_are_those_of_their_bytes():
    chance = random.Random(3)
    for length in (2047, 2048, 2049, 2111, 4096, 16384 - 32, 20001):
        data = chance.getrandbits(8 * length).to_bytes(length, "little")
        expected = start = chance.getrandbits(32)
        for position in range(0, length, 100):
            expected = crc32c(expected, data[position:position + 100])
        assert crc32c(start, data) == expected
