# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acid test of used maps: random disks with random churn, copied by their map alone, must hold the same files as a full copy.

Three states: unmounted, frozen while mounted, and stopped dead (journal not replayed). AGNOSTIC_RECOVERY_ROUNDS multiplies the rounds,
AGNOSTIC_RECOVERY_SEED repeats a failed one.
"""

import os
import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import ext, extlayout
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from file_trees import tree_of
from source_filesystems import FILE_SYSTEMS, churned, make
from source_images import check, copy_used, map_of, mounted
from source_oracles import assert_like_other_programs

ROUNDS = int(os.environ.get("AGNOSTIC_RECOVERY_ROUNDS", "1"))
SEED = os.environ.get("AGNOSTIC_RECOVERY_SEED")
STATES = ("clean", "frozen", "dead")


def files_of(image, kind, folder):
    """What the file system holds once mounted, which replays its journal; then it must be sound."""
    with mounted(image, folder, kind, "rw,nouuid" if kind == "xfs" else "rw"):
        tree = tree_of(folder)
    check(image, kind)
    return tree


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_a_copy_of_the_used_ranges_holds_the_same_files(name, state, round_number, work):
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
    print(f"AGNOSTIC_RECOVERY_SEED={seed}")
    image, kind, options = make(name, os.path.join(work, "disk"))
    full, sparse, folder = os.path.join(work, "full"), os.path.join(work, "sparse"), os.path.join(work, "mnt")
    churned(image, kind, options, state, random.Random(seed), folder, full)
    ranges, part = map_of(full, kind, is_frozen=state == "frozen")
    print(part)
    if part.method == "whole":
        assert ranges.total == os.path.getsize(full)
        assert may_be_whole(name, kind, state), part.note
        return
    assert "damaged" not in part.method
    assert_like_other_programs(name, kind, state, full, ranges, work)
    copy_used(full, sparse, ranges)
    expected = files_of(full, kind, folder)
    assert expected
    assert files_of(sparse, kind, folder) == expected


def test_the_map_before_recovery_would_lose_files(work):
    """The control: the acid test must notice a map that ignores the journal."""
    folder, full, sparse = os.path.join(work, "mnt"), os.path.join(work, "full"), os.path.join(work, "sparse")
    for seed in range(10):
        image, kind, options = make("ext4-4k", os.path.join(work, "disk"))
        churned(image, kind, options, "dead", random.Random(seed), folder, full)
        with open_disk(full, "disk") as source:
            superblock = extlayout.read_superblock(source.read_at, source.size)
            stale = ext._map(ext.View(source.read_at, superblock.block_size), source.size, superblock, verify=False)
        copy_used(full, sparse, stale.ranges)
        expected = files_of(full, kind, folder)
        try:
            if files_of(sparse, kind, folder) != expected:
                return
        except (AssertionError, OSError):
            return
    pytest.fail("ten stale maps lost nothing")


def may_be_whole(name, kind, state):
    """Whether the state of the file system leaves no other choice. Fast commits may or may not be pending."""
    return state == "dead" and (kind in ("ext2", "xfs") or name in ("ext4-no-journal", "ext4-fast-commit"))
