# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checksums of file system metadata that the standard library lacks, in plain Python, fast enough for gigabytes of disk map.

All take and return the raw 32 or 16 bit register: no final inversion, so calls can be chained. Conventions of the formats differ there.
"""

import struct
import sys
import zlib
from array import array
from typing import List, Tuple

CRC32C_POLYNOMIAL = 0x82F63B78      # Castagnoli, reflected (RFC 3720)
CRC16_POLYNOMIAL = 0xA001           # CRC-16/ARC, reflected

LANE = 64               # bytes: long data are cut to lanes, which advance together
LANES_FROM = 2048       # bytes that are worth it

_BIT_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def _byte_table(polynomial: int) -> List[int]:
    table = []
    for value in range(256):
        for _bit in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


_CRC16 = _byte_table(CRC16_POLYNOMIAL)
_CRC32C = _byte_table(CRC32C_POLYNOMIAL)
_CRC32C_WORD: List[List[int]] = []
_CRC32C_LANE: List[List[int]] = []
_CRC32C_PLANES = [bytes(value >> shift & 0xff for value in _CRC32C) for shift in (0, 8, 16, 24)]


def _word_tables() -> Tuple[List[int], List[int]]:
    """Tables that advance the register by four bytes with two look-ups: for its low and for its high half."""
    if not _CRC32C_WORD:
        byte = _CRC32C
        one = [byte[half & 0xff] ^ (half >> 8) for half in range(0x10000)]
        high = [byte[value & 0xff] ^ (value >> 8) for value in one]
        three = [byte[value & 0xff] ^ (value >> 8) for value in high]
        _CRC32C_WORD.append([byte[value & 0xff] ^ (value >> 8) for value in three])
        _CRC32C_WORD.append(high)
    return _CRC32C_WORD[0], _CRC32C_WORD[1]


def crc32c(register: int, data: bytes) -> int:
    """CRC-32C of `data`, continued from `register` (start with 0xFFFFFFFF)."""
    if len(data) < LANES_FROM:
        return _crc32c_words(register, data)
    lanes = len(data) // LANE
    zero, one, two, three = _lane_tables()
    for word in _lane_registers(data[:lanes * LANE], lanes):
        register = word ^ zero[register & 0xff] ^ one[register >> 8 & 0xff] ^ two[register >> 16 & 0xff] ^ three[register >> 24]
    return _crc32c_words(register, data[lanes * LANE:])


def _lane_tables() -> List[List[int]]:
    """Tables that advance the register by a lane of zeros, one for each of its bytes. A checksum is linear: so lanes are joined."""
    if not _CRC32C_LANE:
        zeros = bytes(LANE)
        _CRC32C_LANE.extend([_crc32c_words(value << shift, zeros) for value in range(256)] for shift in (0, 8, 16, 24))
    return _CRC32C_LANE


def _lane_registers(data: bytes, lanes: int) -> array:
    """The registers of all lanes, each begun with 0: they advance together, a byte of each at a time, as four planes of bytes."""
    first = second = third = fourth = 0
    for position in range(LANE):
        index = (first ^ int.from_bytes(data[position::LANE], "little")).to_bytes(lanes, "little")
        first = second ^ int.from_bytes(index.translate(_CRC32C_PLANES[0]), "little")
        second = third ^ int.from_bytes(index.translate(_CRC32C_PLANES[1]), "little")
        third = fourth ^ int.from_bytes(index.translate(_CRC32C_PLANES[2]), "little")
        fourth = int.from_bytes(index.translate(_CRC32C_PLANES[3]), "little")
    mixed = bytearray(4 * lanes)
    for number, plane in enumerate((first, second, third, fourth)):
        mixed[number::4] = plane.to_bytes(lanes, "little")
    registers = array("I", bytes(mixed))
    if sys.byteorder == "big":
        registers.byteswap()
    return registers


def _crc32c_words(register: int, data: bytes) -> int:
    low, high = _word_tables()
    words = array("I", data[:len(data) & ~3])
    if sys.byteorder == "big":
        words.byteswap()
    for word in words:
        word ^= register
        register = low[word & 0xffff] ^ high[word >> 16]
    for value in data[len(data) & ~3:]:
        register = _CRC32C[(register ^ value) & 0xff] ^ (register >> 8)
    return register


def crc16(register: int, data: bytes) -> int:
    """CRC-16/ARC of `data`, continued from `register`; ext4's gdt_csum starts with 0xFFFF."""
    for value in data:
        register = _CRC16[(register ^ value) & 0xff] ^ (register >> 8)
    return register


def crc32_be(register: int, data: bytes) -> int:
    """CRC-32 of `data` most significant bit first (polynomial 0x04C11DB7), as jbd2's first checksums have it.

    zlib computes the same one mirrored, so bytes and register are mirrored around it.
    """
    mirrored = zlib.crc32(data.translate(_BIT_REVERSED), _reverse32(register) ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return _reverse32(mirrored)


def _reverse32(value: int) -> int:
    return struct.unpack("<I", struct.pack(">I", value).translate(_BIT_REVERSED))[0]
