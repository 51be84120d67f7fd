# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a job outlives it: its state, and who may start it again."""

import json
import os
import signal
import sys
import time
import types

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError, SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.job import runner, state as states
from ansible_collections.agnostic.recovery.plugins.module_utils.job.process import Process, is_alive, this_process

TASKS = "ansible_collections.agnostic.recovery.plugins.module_utils.job.tasks"
SECRET = "correct horse battery staple"


def spec(**changes):
    return dict({
        "kind": "capture", "machine": "web1", "repository": {"type": "directory", "path": "/srv/r"},
        "disks": [{"name": "sda", "path": "/dev/sda"}], "passphrase": SECRET}, **changes)


@pytest.fixture
def folder(tmp_path):
    folder = states.JobFolder(str(tmp_path / "jobs"))
    yield folder
    if os.path.isdir(folder.path):
        for state in folder.jobs():
            if state["status"] == states.RUNNING:
                os.kill(state["process"]["pid"], signal.SIGKILL)


@pytest.fixture
def task(monkeypatch):
    """Let jobs run this function instead of the pipelines. The job is forked from this process, so it sees the same modules."""
    def use(function):
        module = types.ModuleType(TASKS)
        module.run = function
        monkeypatch.setitem(sys.modules, TASKS, module)
        monkeypatch.setattr(sys.modules[TASKS.rpartition(".")[0]], "tasks", module, raising=False)
    return use


