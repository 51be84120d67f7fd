# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several captures at once, and memory."""

import os
import resource
import subprocess
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import find_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify

MEMORY_LIMIT = 400 << 20


def test_machines_captured_at_once_into_one_repository(place, make_disk, tmp_path):
    shared = make_disk("shared", 3 << 20).read_bytes()
    disks = {}
    for number in range(4):
        disks[f"m{number}"] = tmp_path / f"disk{number}"
        disks[f"m{number}"].write_bytes(shared + os.urandom(1 << 20))
    processes = [place.start_capture(machine, disk) for machine, disk in disks.items()]
    for process in processes:
        _output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert place.leftovers() == []
    repository = place.open()
    assert verify(repository, level="full").problems == ()
    for machine, disk in disks.items():
        target = tmp_path / "restored"
        restore_image(repository, find_image(repository, machine, "latest").id, {"sda": str(target)}, NoProgress())
        assert target.read_bytes() == disk.read_bytes()
        target.unlink()
    chunks = sum(1 for _name in repository.store.list("chunks/"))
    assert chunks <= (3 << 20) // 4096 + 4 * 256
    repository.store.close()


def test_peak_memory_with_the_largest_chunks(place_at, tmp_path):
    place = place_at(tmp_path / "large").create(chunk_size=8 << 20)
    disk = tmp_path / "disk"
    noise = os.urandom(8 << 20)
    with open(str(disk), "wb") as file:
        for number in range(24):
            file.write(bytes((number,)) * 16 + noise[16:])
    script = ("import runpy, resource, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
              "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    process = os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_capture_process.py")
    output = subprocess.run([sys.executable, "-c", script, process, place.path, place.key_file, "shop", str(disk), "8"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout.split()
    assert int(output[-1]) << 10 < MEMORY_LIMIT
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    repository = place.open()
    restore_image(repository, output[-2], {"sda": str(tmp_path / "restored")}, NoProgress(), workers=8)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10 < max(before, MEMORY_LIMIT)
    assert os.stat(str(tmp_path / "restored")).st_size == os.stat(str(disk)).st_size
    repository.store.close()
