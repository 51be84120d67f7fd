# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Block devices as sources and targets."""

import os
import random
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.diskread import CaptureDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

DISK_SIZE = (5 << 20) + 3 * 512


def capture_some(place, path, seed):
    """Capture random stretches of a disk; returns (repository, image id, what a restore must give)."""
    rng = random.Random(seed)
    repository = place.open()
    with open_disk(str(path), "sda") as source:
        used = Ranges((start, min(source.size, start + rng.choice([512, 4096, 65536, 300000])))
                      for start in (512 * rng.randrange(source.size // 512) for _unused in range(25)))
        info = capture_image(repository, "shop", {}, [CaptureDisk("sda", source.size, source.sector_size, source.read_at, used)],
                             "offline", {}, NoProgress())
        expected = bytearray(source.size)
        for start, end in used:
            expected[start:end] = source.read_at(start, end - start)
    return repository, info.id, bytes(expected)


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_device_is_right_and_zero_elsewhere(place, make_disk, loop_device, seed):
    repository, image_id, expected = capture_some(place, make_disk("disk", DISK_SIZE, seed), seed)
    for larger in (0, 512, 2 << 20):
        device = loop_device(DISK_SIZE + larger)
        restore_image(repository, image_id, {"sda": device}, NoProgress(), workers=1 + seed)
        with open(device, "rb") as file:
            assert file.read() == expected + bytes(larger)
    repository.store.close()


def test_a_device_as_source_and_a_file_as_target(place, loop_device, tmp_path):
    device = loop_device(DISK_SIZE)
    repository, image_id, expected = capture_some(place, device, 5)
    restore_image(repository, image_id, {"sda": str(tmp_path / "file")}, NoProgress())
    assert (tmp_path / "file").read_bytes() == expected
    repository.store.close()


def test_a_device_that_is_too_small_or_in_use(place, make_disk, loop_device, mounted, tmp_path):
    repository, image_id, _expected = capture_some(place, make_disk("disk", DISK_SIZE), 1)
    with pytest.raises(TargetError, match="is too small for disk sda: it has 1048576 bytes, the disk 5244416"):
        restore_image(repository, image_id, {"sda": loop_device(1 << 20)}, NoProgress())
    device = loop_device(16 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", device], stdin=subprocess.DEVNULL, check=True)
    except FileNotFoundError:
        pytest.skip("this machine has no mkfs.ext4")
    path = mounted("used", device)
    with pytest.raises(TargetError, match="is in use"):
        restore_image(repository, image_id, {"sda": device}, NoProgress())
    assert os.listdir(path) == ["lost+found"]
    repository.store.close()