def wait_for(folder, job_id, condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = folder.read(job_id)
        if condition(state):
            return state
        time.sleep(0.02)
    raise AssertionError("the job is still: {0}".format(state))


def ended(state):
    return state["status"] != states.RUNNING


def work_forever(spec, progress):
    progress.phase("sda", 1000)
    while not progress.cancelled():
        progress.advance(1)
        time.sleep(0.01)
    raise RuntimeError("stopped")


def everything_in(folder):
    parts = []
    for base, _folders, names in os.walk(folder.path):
        for name in names:
            with open(os.path.join(base, name), "rb") as handle:
                parts.append(handle.read())
    return b"".join(parts)


def test_a_job_runs_to_its_end_and_leaves_its_result(folder, task):
    def work(spec, progress):
        progress.phase("sda", 10)
        progress.advance(10)
        return {"changed": True, "answer": 42}
    task(work)
    started = runner.start(folder, spec())
    assert started["answer"] == runner.STARTED
    state = wait_for(folder, started["state"]["id"], ended)
    assert state["status"] == states.FINISHED
    assert state["result"] == {"changed": True, "answer": 42}
    assert (state["phase"], state["done"], state["total"]) == ("sda", 10, 10)
    assert state["started"] <= state["ended"]
    assert not os.path.exists(folder.job_path(state["id"], "reserve"))


def open_files(pid):
    """What a process has open. It works on meanwhile, so what it closes under our eyes is left out."""
    links = set()
    for number in os.listdir("/proc/{0}/fd".format(pid)):
        try:
            links.add(os.readlink("/proc/{0}/fd/{1}".format(pid, number)))
        except FileNotFoundError:
            continue
    return links


def test_the_caller_is_not_the_parent_and_shares_no_file(folder, task):
    task(work_forever)
    state = runner.start(folder, spec())["state"]
    pid = state["process"]["pid"]
    with open("/proc/{0}/stat".format(pid)) as handle:
        fields = handle.read().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()                      # parent
    assert int(fields[3]) not in (os.getsid(0), 0)            # session
    links = open_files(pid)
    assert not [link for link in links if link.startswith(("pipe", "socket")) or link.endswith("/lock")]
    assert os.readlink("/proc/{0}/fd/1".format(pid)) == folder.job_path(state["id"], "log")


def test_a_second_call_joins_the_running_job(folder, task):
    task(work_forever)
    first = runner.start(folder, spec())["state"]
    second = runner.start(folder, spec(passphrase="another", workers=3))
    assert second["answer"] == runner.JOINED
    assert second["state"]["process"] == first["process"]
    with pytest.raises(RecoveryError, match="runs already"):
        runner.start(folder, spec(), attach=False)


def test_two_captures_of_one_machine_do_not_overlap(folder, task):
    task(work_forever)
    runner.start(folder, spec())
    other = spec(disks=[{"name": "sdb", "path": "/dev/sdb"}])
    with pytest.raises(RecoveryError, match="capture of machine 'web1'.*cancel it"):
        runner.start(folder, other)
    assert runner.start(folder, dict(other, machine="web2"))["answer"] == runner.STARTED
    assert runner.start(folder, dict(other, check=True))["answer"] == runner.STARTED


def test_two_restores_onto_one_target_do_not_overlap(folder, task, tmp_path):
    task(work_forever)
    target = tmp_path / "disk.raw"
    os.symlink(str(target), str(tmp_path / "other-name"))
    runner.start(folder, spec(kind="restore", disks=[{"name": "sda", "path": str(target)}]))
    with pytest.raises(RecoveryError, match="write to .*disk.raw"):
        runner.start(folder, spec(kind="restore", machine="web2", disks=[{"name": "sda", "path": str(tmp_path / "other-name")}]))


def test_a_good_result_is_handed_out_once(folder, task):
    task(lambda spec, progress: {"number": os.getpid()})
    job = runner.start(folder, spec())["state"]["id"]
    result = wait_for(folder, job, ended)["result"]
    again = runner.start(folder, spec())
    assert again["answer"] == runner.HANDED_OUT
    assert again["state"]["result"] == result
    runner.collect(folder, job)
    assert runner.start(folder, spec())["answer"] == runner.STARTED


def test_an_old_result_is_not_handed_out(folder, task):
    task(lambda spec, progress: {})
    job = runner.start(folder, spec())["state"]["id"]
    state = wait_for(folder, job, ended)
    folder.write(dict(state, ended=state["ended"] - runner.HANDED_OUT_SECONDS - 1))
    assert runner.start(folder, spec())["answer"] == runner.STARTED


def test_what_may_have_changed_is_not_handed_out(folder, task, tmp_path):
    task(lambda spec, progress: {})
    target = tmp_path / "disk.raw"
    restore = spec(kind="restore", disks=[{"name": "sda", "path": str(target)}])
    for again in (spec(check=True), restore):
        job = runner.start(folder, again)["state"]["id"]
        wait_for(folder, job, ended)
        assert runner.start(folder, again)["answer"] == runner.STARTED
    wait_for(folder, job, ended)
    target.write_text("restored")
    assert runner.start(folder, restore)["answer"] == runner.HANDED_OUT


def test_without_attach_no_result_is_handed_out(folder, task):
    task(lambda spec, progress: {})
    job = runner.start(folder, spec())["state"]["id"]
    wait_for(folder, job, ended)
    assert runner.start(folder, spec(), attach=False)["answer"] == runner.STARTED


def test_a_killed_job_is_told_and_the_next_call_starts_anew(folder, task):
    task(work_forever)
    state = runner.start(folder, spec())["state"]
    wait_for(folder, state["id"], lambda found: found["phase"] == "sda")
    os.kill(state["process"]["pid"], signal.SIGKILL)
    dead = wait_for(folder, state["id"], ended)
    assert dead["status"] == states.DIED
    assert "in phase 'sda'" in dead["error"]["message"]
    again = runner.start(folder, spec())
    assert again["answer"] == runner.STARTED
    assert again["earlier"]["status"] == states.DIED
    assert again["state"]["process"] != state["process"]


def test_a_recycled_pid_is_not_the_job(folder, task):
    task(lambda spec, progress: {})
    job = runner.start(folder, spec())["state"]["id"]
    state = wait_for(folder, job, ended)
    me = this_process()
    assert is_alive(me)
    for process in (me._replace(start=me.start - 1), me._replace(boot="another boot"), Process(2 ** 22 + 5, 1, me.boot)):
        folder.write(dict(state, status=states.RUNNING, process=process._asdict()))
        assert folder.read(job)["status"] == states.DIED
    folder.write(dict(state, status=states.RUNNING, process=me._asdict()))
    assert folder.read(job)["status"] == states.RUNNING
    folder.write(dict(state, status=states.FAILED))      # else the fixture would kill us


def test_cancel_stops_a_job(folder, task):
    task(work_forever)
    job = runner.start(folder, spec())["state"]["id"]
    state = runner.cancel(folder, job)
    assert state["status"] == states.CANCELLED
    assert state["error"] == {"type": "Cancelled", "message": "The job was cancelled."}
    assert runner.cancel(folder, job)["status"] == states.CANCELLED


def test_cancel_kills_a_job_that_does_not_listen(folder, task):
    task(lambda spec, progress: time.sleep(60))
    state = runner.start(folder, spec())["state"]
    assert runner.cancel(folder, state["id"], seconds=0.5)["status"] == states.CANCELLED
    assert not is_alive(Process(**state["process"]))
    assert runner.start(folder, spec())["answer"] == runner.STARTED


def test_errors_are_told_without_secrets(folder, task):
    def work(spec, progress):
        raise SourceError("Disk sda cannot be read with " + spec["passphrase"])
    task(work)
    job = runner.start(folder, spec())["state"]["id"]
    state = wait_for(folder, job, ended)
    assert state["status"] == states.FAILED
    assert state["error"] == {"type": "SourceError", "message": "Disk sda cannot be read with ********"}
    assert SECRET.encode() not in everything_in(folder)


def test_a_defect_leaves_a_traceback_in_the_log(folder, task):
    def work(spec, progress):
        raise KeyError(spec["passphrase"])
    task(work)
    job = runner.start(folder, spec())["state"]["id"]
    state = wait_for(folder, job, ended)
    assert state["error"]["type"] == "KeyError"
    assert folder.job_path(job, "log") in state["error"]["message"]
    with open(folder.job_path(job, "log")) as handle:
        assert "Traceback" in handle.read()
    assert SECRET.encode() not in everything_in(folder)


def test_a_job_whose_code_cannot_be_loaded_says_so(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, TASKS, None)
    monkeypatch.delattr(sys.modules[TASKS.rpartition(".")[0]], "tasks", raising=False)
    job = runner.start(folder, spec())["state"]["id"]
    assert wait_for(folder, job, ended)["status"] == states.FAILED


def test_the_folder_is_private_and_nobody_elses(tmp_path):
    folder = states.JobFolder(str(tmp_path / "a" / "jobs"))
    folder.create()
    assert os.stat(folder.path).st_mode & 0o777 == 0o700
    os.symlink(folder.path, str(tmp_path / "link"))
    with pytest.raises(RecoveryError, match="job_dir"):
        states.JobFolder(str(tmp_path / "link")).create()


def test_a_state_is_replaced_as_a_whole(folder, task):
    task(lambda spec, progress: {})
    job = runner.start(folder, spec())["state"]["id"]
    state = wait_for(folder, job, ended)
    before = folder.read(job)
    with pytest.raises(TypeError):
        folder.write(dict(state, result={"unfit": object()}))
    assert folder.read(job) == before
    assert sorted(os.listdir(folder.job_path(job))) == ["log", "state.json"]
    with open(folder.job_path(job, "state.json"), "w") as handle:
        handle.write(json.dumps(state)[:100])
    assert folder.read(job) is None


def test_old_jobs_and_engines_are_removed(folder, task):
    task(lambda spec, progress: {})
    jobs = []
    for number in range(5):
        jobs.append(runner.start(folder, spec(machine="web{0}".format(number)))["state"]["id"])
        wait_for(folder, jobs[-1], ended)
    state = folder.read(jobs[4])
    folder.write(dict(state, updated=state["updated"] - 8 * 86400))
    month_ago = time.time() - 40 * 86400
    engines = {name: os.path.join(folder.path, "engine-{0}.pyz".format(name)) for name in ("old", "new", "starting", "running")}
    for path in engines.values():
        open(path, "w").close()
    os.utime(engines["old"], (month_ago, month_ago))
    task(work_forever)
    running = runner.start(folder, spec(machine="long"), engine=engines["running"])["state"]["id"]
    for name in ("running", "starting"):
        os.utime(engines[name], (month_ago, month_ago))
    starting = runner.start(folder, spec(machine="other"), engine=engines["starting"])["state"]["id"]
    libraries = {name: os.path.join(folder.path, "wheels-" + name) for name in ("old", "new")}
    for path in libraries.values():
        os.makedirs(os.path.join(path, "package"))
    os.utime(libraries["old"], (month_ago, month_ago))
    folder.tidy(keep=2)
    assert [name for name, path in libraries.items() if os.path.exists(path)] == ["new"]
    assert {state["id"] for state in folder.jobs()} == {running, starting, jobs[3], jobs[2]}
    assert {name for name, path in engines.items() if os.path.exists(path)} == {"new", "starting", "running"}


@pytest.mark.parametrize("job_id", ["", "..", "../x", "a/b", ".hidden"])
def test_job_ids_are_no_paths(folder, job_id):
    with pytest.raises(RecoveryError):
        folder.job_path(job_id)


def test_a_job_runs_as_urgently_as_was_asked(folder, task):
    task(lambda spec, progress: {"nice": os.getpriority(os.PRIO_PROCESS, 0)})
    for nice in (None, 11):
        job = runner.start(folder, spec(nice=nice, machine="nice{0}".format(nice)))["state"]["id"]
        wanted = os.getpriority(os.PRIO_PROCESS, 0) if nice is None else nice
        assert wait_for(folder, job, ended)["result"] == {"nice": wanted}
