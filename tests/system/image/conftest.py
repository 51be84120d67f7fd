# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repositories, disks and mounts for the tests of images on a real system."""

import os
import random
import subprocess
import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import KeyFile, NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository

CHUNK_SIZE = 4096
KEY = KeyFile(b"\7" * 64)
PROCESS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_capture_process.py")


class Place:
    """A repository in a directory, and the processes that capture to it."""

    def __init__(self, path, folder):
        self.path = str(path)
        self.key = KEY
        self.key_file = os.path.join(str(folder), "key")
        with open(self.key_file, "wb") as file:
            file.write(KEY.data)

    def create(self, chunk_size=CHUNK_SIZE, encrypted=True):
        self.key = KEY if encrypted else NoKey()
        with DirectoryStore(self.path) as store:
            init_repository(store, self.key, chunk_size=chunk_size, encrypted=encrypted)
        return self

    def open(self):
        return open_repository(DirectoryStore(self.path), self.key)

    def start_capture(self, machine, disk, workers=0):
        return subprocess.Popen([sys.executable, PROCESS, self.path, self.key_file, machine, str(disk), str(workers)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)

    def capture(self, machine, disk, workers=0):
        """The new image's id. Fails the test when the capture fails."""
        process = self.start_capture(machine, disk, workers)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output.split()[-1]

    def objects(self):
        with DirectoryStore(self.path) as store:
            return list(store.list(""))

    def leftovers(self):
        return os.listdir(os.path.join(self.path, "tmp"))


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    return Place(tmp_path / "repository", tmp_path).create()


@pytest.fixture(name="place_at")
def fixture_place_at(tmp_path):
    return lambda path: Place(path, tmp_path)


@pytest.fixture(name="mounted")
def fixture_mounted(tmp_path):
    """Mount something under tmp_path and unmount it at the end: mounted(name, *arguments of mount)."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    paths = []

    def mount(name, *arguments):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        subprocess.run(["mount"] + list(arguments) + [str(path)], stdin=subprocess.DEVNULL, check=True)
        paths.append(str(path))
        return str(path)

    yield mount
    for path in reversed(paths):
        subprocess.run(["umount", path], stdin=subprocess.DEVNULL, check=True)


@pytest.fixture(name="loop_device")
def fixture_loop_device(tmp_path):
    """loop_device(size) makes a block device full of 0xEE bytes."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    devices = []

    def make(size):
        path = str(tmp_path / f"backing{len(devices)}")
        with open(path, "wb") as file:
            for _unused in range(0, size, 1 << 20):
                file.write(b"\xee" * (1 << 20))
            file.truncate(size)
        try:
            device = subprocess.run(["losetup", "-f", "--show", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                                    universal_newlines=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this machine has no free loop device: {error}")
        devices.append(device)
        return device

    yield make
    for device in devices:
        subprocess.run(["losetup", "-d", device], stdin=subprocess.DEVNULL, check=True)


def random_content(rng, size):
    """Noise, text and zeros in stretches of up to 40 KB."""
    content = bytearray()
    while len(content) < size:
        length = rng.choice([512, 4096, 4096, 12288, 40960])
        kind = rng.randrange(4)
        if kind == 0:
            content += bytes(length)
        elif kind == 1:
            content += (b"line %d of a text\n" % rng.randrange(1000)) * (length // 16)
        else:
            content += rng.getrandbits(8 * length).to_bytes(length, "little")
    return content[:size]


@pytest.fixture(name="make_disk")
def fixture_make_disk(tmp_path):
    def make(name, size, seed=1):
        path = tmp_path / name
        path.write_bytes(bytes(random_content(random.Random(seed), size)))
        return path
    return make
