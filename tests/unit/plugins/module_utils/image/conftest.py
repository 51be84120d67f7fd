# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small repository of each kind, and disks in memory."""

import random

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.diskread import CaptureDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

CHUNK_SIZE = 4096
KEY_FILE = KeyFile(b"\7" * 64)


class MemoryDisk:
    """A disk whose content is known, and what of it is used."""

    def __init__(self, name, content, used):
        self.name = name
        self.content = content
        self.ranges = Ranges(used)

    def read_at(self, offset, length):
        return bytes(self.content[offset:offset + length])

    def capture_disk(self):
        return CaptureDisk(self.name, len(self.content), 512, self.read_at, self.ranges, ({"partition": 1, "kind": "ext4"},))

    def expected(self):
        """What a restore must give: the used bytes, and zeros elsewhere."""
        content = bytearray(len(self.content))
        for start, end in self.ranges:
            content[start:end] = self.content[start:end]
        return bytes(content)

    @classmethod
    def random(cls, seed, name="sda", size=None):
        """Text, noise and zeros, used and free, at odd offsets."""
        rng = random.Random(seed)
        size = size or rng.randrange(1, 80 * CHUNK_SIZE)
        content = bytearray()
        while len(content) < size:
            length = rng.choice([100, 512, 4096, 5000, 40000])
            kind = rng.randrange(3)
            if kind == 0:
                content += bytes(length)
            elif kind == 1:
                content += bytes(rng.getrandbits(8) for _unused in range(length))
            else:
                content += (b"%d text " % rng.randrange(100)) * (length // 8 + 1)
        used = []
        for _unused in range(rng.randrange(0, 30)):
            start = rng.randrange(size)
            used.append((start, min(size, start + rng.choice([1, 512, 4096, 20000, 100000]))))
        return cls(name, bytes(content[:size]), used)


@pytest.fixture(name="repository", params=["encrypted", "plain"])
def fixture_repository(request, tmp_path):
    if request.param == "encrypted":
        pytest.importorskip("cryptography")
    with DirectoryStore(str(tmp_path / "repository")) as store:
        key = KEY_FILE if request.param == "encrypted" else NoKey()
        init_repository(store, key, chunk_size=CHUNK_SIZE, encrypted=request.param == "encrypted")
        yield open_repository(store, key)


@pytest.fixture(name="capture")
def fixture_capture(repository):
    def capture(*disks, machine="shop", into=None, **options):
        return capture_image(into or repository, machine, {"name": machine}, [disk.capture_disk() for disk in disks], "offline",
                             {"how": "test"}, NoProgress(), **options)
    return capture


@pytest.fixture(name="memory_disk")
def fixture_memory_disk():
    return MemoryDisk
