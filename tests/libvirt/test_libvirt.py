# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small real machine recovered as a domain of a real libvirt."""

import os
import re

import pytest


def test_a_drill_leaves_nothing(site, libvirt):
    site.run("drill")
    run = site.evidence()
    machine, = run["machines"]
    assert run["result"] == "passed" and run["resources_left"] == 0 and machine["passed"]
    assert machine["target"]["provider"] == "libvirt" and machine["target"]["isolated"] is True
    assert {resource["kind"] for resource in run["resources"]} == {"folder", "libvirt_domain"} and "tiny" in machine["console"]
    assert libvirt.domains("--all") == [] and os.listdir(os.path.join(site.work, "machines")) == []


@pytest.mark.parametrize("connection, says", [
    ({"network": "open"}, "leads out, so shop could reach production"),
    ({"bridge": "drtest0"}, "could reach production. Name a network of libvirt"),
    ({"network": "nowhere"}, "nowhere"),
    ({}, "Name a network of libvirt"),
])
def test_a_drill_goes_nowhere_else(site, libvirt, connection, says):
    assert says in site.run("drill", fails=True, dr_libvirt=dict(connection, uri=libvirt.uri))
    assert libvirt.domains("--all") == []


@pytest.mark.parametrize("bus, machine", [("virtio-blk", "pc"), ("ahci", "q35")])
def test_a_failover_stays(site, libvirt, bus, machine):
    hardware = {"dr_guest": {"firmware": "bios", "memory": 256, "cpus": 1, "disk_bus": bus, "machine": machine},
                "dr_libvirt": {"uri": libvirt.uri, "bridge": "drtest0"}}
    plan = re.search(r"plan-[0-9a-f]{10}", site.run("failover", fails=True, **hardware)).group()
    site.run("failover", "-e", f"dr_confirm={plan}", **hardware)
    run = site.evidence()
    name, = libvirt.domains("--state-running")
    assert name == f"{run['id']}-shop" and libvirt.domains("--autostart") == [name]
    assert f"shop, recovered by run {run['id']}" in libvirt.virsh("desc", name)
    number = libvirt.virsh("domid", name)
    # The same command goes on: what serves is left alone. What was switched off comes up again.
    site.run("failover", "-e", f"dr_confirm={plan}", **hardware)
    assert libvirt.virsh("domid", name) == number
    libvirt.virsh("destroy", name)
    site.run("failover", "-e", f"dr_confirm={plan}", **hardware)
    assert libvirt.domains("--all") == libvirt.domains("--state-running") == [name]
    site.run("teardown", **hardware)
    assert libvirt.domains() == [name]
    site.run("teardown", "-e", f"dr_run_id={run['id']}", **hardware)
    assert libvirt.domains("--all") == []
