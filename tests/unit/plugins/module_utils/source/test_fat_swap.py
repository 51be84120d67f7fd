# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import struct

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import fat, swap
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import fat_image, reader

CLUSTERS = {12: 2000, 16: 5000, 32: 70000}
END = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
BAD = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}


@pytest.fixture(params=(12, 16, 32))
def width(request):
    return request.param


def clusters_of(data_start, *clusters):
    return Ranges([(0, data_start)] + [(data_start + (cluster - 2) * 512, data_start + (cluster - 1) * 512) for cluster in clusters])


def test_used_and_bad_clusters(width):
    last = CLUSTERS[width] + 1
    image, data_start = fat_image(width, CLUSTERS[width], {2: 3, 3: END[width], 100: BAD[width], last: END[width], last + 1: END[width]})
    ranges, method = fat.used(reader(image), len(image), False)
    assert ranges == clusters_of(data_start, 2, 3, 100, last)
    assert method == f"FAT{width} tables"


def test_every_entry_alone(width):
    """Entries of 12 bits share bytes; those of 32 bits have four reserved ones."""
    chance = random.Random(width)
    for _round in range(30):
        cluster = chance.randrange(2, 40)
        value = 1 << chance.randrange(width if width < 32 else 28)
        image, data_start = fat_image(width, CLUSTERS[width], {cluster: value})
        assert fat.used(reader(image), len(image), False)[0] == clusters_of(data_start, cluster)


def test_reserved_bits_of_fat32_do_not_count():
    image, data_start = fat_image(32, CLUSTERS[32], {5: 0xF0000000})
    assert fat.used(reader(image), len(image), False)[0] == clusters_of(data_start)


def test_either_table_makes_a_cluster_used(width):
    image, data_start = fat_image(width, CLUSTERS[width], {})
    second = 32 * 512 + (data_start - 32 * 512 - (0 if width == 32 else 16384)) // 2
    image = bytearray(image)
    image[second + 10 * width // 8] = 0x10 if width == 12 else 1
    ranges = fat.used(reader(image), len(image), False)[0]
    assert ranges.total == data_start + 512


def test_space_behind_the_last_cluster_is_used(width):
    image, data_start = fat_image(width, CLUSTERS[width], {})
    assert fat.used(reader(image), len(image) + 700, False)[0] == Ranges([(0, data_start), (len(image), len(image) + 700)])


@pytest.mark.parametrize("dirty_width", (16, 32))
def test_dirty_bits(dirty_width):
    image, _data_start = fat_image(dirty_width, CLUSTERS[dirty_width], {}, dirty=True)
    for frozen in (False, True):
        with pytest.raises(MapUnknown, match="not unmounted cleanly"):
            fat.used(reader(image), len(image), frozen)


def test_dirty_state_in_the_boot_sector(width):
    image = bytearray(fat_image(width, CLUSTERS[width], {})[0])
    image[0x41 if width == 32 else 0x25] = 1
    with pytest.raises(MapUnknown, match="not unmounted cleanly"):
        fat.used(reader(image), len(image), False)


def test_damaged_fat_never_raises_anything_else(width):
    chance = random.Random(width)
    original = fat_image(width, CLUSTERS[width], {5: END[width]})[0]
    for _round in range(100):
        image = bytearray(original)
        for _flip in range(3):
            image[chance.randrange(11, 90)] = chance.randrange(256)
        try:
            fat.used(reader(image), len(image), False)
        except MapUnknown:
            pass
    for length in (0, 11, 100, 511, 32 * 512 + 3):
        with pytest.raises(MapUnknown):
            fat.used(reader(original[:length]), len(original), False)


def swap_image(page, order="<", last_page=None, magic=b"SWAPSPACE2", size=1 << 20):
    image = bytearray(size)
    struct.pack_into(order + "2I", image, 1024, 1, size // page - 1 if last_page is None else last_page)
    image[page - len(magic):page] = magic
    return image


@pytest.mark.parametrize("page", (4096, 8192, 16384, 65536))
@pytest.mark.parametrize("order", "<>")
def test_swap_keeps_its_header(page, order):
    image = swap_image(page, order)
    assert swap.used(reader(image), len(image), False) == (Ranges([(0, page)]), "swap header")
    assert swap.used(reader(image), len(image) + 10, False)[0] == Ranges([(0, page), (len(image), len(image) + 10)])


@pytest.mark.parametrize("magic", swap.HIBERNATION_SIGNATURES + (b"SWAP-SPACE", b"SWAPSPACE3"))
def test_swap_that_is_kept_whole(magic):
    image = swap_image(4096, magic=magic.ljust(10, b"\0"))
    with pytest.raises(MapUnknown):
        swap.used(reader(image), len(image), True)


def test_swap_headers_that_make_no_sense():
    for image in (swap_image(4096, last_page=1 << 20), swap_image(4096, last_page=0), bytes(100), bytes(1 << 20)):
        with pytest.raises(MapUnknown):
            swap.used(reader(image), 1 << 20, False)
    both = swap_image(4096)
    both[65526:65536] = b"SWAPSPACE2"
    with pytest.raises(MapUnknown, match="several page sizes"):
        swap.used(reader(both), len(both), False)
