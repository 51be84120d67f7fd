# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole disks: partition tables, gaps, FAT and swap, block devices, and disks that are in use."""

import os
import random
import struct

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.disk import read_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_map
from source_images import check, copy_used, loop, make_image, map_of, mounted, need, run

MIB = 1 << 20

TABLES = {
    # sfdisk script, offsets of the partitions in MiB: ext4, xfs, swap, vfat
    "gpt": ("label: gpt\nstart=1MiB,size=64MiB\nstart=66MiB,size=320MiB\nstart=390MiB,size=32MiB\nstart=425MiB,size=40MiB,type=U\n",
            (1, 66, 390, 425)),
    "mbr": ("label: dos\nstart=1MiB,size=64MiB\nstart=66MiB,size=320MiB\nstart=387MiB,size=90MiB,type=5\n"
            "start=390MiB,size=32MiB,type=82\nstart=425MiB,size=40MiB,type=c\n", (1, 66, 390, 425)),
}
MAKERS = (("ext4", 64, "mkfs.ext4 -q -F"), ("xfs", 320, "mkfs.xfs -q -f"), ("swap", 32, "mkswap"), ("vfat", 40, "mkfs.vfat"))


def fill(path, offset, length):
    """Noise: what deleted files leave, and what must survive in gaps."""
    noise = os.urandom(MIB)
    with open(path, "r+b") as file:
        file.seek(offset)
        for _piece in range(length // MIB):
            file.write(noise)


def build(work, table):
    need("sfdisk", "mkfs.ext4", "mkfs.xfs", "mkfs.vfat", "mkswap")
    image = make_image(os.path.join(work, "disk"), 480 * MIB)
    fill(image, 0, 480 * MIB)
    script, starts = TABLES[table]
    run("wipefs", "-qaf", image)
    run("sh", "-c", f"printf '{script}' | sfdisk -q --no-reread --no-tell-kernel {image}")
    for (kind, size, command), start in zip(MAKERS, starts):
        part = os.path.join(work, kind)
        make_image(part, size * MIB)
        with open(part, "r+b") as file:
            for _piece in range(size):
                file.write(os.urandom(4096) * 256)
        run(*command.split(), part)
        run("dd", f"if={part}", f"of={image}", "bs=1M", f"seek={start}", "conv=notrunc", "status=none")
    return image, starts


def cut(disk, start, size, to):
    run("dd", f"if={disk}", f"of={to}", "bs=1M", f"skip={start}", f"count={size}", "status=none")
    return to


@pytest.mark.parametrize("table", TABLES)
def test_a_disk_restored_from_its_used_ranges(table, work):
    image, starts = build(work, table)
    with open_disk(image, "sda") as source:
        disk = read_disk("sda", source.read_at, source.size)
        found = used_map(source.read_at, disk)
    assert disk.table == table
    assert [part.kind for part in found.parts] == ["ext4", "xfs", "swap", "vfat"]
    assert not [part.note for part in found.parts if part.method == "whole"]
    copy = copy_used(image, os.path.join(work, "copy"), found.ranges)
    with open_disk(copy, "copy") as target:
        assert read_disk("sda", target.read_at, target.size) == disk
        again = used_map(target.read_at, disk)
    assert again == found
    for (kind, size, _command), start in zip(MAKERS, starts):
        part = cut(copy, start, size, os.path.join(work, "part"))
        if kind != "swap":
            check(part, kind)
        os.unlink(part)
    covered = Ranges((start * MIB, (start + size) * MIB) for (_kind, size, _command), start in zip(MAKERS, starts))
    assert not covered.invert(480 * MIB).intersect(found.ranges.invert(480 * MIB)).total
    assert found.ranges.total < 200 * MIB


@pytest.mark.parametrize("table", TABLES)
def test_a_disk_restored_from_its_image(table, work):
    """The same through a repository: every used byte is the source's, every other byte is zero."""
    image, _starts = build(work, table)
    spec = {"repository": {"type": "directory", "path": os.path.join(work, "repository")}, "passphrase": "a passphrase", "machine": "all-kinds"}
    ensure_repository(dict(spec, key_file=None, unencrypted=False, chunk_size=None, capture_credential_file=None), False)
    captured = tasks.run_capture(dict(spec, disks=[{"name": "sda", "path": image}]), NoProgress())
    copy = os.path.join(work, "restored")
    tasks.run_restore(dict(spec, disks=[{"name": "sda", "path": copy}]), NoProgress())
    with open_disk(image, "sda") as source, open_disk(copy, "sda") as target:
        disk = read_disk("sda", source.read_at, source.size)
        used = used_map(source.read_at, disk).ranges
        assert target.size == source.size and used.total == captured["disks"][0]["used"]
        for start, end in used:
            for offset in range(start, end, MIB):
                length = min(MIB, end - offset)
                assert source.read_at(offset, length) == target.read_at(offset, length), offset
        for start, end in used.invert(source.size):
            for offset in range(start, end, MIB):
                length = min(MIB, end - offset)
                assert target.read_at(offset, length) == bytes(length), offset


@pytest.mark.parametrize("width", (12, 16, 32))
def test_fat_with_files(width, work):
    need("mkfs.vfat", "mcopy", "mdel", "fsck.vfat")
    size = {12: 3, 16: 60, 32: 80}[width]
    image = make_image(os.path.join(work, "disk"), size * MIB)
    run("mkfs.vfat", "-F", str(width), "-s", "2" if width != 32 else "1", image)
    chance = random.Random(width)
    files = {}
    for number in range(60):
        name = f"FILE{number}.BIN"
        data = os.urandom(chance.randrange(1, size * MIB // 100))
        path = os.path.join(work, name)
        with open(path, "wb") as file:
            file.write(data)
        run("mcopy", "-i", image, path, "::" + name)
        files[name] = data
        if chance.random() < 0.4:
            gone = chance.choice(sorted(files))
            run("mdel", "-i", image, "::" + gone)
            del files[gone]
    ranges, part = map_of(image, "vfat")
    assert part.method == f"FAT{width} tables", part
    assert ranges.total < size * MIB
    copy = copy_used(image, os.path.join(work, "copy"), ranges)
    check(copy, "vfat")
    for name, data in files.items():
        out = os.path.join(work, "out")
        run("mcopy", "-n", "-i", copy, "::" + name, out)
        with open(out, "rb") as file:
            assert file.read() == data
        os.unlink(out)


def test_swap_keeps_uuid_and_label(work):
    need("mkswap", "blkid")
    image = make_image(os.path.join(work, "disk"), 16 * MIB)
    fill(image, 0, 16 * MIB)
    run("mkswap", "-L", "swappy", image)
    ranges, part = map_of(image, "swap")
    assert (list(ranges), part.method) == ([(0, 4096)], "swap header")
    copy = copy_used(image, os.path.join(work, "copy"), ranges)
    assert run("blkid", "-p", "-o", "export", image).replace(image, "") == run("blkid", "-p", "-o", "export", copy).replace(copy, "")


def test_a_block_device(work):
    need("losetup")
    image = make_image(os.path.join(work, "disk"), 8 * MIB)
    fill(image, 0, 8 * MIB)
    with loop(image, "--sector-size", "4096") as device:
        with open_disk(device, "vdb") as disk, open(image, "rb") as file:
            assert (disk.size, disk.sector_size) == (8 * MIB, 4096)
            file.seek(12345)
            assert disk.read_at(12345, 70000) == file.read(70000)


def test_a_device_is_read_afresh_after_refresh(work):
    """The cache of a device node does not see what a mounted file system writes; `refresh` drops it."""
    need("mkfs.ext4")
    image = make_image(os.path.join(work, "disk"), 32 * MIB)
    run("mkfs.ext4", "-q", "-F", "-b", "4096", image)
    folder = os.path.join(work, "mnt")
    with mounted(image, folder, "ext4"):
        device = run("findmnt", "-n", "-o", "SOURCE", folder).strip()
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            file.write(b"a" * MIB)
            os.fsync(file.fileno())
        with open_disk(device, "vdb", live=True) as disk:
            found = next(offset for offset in range(0, 32 * MIB, 4096) if disk.read_at(offset, 4096) == b"a" * 4096)
            with open(path, "r+b") as file:
                file.write(b"b" * MIB)
                os.fsync(file.fileno())
            disk.refresh()
            assert disk.read_at(found, 4096) == b"b" * 4096


def test_disks_in_use_are_refused(work):
    need("mkfs.ext4", "sfdisk")
    image = make_image(os.path.join(work, "disk"), 32 * MIB)
    run("mkfs.ext4", "-q", "-F", image)
    folder = os.path.join(work, "mount point")
    with mounted(image, folder, "ext4"):
        device = run("findmnt", "-n", "-o", "SOURCE", folder).strip()
        for path in (image, device):
            with pytest.raises(SourceError, match=f"in use: mounted read-write on this host at {folder}"):
                open_disk(path, "sda")
            open_disk(path, "sda", live=True).close()
    open_disk(image, "sda").close()
    with mounted(image, folder, "ext4", "ro"):
        open_disk(image, "sda").close()


def test_hibernated_swap_is_kept_whole(work):
    need("mkswap")
    image = make_image(os.path.join(work, "disk"), 16 * MIB)
    run("mkswap", image)
    with open(image, "r+b") as file:
        file.seek(4086)
        file.write(struct.pack("10s", b"S1SUSPEND"))
    ranges, part = map_of(image, "swap")
    assert ranges == Ranges.whole(16 * MIB) and "hibernated" in part.note
