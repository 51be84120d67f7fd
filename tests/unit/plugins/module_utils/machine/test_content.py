# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures made byte by byte; those of real programs are compared with blkid in tests/system."""

import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.content import probe_content

SIZE = 1024 * 1024


def probe(*pieces, **options):
    """`pieces` are (offset, bytes) of a volume of `size` bytes."""
    size = options.get("size", SIZE)
    data = bytearray(size)
    for offset, piece in pieces:
        data[offset:offset + len(piece)] = piece
    return probe_content(lambda offset, length: bytes(data[offset:offset + length]), size)


def ext(compat, incompat, ro_compat):
    raw = bytearray(1024)
    struct.pack_into("<II", raw, 4, 256, 0)
    struct.pack_into("<I", raw, 24, 2)
    raw[56:58] = b"\x53\xef"
    struct.pack_into("<III", raw, 92, compat, incompat, ro_compat)
    raw[104:120] = bytes(range(16))
    raw[120:124] = b"root"
    return 1024, bytes(raw)


@pytest.mark.parametrize("features,kind", [
    ((0, 0, 0), "ext2"), ((0x38, 0x2, 0x3), "ext2"), ((0x3c, 0x2, 0x3), "ext3"), ((0x3c, 0x6, 0x3), "ext3"), ((0x3c, 0x42, 0x3), "ext4"),
    ((0x3c, 0x2, 0x7b), "ext4"), ((0x38, 0x2c2, 0x7b), "ext4"), ((0, 0x4, 0), "ext4"), ((0, 0x8, 0), "unknown"),
])
def test_ext_by_features(features, kind):
    found = probe(ext(*features))
    assert found.kind == kind
    assert (found.uuid, found.label) == ("00010203-0405-0607-0809-0a0b0c0d0e0f", "root")
    assert found.size == (SIZE if kind != "unknown" else 0)
    assert bool(found.note) == (kind == "unknown")


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("order", ["<", ">"])
def test_swap_of_all_page_sizes_and_byte_orders(page_size, order):
    header = struct.pack(order + "III", 1, SIZE // page_size - 1, 0) + bytes(range(16)) + b"swap0"
    found = probe((1024, header), (page_size - 10, b"SWAPSPACE2"))
    assert (found.kind, found.label, found.size, found.note) == ("swap", "swap0", SIZE, "")
    found = probe((1024, header), (page_size - 10, b"S1SUSPEND\0"))
    assert found.kind == "swap" and found.label == "swap0" and "hibernated" in found.note


def lvm(sector):
    label = b"LABELONE" + struct.pack("<QII8s", sector, 0, 32, b"LVM2 001")
    return sector * 512, label + b"abcdefghijklmnopqrstuvwxyz012345" + struct.pack("<Q", SIZE)


@pytest.mark.parametrize("sector", range(4))
def test_physical_volume(sector):
    found = probe(lvm(sector))
    assert (found.kind, found.uuid, found.size) == ("lvm2", "abcdef-ghij-klmn-opqr-stuv-wxyz-012345", SIZE)


def test_members_of_something_larger_come_first():
    assert probe(ext(0, 0, 0), lvm(1)).kind == "lvm2"
    md = struct.pack("<II", 0xA92B4EFC, 1) + bytes(8) + bytes(range(16)) + b"host:root"
    found = probe(ext(0x3c, 0x42, 0x3), ((SIZE // 512 - 16) * 512, md))    # the other half of a mirror looks like a file system too
    assert (found.kind, found.label) == ("md", "host:root")


def test_two_file_systems_at_once_are_unknown():
    xfs = b"XFSB" + struct.pack(">IQ", 4096, 256) + bytes(86) + struct.pack(">H", 512)
    assert probe((0, xfs)).kind == "xfs"
    found = probe((0, xfs), ext(0, 0, 0))
    assert found.kind == "unknown" and "ext2 and xfs" in found.note


@pytest.mark.parametrize("pieces,kind", [
    ([(0, b"XFSB")], "unknown"),
    ([(3, b"NTFS    ")], "unknown"),
    ([(3, b"EXFAT   ")], "unknown"),
    ([(0, b"LUKS\xba\xbe\x00\x09")], "unknown"),
    ([(0, b"LABELONE")], "unknown"),
    ([(510, b"\x55\xaa")], "unknown"),
    ([(0, b"\xeb\x52\x90-FVE-FS-")], "bitlocker"),
    ([(128 * 1024, struct.pack("<Q", 0x00BAB10C))], "zfs"),
    ([(SIZE - 1, b"\x01")], "unknown"),
    ([], "empty"),
])
def test_little_is_believed(pieces, kind):
    assert probe(*pieces).kind == kind


def test_encrypted_with_label():
    luks = bytearray(512)
    luks[:8] = b"LUKS\xba\xbe\x00\x02"
    luks[24:29] = b"vault"
    luks[168:204] = b"7dc0b7c7-0b9d-4d0c-8f0d-0a4a6a7c9d11"
    found = probe((0, bytes(luks)))
    assert (found.kind, found.uuid, found.label) == ("luks", "7dc0b7c7-0b9d-4d0c-8f0d-0a4a6a7c9d11", "vault")


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1023, 4096, 65535, 65536 + 4096])
def test_small_volumes(size):
    assert probe(size=size).kind == "empty"


def test_a_directory_that_turns_in_circles_ends():
    boot = bytearray(512)
    struct.pack_into("<HBHBHH", boot, 11, 512, 1, 2, 1, 0, 0)
    boot[21] = 0xF8
    struct.pack_into("<II", boot, 32, 2048, 8)
    struct.pack_into("<I", boot, 44, 2)
    boot[510:512] = b"\x55\xaa"
    found = probe((0, bytes(boot)), (2 * 512 + 8, struct.pack("<I", 2)), (10 * 512, b"\xe5" * 512))
    assert (found.kind, found.label) == ("vfat", "")


def test_random_bytes_never_break_a_probe():
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies

    magics = strategies.sampled_from([
        (3, b"NTFS    "), (3, b"EXFAT   "), (0, b"XFSB"), (1024 + 56, b"\x53\xef"), (0, b"LUKS\xba\xbe\0\1"), (512, b"LABELONE"),
        (510, b"\x55\xaa"), (65536 + 64, b"_BHRfS_M"), (4086, b"SWAPSPACE2"), (4096, b"\xfc\x4e\x2b\xa9\1\0\0\0"),
    ])

    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(strategies.binary(max_size=600), strategies.integers(0, 2000), magics)
    def check(data, offset, magic):
        probe((offset, data), magic, size=200 * 1024)

    check()
