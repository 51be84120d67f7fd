# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository that is full can still be pruned, and then takes captures again."""

import random

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository


def test_prune_of_a_full_repository(place_at, mounted, tmp_path):
    place = place_at(mounted("small", "-t", "tmpfs", "-o", "size=12m", "tmpfs") + "/repository").create()
    disk = tmp_path / "disk"
    rng = random.Random(5)
    while True:
        disk.write_bytes(rng.getrandbits(8 << 20).to_bytes(1 << 20, "little"))
        process = place.start_capture("shop", disk)
        _output, errors = process.communicate(timeout=120)
        if process.returncode:
            assert "is full" in errors
            break
    _fill(place.path + "/filler")
    with place.open().store as store:
        repository = open_repository(store, place.key)
        ids = list(image_ids(repository))
        assert len(ids) > 4                      # each gives a block back at once; four are needed
        result = prune(repository, ids[:-1], NoProgress())
        assert result.deleted >= 4 * 256
        assert verify(repository, level="full").problems == ()
        new = place.capture("shop", disk)
        assert list(image_ids(repository)) == ids[-1:] + [new]


def _fill(path):
    """Take the last byte."""
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        pass
