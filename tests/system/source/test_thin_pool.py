# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blocks that a thin pool has given out, from metadata that thin-provisioning-tools have made."""

import os
import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.thinpool import allocated
from source_images import need, run

BLOCK = 64 << 10
METADATA = 32 << 20


def pool(folder, blocks, runs):
    """Metadata of a pool of so many blocks. runs: (device, first block of the device, first block of the pool, length)."""
    need("thin_restore")
    devices = {}
    for device, origin, data, length in runs:
        devices.setdefault(device, []).append((origin, data, length))
    text = f'<superblock uuid="" time="1" transaction="2" data_block_size="{BLOCK // 512}" nr_data_blocks="{blocks}">\n'
    for device, mappings in sorted(devices.items()):
        mapped = sum(length for _origin, _data, length in mappings)
        text += f'<device dev_id="{device}" mapped_blocks="{mapped}" transaction="0" creation_time="0" snap_time="1">\n'
        text += "".join(f'<range_mapping origin_begin="{origin}" data_begin="{data}" length="{length}" time="0"/>\n'
                        for origin, data, length in sorted(mappings)) + "</device>\n"
    xml, path = os.path.join(folder, "pool.xml"), os.path.join(folder, "tmeta")
    with open(xml, "w", encoding="ascii") as file:
        file.write(text + "</superblock>\n")
    with open(path, "wb") as file:
        file.truncate(METADATA)
    run("thin_restore", "-i", xml, "-o", path)
    with open(path, "rb") as file:
        return file.read()


def told(metadata, blocks):
    return allocated(lambda offset, length: metadata[offset:offset + length], len(metadata), blocks * BLOCK)


# The bitmap of a block of metadata counts 16,320 blocks, a leaf of the index 169 bitmaps.
@pytest.mark.parametrize("blocks, count", [(1, 1), (100, 7), (16320, 60), (16321, 60), (200000, 400), (3000000, 500)])
def test_all_blocks_of_all_devices(work, blocks, count):
    rng = random.Random(blocks)
    starts = sorted(rng.sample(range(blocks), min(count, blocks)))
    runs = [(rng.randrange(3), start, start, rng.randint(1, min(end - start, 300))) for start, end in zip(starts, starts[1:] + [blocks])]
    shared = [(device + 10, origin, data, length) for device, origin, data, length in runs if rng.random() < 0.2]      # as snapshots do
    assert told(pool(work, blocks, runs + shared), blocks) == Ranges(
        (start * BLOCK, (start + length) * BLOCK) for _device, _origin, start, length in runs)


def test_an_empty_pool(work):
    assert told(pool(work, 500, []), 500) == Ranges()


def test_damage_is_found_and_nothing_else_is_raised(work):
    metadata = pool(work, 20000, [(1, 0, 5, 300), (2, 0, 16000, 1000)])
    wanted = told(metadata, 20000)
    used = [number for number in range(0, len(metadata), 4096) if any(metadata[number:number + 4096])]
    refused = 0
    for start in used:
        for at in (0, 4, 8, 17, 40, 333, 4095):
            broken = bytearray(metadata)
            broken[start + at] ^= 0x40
            try:
                assert told(bytes(broken), 20000) == wanted        # a block of the mappings, which are not asked
            except MapUnknown:
                refused += 1
    assert refused >= 7 * 4                                         # superblock, index, two bitmaps


@pytest.mark.parametrize("metadata", [b"", bytes(4096), b"\xff" * 8192])
def test_what_is_no_pool(metadata):
    with pytest.raises(MapUnknown):
        told(metadata, 100)


def test_a_pool_larger_than_its_data(work):
    with pytest.raises(MapUnknown, match="larger than the volume"):
        told(pool(work, 500, [(1, 0, 0, 5)]), 499)
