# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Device mapper by its ioctl interface (linux/dm-ioctl.h, version 4; every number is from there).

Not by dmsetup(8): while the root file system is frozen no program can be started safely, and a table is exchanged in one system call, so
that no kill can leave a device suspended. Root only.
"""

import errno
import fcntl
import os
import struct
import time
from typing import List, NamedTuple, Tuple

from ..errors import SourceError

CONTROL = "/dev/mapper/control"
# version[3], data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name[128], uuid[129], data[7]
_HEADER = struct.Struct("=3IIIIiIIIQ128s129s7x")
_TARGET = struct.Struct("=QQiI16s")       # sector_start, length, status, next, target_type
_ENTRY = struct.Struct("=QI")             # dev, next; the name follows
_REQUEST = 0xC138FD00                     # _IOWR(0xfd, command, 312 bytes)
_LIST_DEVICES, _CREATE, _REMOVE, _SUSPEND, _LOAD, _STATUS = 2, 3, 4, 6, 9, 12
_STATUS_TABLE, _BUFFER_FULL, _SKIP_LOCKFS = 1 << 4, 1 << 8, 1 << 10
# Flags of libdevmapper.h for udev, which travel in the upper half of the event number: all rules off, so that nothing looks for
# file systems on our devices and no link of the original comes to point to its snapshot.
_NO_UDEV_RULES = 0x000F0000 | 1
_NO_DEVICE_MAPPER = (errno.ENOENT, errno.ENODEV, errno.ENXIO)      # no such node, or nothing in the kernel behind it
_REMOVE_PATIENCE = 10.0                   # seconds; udev may have a device open for a moment


class Target(NamedTuple):
    """A line of a table, in sectors of 512 bytes."""
    start: int
    length: int
    kind: str            # linear, snapshot, snapshot-origin …
    parameters: str      # or the status


class MappedDevice(NamedTuple):
    name: str
    number: str          # "major:minor"


def devices() -> List[MappedDevice]:
    """All devices of device mapper; none where the kernel has no such thing. Raises SourceError."""
    try:
        return parse_devices(_call(_LIST_DEVICES, "")[1])
    except _Failed as error:
        if error.number in _NO_DEVICE_MAPPER:
            return []
        raise


def parse_devices(data: bytes) -> List[MappedDevice]:
    """The devices in the answer to DM_LIST_DEVICES; it is empty, or has one without a name, where there are none."""
    found, position = [], 0
    while position + _ENTRY.size <= len(data):
        number, step = _ENTRY.unpack_from(data, position)
        name = data[position + _ENTRY.size:data.index(b"\0", position + _ENTRY.size)].decode()
        if name:
            found.append(MappedDevice(name, number_text(number)))
        if not step:
            break
        position += step
    return found


def table(name: str) -> Tuple[Target, ...]:
    """The active table of a device. Raises SourceError."""
    return _status(name, _STATUS_TABLE)


def status(name: str) -> Tuple[Target, ...]:
    """What the targets of a device say of themselves. Raises SourceError."""
    return _status(name)


def create(name: str, uuid: str, targets: Tuple[Target, ...], resume: bool = True) -> MappedDevice:
    """Make a device; it is usable at once or, without `resume`, when `resume` is called. Raises SourceError."""
    number = _call(_CREATE, name, uuid=uuid)[0][10]
    load(name, targets)
    if resume:
        exchange(name)
    return MappedDevice(name, number_text(number))


def load(name: str, targets: Tuple[Target, ...]) -> None:
    """Put a table beside the active one, to be exchanged with it. Raises SourceError."""
    data = b""
    for target in targets:
        text = target.parameters.encode() + b"\0"
        text += bytes(-(_TARGET.size + len(text)) % 8)
        data += _TARGET.pack(target.start, target.length, 0, _TARGET.size + len(text), target.kind.encode()) + text
    _call(_LOAD, name, data=data, count=len(targets))


def exchange(name: str, uevent: int = _NO_UDEV_RULES) -> None:
    """Make the loaded table the active one. Waits for what is being written; does not touch the file system. Raises SourceError."""
    _call(_SUSPEND, name, flags=_SKIP_LOCKFS, event=uevent)


def remove(name: str) -> None:
    """Remove a device; it is no error if there is none. Raises SourceError where it stays in use."""
    deadline = time.monotonic() + _REMOVE_PATIENCE
    while True:
        try:
            _call(_REMOVE, name, event=_NO_UDEV_RULES)
            return
        except _Failed as error:
            if error.number == errno.ENXIO:
                return
            if error.number != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


class _Failed(SourceError):
    def __init__(self, number, name, command):
        super().__init__("Device mapper refuses command {0} for the device {1}: {2}. See the kernel log.".format(
            command, name, os.strerror(number)))
        self.number = number


def _call(command, name, uuid="", data=b"", count=0, flags=0, event=0):
    """(fields of the header, data) of the answer."""
    size = 1 << 16
    while True:
        buffer = bytearray(size)
        _HEADER.pack_into(buffer, 0, 4, 0, 0, size, _HEADER.size, count, 0, flags, event, 0, 0, name.encode(), uuid.encode())
        buffer[_HEADER.size:_HEADER.size + len(data)] = data
        try:
            with open(CONTROL, "r+b", buffering=0) as control:
                fcntl.ioctl(control, _REQUEST | command, buffer, True)
        except OSError as error:
            raise _Failed(error.errno, name, command) from error
        fields = _HEADER.unpack_from(buffer)
        if not fields[7] & _BUFFER_FULL:
            return fields, bytes(buffer[fields[4]:fields[3]])
        size *= 8


def _status(name, flags=0):
    fields, data = _call(_STATUS, name, flags=flags)
    return parse_targets(fields[5], data)


def parse_targets(count: int, data: bytes) -> Tuple[Target, ...]:
    """The `count` targets in the answer to DM_TABLE_STATUS."""
    found, position = [], 0
    for _number in range(count):
        start, length, _state, step, kind = _TARGET.unpack_from(data, position)
        text = data[position + _TARGET.size:data.index(b"\0", position + _TARGET.size)]
        found.append(Target(start, length, kind.rstrip(b"\0").decode(), text.decode("utf-8", "replace").strip()))
        position = step      # counted from the first
    return tuple(found)


def number_text(number: int) -> str:
    """huge_encode_dev of linux/kdev_t.h: minor in bits 0-7 and 20 up, major in bits 8-19."""
    return "{0}:{1}".format((number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFFFF00))
