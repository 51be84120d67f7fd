# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks as EBS snapshots on an emulated AWS: what is read back through the API is the disk, whatever failed on the way."""

import os
import random
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.snapshot_task import run_snapshot
from ansible_collections.agnostic.recovery.plugins.module_utils.target.aws import AwsPlace
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_direct import BLOCK, EbsDirect
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_get import get_snapshot

FAULTS = 1000 if os.environ.get("AGNOSTIC_RECOVERY_SLOW") else 150


def make_disk(path, size, blocks):
    """A sparse disk with random content at these block indices."""
    with open(path, "wb") as file:
        file.truncate(size)
        for index in blocks:
            file.seek(index * BLOCK)
            file.write(os.urandom(min(BLOCK, size - index * BLOCK)))
    return path


def put(cloud, name, path, **more):
    return run_snapshot(dict(cloud.place, state="present", name=name, path=path, **more), NoProgress())


def read_back(cloud, snapshot, path, read_timeout=60.0):
    return get_snapshot(EbsDirect(AwsPlace(read_timeout=read_timeout, **cloud.place), 16), snapshot, path, NoProgress(), 16)


def assert_same(disk, back):
    """What is beyond the end of the disk, up to whole GiB, is zero."""
    size = os.path.getsize(disk)
    subprocess.run(["cmp", "-n", str(size), disk, back], check=True)
    with open(back, "rb") as file:
        file.seek(size)
        assert all(chunk.count(0) == len(chunk) for chunk in iter(lambda: file.read(1 << 20), b""))


def test_what_is_read_back_is_the_disk(cloud, tmp_path):
    disk = make_disk(str(tmp_path / "disk"), 1200 * BLOCK + 512, [0, 1, 7, 599, 1199, 1200])
    snapshot = put(cloud, "plain", disk, tags={"dr_run": "a"})["snapshot"]
    assert snapshot["tags"] == {"Name": "plain", "dr_run": "a"} and snapshot["size"] == 1
    assert read_back(cloud, snapshot["id"], str(tmp_path / "back")).blocks == 6
    assert_same(disk, str(tmp_path / "back"))
    assert not put(cloud, "plain", disk)["changed"]
    assert cloud.client("ec2").describe_volumes()["Volumes"] == []


def test_over_a_parent_only_what_changed_is_sent(cloud, tmp_path):
    disk = make_disk(str(tmp_path / "disk"), 1 << 30, range(0, 60, 3))
    parent = put(cloud, "monday", disk)["snapshot"]["id"]
    with open(disk, "r+b") as file:
        for index, data in ((3, os.urandom(BLOCK)), (6, bytes(BLOCK)), (100, b"new")):
            file.seek(index * BLOCK)
            file.write(data)
    child = put(cloud, "tuesday", disk, parent=parent)
    assert child["written"]["written"] == 3 and child["written"]["zeroed"] == 1 and child["written"]["unchanged"] == 18
    read_back(cloud, child["snapshot"]["id"], str(tmp_path / "back"))
    assert_same(disk, str(tmp_path / "back"))


def test_many_failures_and_not_one_wrong_block(cloud, tmp_path):
    disk = make_disk(str(tmp_path / "disk"), 2 << 30, random.Random(1).sample(range(4096), FAULTS + 150))
    cloud.order_faults(FAULTS, 0.35, 7)
    snapshot = put(cloud, "rough", disk, read_timeout=2.0)["snapshot"]["id"]
    read_back(cloud, snapshot, str(tmp_path / "back"), read_timeout=2.0)
    assert_same(disk, str(tmp_path / "back"))
    faults = cloud.faults()
    assert sum(faults.values()) == FAULTS and len(faults) == 6, faults
    assert len(cloud.client("ec2").describe_snapshots(Filters=[{"Name": "tag:Name", "Values": ["rough"]}])["Snapshots"]) == 1


def test_absent_removes_it_and_an_image_keeps_it(cloud, tmp_path):
    snapshot = put(cloud, "used", make_disk(str(tmp_path / "disk"), 1 << 20, [0]))["snapshot"]["id"]
    ec2 = cloud.client("ec2")
    image = ec2.register_image(Name="uses it", RootDeviceName="/dev/sda1", BlockDeviceMappings=[
        {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}])["ImageId"]
    absent = dict(cloud.place, state="absent", name="used")
    with pytest.raises(TargetError, match="An image uses the snapshot. Deregister the image first"):
        run_snapshot(absent, NoProgress())
    ec2.deregister_image(ImageId=image)
    assert run_snapshot(absent, NoProgress())["removed"] == [snapshot]
    assert not run_snapshot(absent, NoProgress())["changed"]
