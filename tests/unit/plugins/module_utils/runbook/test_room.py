# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan needs of workers and clouds, and whether they have it."""

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import DiskInfo, ImageInfo
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.plan import Wanted, make_plan
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.room import Place, needs, shortages

GIB = 1 << 30
DISKS = (DiskInfo("sda", 8 * GIB + 512, 512, GIB, GIB), DiskInfo("sdb", 2 * GIB, 512, GIB, GIB))
IMAGE = ImageInfo("db/20261122T010000Z-9f3a61c2", "db", "2026-11-22T01:00:00Z", "filesystem", "", DISKS, 10 * GIB + 512, 2 * GIB, 0, 0, 1.0, (), {})


def test_a_guest_takes_of_its_worker():
    wanted = Wanted("db", worker="w1", size={"memory": "2048", "cpus": 2})
    assert needs(wanted, IMAGE) == {("worker", "w1", "bytes"): 2 * GIB, ("worker", "w1", "memory"): 2048}
    assert needs(wanted._replace(size={"memory": "much"}), IMAGE)["worker", "w1", "memory"] == 0


def test_a_server_takes_of_its_cloud():
    wanted = Wanted("db", provider="openstack", worker="w1", cloud="c", path="cinder", size={"memory": 2048, "cpus": 2})
    shared = {("cloud", "c", "servers"): 1, ("cloud", "c", "ports"): 1, ("cloud", "c", "cores"): 2, ("cloud", "c", "memory"): 2048}
    assert needs(wanted, IMAGE) == {**shared, ("cloud", "c", "volumes"): 2, ("cloud", "c", "gigabytes"): 11}
    assert needs(wanted._replace(path="glance"), IMAGE) == {**shared, ("worker", "w1", "bytes"): 4 * GIB}
    assert needs(wanted._replace(provider="aws"), IMAGE) == {}


def test_all_machines_of_a_place_count_together():
    demands = [needs(Wanted(name, worker="w1", size={"memory": 600}), IMAGE) for name in ("a", "b")]
    enough = Place("worker", "w1", {"bytes": 4 * GIB, "memory": 1200, "cpus": 1})
    assert shortages(demands, [enough, Place("worker", "w2", {"bytes": 0, "memory": 0}), Place("worker", "w1", {"bytes": None})]) == []
    assert shortages(demands, [Place("worker", "w1", {"bytes": 3 * GIB, "memory": 1199})]) == [
        "The worker w1 has 3.0 GiB of free space left, and what recovers there needs 4.0 GiB.",
        "The worker w1 has 1199 MiB of memory left, and what recovers there needs 1200."]
    assert shortages([], [Place("cloud", "c", problem="It is dark there.")] * 2) == ["The cloud c cannot be asked what room it has: It is dark there."]


def test_it_is_a_warning_and_makes_no_other_plan():
    wanted = [Wanted("db", worker="w1", checks=("page",))]
    plans = [make_plan("failover", wanted, {"db": IMAGE}, {}, 1795000000, places)
             for places in ((), [Place("worker", "w1", {"bytes": 5})])]
    assert plans[0].id == plans[1].id and plans[1].runnable
    assert [(finding.level, finding.text[:41]) for finding in plans[1].findings] == [("warning", "The worker w1 has 5 bytes of free space l")]
