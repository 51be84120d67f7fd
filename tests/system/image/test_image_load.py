# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several captures at once, and memory."""

import filecmp
import json
import os
import subprocess
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import find_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify

HERE = os.path.dirname(os.path.abspath(__file__))
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


def output_and_peak(*command, told=""):
    """What the Python program printed, and the most memory that it had, in bytes; not that of the process that started it, which ru_maxrss
    may tell (proc(5), VmHWM).
    """
    script = ("import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
              "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])")
    words = subprocess.run([sys.executable, "-c", script] + list(command), input=told, stdout=subprocess.PIPE, check=True,
                           universal_newlines=True).stdout.split()
    return words[:-1], int(words[-1]) << 10


def test_peak_memory_with_the_largest_chunks(place_at, tmp_path):
    place = place_at(tmp_path / "large").create(chunk_size=8 << 20)
    disk, restored = tmp_path / "disk", tmp_path / "restored"
    noise = os.urandom(8 << 20)
    with open(str(disk), "wb") as file:
        for number in range(24):
            file.write(bytes((number,)) * 16 + noise[16:])
    output, peak = output_and_peak(os.path.join(HERE, "image_capture_process.py"), place.path, place.key_file, "shop", str(disk), "8")
    assert 8 << 20 < peak < MEMORY_LIMIT
    spec = {"kind": "restore", "repository": {"path": place.path}, "key_file": place.key_file, "machine": "shop", "image": output[-1],
            "disks": [{"name": "sda", "path": str(restored)}], "workers": 8}
    _output, peak = output_and_peak(os.path.join(HERE, "image_job_process.py"), told=json.dumps(spec))
    assert 8 << 20 < peak < MEMORY_LIMIT
    assert filecmp.cmp(str(restored), str(disk), shallow=False)
