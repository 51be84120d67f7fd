# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: durable, in order, forgiving to a torn line, and the tear-down plan that comes out of it."""

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.runbook import journal as module
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.journal import (
    Journal, JournalError, find_begun, new_run_id, open_resources, progress, read_journal, resources, timestamp, unfinished)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(str(tmp_path / "runs" / "one"))
    journal.begin("drill-20261122T010203Z-4f2a", "drill", {"title": "t"})
    return journal


def test_ids_and_times():
    assert new_run_id("drill", 1795309323).startswith("drill-20261122T010203Z-")
    assert new_run_id("drill") != new_run_id("drill")
    assert timestamp(1795309323.25) == "2026-11-22T01:02:03.250Z"


def test_entries_come_back_in_order(journal):
    journal.event("restore", "begin", "shop")
    journal.record("restore", {"bytes": 1}, "shop")
    journal.event("restore", "end", "shop", "failed", "why")
    journal.end()
    entries = read_journal(journal.run_dir)
    assert [entry["type"] for entry in entries] == ["begin", "event", "record", "event", "end"]
    assert entries[0]["run"] == "drill-20261122T010203Z-4f2a" and entries[0]["attributes"] == {"title": "t"}
    assert entries[3]["status"] == "failed" and entries[3]["detail"] == "why"
    assert os.stat(journal.run_dir).st_mode & 0o777 == 0o700


def test_a_run_begins_once(journal):
    with pytest.raises(JournalError, match="begun already"):
        journal.begin("drill-20261122T010203Z-4f2a", "drill")
    with pytest.raises(JournalError, match="no id of a run"):
        Journal(journal.run_dir + "2").begin("../x", "drill")


def test_nothing_is_written_without_a_beginning(tmp_path):
    with pytest.raises(JournalError, match="cannot be written"):
        Journal(str(tmp_path)).event("x")
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(str(tmp_path))


def test_the_tear_down_plan(journal):
    journal.resource("mount", "/mnt/a", "shop", {"backend": "kernel"})
    journal.resource("qemu_guest", "/run/shop", "shop")
    journal.resource("file", "/disks/a", "shop")
    journal.gone("qemu_guest", "/run/shop", ["no process"])
    journal.gone("qemu_guest", "/run/other", ["never announced"])
    entries = read_journal(journal.run_dir)
    assert [(left.kind, left.id) for left in open_resources(entries)] == [("file", "/disks/a"), ("mount", "/mnt/a")]
    guest = resources(entries)[1]
    assert guest.gone and guest.proof == ("no process",) and guest.machine == "shop"


def test_a_resumed_run_announces_again(journal):
    journal.resource("file", "/a", attributes={"try": 1})
    journal.resource("file", "/a", attributes={"try": 2})
    assert [(found.attributes, found.gone) for found in resources(read_journal(journal.run_dir))] == [({"try": 2}, "")]
    journal.gone("file", "/a", [])
    journal.resource("file", "/a", attributes={"try": 3})
    found = resources(read_journal(journal.run_dir))
    assert [bool(one.gone) for one in found] == [True, False]


def test_a_torn_line_is_left_out_and_mended(journal):
    journal.event("one")
    with open(journal.path, "ab") as stream:
        stream.write(b'{"type": "resource", "kind": "fi')
    assert [entry["type"] for entry in read_journal(journal.run_dir)] == ["begin", "event"]
    journal.event("two")
    assert [entry.get("name") for entry in read_journal(journal.run_dir)] == [None, "one", "two"]


