# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images written in several passes over disks that change in between."""

import os
import random

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image import index as index_module
from ansible_collections.agnostic.recovery.plugins.module_utils.image import writer as writer_module
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import list_images, read_manifest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.image.writer import DiskState, ImageWriter
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

CHUNK_SIZE = 4096


@pytest.fixture(name="small_pages", autouse=True)
def fixture_small_pages(monkeypatch):
    for module in (index_module, writer_module):
        monkeypatch.setattr(module, "ENTRIES_PER_PAGE", 8)


@pytest.fixture(name="restored")
def fixture_restored(repository, tmp_path):
    def restored(info):
        paths = {disk.name: str(tmp_path / disk.name) for disk in info.disks}
        restore_image(repository, info.id, paths, NoProgress())
        contents = []
        for path in paths.values():
            with open(path, "rb") as file:
                contents.append(file.read())
            os.unlink(path)
        return contents
    return restored


def change(disk, rng):
    """Overwrite, zero, free and use stretches of the disk; returns what was written of what is used, and a little more."""
    content, used, dirty = bytearray(disk.content), disk.ranges, Ranges()
    for _unused in range(rng.randrange(0, 12)):
        start = rng.randrange(len(content))
        end = min(len(content), start + rng.choice([1, 100, 4096, 9000, 60000]))
        piece, kind = Ranges([(start, end)]), rng.randrange(5)
        if kind < 2:
            content[start:end] = bytes(rng.getrandbits(8) for _byte in range(end - start)) if kind else bytes(end - start)
            dirty = dirty.union(piece)
        elif kind == 2:
            used = used.union(piece)
        elif kind == 3:
            used = used.minus(piece)
        else:
            dirty = dirty.union(piece)
    disk.content, disk.ranges = bytes(content), used
    return dirty


@pytest.mark.parametrize("seed", range(40))
def test_the_last_pass_decides(repository, memory_disk, restored, seed):
    rng = random.Random(seed)
    disks = [memory_disk.random(seed), memory_disk.random(seed + 1000, name="sdb")]
    writer = ImageWriter(repository, "shop", NoProgress(), workers=1 + seed % 4)
    writer.first_pass([disk.capture_disk() for disk in disks])
    for _pass in range(rng.randrange(1, 5)):
        states = [DiskState(disk.capture_disk(), dirty) for disk, dirty in [(disk, change(disk, rng)) for disk in disks]]
        # Nothing but what the states name may be looked at again.
        states = [DiskState(state.disk._replace(ranges=disk.ranges), state.dirty) for disk, state in zip(disks, states)]
        writer.next_pass(states)
    info = writer.commit({}, "filesystem", {})
    assert restored(info) == [disk.expected() for disk in disks]
    assert verify(repository, level="full").problems == ()
    assert (info.used, info.disks[0].used) == (sum(disk.ranges.total for disk in disks), disks[0].ranges.total)
    # What is counted must be what a capture in one pass counts.
    again = ImageWriter(repository, "shop", NoProgress())
    again.first_pass([disk.capture_disk() for disk in disks])
    once = again.commit({}, "filesystem", {})
    assert (once.disks, once.stored_new_objects) == (info.disks, 0)
    assert [disk.pages for disk in read_manifest(repository, once.id).disks] == [
        disk.pages for disk in read_manifest(repository, info.id).disks]


def test_untouched_chunks_are_not_read_again(repository, memory_disk):
    disk = memory_disk("sda", os.urandom(64 * CHUNK_SIZE), [(0, 40 * CHUNK_SIZE), (50 * CHUNK_SIZE, 51 * CHUNK_SIZE)])
    writer = ImageWriter(repository, "shop", NoProgress())
    writer.first_pass([disk.capture_disk()])
    reads = []

    def read_at(offset, length):
        reads.append((offset // CHUNK_SIZE, length))
        return disk.content[offset:offset + length]

    now = disk.capture_disk()._replace(
        read_at=read_at, ranges=Ranges([(0, 30 * CHUNK_SIZE), (33 * CHUNK_SIZE, 40 * CHUNK_SIZE), (50 * CHUNK_SIZE, 50 * CHUNK_SIZE + 7)]))
    state = DiskState(now, Ranges([(5 * CHUNK_SIZE + 9, 5 * CHUNK_SIZE + 10), (31 * CHUNK_SIZE, 32 * CHUNK_SIZE)]))
    assert writer.bytes_to_read([state]) == CHUNK_SIZE + 7
    writer.next_pass([state])
    assert sorted(reads) == [(5, CHUNK_SIZE), (50, 7)]


def test_a_failed_pass_leaves_no_image(repository, memory_disk):
    disk = memory_disk("sda", os.urandom(30 * CHUNK_SIZE), [(0, 30 * CHUNK_SIZE)])
    writer = ImageWriter(repository, "shop", NoProgress())
    writer.first_pass([disk.capture_disk()])

    def broken(offset, length):
        raise OSError(5, "Input/output error")

    with pytest.raises(SourceError, match="Disk sda cannot be read at byte 0"):
        writer.next_pass([DiskState(disk.capture_disk()._replace(read_at=broken), Ranges([(0, 1)]))])
    assert list_images(repository) == []
