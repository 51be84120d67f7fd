# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo machine recovered to an emulated AWS, on both paths. What lies in the cloud then is read back through its API and booted in QEMU,
on NVMe, with the firmware that the registered image declares; it must serve its page. Nothing is left after the tear-down.
"""

import http.client
import json
import os
import subprocess
import time

import pytest
from emulated_aws import REGION, emulated_aws

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu, qemu_screen
from ansible_collections.agnostic.recovery.plugins.module_utils.target.aws import AwsPlace
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_direct import EbsDirect
from ansible_collections.agnostic.recovery.plugins.module_utils.target.ebs_get import get_snapshot
from ansible_collections.agnostic.recovery.plugins.module_utils.target.qemu_command import Forward, Guest, GuestDisk, GuestNic

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = "192.0.2.10"
NEWEST = "Order 1000: 7 x copper kettle for customer 0101"
PATIENCE = 1800          # seconds for a boot without KVM on a busy host
ATTEMPTS = 3
STARVED = "Timed out waiting for device"         # udev on a host that emulates too slowly; the disk is there, the machine runs from it


class Site:
    """The emulated cloud with a network and an image for workers in it, and the source beside it."""

    def __init__(self, cloud, folder):
        self.cloud, self.folder = cloud, folder
        self.ec2 = cloud.client("ec2")
        vpc = self.ec2.create_vpc(CidrBlock="192.0.2.0/24")["Vpc"]["VpcId"]
        self.subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="192.0.2.0/24", AvailabilityZone=REGION + "a")["Subnet"]["SubnetId"]
        self.group = self.ec2.create_security_group(VpcId=vpc, GroupName="drill", Description="drill")["GroupId"]
        self.worker_image = self.ec2.register_image(Name="worker", RootDeviceName="/dev/sda1", BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}])["ImageId"]

    def play(self, book, path, firmware, *arguments):
        place = dict(self.cloud.place, path=path, drill_subnet=self.subnet, drill_security_groups=[self.group],
                     tags={"purpose": "test"}, grow=1)       # room for an EFI system partition
        worker = dict(self.cloud.place, provider="aws", image=self.worker_image, instance_type="t3.medium", subnet=self.subnet, prepare=False)
        environment = dict(os.environ, AWS_TEST_FOLDER=self.folder, AWS_TEST_FIRMWARE=firmware, AWS_TEST_PLACE=json.dumps(place),
                           AWS_TEST_WORKER="made" if path == "volumes" else "there", AWS_TEST_WORKER_SERVER=json.dumps(worker))
        command = ["ansible-playbook", "-i", os.path.join(HERE, "inventory.yml"), book, *arguments]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert self.cloud.place["secret_key"] not in done.stdout
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    def holds(self):
        """Ids of all that costs or lasts."""
        instances = [instance for entry in self.ec2.describe_instances()["Reservations"] for instance in entry["Instances"]
                     if instance["State"]["Name"] != "terminated"]
        return {
            "instances": {instance["InstanceId"] for instance in instances},
            "images": {image["ImageId"] for image in self.ec2.describe_images(Owners=["self"])["Images"]},
            "snapshots": {snapshot["SnapshotId"] for snapshot in self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]},
            "volumes": {volume["VolumeId"] for volume in self.ec2.describe_volumes()["Volumes"]},
            "interfaces": {nic["NetworkInterfaceId"] for nic in self.ec2.describe_network_interfaces()["NetworkInterfaces"]},
        }

    def machine(self):
        """The recovered instance and its image, as the API describes them."""
        found = self.ec2.describe_instances(Filters=[{"Name": "tag:dr_machine", "Values": ["shop"]},
                                                     {"Name": "instance-state-name", "Values": ["running"]}])["Reservations"]
        assert len(found) == 1
        instance = found[0]["Instances"][0]
        return instance, self.ec2.describe_images(ImageIds=[instance["ImageId"]])["Images"][0]


@pytest.fixture(scope="module", name="site")
def fixture_site(tmp_path_factory):
    if os.geteuid():
        pytest.skip("it needs root, to mount disks")
    folder = str(tmp_path_factory.mktemp("aws"))
    with emulated_aws(os.environ["AGNOSTIC_RECOVERY_MOTO"], os.path.join(folder, "cloud"), devices=True) as cloud:
        site = Site(cloud, folder)
        subprocess.run([os.path.join(HERE, "..", "demo", "build"), "--output", os.path.join(folder, "source")], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        site.play("agnostic.recovery.capture", "direct", "bios")
        yield site


@pytest.mark.parametrize("path, firmware, boot_mode", [("direct", "bios", "legacy-bios"), ("volumes", "uefi", "uefi")])
def test_the_machine_is_recovered_and_what_lies_in_the_cloud_serves(site, path, firmware, boot_mode, tmp_path):
    before = site.holds()
    began = time.monotonic()
    site.play(os.path.join(HERE, "recover.yml"), path, firmware)
    recovered = time.monotonic()
    instance, image = site.machine()
    assert (image["BootMode"], image["EnaSupport"], image["Architecture"], image["RootDeviceName"]) == (boot_mode, True, "x86_64", "/dev/sda1")
    assert (instance["PrivateIpAddress"], instance["SubnetId"], instance["InstanceType"]) == (ADDRESS, site.subnet, "t3.small")
    nic = instance["NetworkInterfaces"][0]
    assert [group["GroupId"] for group in nic["Groups"]] == [site.group]
    assert_tagged(site, before)
    mapping = image["BlockDeviceMappings"]
    assert [disk["DeviceName"] for disk in mapping] == ["/dev/sda1"]
    volume = site.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}])["Volumes"][0]
    assert volume["SnapshotId"] == mapping[0]["Ebs"]["SnapshotId"]

    back = str(tmp_path / "back.raw")
    got = get_snapshot(EbsDirect(AwsPlace(**site.cloud.place), 8), volume["SnapshotId"], back, NoProgress(), 8)
    if path == "direct":
        work = os.path.join(site.folder, "work", "machines")
        subprocess.run(["cmp", os.path.join(work, os.listdir(work)[0], "sda.raw"), back], check=True)
    held = site.holds()
    workers = [tag["ResourceId"] for tag in site.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["dr_worker"]}])["Tags"]
               if tag["ResourceType"] == "instance"]
    assert len(workers) == (path == "volumes")                       # on the direct path nothing but the machine is there
    site.play(os.path.join(HERE, "recover.yml"), path, firmware, "-e", "dr_resume=true")
    assert site.holds() == held                                      # as after a controller that died at the end: nothing is made twice
    secret = site.cloud.place["secret_key"]
    assert subprocess.run(["grep", "-rqF", "--", secret, os.path.join(site.folder, "work")], check=False).returncode == 1
    served = boot(back, boot_mode, nic["MacAddress"], tmp_path)
    print(f"\n{path}: recovered in {recovered - began:.0f} s, {got.blocks} blocks read back, served {served:.0f} s after power-on ({boot_mode})")

    site.play("agnostic.recovery.teardown", path, firmware)
    assert site.holds() == before
    assert not os.path.exists("/dev/disk/by-id") or not [name for name in os.listdir("/dev/disk/by-id") if "Amazon" in name]
    site.play("agnostic.recovery.teardown", path, firmware)          # a second one finds nothing to do


def assert_tagged(site, before):
    """All that the run made carries its id, but for the worker, which carries its own name."""
    workers = site.ec2.describe_instances(Filters=[{"Name": "tag-key", "Values": ["dr_worker"]}])["Reservations"]
    untagged = {nic["NetworkInterfaceId"] for entry in workers for instance in entry["Instances"] for nic in instance["NetworkInterfaces"]}
    untagged |= {instance["InstanceId"] for entry in workers for instance in entry["Instances"]}
    new = {identity for kind, found in site.holds().items() for identity in found - before[kind] if kind != "volumes"}
    tagged = {tag["ResourceId"] for tag in site.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["dr_run"]}])["Tags"]}
    assert new and new - untagged <= tagged


def boot(disk, boot_mode, mac, folder):
    """Boots the disk as a Nitro instance would show it, as far as QEMU can: no ENA. Seconds until it serves its page."""
    guest = Guest("aws", str(folder / "guest"), (GuestDisk(disk, "raw", "nvme", snapshot=True),),
                  (GuestNic("virtio-net", mac, "192.0.2.0/24", "192.0.2.1", ADDRESS, True, (Forward(80),)),),
                  "uefi" if boot_mode == "uefi" else "bios", "q35", 1024, 2, lifetime=PATIENCE + 300)
    for _attempt in range(ATTEMPTS):
        served, shown = boot_once(guest)
        if served or STARVED not in shown:
            break
    assert served, "it did not serve\n" + shown[-4000:]
    return served


def boot_once(guest):
    """(seconds until it serves or 0, what it showed)."""
    began = time.monotonic()
    running, _changed = qemu.start(guest)
    try:
        while True:
            with open(running.console_log, encoding="utf-8", errors="replace") as console:
                shown = console.read()
            if NEWEST in page(running.forwards[0].host_port):
                return time.monotonic() - began, shown
            if "emergency mode" in shown or time.monotonic() > began + PATIENCE:
                return 0.0, shown + "\n" + qemu_screen.read_text_screen(guest.run_dir)
            time.sleep(2)
    finally:
        qemu.remove(guest.run_dir)


def page(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
