# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cache of demo disks: keys, one builder at a time, nothing half-built."""

import os
import signal
import subprocess
import sys
import time

import pytest

from demobuild import cache

PROGRAM = """
import os, sys, time
sys.path.insert(0, sys.argv[3])
from demobuild import cache
def build(directory, lock):
    with open(sys.argv[1] + "/builds", "a") as file:
        file.write("x")
    open(directory + "/result/disk", "w").close()
    time.sleep(float(sys.argv[2]))
print(cache.ensure(sys.argv[1], "key", build))
"""


def start(directory, seconds):
    program = os.path.dirname(os.path.dirname(os.path.abspath(cache.__file__)))
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(directory), str(seconds), program], stdout=subprocess.PIPE, text=True)


def wait_for(path):
    end = time.monotonic() + 20
    while not os.path.exists(str(path)):
        assert time.monotonic() < end, "%s did not appear" % path
        time.sleep(0.01)


@pytest.fixture
def builder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "build").write_text("one")
    (tmp_path / "parts" / "a").write_text("two")
    (tmp_path / "other").write_text("no part of the builder")
    return tmp_path


def key(builder):
    return cache.key_of(str(builder), ("build", "parts"))


def test_key_changes_with_contents_names_and_modes(builder):
    keys = [key(builder)]
    (builder / "parts" / "a").write_text("TWO")
    keys.append(key(builder))
    (builder / "parts" / "a").rename(builder / "parts" / "b")
    keys.append(key(builder))
    (builder / "build").chmod(0o755)
    keys.append(key(builder))
    (builder / "parts" / "more").mkdir()
    (builder / "parts" / "more" / "c").write_text("")
    keys.append(key(builder))
    assert len(set(keys)) == len(keys)


def test_key_ignores_what_is_no_part_of_the_builder(builder):
    before = key(builder)
    (builder / "other").write_text("changed")
    (builder / "parts" / "__pycache__").mkdir()
    (builder / "parts" / "__pycache__" / "a.pyc").write_text("compiled")
    assert key(builder) == before


def test_builds_once(tmp_path):
    calls = []
    for _round in range(2):
        path = cache.ensure(str(tmp_path), "key", lambda directory, lock: calls.append(directory))
    assert path == str(tmp_path / "key") and os.path.isdir(path)
    assert len(calls) == 1
    assert not (tmp_path / "building").exists()


def test_failed_build_leaves_nothing(tmp_path):
    def build(directory, lock):
        with open(os.path.join(directory, "result", "disk"), "w", encoding="ascii"):
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        cache.ensure(str(tmp_path), "key", build)
    assert os.listdir(str(tmp_path)) == ["lock"]


def test_killed_build_is_not_seen_and_does_not_stop_the_next(tmp_path):
    process = start(tmp_path, 60)
    wait_for(tmp_path / "building" / "result" / "disk")
    process.kill()
    process.communicate()
    assert not (tmp_path / "key").exists()
    output = start(tmp_path, 0).communicate(timeout=20)[0]
    assert output.strip() == str(tmp_path / "key")
    assert sorted(os.listdir(str(tmp_path))) == ["builds", "key", "lock"]


def test_second_builder_waits_and_takes_what_the_first_built(tmp_path):
    first = start(tmp_path, 1)
    wait_for(tmp_path / "building" / "result" / "disk")
    second = start(tmp_path, 1)
    outputs = {process.communicate(timeout=20)[0].strip() for process in (first, second)}
    assert outputs == {str(tmp_path / "key")}
    assert (tmp_path / "builds").read_text() == "x"


def test_keeps_the_newest_disks_only(tmp_path):
    for number in range(4):
        path = cache.ensure(str(tmp_path), "key%d" % number, lambda directory, lock: None)
        os.utime(path, (number, number))
    assert sorted(os.listdir(str(tmp_path))) == ["key2", "key3", "lock"]


def test_commands_end_with_the_builder(tmp_path):
    program = os.path.dirname(os.path.dirname(os.path.abspath(cache.__file__)))
    code = "import sys; sys.path.insert(0, %r); from demobuild.run import run; run(['sh', '-c', 'echo $$ > %s/pid; exec sleep 60'])"
    process = subprocess.Popen([sys.executable, "-c", code % (program, tmp_path)])
    try:
        wait_for(tmp_path / "pid")
        while not (tmp_path / "pid").read_text().strip():
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < end, "the command outlived the builder"
        time.sleep(0.05)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
