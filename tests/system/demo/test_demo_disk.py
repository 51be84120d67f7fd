# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk file of the demo machine, small, made with this machine's own tools."""

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("yaml")

from demobuild import data

FILL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from demobuild import disk
demo, path, root, place = json.loads(sys.argv[2]), *sys.argv[3:]
disk.private_mounts()
disk.create(demo, path, "/")
print(json.dumps(disk.fill(demo, path, root, place)))
"""


@pytest.fixture(scope="module")
def small():
    demo = copy.deepcopy(data.load())
    start = 1
    for part, size in zip(demo["disk"]["partitions"], (1, 120, 320, 16)):
        part.update(start_mib=start, size_mib=size)
        start += size
    demo["disk"].update(size_mib=start + 1, deleted_mib={"/": 40, "/var/lib/postgresql": 20})
    return demo


@pytest.fixture(scope="module")
def built(small, tmp_path_factory):
    if os.geteuid():
        pytest.skip("mounting needs root")
    for program in ("sfdisk", "mkfs.ext4", "mkfs.xfs", "xfs_repair", "e2fsck", "setpriv"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            pytest.skip("this machine has no %s" % program)
    directory = tmp_path_factory.mktemp("disk")
    root, place = directory / "root", directory / "mount"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hostname").write_text("small\n")
    (root / "var" / "lib" / "postgresql").mkdir(parents=True)
    (root / "var" / "lib" / "postgresql" / "rows").write_text("1 2 3\n")
    place.mkdir()
    path = str(directory / "disk")
    command = [sys.executable, "-c", FILL, data.HERE, json.dumps(small), path, str(root), str(place)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return path, json.loads(output), place


def partition_file(built, small, content, directory):
    """The partition's bytes as a file of their own, for tools that know no offset."""
    part = data.partition(small, content)
    target = directory / content
    with open(built[0], "rb") as disk:
        disk.seek(part["start_mib"] << 20)
        target.write_bytes(disk.read(part["size_mib"] << 20))
    return target


def test_nothing_stays_mounted_or_attached(built):
    assert os.listdir(str(built[2])) == []
    loops = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert built[0] not in loops


@pytest.mark.parametrize("content, check", [("ext4", ["e2fsck", "-fn"]), ("xfs", ["xfs_repair", "-n"])])
def test_file_systems_are_clean_and_their_free_blocks_hold_deleted_data(built, small, tmp_path, content, check):
    file = partition_file(built, small, content, tmp_path)
    subprocess.run(check + [str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    # The lines are in deleted files only: nothing that is still there holds them.
    assert file.read_bytes().count(b"shop kernel: deleted line") > 10000


def test_file_systems_have_the_identity_that_was_asked_for(built, small, tmp_path):
    for content in ("ext4", "xfs", "swap"):
        file = partition_file(built, small, content, tmp_path)
        found = subprocess.run(["blkid", "-p", "-o", "value", "-s", "UUID", str(file)], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert found.strip() == data.partition(small, content)["uuid"]


def test_facts(built):
    assert built[1]["deleted_bytes"] > 50 << 20
    assert 0 < built[1]["used_bytes"] < 60 << 20
