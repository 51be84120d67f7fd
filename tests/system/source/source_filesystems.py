# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file systems that the tests make, and how they age them."""

import os
import threading

import pytest
from source_churn import Churn
from source_images import CannotMount, copy_image, frozen, make_image, mounted, need, run, stop_dead, sync

MIB = 1 << 20

# name -> (kind, size, command of mkfs, mount options)
FILE_SYSTEMS = {
    "ext4": ("ext4", 200 * MIB, "mkfs.ext4 -q -F", "rw"),
    "ext4-4k": ("ext4", 300 * MIB, "mkfs.ext4 -q -F -b 4096", "rw"),
    "ext4-1k": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024", "rw"),
    "ext4-2k-groups": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 2048 -g 2048 -N 8192", "rw"),
    "ext4-data-journal": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -J size=4", "data=journal"),
    "ext4-short-journal": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -J size=1", "nodelalloc"),
    "ext4-bigalloc": ("ext4", 200 * MIB, "mkfs.ext4 -q -F -b 4096 -O bigalloc -C 65536", "rw"),
    "ext4-1k-bigalloc": ("ext4", 100 * MIB, "mkfs.ext4 -q -F -b 1024 -O bigalloc -C 8192", "rw"),
    "ext4-no-flex": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 4096 -g 2048 -O ^flex_bg", "rw"),
    "ext4-meta-bg": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O meta_bg,^resize_inode,64bit", "rw"),
    "ext4-old-csum": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O ^metadata_csum,uninit_bg,^64bit", "journal_checksum"),
    "ext4-no-csum": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O ^metadata_csum,^uninit_bg,^64bit",
                     "data=writeback,journal_async_commit"),
    "ext4-sparse2": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 -O sparse_super2", "rw"),
    "ext4-no-journal": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -O ^has_journal", "rw"),
    "ext4-seed-inline": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -O metadata_csum_seed,inline_data,ea_inode,orphan_file", "rw"),
    "ext4-fast-commit": ("ext4", 200 * MIB, "mkfs.ext4 -q -F -b 4096 -O fast_commit -J size=16", "rw"),
    "ext4-smaller": ("ext4", 120 * MIB, "mkfs.ext4 -q -F -b 1024 {} 100000", "rw"),
    "ext3": ("ext3", 120 * MIB, "mkfs.ext3 -q -F", "data=writeback"),
    "ext2": ("ext2", 120 * MIB, "mkfs.ext2 -q -F", "rw"),
    "xfs": ("xfs", 320 * MIB, "mkfs.xfs -q -f", "rw"),
    "xfs-all": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m reflink=1,rmapbt=1,finobt=1,bigtime=1,inobtcount=1", "rw"),
    "xfs-1k": ("xfs", 640 * MIB, "mkfs.xfs -q -f -b size=1024 -m reflink=0,rmapbt=0 -d agcount=5", "rw"),
    "xfs-stripe": ("xfs", 640 * MIB, "mkfs.xfs -q -f -d su=64k,sw=4,agcount=2 -l su=64k", "rw"),
    "xfs-4k-sectors": ("xfs", 320 * MIB, "mkfs.xfs -q -f -s size=4096", "rw"),
    "xfs-v4": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m crc=0,finobt=0", "rw"),
    "xfs-v4-log1": ("xfs", 320 * MIB, "mkfs.xfs -q -f -m crc=0,finobt=0 -l version=1,lazy-count=0", "rw"),
}


def make(name, path):
    kind, size, command, options = FILE_SYSTEMS[name]
    need(command.split()[0], "losetup")
    image = make_image(path, size)
    words = command.split()
    if "{}" in words:
        words = [image if word == "{}" else word for word in words]
    else:
        words.append(image)
    run(*words)
    return image, kind, options


def churned(image, kind, options, state, chance, folder, copy):
    """Age the file system in `image` and copy it in the wanted state."""
    largest = 2 * MIB if os.path.getsize(image) > 150 * MIB else 600_000
    try:
        with mounted(image, folder, kind, options):
            churn = Churn(folder, chance, largest)
            churn.run(chance.randrange(20, 100))
            sync(folder)
            churn.run(chance.randrange(10, 60))
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
