# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk file: partition table, file systems, the machine's files, deleted data, GRUB."""

import contextlib
import ctypes
import os
import random
import tempfile
from typing import Any, Dict, Iterator

from . import grub
from .data import partition
from .run import BuildError, chroot, run

MIB = 1 << 20
CLONE_NEWNS = 0x00020000  # linux/sched.h
TYPES = {  # GPT partition types, UEFI specification 2.10, 5.3.3 and the Discoverable Partitions Specification
    "grub": "21686148-6449-6E6F-744E-656564454649",
    "ext4": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "xfs": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
}
MAKE = {
    # No lazy initialisation: on a server that has run for days, the kernel has finished it long ago.
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-U"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m"],
    "swap": ["mkswap", "-q", "-U"],
}


def private_mounts() -> None:
    """Mounts of this process are seen by it and its children only, and end with them: also after kill -9."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise BuildError("a private mount namespace is not to be had: %s (run as root)" % os.strerror(ctypes.get_errno()))
    run(["mount", "--make-rprivate", "/"])


def create(demo: Dict[str, Any], path: str, root: str) -> None:
    """An empty disk with partition table and file systems; the machine's own tools in root make them."""
    layout = demo["disk"]
    with open(path, "wb") as file:
        file.truncate(layout["size_mib"] * MIB)
    table = ["label: gpt", "label-id: %s" % layout["guid"], "unit: sectors"]
    for part in layout["partitions"]:
        values = (part["number"], part["start_mib"] * MIB // 512, part["size_mib"] * MIB // 512, TYPES[part["content"]], part["guid"])
        table.append("%d: start=%d, size=%d, type=%s, uuid=%s" % values)
    run(["sfdisk", "--quiet", path], "\n".join(table) + "\n")
    for part in layout["partitions"]:
        if part["content"] in MAKE:
            uuid = "uuid=" + part["uuid"] if part["content"] == "xfs" else part["uuid"]
            _make(path, root, part, MAKE[part["content"]] + [uuid])


def _make(path: str, root: str, part: Dict[str, Any], command) -> None:
    """Makes the file system in a file of its own (no partition nodes needed), then copies what it wrote to its place on the disk."""
    with tempfile.NamedTemporaryFile(dir=os.path.join(root, "tmp")) as scratch:
        scratch.truncate(part["size_mib"] * MIB)
        chroot(root, command + ["/tmp/" + os.path.basename(scratch.name)])
        _copy_data(scratch.name, path, part["start_mib"] * MIB)


def _copy_data(source: str, target: str, offset: int) -> None:
    """Copies all of the source file that is not a hole to the target file, from the offset on."""
    with open(source, "rb") as reader, open(target, "r+b") as writer:
        size, start = os.fstat(reader.fileno()).st_size, 0
        while start < size:
            try:
                start = os.lseek(reader.fileno(), start, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            end = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            while start < end:
                data = os.pread(reader.fileno(), min(end - start, 4 * MIB), start)
                os.pwrite(writer.fileno(), data, offset + start)
                start += len(data)


@contextlib.contextmanager
def mounted(demo: Dict[str, Any], path: str, place: str) -> Iterator[None]:
    """The disk's file systems, mounted on the directory as the machine mounts them. For private_mounts() processes only."""
    done = []
    try:
        for content in ("ext4", "xfs"):
            part = partition(demo, content)
            point = os.path.normpath(place + part["mount"])
            os.makedirs(point, exist_ok=True)
            options = "loop,offset=%d,sizelimit=%d" % (part["start_mib"] * MIB, part["size_mib"] * MIB)
            run(["mount", "-t", content, "-o", options, path, point])
            done.append(point)
        yield
    finally:
        for point in reversed(done):
            run(["umount", point])


def fill(demo: Dict[str, Any], path: str, root: str, place: str) -> Dict[str, int]:
    """Copies the machine's root onto its disk, then leaves deleted data in the free blocks. Returns bytes used and deleted."""
    with mounted(demo, path, place):
        run(["cp", "-a", root + "/.", place])
        used, deleted = 0, 0
        for mount, mib in sorted(demo["disk"]["deleted_mib"].items()):
            deleted += _delete_data(os.path.normpath(place + mount), mib)
        for content in ("ext4", "xfs"):
            state = os.statvfs(os.path.normpath(place + partition(demo, content)["mount"]))
            used += (state.f_blocks - state.f_bfree) * state.f_frsize
    return {"used_bytes": used, "deleted_bytes": deleted}


def _delete_data(directory: str, mib: int) -> int:
    """Writes, syncs and deletes files: half noise, half text like old logs. Returns their bytes."""
    numbers = random.Random(mib)
    paths, total = [], 0
    for index in range(mib // 10):
        paths.append(os.path.join(directory, "deleted-%03d" % index))
        with open(paths[-1], "wb") as file:
            if index % 2:
                file.write(numbers.getrandbits(8 * 10 * MIB).to_bytes(10 * MIB, "little"))
            else:
                line = "2026-01-%02d shop kernel: deleted line %d of file %d, customer %04d\n"
                text = "".join(line % (1 + number % 28, number, index, number * 37 % 10000) for number in range(150000))
                file.write(text.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
            total += file.tell()
    for path in paths:
        os.unlink(path)
    run(["sync", "--file-system", directory])
    return total


def install_grub(demo: Dict[str, Any], path: str, root: str) -> None:
    images = {}
    for name in ("boot.img", "core.img"):
        with open(os.path.join(root, "boot/grub/i386-pc", name), "rb") as file:
            images[name] = file.read()
    part = partition(demo, "grub")
    grub.embed(path, images["boot.img"], images["core.img"], part["start_mib"] * MIB // 512, part["size_mib"] * MIB // 512)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
