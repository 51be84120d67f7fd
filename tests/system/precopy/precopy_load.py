# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes to a file system in every way there is, until it is killed: python3 precopy_load.py FOLDER SEED KIND.

KIND: "churn" makes, changes and removes files of its own; "old" changes some bytes of files that were there before, now and then;
"mmap" and "place" overwrite big files in place, through a mapping that is never given up and by pwrite, also with O_DIRECT; "reserved" writes
for the first time to space that was reserved long before; "log" appends records, and prints the number of each after it was fsynced.
"""

import ctypes
import mmap
import os
import random
import struct
import sys
import time
import zlib

SIZE = 4 << 20
PAUSE = 0.002                            # seconds between two steps: the machine has other work as well
RECORD = 1000
PUNCH_HOLE_KEEP_SIZE = 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def churn(folder, rng):
    names = []
    count = 0
    while True:
        time.sleep(PAUSE)
        count += 1
        kind = rng.randrange(10)
        if kind < 4 or not names:
            names.append(os.path.join(folder, "f%06d" % count))
            write(names[-1], 0, os.urandom(rng.choice([10, 4000, 30000, 300000])))
            continue
        name = rng.choice(names)
        size = os.path.getsize(name)
        if kind == 4 or len(names) > 60:
            os.unlink(name)
            names.remove(name)
        elif kind == 5:
            os.truncate(name, rng.randrange(size * 2 + 1))
        elif kind == 6:
            new = os.path.join(folder, "r%06d" % count)
            os.rename(name, new)
            names[names.index(name)] = new
        elif kind == 7:
            write(name, size, os.urandom(20000))
        elif kind == 8:
            fd = os.open(name, os.O_RDWR)
            _libc.fallocate(fd, rng.choice([0, PUNCH_HOLE_KEEP_SIZE]), rng.randrange(size + 1), 50000)
            os.close(fd)
        else:
            write(name, rng.randrange(size + 1), os.urandom(rng.randrange(1, 9000)))


def write(name, offset, data):
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, data, offset)
    if len(data) % 3 == 0:
        os.fsync(fd)
    os.close(fd)


def old(folder, rng):
    names = sorted(os.path.join(folder, "..", "old", name) for name in os.listdir(os.path.join(folder, "..", "old")))
    kept = []
    while True:
        time.sleep(rng.random() ** 3 * 2)
        name = rng.choice(names)
        fd = os.open(name, os.O_RDWR)
        size = os.fstat(fd).st_size
        place = rng.randrange(size)
        if rng.randrange(2):
            os.pwrite(fd, os.urandom(min(100, size - place)), place)
        else:
            memory = mmap.mmap(fd, size)
            memory[place:place + 1] = os.urandom(1)
            kept.append(memory)
        os.close(fd)
        while len(kept) > 20:
            kept.pop(0).close()
        if kept and rng.randrange(2):
            memory = rng.choice(kept)
            memory[len(memory) // 2] = rng.randrange(256)


def filled(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, os.urandom(SIZE), 0)
    os.fsync(fd)
    return fd


def mapped(folder, rng):
    maps = [mmap.mmap(filled(os.path.join(folder, "m%d" % number)), SIZE) for number in range(3)]
    while True:
        time.sleep(PAUSE)
        place = rng.randrange(SIZE - 64)
        rng.choice(maps)[place:place + 64] = os.urandom(64)


def in_place(folder, rng):
    fds = [filled(os.path.join(folder, "p%d" % number)) for number in range(3)]
    fds += [os.open(os.path.join(folder, "p2"), os.O_RDWR | os.O_DIRECT)]
    page = mmap.mmap(-1, 4096)
    while True:
        time.sleep(PAUSE)
        fd = rng.choice(fds)
        page[:] = os.urandom(4096)
        if fd == fds[-1]:
            os.pwrite(fd, page, rng.randrange(SIZE // 4096) * 4096)
        else:
            os.pwrite(fd, page[:rng.randrange(1, 4096)], rng.randrange(SIZE - 4096))


def reserved(folder, rng):
    fds = [os.open(os.path.join(folder, "r%d" % number), os.O_RDWR | os.O_CREAT, 0o644) for number in range(3)]
    for fd in fds:
        os.posix_fallocate(fd, 0, SIZE)
    os.sync()
    while True:
        time.sleep(10 * PAUSE)
        os.pwrite(rng.choice(fds), os.urandom(4096), rng.randrange(SIZE // 4096) * 4096)


def log(folder, _rng):
    fd = os.open(os.path.join(folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    number = 0
    while True:
        time.sleep(PAUSE)
        body = os.urandom(RECORD)
        os.write(fd, struct.pack("<II", number, zlib.crc32(body)) + body)
        os.fsync(fd)
        sys.stdout.write("%d\n" % number)
        sys.stdout.flush()
        number += 1


def records(path):
    """How many records of a log are whole, from its start."""
    with open(path, "rb") as file:
        for number in range(1 << 30):
            head, body = file.read(8), file.read(RECORD)
            if len(body) < RECORD or struct.unpack("<II", head) != (number, zlib.crc32(body)):
                return number
    return 0


if __name__ == "__main__":
    try:
        work = {"churn": churn, "old": old, "mmap": mapped, "place": in_place, "reserved": reserved, "log": log}[sys.argv[3]]
        work(sys.argv[1], random.Random(int(sys.argv[2])))
    except OSError as error:
        if error.errno != 28:            # a full file system ends the load, and nothing else does
            raise
