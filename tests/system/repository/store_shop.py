# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture, verification and restore of a small machine at any location, with the keys that each has in real life."""

import random

from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import CaptureDisk, capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import CaptureCredential, KeyFile
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.open import open_store
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import (
    export_capture_credential, init_repository, open_repository)
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

CHUNK_SIZE = 16384
KEY = KeyFile(b"\7" * 64)


class Shop:
    """A machine with one disk, and the encrypted repository that it is captured into."""

    def __init__(self, location, chunks=20, seed=1):
        self.location = location
        self.content = bytearray(random.Random(seed).getrandbits(8 * CHUNK_SIZE * chunks).to_bytes(CHUNK_SIZE * chunks, "little"))
        with open_store(location) as store:
            init_repository(store, KEY, chunk_size=CHUNK_SIZE)
            self.credential = CaptureCredential(export_capture_credential(open_repository(store, KEY)))

    def change(self, chunk):
        """Other content in one chunk."""
        self.content[chunk * CHUNK_SIZE] ^= 0xFF

    def capture(self, location=None):
        """The ImageInfo of a capture with the capture credential only."""
        disk = CaptureDisk("sda", len(self.content), 512, lambda offset, length: bytes(self.content[offset:offset + length]),
                           Ranges.whole(len(self.content)))
        with open_store(location or self.location) as store:
            repository = open_repository(store, self.credential)
            return capture_image(repository, "shop", {}, [disk], "offline", {}, NoProgress(), workers=8)

    def restore(self, image, target, location=None):
        """The bytes of the restored disk."""
        with open_store(location or self.location) as store:
            restore_image(open_repository(store, KEY), image, {"sda": str(target)}, NoProgress())
        return target.read_bytes()

    def verify(self, location=None):
        """The ids of the images, each of them verified in full."""
        with open_store(location or self.location) as store:
            repository = open_repository(store, KEY)
            result = verify(repository, level="full")
            assert result.problems == ()
            assert sorted(image_ids(repository)) == sorted(result.images)
            return list(result.images)
