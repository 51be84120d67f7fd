# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of a changed disk, kept in a folder on the worker, from which `undo` brings back every byte.

    <folder>/journal.json    what is changed: offsets, digests, the size of the disk before and after
    <folder>/before.bin      the bytes before, of one piece after the other

Both are durable before the first byte of the disk changes, so a process killed at any moment can be undone. Only blocks that really
change are kept. What lies beyond the old end of a disk file is cut off again.

The format of journal.json: {"format": 1, "state": "begun" | "applied", "name", "path", "firmware", "steps": [sentences], "size_before",
"size_after", "pieces": [{"offset", "length", "sha256_before", "sha256_after", "table"}]}. "table" pieces must be as we left them when they
are undone; the others lie in a partition of our own making.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat

from typing import Any, Dict, NamedTuple, Tuple

from ...errors import TargetError
from ...machine.partition_edit import Write

FORMAT = 1
BLKRRPART = 0x125F                       # linux/fs.h
_BLOCK = 64 << 10                        # bytes; the unit in which a disk is compared with what it shall be


class DiskChange(NamedTuple):
    """All that a conversion writes to one disk."""
    name: str                            # of the disk at the source
    path: str                            # raw file or block device
    size_before: int                     # bytes
    size_after: int                      # larger only for a file, which grows
    content: Tuple[Write, ...]           # of a new partition, or a gap; written and durable before the table
    table: Tuple[Write, ...]             # partition tables and boot code
    firmware: str = ""                   # that the disk is made for by this
    steps: Tuple[str, ...] = ()          # sentences for the operator


def exists(folder: str) -> bool:
    """Whether a conversion was begun or made that can be undone."""
    return os.path.lexists(_journal(folder))


def read(folder: str) -> Dict[str, Any]:
    """The journal. TargetError where it is damaged."""
    path = _journal(folder)
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except (OSError, ValueError) as error:
        raise TargetError(f"The journal {path} of a conversion cannot be read: {error}. Restore the disks again.") from error
    if not _is_sound(data):
        raise TargetError(f"The journal {path} of a conversion is damaged, or of another version. Restore the disks again.")
    return data


def apply(folder: str, change: DiskChange) -> None:
    """Makes the change. Raises TargetError; then the disk is as it was before, or, where even that failed, `undo` makes it so."""
    with _Disk(change.path) as disk:
        _begin(folder, change, disk)
        try:
            if change.size_after > change.size_before:
                disk.resize(change.size_after)
            for writes in (change.content, change.table):
                for write in writes:
                    for offset, block in _changed_blocks(disk, write):
                        disk.write(offset, block)
                disk.flush()
            disk.tell_kernel()
            _save(folder, dict(read(folder), state="applied"))
        except OSError as error:
            failure = TargetError(f"Disk {change.name} ({change.path}) cannot be written: {error.strerror}.")
            try:
                undo(folder)
            except TargetError as second:
                raise TargetError(f"{failure} What had been changed could not be undone either: {second}") from error
            raise failure from error


def undo(folder: str) -> str:
    """Brings back all bytes of the disk and removes the journal; gives the path of the disk.

    TargetError, before any change, where somebody has changed the partition table or the boot code since.
    """
    data = read(folder)
    with _Disk(data["path"]) as disk:
        _refuse_foreign(data, disk)
        kept = _kept(folder, data)
        try:
            for piece, before in zip(reversed(data["pieces"]), reversed(kept)):
                disk.write(piece["offset"], before)
            disk.flush()
            if data["size_after"] > data["size_before"]:
                disk.resize(data["size_before"])
            disk.flush()
            disk.tell_kernel()
        except OSError as error:
            raise TargetError(f"Disk {data['name']} ({data['path']}) cannot be brought back: {error.strerror}.") from error
    forget(folder)
    return data["path"]


