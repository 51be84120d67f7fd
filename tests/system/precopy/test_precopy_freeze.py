# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing stays frozen, whatever happens to the capture; and what cannot be captured so is refused in words that help."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from precopy_disk import MIB, Load, Part, TestDisk, capture, need, repository_at, run

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError, SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import list_images
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.capture_task import run_capture
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Snapshots
from ansible_collections.agnostic.recovery.plugins.plugin_utils.pack import build_engine, save_engine

PROCESS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "precopy_process.py")
PATIENCE = 60        # seconds; far more than anything here takes


@pytest.fixture(name="disk")
def fixture_disk(work):
    need("losetup", "sfdisk", "mkfs.ext4")
    disk = TestDisk(work, [Part("ext4", "mkfs.ext4 -q -F", 64)])
    yield disk
    disk.close()


def assert_writable(folder):
    """A write ends: the file system is not frozen."""
    subprocess.run(["touch", os.path.join(folder, "written")], check=True, timeout=PATIENCE)


def is_frozen(folder):
    """A write does not end for a second."""
    with subprocess.Popen(["touch", os.path.join(folder, "frozen?")]) as process:
        try:
            process.wait(1)
            return False
        except subprocess.TimeoutExpired:
            return True
        finally:
            run("fsfreeze", "--unfreeze", folder, accept=(0, 1))


@contextlib.contextmanager
def hanging(disk, work, limit, seconds=1e6):
    """A capture in its frozen window: (its process, the process id of its watchdog)."""
    with subprocess.Popen([sys.executable, PROCESS, disk.path, work, str(limit), str(seconds)], stdout=subprocess.PIPE,
                          universal_newlines=True,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_while_it_hangs_it_is_frozen(disk, work):
    """What the other tests rely on."""
    with hanging(disk, work, 1000) as (_process, watchdog):
        assert is_frozen(disk.parts[0].folder)
        os.kill(watchdog, signal.SIGKILL)


def test_a_killed_capture_leaves_nothing_frozen(disk, work):
    with hanging(disk, work, 1000) as (process, watchdog):
        process.kill()
        assert_writable(disk.parts[0].folder)
        wait_for_end(watchdog)
    next_capture_works(disk, work)


def test_a_killed_watchdog_ends_the_freeze(disk, work):
    with hanging(disk, work, 1000, seconds=5) as (process, watchdog):
        os.kill(watchdog, signal.SIGKILL)
        assert_writable(disk.parts[0].folder)
        assert "SourceError: The process that watches over the frozen file systems was killed." in process.stdout.read()
    next_capture_works(disk, work)


def test_signals_to_the_watchdog_change_nothing(disk, work):
    with hanging(disk, work, 1000) as (process, watchdog):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(watchdog, number)
        process.kill()
        assert_writable(disk.parts[0].folder)


def test_a_capture_over_its_limit_is_thawed(disk, work):
    with hanging(disk, work, 2, seconds=6) as (process, _watchdog):
        assert_writable(disk.parts[0].folder)
        told = process.stdout.read()
        assert "SourceError: The file systems were frozen for longer than freeze_limit, 2 s." in told and "There is no image" in told
    next_capture_works(disk, work)


def wait_for_end(process):
    deadline = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{process}"):
        assert time.monotonic() < deadline, "the watchdog does not end"
        time.sleep(0.1)


def next_capture_works(disk, work):
    with repository_at(work) as repository:
        assert list_images(repository) == []
        captured, _reference = capture(repository, disk.path)
        assert list_images(repository) == [captured.image]


def test_a_thaw_by_somebody_else_is_noticed(disk, work):
    class Thawed(Snapshots):
        def create(self):
            run("fsfreeze", "--unfreeze", disk.parts[0].folder)

    with repository_at(work) as repository:
        with pytest.raises(SourceError, match="was not frozen any more when its last block had been read"):
            capture(repository, disk.path, snapshots=Thawed())
        assert list_images(repository) == []


def test_what_is_frozen_already_is_left_alone(disk, work):
    folder = disk.parts[0].folder
    run("fsfreeze", "--freeze", folder)
    try:
        with repository_at(work) as repository, pytest.raises(SourceError, match="It is frozen already, by somebody else"):
            capture(repository, disk.path)
        run("fsfreeze", "--unfreeze", folder)
    finally:
        run("fsfreeze", "--unfreeze", folder, accept=(0, 1))


def test_what_changes_too_fast_is_refused(disk, work):
    load = Load(disk, 1, kinds=("churn", "place"))
    try:
        with repository_at(work) as repository:
            with pytest.raises(SourceError, match=r"too long for freeze_limit, 0\.001 s: \d+ MiB .* the file system at .*/mnt0, of .*LVM"):
                capture(repository, disk.path, limit=0.001)
            assert list_images(repository) == []
    finally:
        load.stop()
    assert_writable(disk.parts[0].folder)


def test_a_mount_during_the_capture_is_noticed(work):
    need("losetup", "sfdisk", "mkfs.ext4")
    part, other = Part("ext4", "mkfs.ext4 -q -F", 64), Part("ext4", "mkfs.ext4 -q -F", 32)
    disk = TestDisk(work, [part, other])
    try:
        device = run("findmnt", "-no", "SOURCE", other.folder).strip()
        run("umount", other.folder)
        with repository_at(work) as repository:
            class Mounted(Snapshots):
                def check(self):
                    run("mount", device, other.folder)

            with pytest.raises(SourceError, match="mounted or unmounted during the capture"):
                capture(repository, disk.path, snapshots=Mounted())
            assert list_images(repository) == []
    finally:
        disk.close()


# -- the job -------------------------------------------------------------------------------------------------------------------------------


def spec_of(path, folder, **options):
    """A capture into the repository that is made in this folder."""
    with repository_at(folder):
        pass
    return dict({"kind": "capture", "machine": "shop", "repository": {"type": "directory", "path": os.path.join(folder, "repository")},
                 "disks": [{"name": "sda", "path": path}]}, **options)


def test_a_repository_on_what_is_frozen_is_refused(disk):
    folder = disk.parts[0].folder
    with pytest.raises(RepositoryError, match=f"lies on the file system mounted at {folder}"):
        run_capture(spec_of(disk.path, folder), NoProgress())


def test_a_job_folder_on_what_is_frozen(disk, work):
    """The engine's state, log and result lie on the file system that it freezes; all the while it writes its state twice a second."""
    jobs = os.path.join(disk.parts[0].folder, "jobs")
    os.mkdir(jobs, 0o700)
    engine = save_engine(build_engine(), jobs)
    spec = spec_of(disk.path, work, freeze_limit=PATIENCE)

    def ask(*arguments, stdin=None):
        done = subprocess.run([sys.executable, engine] + list(arguments), input=stdin, stdout=subprocess.PIPE, timeout=PATIENCE, check=True,
                              universal_newlines=True)
        return json.loads(done.stdout)

    job = ask("start", stdin=json.dumps(spec))["state"]["id"]
    deadline = time.monotonic() + PATIENCE
    state = ask("status", job)["state"]
    while state["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
        state = ask("status", job)["state"]
    assert state["status"] == "finished", state["error"]
    assert state["result"]["image"]["consistency"] == "filesystem"
    assert_writable(disk.parts[0].folder)


def test_disks_not_in_use_are_captured_as_ever(work):
    path = os.path.join(work, "disk")
    with open(path, "wb") as file:
        file.write(os.urandom(3 * MIB))
    result = run_capture(spec_of(path, work, consistency="freeze"), NoProgress())
    assert result["image"]["consistency"] == "offline"
