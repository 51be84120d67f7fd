# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures, prunes and replications run together and are killed at random: every image that exists is whole, there and at the replica.

ROUNDS in the environment asks for more of it, SEED for another course of events.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.prune import prune
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import open_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.sessions import read_sessions

ROUNDS = int(os.environ.get("ROUNDS", "4"))
SEED = int(os.environ.get("SEED", "20261125"))
DISK_SIZE = 1 << 20
MACHINES = ("shop", "web")
PROCESS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_job_process.py")
DAY = 86400


class Chaos:

    def __init__(self, place, folder, disks, rng):
        self.place = place
        self.replica = str(folder / "replica")
        self.folder = folder
        self.disks = disks
        self.rng = rng
        self.expected = {}               # image id -> content
        self.counts = {"killed": 0, "ended": 0, "done": 0}

    def start(self, kind, path, **options):
        spec = dict(options, kind=kind, repository={"type": "directory", "path": path}, key_file=self.place.key_file)
        process = subprocess.Popen([sys.executable, PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True)
        process.stdin.write(json.dumps(spec))
        process.stdin.close()
        process.stdin = None
        return process

    def processes(self):
        """One of each, in some order. A prune may take a session for dead that is not."""
        silent = self.rng.choice([0.3, 5, 0]) / DAY
        found = [(machine, self.place.start_capture(machine, self.disks[machine], 2)) for machine in MACHINES]
        found += [("prune", self.start("prune", self.place.path, keep={"last": 2}, silent_days=silent)),
                  ("replicate", self.start("replicate", self.place.path, target={"type": "directory", "path": self.replica}))]
        if os.path.exists(os.path.join(self.replica, "repository.json")):
            found.append(("prune of the replica", self.start("prune", self.replica, keep={"last": 1}, silent_days=silent)))
        self.rng.shuffle(found)
        return found

    def round(self):
        running = self.processes()
        for _name, process in running:
            delay = self.rng.uniform(0, 0.5) if self.rng.random() < 0.7 else None
            assert process.stdout.readline() == "started\n", process.stderr.read()
            if delay is not None:
                threading.Timer(delay, process.send_signal, [signal.SIGKILL]).start()
        for name, process in running:
            output, errors = process.communicate(timeout=300)
            if process.returncode == -signal.SIGKILL:
                self.counts["killed"] += 1
            elif process.returncode:
                assert "was ended by image_prune" in errors, (name, errors)
                self.counts["ended"] += 1
            else:
                self.counts["done"] += 1
        with DirectoryStore(self.place.path) as store:
            for image in image_ids(open_repository(store, self.place.key)):
                machine = image.partition("/")[0]
                self.expected.setdefault(image, self.disks[machine].read_bytes())

    def check(self, path, full):
        """Every image is whole; with `full` each restores to what it was taken from."""
        if not os.path.exists(os.path.join(path, "repository.json")):
            return 0
        with DirectoryStore(path) as store:
            repository = open_repository(store, self.place.key)
            found = list(image_ids(repository))
            assert verify(repository, level="full" if full else "structure").problems == ()
            for image in found if full else ():
                target = self.folder / "restored"
                restore_image(repository, image, {"sda": str(target)}, NoProgress())
                assert target.read_bytes() == self.expected[image], image
                target.unlink()
            return len(found)

    def change_disks(self):
        """Some chunks of each disk become others: new ones, those of the other machine, and such as there were before."""
        for machine in MACHINES:
            content = bytearray(self.disks[machine].read_bytes())
            other = self.disks[self.rng.choice(MACHINES)].read_bytes()
            older = self.rng.choice(list(self.expected.values()) or [other])
            for _unused in range(12):
                start = self.rng.randrange(DISK_SIZE // 4096) * 4096
                new = self.rng.getrandbits(8 * 4096).to_bytes(4096, "little")
                content[start:start + 4096] = self.rng.choice([new, other[start:start + 4096], older[start:start + 4096]])
            self.disks[machine].write_bytes(bytes(content))


def test_kills_of_everything_together(place, make_disk, tmp_path):
    rng = random.Random(SEED)
    chaos = Chaos(place, tmp_path, {machine: make_disk(machine, DISK_SIZE, seed) for seed, machine in enumerate(MACHINES)}, rng)
    for number in range(ROUNDS):
        chaos.round()
        full = number % 10 == 9 or number == ROUNDS - 1
        images = [chaos.check(path, full) for path in (place.path, chaos.replica)]
        print(f"round {number}: {chaos.counts}, images {images}", flush=True)
        chaos.change_disks()
    assert chaos.counts["killed"] >= ROUNDS // 2 and chaos.counts["done"] >= ROUNDS // 2
    repository = place.open()
    for _unused in range(3):             # sessions of the dead are ended; what was announced is deleted; what those hold is removed
        time.sleep(1)
        result = prune(repository, [], NoProgress(), silent=0.5)
    assert verify(repository, level="full").problems == ()
    assert result.announced == 0 and result.deleted == 0
    assert set(read_sessions(repository.store)) == set(result.unfinished)
    needed = result.needed_chunks
    if not result.unfinished:
        assert sum(1 for _name in repository.store.list("chunks/")) == needed
    repository.store.close()