def forget(folder: str) -> None:
    """Removes the journal: what was done stays for good."""
    for path in (_journal(folder), _before(folder)):
        if os.path.lexists(path):
            os.unlink(path)
            _flush_folder(folder)
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def _begin(folder, change, disk):
    """Keeps what will be changed."""
    if exists(folder):
        raise TargetError(f"{folder} holds the journal of another conversion. Undo that one first, or name another folder.")
    try:
        if disk.size != change.size_before:
            raise TargetError(f"Disk {change.name} ({change.path}) changed its size meanwhile. Plan again.")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        pieces = []
        with open(_before(folder), "wb", opener=_private) as kept:
            for writes, is_table in ((change.content, False), (change.table, True)):
                for offset, after in (each for write in writes for each in _changed_blocks(disk, write)):
                    before = disk.read(offset, len(after))       # shorter, or nothing, where a file will grow
                    if not before:
                        continue
                    kept.write(before)
                    pieces.append({"offset": offset, "length": len(before), "table": is_table,
                                   "sha256_before": _digest(before), "sha256_after": _digest(after[:len(before)])})
            kept.flush()
            os.fsync(kept.fileno())
        _save(folder, {
            "format": FORMAT, "state": "begun", "name": change.name, "path": change.path, "firmware": change.firmware,
            "steps": list(change.steps), "size_before": change.size_before, "size_after": change.size_after, "pieces": pieces,
        })
    except OSError as error:
        raise TargetError(f"The journal of the conversion cannot be kept in {folder}: {error.strerror}. Nothing was changed.") from error


def _changed_blocks(disk, write):
    """(offset, bytes) of the blocks of a write that differ from what is there."""
    for at in range(0, len(write.data), _BLOCK):
        after = write.data[at:at + _BLOCK]
        if disk.read(write.offset + at, len(after)) != after:
            yield write.offset + at, after


def _refuse_foreign(data, disk):
    """Only of a finished conversion: after a kill a sector may be anything in between."""
    if data["state"] != "applied":
        return
    for piece in data["pieces"]:
        if piece["table"] and _digest(disk.read(piece["offset"], piece["length"])) not in (piece["sha256_before"], piece["sha256_after"]):
            raise TargetError(
                f"Nothing is undone, because the partition table or boot code of disk {data['name']} was changed after the conversion (has "
                "the recovered machine been running?). Restore the disks again to get the original."
            )


def _kept(folder, data):
    try:
        with open(_before(folder), "rb") as kept:
            found = [kept.read(piece["length"]) for piece in data["pieces"]]
    except OSError as error:
        raise TargetError(f"{_before(folder)} cannot be read: {error.strerror}. Restore the disks again.") from error
    if any(_digest(before) != piece["sha256_before"] for before, piece in zip(found, data["pieces"])):
        raise TargetError(f"{_before(folder)} is damaged, so nothing is undone. Restore the disks again.")
    return found


def _is_sound(data):
    def has(value, **types):
        return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in types.items())

    return (
        has(data, format=int, state=str, name=str, path=str, firmware=str, steps=list, size_before=int, size_after=int, pieces=list)
        and data["format"] == FORMAT
        and all(has(piece, offset=int, length=int, table=bool, sha256_before=str, sha256_after=str) for piece in data["pieces"])
    )


class _Disk:
    """A raw file or block device, opened for writing."""

    def __init__(self, path):
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise TargetError(f"The disk {path} cannot be opened: {error.strerror}.") from error
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        os.close(self._descriptor)

    @property
    def size(self):
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def resize(self, size):
        if self._is_file:
            os.ftruncate(self._descriptor, size)

    def read(self, offset, length):
        parts = []
        while length > 0:
            data = os.pread(self._descriptor, length, offset)
            if not data:
                break
            parts.append(data)
            offset, length = offset + len(data), length - len(data)
        return b"".join(parts)

    def write(self, offset, data):
        while data:
            done = os.pwrite(self._descriptor, data, offset)
            offset, data = offset + done, data[done:]

    def flush(self):
        os.fsync(self._descriptor)

    def tell_kernel(self):
        """Lets the kernel read the partition table of a device anew. Where it refuses, the partitions are reached by their place."""
        if not self._is_file:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._descriptor, BLKRRPART)


def _save(folder, data):
    path = _journal(folder)
    with open(path + ".new", "w", encoding="utf-8", opener=_private) as stream:
        json.dump(data, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".new", path)
    _flush_folder(folder)


def _flush_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _journal(folder):
    return os.path.join(folder, "journal.json")


def _before(folder):
    return os.path.join(folder, "before.bin")


def _digest(data):
    return hashlib.sha256(data).hexdigest()
