# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real server recovered in a real OpenStack, by a user with the role member, through Glance and from Cinder volumes."""

import os
import signal
import subprocess
import time

import pytest

CINDER = {"cloud": "recovery", "path": "cinder", "worker_server": "worker", "network": "recovered", "security_groups": ["recovered"],
          "flavors": ["vol*", "large"], "timeout": 1800}


@pytest.mark.parametrize("cloud, says", [("elsewhere", "elsewhere"), ("locked", "are not complete or not accepted")])
def test_credentials_that_do_not_fit(operator, cloud, says):
    command = ["ansible", "localhost", "-m", "agnostic.recovery.openstack_console_info", "-a", f"cloud={cloud} server=worker"]
    done = subprocess.run(command, env=operator.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          universal_newlines=True)
    assert done.returncode and says in done.stdout and "Traceback" not in done.stdout


def test_an_address_that_is_taken_is_found_first(operator):
    network = operator.cloud.network.find_network("recovered")
    port = operator.cloud.network.create_port(name="other", network_id=network.id, fixed_ips=[{"ip_address": "192.0.2.10"}])
    try:
        before = operator.lists()
        evidence = operator.drill("taken", passes=False)
        assert operator.lists() == before
    finally:
        operator.cloud.network.delete_port(port)
    run, = evidence["runs"]
    assert run["result"] != "passed" and "restore" not in {step["name"] for step in run["timeline"]}


def test_a_network_with_a_router_is_refused(operator):
    before = operator.lists()
    output = operator.play("agnostic.recovery.drill", False, dr_capture=False, dr_report_dir=operator.folder + "/report-router",
                           dr_openstack={"cloud": "recovery", "path": "glance", "network": "workers"})
    assert "could reach production" in output
    assert operator.lists() == before


def assert_served(evidence, kinds):
    run, = evidence["runs"]
    assert run["result"] == "passed" and run["resources_left"] == 0
    assert [check["passed"] for check in run["machines"][0]["checks"]] == [True, True]
    assert {resource["kind"] for resource in run["resources"]} == kinds | {"folder", "mount", "openstack_port", "openstack_server"}
    print(f"{run['title']}: RTO {run['rto_seconds']:.0f} s", {step["name"]: round(step["seconds"]) for step in run["timeline"]})


def test_through_glance(operator):
    before = operator.lists()
    evidence = operator.drill("glance")
    assert_served(evidence, {"openstack_image"})
    assert operator.lists() == before


def test_from_volumes(operator, worker):      # pylint: disable=unused-argument
    before = operator.lists()
    evidence = operator.drill("cinder", dr_worker="worker", dr_openstack=CINDER)
    assert_served(evidence, {"openstack_volume"})
    assert operator.lists() == before


def wait_for(condition, process, seconds=1800):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, "the drill ended too early, or made no server"
        time.sleep(1)


def test_a_killed_drill_is_torn_down(operator):
    before = operator.lists()
    with open(operator.log, "ab") as log:
        drill = subprocess.Popen(operator.command("agnostic.recovery.drill", dr_capture=False), env=operator.environment,
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        with drill:
            try:
                wait_for(lambda: [server for server in operator.cloud.compute.servers() if server.name not in before["servers"]], drill)
            finally:
                os.killpg(drill.pid, signal.SIGKILL)
    assert operator.lists() != before
    operator.play("agnostic.recovery.teardown")
    assert operator.lists() == before
