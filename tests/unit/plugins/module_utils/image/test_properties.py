# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readers against arbitrary input: an error of the right kind, or a right value, and nothing else."""

import json

import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import given, settings, strategies as st  # noqa: E402

from ansible_collections.agnostic.recovery.plugins.module_utils.image import manifest, target  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.diskread import CaptureDisk, read_chunk, used_entries  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import CodecError, decompress  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.envelope import CHUNK, EnvelopeError, read_header  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.image.index import Page  # noqa: E402
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges  # noqa: E402

SIZE = 1 << 18
RANGES = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))).map(lambda pairs: Ranges((min(pair), max(pair)) for pair in pairs))
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6)
DISK = {"name": "sda", "size": 5000, "sector_size": 512, "used": 0, "data": 0, "pages": "A" * 43 + "=", "map": []}
FIELDS = {"format_version": 1, "id": "m/20261122T010203Z-00000001", "machine": "m", "created": "", "consistency": "offline", "parent": "",
          "disks": [DISK], "size": 5000, "used": 0, "stored_new": 0, "stored_new_objects": 0, "seconds": 0, "warnings": [],
          "chunk_size": 4096, "entries_per_page": 1024, "machine_model": {}, "evidence": {},
          "merkle_root": manifest.merkle_root([("sda", 5000, bytes(32))]).hex()}


@given(st.binary(max_size=400))
def test_page(data):
    try:
        page = Page(data)
    except ValueError:
        return
    for entry in range(page.count):
        if page.state(entry) == 2:
            page.location(entry)


@given(st.binary(max_size=100), st.integers(0, 1 << 40), st.integers(0, 1))
def test_header(data, size, suite):
    try:
        read_header(CHUNK, CHUNK + b"\1" + bytes((suite,)) + data, size, suite, 4096)
    except EnvelopeError:
        pass


@given(st.binary(max_size=200), st.integers(0, 3), st.integers(1, 4096))
def test_decompress(data, codec, size):
    for text in (data, b"\x28\xb5\x2f\xfd" + data):
        try:
            assert len(decompress(codec, text, size)) == size
        except CodecError:
            pass


@given(st.sampled_from(sorted(FIELDS)), VALUES)
def test_manifest_fields(name, value):
    check_manifest(dict(FIELDS, **{name: value}))


@given(st.sampled_from(sorted(DISK)), VALUES)
def test_manifest_disk_fields(name, value):
    check_manifest(dict(FIELDS, disks=[dict(DISK, **{name: value})]))


def test_the_unchanged_manifest_is_read():
    assert check_manifest(FIELDS).info.id == FIELDS["id"]


def check_manifest(fields):
    try:
        found = manifest._decode(json.dumps(fields).encode("ascii"), FIELDS["id"])
    except ValueError:
        return None
    assert len(found.disks) == len(fields["disks"]) and found.info.id == FIELDS["id"]
    assert isinstance(found.info.machine, str) and isinstance(found.machine, dict) and isinstance(found.info.size, int)
    return found


@given(RANGES, st.integers(0, 63), st.integers(1, 4096))
def test_read_chunk_gives_the_used_bytes_and_zeros(ranges, number, length):
    offset = number * 4096
    content = bytes((position * 7 + position // 256) % 251 + 1 for position in range(offset, offset + length))

    def read_at(start, count):
        return content[start - offset:start - offset + count]

    data, used = read_chunk(CaptureDisk("sda", SIZE, 512, read_at, ranges), offset, length)
    expected = bytearray(length)
    for start, end in ranges.overlapping(offset, offset + length):
        expected[start - offset:end - offset] = content[start - offset:end - offset]
    assert data == expected and used == ranges.clip(offset, offset + length).total


@given(RANGES, st.sampled_from([0, 65536]), st.sampled_from([512, 4096]))
def test_used_entries_are_those_that_overlap(ranges, start, size):
    end = start + 65536
    entries = {entry for first, last in used_entries(ranges, start, end, size) for entry in range(first, last)}
    assert entries == {entry for entry in range((end - start) // size)
                       if any(True for _pair in ranges.overlapping(start + entry * size, start + (entry + 1) * size))}
    assert sum(last - first for first, last in used_entries(ranges, start, end, size)) == len(entries)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([b"\0" * 65536, b"\0" * 40 + b"\1" * 65496, b"\0" * 100, b"a" * 65536, b"b"]), max_size=6))
def test_data_runs_leave_out_only_zeros(parts):
    data = b"".join(parts)
    runs = target._data_runs(memoryview(data))
    rebuilt = bytearray(len(data))
    for start, end in runs:
        rebuilt[start:end] = data[start:end]
    assert rebuilt == data
    assert all(first[1] < second[0] for first, second in zip(runs, runs[1:]))
