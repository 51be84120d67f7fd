# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk with file systems in use, captured while it is written to."""

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.writer import ImageWriter
from ansible_collections.agnostic.recovery.plugins.module_utils.job.live_capture import LiveCapture, mounted_from
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.keys import NoKey
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.repository import init_repository, open_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Snapshots
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.livedisk import LiveDisk

MIB = 1 << 20
LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "precopy_load.py")
CHUNK = 64 << 10


def run(*command, accept=(0,)):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          check=False, env=dict(os.environ, LC_ALL="C"))
    assert done.returncode in accept, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"this machine lacks {program}")
    if os.geteuid():
        pytest.skip("needs root for loop devices and mounts")


class Part:
    """A partition of the test disk: mkfs command, mount options, mebibytes."""

    def __init__(self, kind, mkfs, size, options="rw"):
        self.kind, self.mkfs, self.size, self.options = kind, mkfs, size, options
        self.start = 0
        self.folder = ""


class TestDisk:
    """A disk file with a GPT, each partition made, attached by its offset, and mounted."""

    __test__ = False

    def __init__(self, folder, parts):
        self.path = os.path.join(folder, "disk")
        self.parts = parts
        self.stack = contextlib.ExitStack()
        self._make(folder)

    def _make(self, folder):
        table, start = ["label: gpt"], 1
        for part in self.parts:
            part.start = start * MIB
            table.append(f"start={start}MiB, size={part.size}MiB")
            start += part.size
        with open(self.path, "wb") as file:
            file.truncate((start + 3) * MIB)
        subprocess.run(["sfdisk", "-q", self.path], input="\n".join(table), universal_newlines=True, check=True)
        try:
            for number, part in enumerate(self.parts):
                device = run("losetup", "--find", "--show", "--offset", str(part.start), "--sizelimit", str(part.size * MIB),
                             self.path).strip()
                self.stack.callback(run, "losetup", "--detach", device)
                run(*part.mkfs.split(), device)
                part.folder = os.path.join(folder, f"mnt{number}")
                os.mkdir(part.folder)
                run("mount", "-t", part.kind, "-o", part.options, device, part.folder)
                self.stack.callback(unmount, part.folder)
                self._fill(os.path.join(part.folder, "old"))
        except BaseException:
            self.stack.close()
            raise

    @staticmethod
    def _fill(folder):
        """Files that are old when the capture begins, if it waits for some seconds."""
        os.mkdir(folder)
        for number in range(250):
            with open(os.path.join(folder, f"o{number:03d}"), "wb") as file:
                file.write(os.urandom(1000 + number * 500))

    def close(self):
        self.stack.close()


class Load:
    """Writers on every file system of a disk. They run until `stop`."""

    def __init__(self, disk, seed, kinds=("churn", "old", "mmap", "place", "log")):
        self._logs = {}
        self._processes = []
        for part in disk.parts:
            for number, kind in enumerate(kinds):
                folder = os.path.join(part.folder, f"{kind}{number}")
                os.mkdir(folder)
                path = os.path.join(os.path.dirname(disk.path), f"{os.path.basename(part.folder)}.{kind}{number}.out")
                with open(path, "w", encoding="ascii") as output:
                    self._processes.append(subprocess.Popen([sys.executable, LOAD, folder, str(seed * 100 + number), kind], stdout=output))
                if kind == "log":
                    self._logs[part.folder, os.path.relpath(os.path.join(folder, "log"), part.folder)] = path

    def committed(self):
        """Records that were fsynced by now: mount point, path of the log within -> number."""
        found = {}
        for name, path in self._logs.items():
            with open(path, encoding="ascii") as file:
                found[name] = file.read().count("\n")
        return found

    def stop(self):
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


class Reference(Snapshots):
    """No snapshots: copies the disk file while everything stands still."""

    def __init__(self, path):
        self.path = path
        self.copy = path + ".reference"

    def create(self):
        run("cp", "--sparse=always", self.path, self.copy)


@contextlib.contextmanager
def repository_at(folder):
    path = os.path.join(folder, "repository")
    with DirectoryStore(path) as store:
        if not os.path.exists(os.path.join(path, "repository.json")):
            init_repository(store, NoKey(), chunk_size=CHUNK, encrypted=False)
        yield open_repository(store, NoKey())


def capture(repository, path, progress=None, limit=60, **options):
    """The (Captured, Reference) of a capture of the disk in use at `path`."""
    reference = options.pop("snapshots", None) or Reference(options.pop("reference", path))
    with open_disk(path, "sda", live=True) as source:
        filesystems = mounted_from([source])
        disk = LiveDisk(source, filesystems)
        disk.leave_out(reference.areas())
        try:
            live = LiveCapture(lambda shown: ImageWriter(repository, "shop", shown, 3), [disk], filesystems, progress or NoProgress(),
                               limit=limit, snapshots=reference, **options)
            return live.run({"name": "shop"}), reference
        finally:
            disk.close()


def restored(repository, info, folder):
    path = os.path.join(folder, "restored")
    restore_image(repository, info.id, {"sda": path}, NoProgress())
    return path


def differences(one, other, ranges):
    """Where two files differ within the ranges, as (offset, length) of the pieces compared."""
    found = []
    with open(one, "rb") as first, open(other, "rb") as second:
        for start, end in ranges:
            for offset in range(start, end, MIB):
                length = min(MIB, end - offset)
                first.seek(offset)
                second.seek(offset)
                if first.read(length) != second.read(length):
                    found.append((offset, length))
    return found


def extracted(path, part, to):
    """A partition of a disk file as a file of its own."""
    run("dd", f"if={path}", f"of={to}", "bs=1M", f"skip={part.start // MIB}", f"count={part.size}", "conv=sparse", "status=none")
    return to


def check(path, kind, folder):
    """The file system in the file `path` must be sound; xfs after its log was replayed, which xfs_repair cannot do."""
    if kind == "xfs":
        with mounted(path, kind, folder):
            pass
        run("xfs_repair", "-n", path)
    elif kind.startswith("ext"):
        run("e2fsck", "-fn", path)
    elif kind == "btrfs":
        run("btrfs", "check", "--readonly", "--check-data-csum", path)


@contextlib.contextmanager
def mounted(path, kind, folder):
    os.makedirs(folder, exist_ok=True)
    if kind == "btrfs":
        run("btrfs", "device", "scan", "--forget")       # the same file system on devices that are gone
    run("mount", "-o", "loop,nouuid" if kind == "xfs" else "loop", "-t", kind, path, folder)
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(folder):
    """A process that was just killed may still hold it for a moment."""
    for _try in range(300):
        if "busy" not in run("umount", folder, accept=(0, 32)):
            break
        time.sleep(0.1)
    assert not os.path.ismount(folder)
