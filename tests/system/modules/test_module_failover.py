# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks failover.yml, drill.yml and teardown.yml over small real guests: plan, confirmation, waves, going on, tear-down."""

import contextlib
import json
import os
import re
import subprocess
import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest

PAGE = {"name": "page", "kind": "http", "contains": ["Tiny shop"], "timeout": 240}
NO_PAGE = dict(PAGE, timeout=8)


class Site:
    """A repository with the images of machines that boot (`good`) and that do not (`bad`), and the inventory that recovers them."""

    def __init__(self, play, folder):
        self.play, self.folder = play, folder
        self.work = folder / "work"

    def hosts(self, **machines):
        """machine -> variables of its host"""
        shared = {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "dr_repository": self.play.variables["repository"],
            "dr_repository_key_file": self.play.variables["key"], "dr_work_dir": str(self.work), "dr_fixups": False, "dr_checks": [PAGE],
            "dr_guest": {"firmware": "bios", "memory": 256, "cpus": 1, "lifetime": 600}, "dr_shutdown_timeout": 0,
            "dr_network": {"network": tiny_guest.NETWORK, "gateway": tiny_guest.GATEWAY, "address": tiny_guest.ADDRESS},
            "dr_report_dir": str(self.folder / "report"), "dr_capture": False}
        self.play.hosts = {name: dict(shared, **variables) for name, variables in machines.items()}

    def run(self, playbook, *arguments, fails=False):
        text = self.play.run_playbook(f"agnostic.recovery.{playbook}", *arguments, fails=fails)
        print(text)                      # for when a test fails
        return text

    def plan_id(self, text):
        return re.search(r"plan-[0-9a-f]{10}", text).group()

    def evidence(self):
        with open(str(self.folder / "report" / "evidence.json"), encoding="utf-8") as file:
            return json.load(file)["runs"][0]

    def kept(self):
        """How often the repository was told how machines are recovered, by machine."""
        folder = self.folder / "repository" / "settings"
        return {path.name: len(list(path.iterdir())) for path in folder.iterdir()} if folder.exists() else {}

    def guests(self):
        """Process ids of the guests, by machine."""
        machines = self.work / "machines"
        found = {path.name.split("-")[-1]: qemu.find(str(path / "guest")) for path in machines.iterdir()} if machines.exists() else {}
        return {name: guest.pid for name, guest in found.items() if guest}


@contextlib.contextmanager
def captured(play, folder):
    if os.geteuid():
        pytest.skip("needs root")
    good, bad = str(folder / "good.raw"), str(folder / "bad.raw")
    tiny_guest.linux_disk(good)
    tiny_guest.hello_disk(bad)
    for machine, path in (("db", good), ("web", good), ("bad", bad)):
        play.run([play.capture(machine=machine, disks=[{"name": "sda", "path": path}])])
    try:
        yield Site(play, folder)
    finally:
        machines = folder / "work" / "machines"
        for path in machines.iterdir() if machines.exists() else ():
            qemu.remove(str(path / "guest"))


@pytest.fixture
def site(any_play, repository, tmp_path):
    """On each ansible-core."""
    with captured(any_play, tmp_path) as site:
        yield site


@pytest.fixture
def newest_site(play, repository, tmp_path):
    with captured(play, tmp_path) as site:
        yield site


def test_a_failover_by_waves(site):
    site.hosts(db={"dr_wave": 1}, web={"dr_wave": 2}, bad={"dr_wave": 1, "dr_required": False, "dr_checks": [NO_PAGE]})
    shown = site.run("failover", fails=True)
    plan = site.plan_id(shown)
    assert f"failover {plan}: 3 machines in 2 waves" in shown and f"-e dr_confirm={plan}" in shown and "nothing has happened yet" in shown
    assert plan in site.run("failover", "--check")
    assert "the plan is no longer plan-0123456789" in site.run("failover", "-e", "dr_confirm=plan-0123456789", fails=True)
    assert not site.work.exists()

    said = site.run("failover", "-e", f"dr_confirm={plan}", fails=True)
    run = site.evidence()
    machines = {machine["name"]: machine for machine in run["machines"]}
    assert [(name, machines[name]["wave"], machines[name]["passed"]) for name in sorted(machines)] == [
        ("bad", 1, False), ("db", 1, True), ("web", 2, True)], said[-3000:]
    assert "bad does not serve" in run["reason"] and run["plan"] == plan and run["kind"] == "failover"
    began = {event["machine"]: event["start"] for event in run["timeline"] if event["name"] == "restore"}
    served = {event["machine"]: event["end"] for event in run["timeline"] if event["name"] == "boot"}
    assert began["web"] > served["db"] and began["bad"] < served["db"]
    assert machines["web"]["target"]["isolated"] is False and machines["web"]["target"]["lifetime"] > 86400 * 365
    guests = site.guests()
    assert set(guests) >= {"db", "web"}

    # The same command goes on with the same run: what serves is left alone.
    site.run("failover", "-e", f"dr_confirm={plan}", fails=True)
    assert len(list((site.work / "runs").iterdir())) == 1
    assert site.guests() == guests and site.evidence()["machines"][0]["rto_seconds"] == machines[run["machines"][0]["name"]]["rto_seconds"]
    # Nothing that serves is torn down unless it is named.
    site.run("teardown")
    assert site.guests() == guests
    site.run("teardown", "-e", f"dr_run_id={run['id']}", "-e", "dr_teardown_machine=bad")
    assert set(site.guests()) == {"db", "web"}
    site.run("teardown", "-e", f"dr_run_id={run['id']}")
    assert site.guests() == {} and list((site.work / "machines").iterdir()) == []


