# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet fails over while its controller dies again and again; each time another controller, with its own copy of the collection, goes on.

Of the old site nothing is left but the repository and its key: no inventory, no disk, no state of a controller.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OLD_SITE = os.path.join(ROOT, "tests", "fleet", "inventory.yml")
NEW_SITE = os.path.join(ROOT, "tests", "fleet", "recovery")
KILLS = int(os.environ.get("KILLS", "10"))
SEED = os.environ.get("SEED") or str(random.randrange(1 << 30))
SERVING = ("app1", "app2", "app3", "app4", "app5")


class Fleet:

    def __init__(self, folder):
        self.folder = folder
        self.controllers = 0
        self.inventory = OLD_SITE

    def controller(self):
        """The environment of a new controller: a fresh copy of the collection, nothing else."""
        self.controllers += 1
        home = os.path.join(self.folder, f"controller{self.controllers}")
        place = os.path.join(home, "collections", "ansible_collections", "agnostic")
        os.makedirs(place)
        shutil.copytree(ROOT, os.path.join(place, "recovery"), ignore=shutil.ignore_patterns(".git", "tests", "drill-report"))
        return dict(os.environ, HOME=home, DR_FLEET_DIR=self.folder, ANSIBLE_COLLECTIONS_PATH=os.path.join(home, "collections"))

    def start(self, *arguments, environment=None):
        environment = environment or self.controller()
        command = ["ansible-playbook", "-i", self.inventory, *arguments, "-e", f"dr_report_dir={self.folder}/report"]
        return subprocess.Popen(command, env=environment, cwd=environment["HOME"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, universal_newlines=True, start_new_session=True)

    def run(self, *arguments):
        process = self.start(*arguments)
        output = process.communicate()[0]
        return process.returncode, output

    def guests(self):
        """Folders in which a QEMU of the fleet runs."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    place = os.readlink(f"/proc/{pid}/cwd") if file.read().startswith("qemu") else ""
            except OSError:
                continue
            if place.startswith(self.folder):
                found.append(place)
        return sorted(found)

    def controllers_so_far(self):
        """How many controllers have taken up the run."""
        runs = os.path.join(self.folder, "worker1", "runs")
        journals = [os.path.join(runs, run, "journal.jsonl") for run in os.listdir(runs)] if os.path.isdir(runs) else []
        return sum(json.loads(line)["type"] == "controller" for path in journals for line in lines_of(path))

    def evidence(self):
        with open(os.path.join(self.folder, "report", "evidence.json"), encoding="utf-8") as file:
            return json.load(file)["runs"][0]


def lines_of(path):
    """Whole ones: another may be in the making."""
    with open(path, encoding="utf-8") as file:
        return [line for line in file if line.strip() and line.endswith("\n")]


def mounts():
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return sorted(line.split()[1] for line in file)


@pytest.fixture(scope="module", name="fleet")
def fixture_fleet():
    """Six machines captured, and everything of them removed at the end, however it comes."""
    if os.geteuid():
        pytest.skip("needs root, to mount disks")
    cache = os.path.join(os.environ["CACHE"], "fleet")
    shutil.rmtree(cache, ignore_errors=True)
    os.makedirs(cache)
    fleet = Fleet(cache)
    subprocess.run([os.path.join(ROOT, "tests", "demo", "build"), "--output", cache], check=True, stdout=subprocess.DEVNULL)
    break_root(os.path.join(cache, "shop.raw"), os.path.join(cache, "broken.raw"))
    with open(os.path.join(cache, "passphrase"), "w", encoding="utf-8") as file:
        file.write("copper kettle in the fleet")
    try:
        for playbook in ("agnostic.recovery.capture", "agnostic.recovery.settings"):
            status, output = fleet.run(playbook)
            assert status == 0, output[-4000:]
        for disk in ("shop.raw", "broken.raw"):
            os.unlink(os.path.join(cache, disk))
        fleet.inventory = NEW_SITE
        yield fleet
    finally:
        fleet.run("agnostic.recovery.teardown", "-e", "dr_run_id=failover-*", "-e", "dr_shutdown_timeout=0")
        shutil.rmtree(cache)


def break_root(source, target):
    """A copy of a disk whose root file system has lost its superblock, as a bad controller leaves it."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    table = json.loads(subprocess.run(["sfdisk", "-J", source], check=True, stdout=subprocess.PIPE).stdout)["partitiontable"]
    root = max(table["partitions"], key=lambda part: part["size"])
    with open(target, "r+b") as disk:
        disk.seek(root["start"] * 512)
        disk.write(bytes(4096))


def test_a_failover_needs_its_plan_to_be_confirmed(fleet):
    status, output = fleet.run("agnostic.recovery.failover")
    assert status != 0 and "nothing has happened yet" in output
    status, rehearsal = fleet.run("agnostic.recovery.failover", "--check")
    assert status == 0, rehearsal[-4000:]
    plans = set(re.findall(r"failover (plan-[0-9a-f]{10}): 6 machines in 2 waves", output + rehearsal))
    assert len(plans) == 1
    fleet.plan = plans.pop()
    status, output = fleet.run("agnostic.recovery.failover", "-e", "dr_confirm=plan-0000000000")
    assert status != 0 and "the plan is no longer plan-0000000000" in output
    assert fleet.guests() == [] and not os.path.exists(os.path.join(fleet.folder, "worker1", "runs"))


def test_a_failover_goes_on_after_each_death_of_its_controller(fleet):
    chance = random.Random(SEED)
    before = mounts()
    print(f"seed {SEED}")
    for number in range(KILLS):
        process = fleet.start("agnostic.recovery.failover", "-e", f"dr_confirm={fleet.plan}")
        seconds = chance.uniform(5, 60)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        task = re.findall(r"TASK \[(.*)\] \*", output)[-1:] or ["nothing yet"]
        print(f"kill {number + 1} after {seconds:.0f} s, in {task[0]!r}; {len(fleet.guests())} guests", flush=True)
        assert len(fleet.guests()) == len(set(fleet.guests()))
    controllers = fleet.controllers_so_far()
    rival = fleet.start("agnostic.recovery.failover", "-e", f"dr_confirm={fleet.plan}")
    while fleet.controllers_so_far() == controllers:     # it lives, and goes on with the run
        assert rival.poll() is None
        time.sleep(0.2)
    status, output = fleet.run("agnostic.recovery.failover", "-e", f"dr_confirm={fleet.plan}")
    print("\n".join(output.splitlines()[-60:]))
    assert status != 0                                   # one machine did not come back
    refused = rival.communicate()[0]
    assert rival.returncode != 0 and re.search(r"was taken over by .* does nothing more in it", refused.replace("\n", " ")), refused[-4000:]
    run = fleet.evidence()
    assert len(os.listdir(os.path.join(fleet.folder, "worker1", "runs"))) == 1          # one run, whoever ran it
    machines = {machine["name"]: machine for machine in run["machines"]}
    assert {name for name, machine in machines.items() if machine["passed"]} == set(SERVING)
    assert [machines[name]["wave"] for name in sorted(machines)] == [1, 1, 2, 2, 2, 2]
    assert any("root" in warning for warning in machines["app6"]["warnings"]), machines["app6"]["warnings"]
    assert run["reason"].startswith("Fit the machine") or "app6" in run["reason"] or "root" in run["reason"], run["reason"]
    guests = fleet.guests()
    assert len(guests) == len(set(guests)) == len(SERVING)
    for guest in guests:                                 # started once: nobody booted a machine that served already
        with open(os.path.join(guest, "console.log"), encoding="utf-8", errors="replace") as file:
            assert file.read().count("Loading Linux") == 1
    assert mounts() == before
    first = max(machines[name]["rto_seconds"] for name in ("app1", "app2"))
    booted = {event["machine"]: event for event in run["timeline"] if event["name"] == "boot"}
    assert all(event_after(run, booted[name], first) for name in ("app3", "app4", "app5"))


def event_after(run, event, seconds):
    """Whether an event began that many seconds after the disaster, or later."""
    def clock(text):
        return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    return clock(event["start"]) - clock(run["disaster"]) >= seconds - 1


def test_what_serves_is_left_alone_by_another_run_of_the_same_plan(fleet):
    guests = fleet.guests()
    status, _output = fleet.run("agnostic.recovery.failover", "-e", f"dr_confirm={fleet.plan}")
    assert status != 0 and fleet.guests() == guests


def test_tear_down_leaves_nothing(fleet):
    guests = fleet.guests()
    status, output = fleet.run("agnostic.recovery.teardown")
    assert status == 0 and fleet.guests() == guests      # a failover that serves is not torn down unless it is named
    run_id = fleet.evidence()["id"]
    status, output = fleet.run("agnostic.recovery.teardown", "-e", f"dr_run_id={run_id}", "-e", "dr_shutdown_timeout=0")
    assert status == 0, output[-4000:]
    assert fleet.guests() == []
    for worker in ("worker1", "worker2"):
        assert os.listdir(os.path.join(fleet.folder, worker, "machines")) == []
    losetup = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], stdout=subprocess.PIPE, check=True,
                             universal_newlines=True).stdout
    assert fleet.folder not in losetup
