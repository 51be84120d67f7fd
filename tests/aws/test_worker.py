# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of workers that a run makes: two machines share one, a third has its own; made once, kept while a run needs them, then gone.

This machine stands in for both of them.
"""

import json
import os
import subprocess

import pytest
from emulated_aws import REGION, emulated_aws

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.journal import Journal

HERE = os.path.dirname(os.path.abspath(__file__))


class Place:

    def __init__(self, cloud, folder):
        self.folder, self.ec2 = folder, cloud.client("ec2")
        vpc = self.ec2.create_vpc(CidrBlock="198.51.100.0/24")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="198.51.100.0/24", AvailabilityZone=REGION + "a")["Subnet"]["SubnetId"]
        image = self.ec2.register_image(Name="worker", RootDeviceName="/dev/sda1", BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}])["ImageId"]
        self.server = dict(cloud.place, provider="aws", image=image, instance_type="t3.medium", subnet=subnet, prepare=False)

    def play(self, passes=True, server=None, **variables):
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        made = dict(local, dr_worker_server=server or self.server)
        machines = {"db": {"dr_worker": "one"}, "app": {"dr_worker": "one"}, "web": {"dr_worker": "two"}, "wiki": {"dr_worker": "there"}}
        inventory = {"dr_machines": {"hosts": machines, "vars": dict(local, dr_work_dir=self.folder)},
                     "workers": {"hosts": {"one": made, "two": made, "there": local}}}
        path = os.path.join(self.folder, "inventory.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(inventory, file)
        done = subprocess.run(["ansible-playbook", "-i", path, os.path.join(HERE, "worker.yml"), "-e", json.dumps(variables)], check=False,
                              env=dict(os.environ, HOME=self.folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert (done.returncode == 0) is passes, done.stdout[-8000:]
        assert self.server["secret_key"] not in done.stdout
        return done.stdout

    def instances(self):
        """{Name: address} of the instances that are there; none twice."""
        found = [instance for entry in self.ec2.describe_instances()["Reservations"] for instance in entry["Instances"]
                 if instance["State"]["Name"] not in ("terminated", "shutting-down")]
        named = {next(tag["Value"] for tag in instance["Tags"] if tag["Key"] == "Name"): instance["PrivateIpAddress"] for instance in found}
        assert len(named) == len(found)
        return named


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    with emulated_aws(os.environ["AGNOSTIC_RECOVERY_MOTO"], str(tmp_path / "cloud")) as cloud:
        yield Place(cloud, str(tmp_path))


def test_made_once_and_gone_in_the_end(place):
    output = place.play(dr_test_remove=False)
    made = place.instances()
    assert set(made) == {"dr-worker-one", "dr-worker-two"}
    for machine, worker in (("db", "one"), ("app", "one"), ("web", "two")):
        assert f"{machine}: {worker} is {made['dr-worker-' + worker]}" in output
    assert "wiki: there is nowhere" in output
    place.play(dr_test_remove=False)                         # another controller, after the first one died
    assert place.instances() == made
    place.play()
    assert place.instances() == {} and place.ec2.describe_volumes()["Volumes"] == []
    assert not [name for name in os.listdir(place.folder) if name.startswith("known_hosts")]


def test_it_stays_while_a_run_needs_it(place):
    run = Journal(os.path.join(place.folder, "runs", "failover-20261201T020000Z-1f2e"))
    run.begin(os.path.basename(run.run_dir), "failover")
    run.resource("ec2_instance", "shop", "shop")
    output = place.play()
    assert "failover-20261201T020000Z-1f2e. Run them again, or tear them down" in output and len(place.instances()) == 2
    run.end("ok")                                            # what serves needs no worker
    output = place.play(dr_test_safe=False)
    assert "has the only journal of the run" in output and len(place.instances()) == 2
    place.play()
    assert place.instances() == {}


def test_tear_down_makes_none(place):
    output = place.play(dr_worker_create=False)
    assert "db: one is nowhere" in output and place.instances() == {}


def test_what_is_missing_is_told_before_anything_is_made(place):
    output = place.play(False, {key: value for key, value in place.server.items() if key not in ("image", "subnet")})
    assert "dr_worker_server of one does not say image, subnet." in output.replace("\n", " ")
    assert place.instances() == {}


def test_a_worker_that_cannot_be_made_stops_all_that_need_it(place):
    output = place.play(False, dict(place.server, image="ami-00000000"))
    assert "The worker one could not be made; the error of the machine that tried says why" in output and "app: one" not in output
    assert "wiki: there is nowhere" in output and place.instances() == {}