def test_a_wave_is_not_begun_without_the_earlier_one(site):
    site.hosts(bad={"dr_wave": 1, "dr_checks": [NO_PAGE]}, web={"dr_wave": 2})
    said = site.run("drill", fails=True)
    run = site.evidence()
    assert "Wave 2 was not begun, as it needs what has not come back: bad" in said
    assert {machine["name"] for machine in run["machines"]} == {"bad", "web"}
    assert not [event for event in run["timeline"] if event["machine"] == "web"]
    assert run["resources_left"] == 0 and site.guests() == {} and site.kept() == {}
    target = next(machine["target"] for machine in run["machines"] if machine["name"] == "bad")
    assert target["isolated"] is True and target["lifetime"] == 600      # a drill must not reach production, and ends by itself


def test_a_worker_that_cannot_be_reached_holds_the_next_wave(newest_site):
    unreachable = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    newest_site.hosts(web={"dr_wave": 2}, db={"dr_worker": "gone"})
    newest_site.play.hosts["gone"] = unreachable
    said = newest_site.run("drill", "--limit", "web,db", fails=True)
    assert re.search("warning: The worker gone cannot be asked what room it has: .*127.0.0.1", said)
    assert "Wave 2 was not begun, as it needs what has not come back: db" in said
    run = newest_site.evidence()
    assert run["result"] == "failed" and "db left the run" in run["reason"] and newest_site.guests() == {}


def test_a_machine_without_an_image_stops_the_plan(newest_site):
    newest_site.hosts(db={}, lost={}, again={"dr_machine": "db"})
    said = newest_site.run("drill", fails=True)
    assert "There is no image of machine 'lost'" in said or "lost" in said
    assert "Two hosts of the inventory name this machine" in said and "--limit" in said
    assert not newest_site.work.exists()
    assert "1 machine in 1 wave" in newest_site.run("drill", "--limit", "db", "--check")


def test_a_worker_without_room_is_a_warning(site):
    site.hosts(db={"dr_guest": {"firmware": "bios", "memory": 1 << 30, "cpus": 1}}, web={})
    said = site.run("failover", "--check")
    assert re.search("warning: The worker localhost has [0-9]+ MiB of memory left, and what recovers there needs 1073742080", said)


def test_only_the_repository_and_its_key_are_left(newest_site):
    """No inventory of the source: the repository names the machines and says how they are recovered, the new site where."""
    newest_site.hosts(db={"dr_wave": 1}, web={"dr_wave": 2})
    newest_site.run("settings")
    assert newest_site.kept() == {"db": 1, "web": 1}
    here = ("ansible_connection", "ansible_python_interpreter", "dr_repository", "dr_repository_key_file", "dr_work_dir", "dr_report_dir",
            "dr_shutdown_timeout", "dr_capture")
    variables = {name: value for name, value in newest_site.play.hosts["db"].items() if name in here}
    place = newest_site.folder / "dr"
    (place / "group_vars").mkdir(parents=True)
    (place / "group_vars" / "dr_machines.json").write_text(json.dumps(dict(variables, dr_rpo="24h")))
    (place / "dr.repository.yml").write_text(json.dumps({
        "plugin": "agnostic.recovery.repository", "repository": newest_site.play.variables["repository"], "key_file": newest_site.play.variables["key"],
        "machines": ["db", "web"]}))
    done = subprocess.run([newest_site.play.command, "-i", str(place / "dr.repository.yml"), "agnostic.recovery.drill"], cwd=str(newest_site.folder),
                          env=newest_site.play.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          universal_newlines=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "2 machines in 2 waves" in done.stdout and "memory 256" in done.stdout and "within its RPO of 24h" in done.stdout
    run = newest_site.evidence()
    assert run["result"] == "passed" and {machine["name"] for machine in run["machines"] if machine["passed"]} == {"db", "web"}
    # What a drill has proven is kept: here with the promise that was new.
    assert newest_site.kept() == {"db": 2, "web": 2}
