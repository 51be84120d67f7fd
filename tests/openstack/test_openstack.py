# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two machines of an application recovered in a real OpenStack, by a user with the role member, from Cinder volumes and through Glance."""

import os
import re
import signal
import subprocess
import time

import pytest

CINDER = {"cloud": "recovery", "path": "cinder", "network": "recovered", "security_groups": ["recovered"],
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
    """Both machines, one after the other."""
    run, = evidence["runs"]
    machines = {machine["name"]: machine for machine in run["machines"]}
    assert run["result"] == "passed" and [machines[name]["passed"] for name in ("db", "app")] == [True, True]
    assert [check["passed"] for machine in machines.values() for check in machine["checks"]] == [True, True]
    assert [machines[name]["image"]["consistency"] for name in ("db", "app")] == ["application", "filesystem"]
    assert {resource["kind"] for resource in run["resources"]} == kinds | {"folder", "mount", "openstack_port", "openstack_server"}
    times = {(step["machine"], step["name"]): step for step in run["timeline"]}
    assert times["app", "restore"]["start"] >= times["db", "boot"]["end"]
    print(f"{run['title'] or run['id']}: RTO", {name: round(machine["rto_seconds"]) for name, machine in machines.items()},
          {" ".join(key): round(step["seconds"]) for key, step in times.items() if step.get("seconds")})
    return run


def killed(operator, playbook, condition, **variables):
    """Starts a playbook and kills its controller as soon as the condition holds."""
    with open(operator.log, "ab") as log:
        process = subprocess.Popen(operator.command(playbook, **variables), env=operator.environment, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        with process:
            try:
                deadline = time.monotonic() + 2400
                while not condition():
                    assert process.poll() is None and time.monotonic() < deadline, "the playbook ended too early, or did not come so far"
                    time.sleep(1)
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def has_server(operator, kind):
    return any(name.startswith(kind + "-") for name in operator.lists()["servers"])


def test_failover_to_volumes(operator, worker_image):      # pylint: disable=unused-argument
    """By a worker that the run makes; the controller dies when the first machine is there, and the same command goes on. Tear-down is by another one."""
    before = operator.lists()
    variables = {"dr_worker": "worker", "dr_openstack": CINDER}
    plan = re.search(r"plan-[0-9a-f]{10}", operator.play("agnostic.recovery.failover", False, **variables)).group()
    assert operator.lists() == before
    variables.update(dr_confirm=plan, dr_report_dir=operator.report("failover"))
    killed(operator, "agnostic.recovery.failover", lambda: has_server(operator, "failover"), **variables)
    assert "dr-worker-worker" in operator.lists()["servers"]
    operator.play("agnostic.recovery.failover", **variables)
    run = assert_served(operator.evidence("failover"), {"openstack_volume"})
    now = operator.lists()
    assert [len(now[kind]) - len(before[kind]) for kind in ("servers", "volumes", "ports", "images", "addresses")] == [2, 2, 2, 0, 0]
    assert "dr-worker-worker" not in now["servers"]
    operator.play("agnostic.recovery.failover", **variables)             # once more: nothing is made a second time
    assert operator.lists() == now and operator.evidence("failover")["runs"][0]["id"] == run["id"]
    operator.play("agnostic.recovery.teardown", dr_run_id=run["id"], **variables)
    assert operator.lists() == before


def test_drill_through_glance(operator):
    before = operator.lists()
    run = assert_served(operator.drill("glance"), {"openstack_image"})
    assert run["resources_left"] == 0
    assert operator.lists() == before


def test_a_killed_drill_is_torn_down(operator):
    before = operator.lists()
    killed(operator, "agnostic.recovery.drill", lambda: has_server(operator, "drill"), dr_capture=False)
    assert operator.lists() != before
    operator.play("agnostic.recovery.teardown")
    assert operator.lists() == before
