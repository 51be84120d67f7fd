# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acid test of used maps: random disks with random churn, copied by their map alone, must hold the same files as a full copy.

Three states: unmounted, frozen while mounted, and stopped dead (journal not replayed). AGNOSTIC_RECOVERY_ROUNDS multiplies the rounds,
AGNOSTIC_RECOVERY_SEED repeats a failed one.
"""

import os
import random
import threading

import pytest
from churn import Churn
from images import CannotMount, copy_image, copy_used, frozen, make_image, map_of, mounted, need, run, stop_dead, tree_of

ROUNDS = int(os.environ.get("AGNOSTIC_RECOVERY_ROUNDS", "1"))
SEED = os.environ.get("AGNOSTIC_RECOVERY_SEED")
MIB = 1 << 20

# name -> (kind, size, command of mkfs)
FILE_SYSTEMS = {
    "ext4": ("ext4", 200 * MIB, "mkfs.ext4 -q -F"),
    "ext4-4k": ("ext4", 300 * MIB, "mkfs.ext4 -q -F -b 4096"),
    "ext4-1k": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024"),
    "ext4-2k-groups": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 2048 -g 2048 -N 8192"),
    "ext4-bigalloc": ("ext4", 200 * MIB, "mkfs.ext4 -q -F -b 4096 -O bigalloc -C 65536"),
    "ext4-1k-bigalloc": ("ext4", 100 * MIB, "mkfs.ext4 -q -F -b 1024 -O bigalloc -C 8192"),
    "ext4-no-flex": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 4096 -g 2048 -O ^flex_bg"),
    "ext4-meta-bg": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O meta_bg,^resize_inode,64bit"),
    "ext4-old-csum": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O ^metadata_csum,uninit_bg,^64bit"),
    "ext4-no-csum": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O ^metadata_csum,^uninit_bg,^64bit"),
    "ext4-sparse2": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O sparse_super2"),
    "ext4-no-journal": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -O ^has_journal"),
    "ext4-seed-inline": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -I 256 -O metadata_csum_seed,inline_data,ea_inode,orphan_file,mmp"),
    "ext4-fast-commit": ("ext4", 200 * MIB, "mkfs.ext4 -q -F -b 4096 -O fast_commit -J size=16"),
    "ext4-smaller": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 {} 100000"),
    "ext3": ("ext3", 120 * MIB, "mkfs.ext3 -q -F"),
    "ext2": ("ext2", 120 * MIB, "mkfs.ext2 -q -F"),
    "xfs": ("xfs", 320 * MIB, "mkfs.xfs -q -f"),
    "xfs-all": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m reflink=1,rmapbt=1,finobt=1,bigtime=1,inobtcount=1"),
    "xfs-1k": ("xfs", 320 * MIB, "mkfs.xfs -q -f -b size=1024 -m reflink=0,rmapbt=0 -d agcount=7"),
    "xfs-stripe": ("xfs", 320 * MIB, "mkfs.xfs -q -f -d su=64k,sw=4 -l su=256k"),
    "xfs-4k-sectors": ("xfs", 320 * MIB, "mkfs.xfs -q -f -s size=4096"),
    "xfs-v4": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m crc=0,finobt=0"),
    "xfs-v4-log1": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m crc=0,finobt=0 -l version=1,lazy-count=0"),
}
STATES = ("clean", "frozen", "dead")


def make(name, path):
    kind, size, command = FILE_SYSTEMS[name]
    need(command.split()[0], "losetup")
    image = make_image(path, size)
    words = command.split()
    if "{}" in words:
        words = [image if word == "{}" else word for word in words]
    else:
        words.append(image)
    run(*words)
    return image, kind


def churned(image, kind, state, chance, folder, copy):
    """Age the file system in `image` and copy it in the wanted state."""
    largest = 2 * MIB if os.path.getsize(image) > 150 * MIB else 600_000
    try:
        with mounted(image, folder, kind):
            churn = Churn(folder, chance, largest)
            churn.run(chance.randrange(20, 200))
            os.sync()
            churn.run(chance.randrange(10, 150))
            if state == "frozen":
                with frozen(folder):
                    copy_image(image, copy)
            elif state == "dead":
                stop_while_busy(churn, chance, folder)
                copy_image(image, copy)
    except CannotMount as error:
        pytest.skip(f"this kernel cannot mount it: {error}")
    if state == "clean":
        copy_image(image, copy)


def stop_while_busy(churn, chance, folder):
    """Stop the file system while files are being written and fsynced."""
    def work():
        try:
            churn.run(100_000)
        except (OSError, RuntimeError):
            pass

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(chance.random() * 0.4)
    stop_dead(folder)
    worker.join()


def files_of(image, kind, folder):
    """What the file system holds once mounted, which replays its journal; then it must be sound."""
    with mounted(image, folder, kind, "rw,nouuid" if kind == "xfs" else "rw"):
        tree = tree_of(folder)
    if kind == "xfs":
        run("xfs_repair", "-n", image)
    else:
        run("e2fsck", "-fn", image)
    return tree


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_a_copy_of_the_used_ranges_holds_the_same_files(name, state, round_number, work):
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
    print(f"AGNOSTIC_RECOVERY_SEED={seed}")
    image, kind = make(name, os.path.join(work, "disk"))
    full, sparse, folder = os.path.join(work, "full"), os.path.join(work, "sparse"), os.path.join(work, "mnt")
    churned(image, kind, state, random.Random(seed), folder, full)
    ranges, part = map_of(full, kind, is_frozen=state == "frozen")
    print(part)
    if part.method == "whole":
        assert ranges.total == os.path.getsize(full)
        assert may_be_whole(name, kind, state), part.note
        return
    copy_used(full, sparse, ranges)
    expected = files_of(full, kind, folder)
    assert expected
    assert files_of(sparse, kind, folder) == expected
    assert "damaged" not in part.method


def may_be_whole(name, kind, state):
    """Whether the state of the file system leaves no other choice. Fast commits may or may not be pending."""
    return state == "dead" and (kind in ("ext2", "xfs") or name in ("ext4-no-journal", "ext4-fast-commit"))
