# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks as EBS snapshots, on a small AWS in memory."""

import os
import random

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError, TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import CancelledError, NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.snapshot_task import run_snapshot
from ansible_collections.agnostic.recovery.plugins.module_utils.repository import retry
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.target import aws, ebs_snapshots
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_direct import BLOCK, EbsDirect, SnapshotBlock, volume_size
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_get import get_snapshot
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_put import candidates, data_blocks
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.target.fake_aws import FakeAws, FakeError

SIZE = 9 * BLOCK + 4096


@pytest.fixture(name="cloud")
def fixture_cloud(monkeypatch):
    cloud = FakeAws()
    monkeypatch.setattr(aws, "_sdk_client", cloud.client)
    monkeypatch.setattr(ebs_snapshots, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.001)
    return cloud


def write(path, blocks, size=SIZE):
    """A sparse disk with these contents of blocks."""
    with open(str(path), "wb") as file:
        file.truncate(size)
        for index, data in blocks.items():
            file.seek(index * BLOCK)
            file.write(data[:size - index * BLOCK])
    return str(path)


def filled(number):
    return bytes([number]) * BLOCK


def put(path, name="a", **more):
    return run_snapshot(dict({"state": "present", "name": name, "path": path, "region": "r"}, **more), NoProgress())


def content(kept, size=SIZE):
    return b"".join(kept.blocks.get(index, bytes(BLOCK)) for index in range(-(-size // BLOCK)))[:size]


def disk(path):
    with open(path, "rb") as file:
        return file.read()


def test_only_blocks_that_hold_something_are_sent_and_the_last_is_filled_up(cloud, tmp_path):
    path = write(tmp_path / "disk", {0: filled(1), 3: filled(0), 4: b"x", 9: filled(9)})
    result = put(path, tags={"run": 7}, description="a disk")
    kept = cloud.snapshots[result["snapshot"]["id"]]
    assert result["changed"] and result["snapshot"]["state"] == "completed" and result["snapshot"]["size"] == 1
    assert sorted(kept.blocks) == [0, 4, 9] and content(kept) == disk(path)
    assert result["written"]["written"] == 3 and result["written"]["zeroed"] == 0
    assert kept.tags == {"Name": "a", "run": "7"} and kept.more == {"Description": "a disk"}
    assert kept.blocks[9] == filled(9)[:4096] + bytes(BLOCK - 4096)


def test_holes_of_a_file_are_not_read(tmp_path):
    with open_disk(write(tmp_path / "disk", {0: filled(1), 700: b"x", 701: b"y"}, 1 << 30), "a") as opened:
        assert list(data_blocks(opened)) == [0, 700, 701]
    with open_disk(write(tmp_path / "empty", {}, 1 << 30), "a") as opened:
        assert list(data_blocks(opened)) == []


def test_a_snapshot_that_is_there_stays_as_it_is(cloud, tmp_path):
    path = write(tmp_path / "disk", {0: filled(1)})
    first = put(path)
    again = put(path)
    assert not again["changed"] and again["snapshot"] == first["snapshot"] and again["written"] == {}
    assert len(cloud.snapshots) == 1


def test_check_mode_changes_nothing_and_looks_at_the_disk(cloud, tmp_path):
    assert put(write(tmp_path / "disk", {0: filled(1)}), check=True) == {"changed": True, "snapshot": {}, "written": {}, "removed": []}
    assert not cloud.snapshots
    with pytest.raises(SourceError, match="cannot be opened"):
        put(str(tmp_path / "none"), check=True)


def test_an_unfinished_snapshot_of_the_name_is_put_anew(cloud, tmp_path):
    left = cloud.add("a", {0: filled(7)}, "pending")
    other = cloud.add("b", {}, "pending")
    path = write(tmp_path / "disk", {1: filled(1)})
    kept = cloud.snapshots[put(path)["snapshot"]["id"]]
    assert left.id not in cloud.snapshots
    assert content(kept) == disk(path) and other.id in cloud.snapshots


def test_absent_removes_all_of_the_name(cloud, tmp_path):
    gone = [cloud.add("a", {}).id, cloud.add("a", {}, "error").id]
    cloud.add("b", {})
    spec = {"state": "absent", "name": "a"}
    assert run_snapshot(dict(spec, check=True), NoProgress())["removed"] == gone and len(cloud.snapshots) == 3
    assert run_snapshot(spec, NoProgress()) == {"changed": True, "snapshot": {}, "written": {}, "removed": gone}
    assert [kept.tags["Name"] for kept in cloud.snapshots.values()] == ["b"]
    assert not run_snapshot(spec, NoProgress())["changed"]


def test_two_completed_snapshots_of_a_name_are_an_error(cloud, tmp_path):
    cloud.add("a", {})
    cloud.add("a", {})
    with pytest.raises(TargetError, match="several snapshots are named a: snap-1, snap-2"):
        put(write(tmp_path / "disk", {}))


def test_over_a_parent_only_what_differs_is_sent_zeros_too(cloud, tmp_path):
    cloud.page = 2
    parent = cloud.add("old", {0: filled(1), 1: filled(2), 2: filled(3), 5: bytes(BLOCK), 8: filled(8)})
    path = write(tmp_path / "disk", {0: filled(1), 1: filled(9), 4: filled(4), 8: bytes(BLOCK)})      # 2 became a hole, 8 was zeroed
    result = put(path, parent=parent.id)
    kept = cloud.snapshots[result["snapshot"]["id"]]
    assert content(kept) == disk(path)
    assert sorted(kept.written) == [1, 2, 4, 8]
    assert result["written"]["zeroed"] == 2 and result["written"]["unchanged"] == 2


def test_candidates_are_what_is_in_either_in_order():
    parents = [SnapshotBlock(index, "t%d" % index) for index in (0, 2, 3, 9)]
    assert [tuple(found)[1:] for found in candidates(iter([2, 4, 5]), parents)] == [
        (0, False, "t0"), (2, True, "t2"), (3, False, "t3"), (4, True, ""), (5, True, ""), (9, False, "t9")]


@pytest.mark.parametrize("workers", [1, 5])
def test_what_passes_is_repeated_and_no_block_is_wrong(cloud, tmp_path, workers):
    chance = random.Random(workers)
    failures = []

    def fail(action, _arguments):
        if chance.random() < 0.3:
            failures.append(action)
            raise chance.choice([
                FakeError("RequestThrottledException"), FakeError("InternalServerException", 500), FakeError("", 503),
                FakeError("ValidationException", Reason="CONFLICTING_BLOCK_UPDATE"), ConnectionResetError("reset by peer")])

    cloud.before = cloud.after = fail
    path = write(tmp_path / "disk", {index: os.urandom(BLOCK) for index in range(0, 90, 2)}, 100 * BLOCK)
    kept = cloud.snapshots[put(path, workers=workers)["snapshot"]["id"]]
    assert len(failures) > 20
    assert content(kept, 100 * BLOCK) == disk(path)
    assert len(cloud.snapshots) == 1             # a start whose answer was lost begins no second snapshot


def test_a_snapshot_that_is_not_known_everywhere_yet_is_waited_for(cloud, tmp_path):
    late = [FakeError("ResourceNotFoundException", 404, Reason="SNAPSHOT_NOT_FOUND") for _number in range(3)]

    def fail(action, _arguments):
        if action == "put_snapshot_block" and late:
            raise late.pop()

    cloud.before = fail
    assert put(write(tmp_path / "disk", {0: filled(1)}), workers=1)["changed"]


@pytest.mark.parametrize("code, words", [
    ("AccessDeniedException", "writing block 0 of snap-1: no permission. The credentials need the right ebs:PutSnapshotBlock"),
    ("ExpiredTokenException", "The session token has expired"),
    ("ValidationException", r"was refused: ValidationException said the service \(HTTP 400\)"),
    ("ConcurrentLimitExceededException", "As many snapshots are pending"),
])
def test_what_does_not_pass_is_told_at_once(cloud, tmp_path, code, words):
    def fail(action, _arguments):
        if action == "put_snapshot_block":
            raise FakeError(code)

    cloud.before = fail
    with pytest.raises(TargetError, match=words):
        put(write(tmp_path / "disk", {0: filled(1)}))
    assert [kept.state for kept in cloud.snapshots.values()] == ["pending"]


def test_what_fails_for_too_long_is_an_error_that_says_so(cloud, tmp_path):
    def fail(_action, _arguments):
        raise FakeError("InternalServerException", 500)

    cloud.before = fail
    with pytest.raises(TargetError, match=r"AWS r: looking for the snapshot a failed \d+ times in"):
        put(write(tmp_path / "disk", {}), retry_seconds=0.05)


def test_a_snapshot_that_aws_cannot_complete_is_an_error(cloud, tmp_path):
    def spoil(action, arguments):
        if action == "complete_snapshot":
            cloud.snapshots[arguments["SnapshotId"]].state = "error"

    cloud.after = spoil
    with pytest.raises(TargetError, match="snap-1 could not be completed"):
        put(write(tmp_path / "disk", {0: filled(1)}))


class Cancelling(NoProgress):
    def __init__(self):
        self.done = 0

    def advance(self, count):
        self.done += count

    def cancelled(self):
        return self.done >= 5 * BLOCK


def test_it_stops_when_asked_to(cloud, tmp_path):
    path = write(tmp_path / "disk", {index: filled(1) for index in range(90)}, 90 * BLOCK)
    with pytest.raises(CancelledError):
        run_snapshot({"state": "present", "name": "a", "path": path, "workers": 2}, Cancelling())
    assert 5 <= len(cloud.snapshots["snap-1"].written) < 20


def test_a_snapshot_comes_back_as_a_sparse_file(cloud, tmp_path):
    cloud.page = 3
    path = write(tmp_path / "disk", {index: os.urandom(BLOCK) for index in (0, 7, 8, 9, 2047)}, 1 << 30)
    identity = put(path)["snapshot"]["id"]
    back = str(tmp_path / "back")
    result = get_snapshot(EbsDirect(aws.AwsPlace("r")), identity, back, NoProgress(), 3)
    assert (result.size, result.blocks) == (1 << 30, 5)
    assert disk(back) == disk(path)
    assert os.stat(back).st_blocks * 512 < 8 << 20


def test_a_block_that_does_not_match_its_checksum_is_never_written(cloud, tmp_path):
    kept = cloud.add("a", {0: filled(1)})
    honest = cloud.do_get_snapshot_block

    def lie(self, **arguments):
        return dict(honest(**arguments), Checksum="AAAA")

    type(cloud).do_get_snapshot_block, restore = lie, type(cloud).do_get_snapshot_block
    try:
        with pytest.raises(TargetError, match="what arrived does not match its checksum"):
            get_snapshot(EbsDirect(aws.AwsPlace("r", retry_seconds=0.05)), kept.id, str(tmp_path / "back"), NoProgress(), 1)
    finally:
        type(cloud).do_get_snapshot_block = restore
    assert not os.path.exists(str(tmp_path / "back"))


@pytest.mark.parametrize("size, gib", [(1, 1), (1 << 30, 1), ((1 << 30) + 1, 2), (65536 << 30, 65536)])
def test_volumes_are_whole_gib(size, gib):
    assert volume_size(size) == gib


def test_a_disk_larger_than_any_volume_is_refused():
    with pytest.raises(TargetError, match="larger than any EBS volume"):
        volume_size((65536 << 30) + 1)


def test_no_boto3_and_no_region_are_said(monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TargetError, match="No region of AWS is given|needs boto3"):
        aws.AwsService(aws.AwsPlace(), "ebs")
