# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems that are full, read-only, or of another kind."""

import os
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError, TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import list_images
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify

DISK_SIZE = 12 << 20


def make_file_system(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", path], stdin=subprocess.DEVNULL, check=True)
    except FileNotFoundError:
        pytest.skip("this machine has no mkfs.ext4")


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_repository(kind, mounted, place_at, make_disk, tmp_path):
    if kind == "tmpfs":
        path = mounted("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs")
    else:
        make_file_system(str(tmp_path / "fs"), 8 << 20)
        path = mounted("mount", "-o", "loop", str(tmp_path / "fs"))
    place = place_at(path).create(chunk_size=65536)
    small, large = make_disk("small", 1 << 20), make_disk("large", DISK_SIZE, seed=2)
    first = place.capture("small", small)
    process = place.start_capture("large", large)
    _output, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot be written: No space left on device. The file system is full: make room" in errors and path in errors
    repository = place.open()
    assert [info.id for info in list_images(repository)] == [first]
    for name in repository.store.list("chunks/"):
        assert repository.store.size(name) > 80
    assert verify(repository, level="full").problems == ()
    assert place.leftovers() == []
    repository.store.close()
    if kind == "tmpfs":
        subprocess.run(["mount", "-o", "remount,size=40m", path], stdin=subprocess.DEVNULL, check=True)
        image = place.capture("large", large)
        repository = place.open()
        restore_image(repository, image, {"sda": str(tmp_path / "restored")}, NoProgress())
        assert (tmp_path / "restored").read_bytes() == large.read_bytes()
        assert verify(repository, level="full").problems == ()
        repository.store.close()


def test_a_read_only_repository_can_be_read(mounted, place_at, make_disk, tmp_path):
    path = mounted("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs")
    place = place_at(path).create()
    disk = make_disk("disk", 1 << 20)
    image = place.capture("shop", disk)
    subprocess.run(["mount", "-o", "remount,ro", path], stdin=subprocess.DEVNULL, check=True)
    process = place.start_capture("shop", disk)
    _output, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "It is mounted read-only" in errors
    repository = place.open()
    restore_image(repository, image, {"sda": str(tmp_path / "restored")}, NoProgress())
    assert (tmp_path / "restored").read_bytes() == disk.read_bytes()
    repository.store.close()


def test_a_target_file_system_that_is_too_small(mounted, place, make_disk):
    path = mounted("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    image = place.capture("shop", make_disk("disk", 4 << 20))
    repository = place.open()
    with pytest.raises(TargetError, match="Not enough space for .*4194304 bytes are needed"):
        restore_image(repository, image, {"sda": os.path.join(path, "disk")}, NoProgress())
    repository.store.close()


def test_a_target_file_system_that_fills_up(mounted, place, make_disk):
    path = mounted("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs")
    image = place.capture("shop", make_disk("disk", 4 << 20))
    repository = place.open()

    class Other(NoProgress):
        def phase(self, name, total_bytes):
            self.written = False

        def advance(self, count):
            if not self.written:
                self.written = True
                try:
                    with open(os.path.join(path, "other"), "wb") as file:
                        file.write(bytes(5 << 20))
                except OSError:
                    pass

    message = "No space left on device. Make room there and restore again. Incomplete and not to be used: .*disk.partial"
    with pytest.raises(TargetError, match=message):
        restore_image(repository, image, {"sda": os.path.join(path, "disk")}, Other())
    repository.store.close()


def test_no_permission(place, make_disk):
    if os.geteuid() != 0:
        pytest.skip("changing the user needs root")
    os.chmod(place.path, 0o700)
    import multiprocessing
    queue = multiprocessing.get_context("fork").Queue()

    def try_it():
        os.setuid(65534)
        try:
            place.open()
        except RepositoryError as error:
            queue.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=try_it)
    process.start()
    assert "Permission denied. Run this as a user who may" in queue.get(timeout=30)
    process.join()
