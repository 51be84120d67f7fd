# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drill as a user runs it: real capture, real boots, and nothing left behind. Takes minutes; the tests depend on each other's order."""

import json
import os
import signal
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def processes():
    """Command lines of all processes, by pid."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found[int(pid)] = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def mounts():
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return sorted(line.split()[1] for line in file)


def loops():
    return subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], stdout=subprocess.PIPE, check=True,
                          universal_newlines=True).stdout.split()


class Place:
    """Where one drill happens: its own folder, its own report, and what the machine was like before."""

    def __init__(self, folder):
        self.demo, self.report = os.path.join(folder, "demo"), os.path.join(folder, "report")
        self.environment = dict(os.environ, DR_DEMO_DIR=self.demo, DR_REPORT_DIR=self.report)
        self.environment.pop("ANSIBLE_COLLECTIONS_PATH", None)
        self.mounts = mounts()

    def run(self, tool):
        done = subprocess.run([os.path.join(ROOT, "tests", "tools", tool)], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def evidence(self, name=""):
        with open(os.path.join(self.report, name, "evidence.json"), encoding="utf-8") as file:
            return json.load(file)

    def assert_nothing_left(self):
        ours = [line for line in processes().values() if self.demo in line]
        assert ours == []
        assert mounts() == self.mounts
        assert [path for path in loops() if path.startswith(self.demo)] == []
        runs = os.path.join(self.demo, "work", "runs")
        kept = {name for run in os.listdir(runs) for name in os.listdir(os.path.join(runs, run))}
        assert kept <= {"journal.jsonl", "evidence.json", "report.html", "shop.png"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    if os.geteuid():
        pytest.skip("a drill needs root, to mount disks")
    return Place(str(tmp_path_factory.mktemp("drill")))


def test_the_drill_recovers_two_images_and_leaves_nothing(place):
    output = place.run("drill")
    assert "% " in output and "MiB/s" in output      # progress while it ran
    evidence = place.evidence()
    assert evidence["passed"] is True
    first, second = evidence["runs"]
    for run, orders in ((first, "1000"), (second, "1025")):
        assert run["result"] == "passed"
        assert run["resources_left"] == 0 and len(run["resources"]) == 3
        machine = run["machines"][0]
        assert {check["kind"] for check in machine["checks"]} == {"console", "tcp", "http", "sql"}
        assert all(check["passed"] for check in machine["checks"])
        assert orders in next(check["detail"] for check in machine["checks"] if check["kind"] == "sql")
        assert {change["fixup"] for change in machine["fixup"]["changes"]} >= {"initramfs", "disk_names", "network", "serial_console"}
        assert machine["rto_seconds"] > 0 and machine["rpo_seconds"] >= 0
        assert machine["screenshots"][0]["sha256"]
    stored = [run["machines"][0]["stored"]["stored_new"] for run in (first, second)]
    assert stored[1] < stored[0] / 10                # the second image is incremental
    with open(os.path.join(place.report, "report.html"), encoding="utf-8") as file:
        assert "data:image/png;base64" in file.read()
    with open(os.path.join(place.demo, "passphrase"), encoding="utf-8") as file:
        passphrase = file.read().strip()
    assert passphrase not in output
    assert subprocess.run(["grep", "-rqF", "--", passphrase, os.path.join(place.demo, "work"), place.report], check=False).returncode == 1
    place.assert_nothing_left()


def test_the_same_disk_without_fixups_does_not_come_up(place):
    place.run("drill-control")
    run = place.evidence("control")["runs"][0]
    assert run["expected_failure"] is True and run["result"] == "passed"
    check = run["machines"][0]["checks"][0]
    assert not check["passed"]
    assert "/dev/sda2 does not exist" in check["detail"]
    place.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_drill_that_is_stopped_in_mid_boot_leaves_nothing(place, number):
    process = subprocess.Popen([os.path.join(ROOT, "tests", "tools", "drill-control")], env=place.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))      # a shell's background jobs ignore it
    booting = ""
    for line in process.stdout:
        booting += line
        if "Check that the machine serves" in line:
            break
    else:
        pytest.fail("the drill ended before it booted: " + booting[-4000:])
    guests = [pid for pid, line in processes().items() if place.demo in line or "qemu-system" in line and "shop" in line]
    assert guests, "no guest runs"
    os.killpg(process.pid, number)
    process.stdout.close()
    process.wait(timeout=300)
    if number == signal.SIGKILL:
        # Nothing could tidy up after itself. The next drill in this place finds what is left in the journal.
        place.run("drill-teardown")
    deadline = time.monotonic() + 60
    while [line for line in processes().values() if place.demo in line] and time.monotonic() < deadline:
        time.sleep(1)
    place.assert_nothing_left()
