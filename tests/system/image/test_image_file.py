# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZIA files on a real system: killed exports and imports, full file systems, a pipe, tar and the stand-alone reader."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError, TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import image_ids
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.image.restore import restore_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.verify import verify
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks

HERE = os.path.dirname(os.path.abspath(__file__))
PROCESS = os.path.join(HERE, "image_job_process.py")
READER = os.path.join(HERE, os.pardir, os.pardir, "reader", "zia_reader.py")
DISK_SIZE = 2 << 20
KILLS = 15


def spec_of(kind, place, path, **more):
    return dict(more, kind=kind, repository={"path": place.path}, key_file=place.key_file, machine="shop", path=str(path))


def run(kind, place, path, **more):
    return tasks.run(spec_of(kind, place, path, **more), NoProgress())


def kill_at_some_time(specification, longest):
    """Whether a process that does this was killed before its end."""
    process = subprocess.Popen([sys.executable, PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               universal_newlines=True)
    with process.stdin:
        process.stdin.write(json.dumps(specification))
    process.stdin = None
    assert process.stdout.readline() == "started\n"
    time.sleep(longest)
    process.send_signal(signal.SIGKILL)
    output, errors = process.communicate()
    assert not errors
    return not output


def check_restore(place, disk, tmp_path):
    repository = place.open()
    image, = image_ids(repository, "shop")
    restore_image(repository, image, {"sda": str(tmp_path / "restored")}, NoProgress(), overwrite=True)
    assert (tmp_path / "restored").read_bytes() == disk.read_bytes()
    repository.store.close()


@pytest.fixture(name="disk")
def fixture_disk(place, make_disk):
    """A disk that has an image in the repository."""
    disk = make_disk("disk", DISK_SIZE)
    place.capture("shop", disk)
    return disk


def test_a_killed_export_leaves_no_file_of_that_name(place, disk, tmp_path):
    path = tmp_path / "shop.zia"
    started = time.monotonic()
    run("export", place, tmp_path / "first.zia")
    whole, longest = (tmp_path / "first.zia").read_bytes(), time.monotonic() - started
    rng, interrupted = random.Random(5), 0
    for _unused in range(KILLS):
        interrupted += kill_at_some_time(spec_of("export", place, path), rng.uniform(0, longest))
        if path.exists():
            assert path.read_bytes() == whole
            path.unlink()
    assert interrupted, "no kill hit a running export"
    assert run("export", place, path)["changed"]
    assert path.read_bytes() == whole and not os.path.exists(str(path) + ".partial")


def lasting(place):
    """All objects but those of sessions, which every writer has of its own."""
    return sorted(name for name in place.objects() if not name.startswith("sessions/"))


def test_a_killed_import_leaves_no_image_and_goes_on(place, place_at, disk, tmp_path):
    path = tmp_path / "shop.zia"
    run("export", place, path)
    started = time.monotonic()
    run("import", place_at(tmp_path / "first"), path)
    longest = time.monotonic() - started
    rng, interrupted = random.Random(6), 0
    for number in range(KILLS):
        other = place_at(tmp_path / ("other-%d" % (number // 5)))        # some are killed several times
        interrupted += kill_at_some_time(spec_of("import", other, path), rng.uniform(0, longest))
        if os.path.exists(os.path.join(other.path, "repository.json")):
            repository = other.open()
            if list(image_ids(repository)):
                assert verify(repository, level="full").problems == ()
            for name in repository.store.list("chunks/"):
                assert repository.store.size(name) > 80
            repository.store.close()
        if number % 5 == 4:
            run("import", other, path)
            assert other.leftovers() == []
            check_restore(other, disk, tmp_path)
            assert lasting(other) == lasting(place)
    assert interrupted, "no kill hit a running import"


def test_a_full_file_system_keeps_no_half_file(place, disk, mounted):
    folder = mounted("small", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    with pytest.raises(TargetError, match=r"shop.zia.partial cannot be written: No space left on device. Make room there and export again"):
        run("export", place, os.path.join(folder, "shop.zia"))
    assert os.listdir(folder) == []


def test_a_full_repository_makes_no_image(place, place_at, disk, mounted, tmp_path):
    folder = mounted("small", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    run("export", place, tmp_path / "shop.zia")
    other = place_at(folder)
    with pytest.raises(RepositoryError, match="No space left on device. The file system is full"):
        run("import", other, tmp_path / "shop.zia")
    repository = other.open()
    assert not list(image_ids(repository))
    repository.store.close()
    subprocess.run(["mount", "-o", "remount,size=20m", folder], stdin=subprocess.DEVNULL, check=True)
    run("import", other, tmp_path / "shop.zia")
    check_restore(other, disk, tmp_path)


def test_through_a_pipe(place, place_at, disk, tmp_path):
    run("export", place, tmp_path / "shop.zia")
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: open(pipe, "wb").write((tmp_path / "shop.zia").read_bytes()), daemon=True)
    writer.start()
    run("import", place_at(tmp_path / "other"), pipe)
    writer.join()
    check_restore(place_at(tmp_path / "other"), disk, tmp_path)


def test_tar_unpacks_a_repository(place, place_at, disk, tmp_path):
    run("export", place, tmp_path / "shop.zia")
    os.mkdir(str(tmp_path / "unpacked"))
    subprocess.run(["tar", "--extract", "--file", str(tmp_path / "shop.zia"), "--directory", str(tmp_path / "unpacked")],
                   stdin=subprocess.DEVNULL, check=True)
    check_restore(place_at(tmp_path / "unpacked"), disk, tmp_path)


def test_the_stand_alone_reader(place, disk, tmp_path):
    pytest.importorskip("zstandard")
    run("export", place, tmp_path / "shop.zia")
    for source in (place.path, str(tmp_path / "shop.zia")):
        def read(*arguments):
            return subprocess.run([sys.executable, READER] + list(arguments) + ["--key-file", place.key_file], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout
        image = read("list", source).strip()
        assert image.startswith("shop/")
        read("restore", source, image, str(tmp_path / "by-reader"))
        assert (tmp_path / "by-reader" / "sda.raw").read_bytes() == disk.read_bytes()
    wrong = subprocess.run([sys.executable, READER, "list", place.path, "--key-file", READER],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    assert wrong.returncode == 1 and wrong.stderr.startswith("zia_reader: no key slot opens with this key")