def test_entries_are_on_disk_when_the_writer_is_killed(journal):
    code = ("import importlib.util, os, sys\n"
            "from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.journal import Journal\n"
            "journal = Journal(sys.argv[1])\n"
            "for number in range(50):\n"
            "    journal.resource('file', str(number))\n"
            "    print(number, flush=True)\n"
            "    if number == 20: os.kill(os.getpid(), 9)\n")
    root = os.path.abspath(module.__file__)
    for _level in range(7):
        root = os.path.dirname(root)
    environment = dict(os.environ, PYTHONPATH=root + os.pathsep + os.environ.get("PYTHONPATH", ""))
    done = subprocess.run([sys.executable, "-c", code, journal.run_dir], stdout=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == -9
    told = len(done.stdout.splitlines())
    assert told == 21 and len(open_resources(read_journal(journal.run_dir))) == told


def test_writers_do_not_tear_each_other_apart(journal):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Journal(journal.run_dir).event("x" * 3000, detail=str(number)), range(64)))
    with open(journal.path, encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    assert sorted(int(line["detail"]) for line in lines[1:]) == list(range(64))


def test_how_far_a_run_has_come_with_a_machine(journal):
    journal.resource("folder", "/machines/shop", "shop")
    journal.event("restore", "begin", "shop")
    journal.event("restore", "end", "shop", "ok", "image 1")
    journal.record("restore", {"bytes": 1}, "shop")
    journal.event("restore", "end", "other", "ok", "of another machine")
    journal.event("fix-ups", "begin", "shop")
    assert progress(read_journal(journal.run_dir), "shop") == ({"restore": "image 1"}, {"restore": {"bytes": 1}})
    journal.event("fix-ups", "end", "shop", "failed", "no kernel")
    assert "fix-ups" not in progress(read_journal(journal.run_dir), "shop")[0]
    journal.event("restore", "begin", "shop")            # again, and not over yet
    assert progress(read_journal(journal.run_dir), "shop")[0] == {}


def test_what_was_torn_down_is_done_no_more(journal):
    journal.resource("folder", "/machines/shop", "shop")
    journal.event("restore", "end", "shop")
    journal.record("restore", {"bytes": 1}, "shop")
    journal.gone("folder", "/machines/shop", ["it does not exist"])
    assert progress(read_journal(journal.run_dir), "shop") == ({}, {})


def test_the_run_of_a_plan_that_goes_on(tmp_path):
    root = tmp_path / "runs"
    assert find_begun(str(root), "plan-1") == ""

    def begin(number, plan, status=""):
        run = Journal(str(root / f"failover-2026112{number}T010203Z-4f2a"))
        run.begin(os.path.basename(run.run_dir), "failover", {"plan": plan})
        if status:
            run.end(status)
        return run.run_dir
    begin(1, "plan-1", "ok")
    failed = begin(2, "plan-1", "failed")
    begin(3, "plan-2")
    (root / "no-run").mkdir()
    assert find_begun(str(root), "plan-1") == failed
    Journal(failed).end("ok")                            # it went on, to a good end
    assert find_begun(str(root), "plan-1") == ""
    Journal(failed).resource("qemu_guest", "/guest", "shop")
    assert find_begun(str(root), "plan-1") == failed     # what it made serves
    Journal(failed).gone("qemu_guest", "/guest", ["seen"])
    assert find_begun(str(root), "plan-1") == ""
    killed = begin(4, "plan-1")
    assert find_begun(str(root), "plan-1") == killed


def test_a_run_has_one_controller_at_a_time(tmp_path):
    run_dir = str(tmp_path / "failover-20261201T010203Z-4f2a")
    first, second = Journal(run_dir, "root@one"), Journal(run_dir, "root@two")
    first.begin(os.path.basename(run_dir), "failover")
    first.resource("qemu_guest", "/guest", "shop")
    second.take_over()
    with pytest.raises(JournalError, match="taken over by root@two .* root@one does nothing more"):
        first.gone("qemu_guest", "/guest", ["seen"])
    second.event("boot", machine="shop")
    Journal(run_dir).record("warning", "a hand that names nobody is let through", "shop")
    assert [resource.id for resource in open_resources(read_journal(run_dir))] == ["/guest"]
    first.take_over()                                    # and back again
    first.gone("qemu_guest", "/guest", ["seen"])
    with pytest.raises(JournalError, match="root@two does nothing more"):
        second.end()
    assert not open_resources(read_journal(run_dir))


def test_runs_that_have_not_come_to_their_end(tmp_path):
    def begin(kind, number):
        run = Journal(str(tmp_path / f"{kind}-2026120{number}T010203Z-4f2a"))
        run.begin(os.path.basename(run.run_dir), kind)
        run.resource("qemu_guest", "/guest", "shop")
        return run
    assert unfinished(str(tmp_path / "none")) == []
    killed, serving, broken, drilled, left = begin("drill", 1), begin("failover", 2), begin("failover", 3), begin("drill", 4), begin("drill", 5)
    removed = begin("drill", 6)
    removed.gone("qemu_guest", "/guest", ["seen"])
    assert os.path.basename(removed.run_dir) in unfinished(str(tmp_path))         # it may go on
    removed.event("torn down")
    serving.end("ok")
    broken.end("failed")
    drilled.gone("qemu_guest", "/guest", ["seen"])
    drilled.end("failed")
    left.end("ok")
    (tmp_path / "no-run").mkdir()
    names = [os.path.basename(run.run_dir) for run in (killed, broken, left)]
    assert unfinished(str(tmp_path)) == sorted(names)
