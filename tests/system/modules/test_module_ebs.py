# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules for AWS, by ansible-playbook, on an emulated one."""

import os
import sys

BLOCK = 524288


def task(play, cloud, register="result", **options):
    options = dict(cloud.place, job_dir="{{ job_dir }}", python=sys.executable, name="shop-sda", **options)
    return play.task("ebs_snapshot", register, repository=None, key_file=None, **options)


def test_a_disk_becomes_a_snapshot_once_and_is_removed(play, cloud, tmp_path):
    with open(str(tmp_path / "disk.raw"), "wb") as file:
        file.truncate(1 << 30)
        file.seek(7 * BLOCK)
        file.write(os.urandom(3 * BLOCK))
    disk = "{{ folder }}/disk.raw"
    text = play.run([task(play, cloud, path=disk)], "--check")
    assert "would make shop-sda" in text and play.result()["changed"] and play.result()["snapshot"] == {}
    text = play.run([
        task(play, cloud, "made", path=disk, tags={"dr_run": "a"}),
        task(play, cloud, "again", path=disk),
        task(play, cloud, "removed", state="absent"),
        task(play, cloud, "absent", state="absent"),
        play.results("made", "again", "removed", "absent"),
    ])
    result = play.result()
    snapshot = result["made"]["snapshot"]
    assert result["made"]["changed"] and result["made"]["written"]["written"] == 3
    assert snapshot["size"] == 1 and snapshot["state"] == "completed" and snapshot["tags"] == {"Name": "shop-sda", "dr_run": "a"}
    assert not result["again"]["changed"] and result["again"]["snapshot"] == snapshot
    assert result["removed"]["removed"] == [snapshot["id"]] and not result["absent"]["changed"]
    assert "shop-sda: " + snapshot["id"] + ", sent 1.5 MiB of 1 GiB" in text
    assert cloud.place["secret_key"] not in text


def test_failures_are_sentences(play, cloud):
    text = play.run([
        dict(task(play, cloud, "missing", path="/nonexistent/disk"), ignore_errors=True),
        dict(task(play, cloud, "incomplete"), ignore_errors=True),
        play.results("missing", "incomplete"),
    ])
    assert play.result()["missing"]["error_type"] == "SourceError", text
    assert "path" in play.result()["incomplete"]["msg"], text


def test_the_console_of_an_instance_is_read(play, cloud):
    ec2 = cloud.client("ec2")
    image = ec2.register_image(Name="has a console", RootDeviceName="/dev/sda1", BlockDeviceMappings=[
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}])["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    play.run([
        play.task("ec2_console_info", "read", repository=None, key_file=None, instance_id=instance, **cloud.place),
        dict(play.task("ec2_console_info", "unknown", repository=None, key_file=None, instance_id="i-00000000000000000", **cloud.place),
             ignore_errors=True),
        play.results("read", "unknown"),
    ])
    assert "Linux version" in play.result()["read"]["console"]
    assert "reading the console of i-00000000000000000 was refused: InvalidInstanceID.NotFound" in play.result()["unknown"]["msg"]
