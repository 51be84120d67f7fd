# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acid test of the maps of btrfs: over one device and over several, with subvolumes, snapshots, compression and all profiles.

As in test_used_maps.py, a copy of the used ranges must hold the same files as a full copy, in three states: unmounted, frozen, and with a
log tree, as a crash after an fsync leaves it.
"""

import contextlib
import os
import random
import struct
import subprocess
import time

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.checksum import crc32c
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from file_trees import tree_of
from source_churn import Churn
from source_images import copy_image, copy_used, frozen, loop, make_image, need, run, sync
from source_oracles import reached_by_dump_tree

MIB = 1 << 20
SEED = os.environ.get("AGNOSTIC_RECOVERY_SEED")
ROUNDS = int(os.environ.get("AGNOSTIC_RECOVERY_ROUNDS", "1"))
STATES = ("clean", "frozen", "logged")

# name -> (devices, options of mkfs, options of mount)
BTRFS = {
    "plain": (1, "", "rw"),
    "compressed": (1, "--csum sha256", "compress-force=zstd"),
    "mixed-groups": (1, "--mixed", "rw"),
    "small-nodes": (1, "-n 4096 -d dup", "nodatacow"),
    "old": (1, "-O ^no-holes,^skinny-metadata -R ^free-space-tree --csum blake2", "space_cache=v1"),
    "block-group-tree": (1, "-O block-group-tree", "space_cache=v2"),
    "raid1": (2, "-d raid1 -m raid1", "rw"),
    "raid0": (3, "-d raid0 -m raid1", "rw"),
    "raid10": (4, "-d raid10 -m raid10", "rw"),
    "raid1c3": (3, "-d single -m raid1c3", "rw"),
}


@contextlib.contextmanager
def mounted(images, folder, options="rw"):
    """The file system on these images. The kernel must have forgotten the devices of an earlier copy of it."""
    os.makedirs(folder, exist_ok=True)
    run("btrfs", "device", "scan", "--forget")
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(loop(image)) for image in images]
        named = ",".join([options] + [f"device={device}" for device in devices])
        run("mount", "-t", "btrfs", "-o", named, devices[0], folder)
        try:
            yield folder
        finally:
            run("umount", folder)


def make(name, work, size=400 * MIB):
    count, options, mount_options = BTRFS[name]
    need("mkfs.btrfs", "btrfs", "losetup")
    images = [make_image(os.path.join(work, f"disk{number}"), size) for number in range(count)]
    done = subprocess.run(["mkfs.btrfs", "-q", "-f"] + options.split() + images, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    if done.returncode:
        pytest.skip(f"this mkfs.btrfs cannot make it: {done.stdout}")
    return images, mount_options


def age(folder, chance):
    """Churn in the top, in a subvolume and around snapshots, of which some are deleted again."""
    run("btrfs", "subvolume", "create", os.path.join(folder, "sub"))
    churns = [Churn(folder, chance), Churn(os.path.join(folder, "sub"), chance)]
    for number in range(4):
        for churn in churns:
            churn.run(chance.randrange(10, 50))
        sync(folder)
        run("btrfs", "subvolume", "snapshot", os.path.join(folder, "sub"), os.path.join(folder, f"snapshot{number}"))
    run("btrfs", "subvolume", "delete", "--commit-each", os.path.join(folder, "snapshot1"))
    return churns


def churned(images, options, state, chance, folder, copies):
    """Age the file system and copy it in the wanted state."""
    with mounted(images, folder, options + (",commit=3600" if state == "logged" else "")):
        churns = age(folder, chance)
        if state == "frozen":
            with frozen(folder):
                copy_all(images, copies)
        elif state == "logged":
            sync(folder)
            for churn in churns:
                churn.run(20)
                for number in range(3):
                    path = os.path.join(churn.root, f"fsynced{number}")
                    with open(path, "wb") as file:
                        file.write(os.urandom(chance.randrange(1, 200_000)))
                        os.fsync(file.fileno())
            copy_all(images, copies)
    if state == "clean":
        copy_all(images, copies)


def copy_all(images, copies):
    for image, copy in zip(images, copies):
        copy_image(image, copy)


def maps_of(images, is_frozen):
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_disk(image, f"disk{number}", live=True)) for number, image in enumerate(images)]
        return used_maps([(source.read_at, read_disk(source.name, source.read_at, source.size)) for source in sources], is_frozen)


def files_of(images, folder):
    with mounted(images, folder):
        tree = tree_of(folder)
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(loop(image)) for image in images]
        scan(devices)
        run("btrfs", "check", "--readonly", "--check-data-csum", devices[0])
        run("btrfs", "device", "scan", "--forget")
    return tree


def scan(devices):
    """The kernel refuses them (EEXIST) for as long as it holds the devices of an earlier copy open, which it may for a moment after umount."""
    for accept in ((0, 1), (0, 1), (0, 1), (0,)):
        run("btrfs", "device", "scan", "--forget", accept=accept)
        if "ERROR" not in run("btrfs", "device", "scan", *devices, accept=accept):
            return
        time.sleep(2)


def paths(work, kind, count):
    os.makedirs(os.path.join(work, kind), exist_ok=True)
    return [os.path.join(work, kind, str(number)) for number in range(count)]


@pytest.mark.parametrize("round_number", range(ROUNDS))
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", BTRFS)
def test_a_copy_of_the_used_ranges_of_btrfs_holds_the_same_files(name, state, round_number, work):
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
    print(f"AGNOSTIC_RECOVERY_SEED={seed}")
    images, options = make(name, work)
    full, sparse, folder = paths(work, "full", len(images)), paths(work, "sparse", len(images)), os.path.join(work, "mnt")
    churned(images, options, state, random.Random(seed), folder, full)
    found = maps_of(full, state == "frozen")
    method = "btrfs chunks, a log is not replayed" if state == "logged" else "btrfs extent tree"
    assert [part.method for each in found for part in each.parts] == [method] * len(images), found
    for image, copy, each in zip(full, sparse, found):
        copy_used(image, copy, each.ranges)
        assert each.ranges.total < os.path.getsize(image)
    if len(images) == 1:
        reached = reached_by_dump_tree(full[0])
        assert reached.total and not reached.intersect(found[0].ranges.invert(os.path.getsize(full[0])))
    expected = files_of(full, folder)
    assert expected
    assert files_of(sparse, folder) == expected


def test_the_extent_tree_would_lose_fsynced_files(work):
    """The control: without the log, the acid test must fail."""
    images, options = make("plain", work)
    full, sparse, folder = paths(work, "full", 1), paths(work, "sparse", 1), os.path.join(work, "mnt")
    churned(images, options, "logged", random.Random(1), folder, full)
    blind = copy_image(full[0], os.path.join(work, "blind"))
    with open(blind, "r+b") as file:       # a superblock that knows of no log
        file.seek(65536)
        data = bytearray(file.read(4096))
        data[0x60:0x68] = bytes(8)
        data[:4] = struct.pack("<I", crc32c(0xFFFFFFFF, bytes(data[32:])) ^ 0xFFFFFFFF)
        file.seek(65536)
        file.write(data)
    found, = maps_of([blind], False)
    assert found.parts[0].method == "btrfs extent tree"
    copy_used(full[0], sparse[0], found.ranges)
    expected = files_of(full, folder)
    with pytest.raises((AssertionError, OSError)):
        assert files_of(sparse, folder) == expected


@pytest.mark.parametrize("options, count, reason", [
    ("-d raid5 -m raid1", 3, "chunks of type"), ("--csum xxhash", 1, "checksums of type 1"),
    ("-d raid1 -m raid1", 2, "1 of its 2 devices")])
def test_btrfs_that_is_read_whole(options, count, reason, work):
    need("mkfs.btrfs")
    images = [make_image(os.path.join(work, f"disk{number}"), 300 * MIB) for number in range(count)]
    run("mkfs.btrfs", "-q", "-f", *options.split(), *images)
    for each in maps_of(images[:1] if "devices" in reason else images, False):
        assert each.ranges.total == 300 * MIB
        assert reason in each.parts[0].note


def test_a_file_system_over_two_disks_through_a_repository(work):
    """One image of both disks; what is restored mounts and is sound."""
    images, options = make("raid1", work)
    full, restored, folder = paths(work, "full", 2), paths(work, "restored", 2), os.path.join(work, "mnt")
    churned(images, options, "clean", random.Random(2), folder, full)
    spec = {"repository": {"type": "directory", "path": os.path.join(work, "repository")}, "passphrase": "a passphrase", "machine": "pair"}
    ensure_repository(dict(spec, key_file=None, unencrypted=False, chunk_size=None, capture_credential_file=None), False)
    captured = tasks.run_capture(dict(spec, disks=[{"name": f"sd{name}", "path": path} for name, path in zip("ab", full)]), NoProgress())
    assert [disk["parts"][0]["method"] for disk in captured["disks"]] == ["btrfs extent tree"] * 2
    tasks.run_restore(dict(spec, disks=[{"name": f"sd{name}", "path": path} for name, path in zip("ab", restored)]), NoProgress())
    assert files_of(restored, folder) == files_of(full, folder)
