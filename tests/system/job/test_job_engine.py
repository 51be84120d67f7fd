# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine as a host runs it: the zipapp, with every Python of hosts that this machine has."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.plugin_utils.pack import build_engine, save_engine

SECRET = "correct horse battery staple"
MIB = 1 << 20
DISK_SIZE = 48 * MIB


def host_pythons():
    """Pythons that stand for those of hosts: the environments engine-<version>, or this one."""
    base = os.environ.get("AGNOSTIC_RECOVERY_VENVS", "")
    found = [os.path.join(base, "engine-" + version, "bin", "python") for version in ("3.6", "3.9", "3.13")]
    return [path for path in found if os.path.exists(path)] or [sys.executable]


class Engine:
    """The engine in a job folder of its own."""

    def __init__(self, python, folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.python = python
        self.folder = folder
        self.path = save_engine(build_engine(), folder)

    def __call__(self, *arguments, spec=None):
        result = subprocess.run([self.python, self.path] + list(arguments), input=None if spec is None else json.dumps(spec).encode(),
                                stdin=subprocess.DEVNULL if spec is None else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=60, check=False)
        assert result.stderr == b"", result.stderr.decode()
        return json.loads(result.stdout.decode())

    def wait(self, job, condition=lambda state: state["status"] != "running", seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self("status", job)["state"]
            if condition(state):
                return state
        raise AssertionError("still " + json.dumps(state))

    def do(self, spec):
        """Run a job to its good end; returns its result."""
        state = self.wait(self("start", spec=spec)["state"]["id"])
        assert state["status"] == "finished", state["error"]
        self("collect", state["id"])
        return state["result"]


@pytest.fixture(scope="session")
def big_disk(tmp_path_factory):
    """Large enough that a capture of it can be caught at work."""
    path = tmp_path_factory.mktemp("source") / "disk.raw"
    with open(str(path), "wb") as handle:
        handle.write(os.urandom(DISK_SIZE))
    return str(path)


def kill_jobs(engine):
    for state in engine("list")["jobs"]:
        if state["status"] == "running":
            os.kill(state["process"]["pid"], signal.SIGKILL)


@pytest.fixture
def engine(tmp_path):
    engine = Engine(host_pythons()[-1], str(tmp_path / "jobs"))
    yield engine
    kill_jobs(engine)


@pytest.fixture(params=host_pythons(), ids=lambda path: os.path.basename(os.path.dirname(os.path.dirname(path))))
def any_engine(request, tmp_path):
    """The same with each of the Pythons."""
    engine = Engine(request.param, str(tmp_path / "jobs"))
    yield engine
    kill_jobs(engine)


def new_repository(folder, **key):
    options = dict({"repository": {"type": "directory", "path": str(folder)}, "passphrase": None, "key_file": None}, **key)
    ensure_repository(dict(options, unencrypted=False, chunk_size=None, capture_credential_file=None), check=False)
    return options


@pytest.fixture
def spec(tmp_path, big_disk):
    """A capture of the big disk into a new repository, which a key file opens."""
    options = new_repository(tmp_path / "repository", key_file=str(tmp_path / "key"))
    return dict(options, kind="capture", machine="web1", disks=[{"name": "sda", "path": big_disk}], workers=1)


@pytest.fixture
def secret_spec(tmp_path, big_disk):
    """The same with a passphrase."""
    options = new_repository(tmp_path / "repository", passphrase=SECRET)
    return dict(options, kind="capture", machine="web1", disks=[{"name": "sda", "path": big_disk}], workers=1)


def at_work(state):
    return state["phase"] == "capture"


def stop_at_work(engine, spec):
    """Start a capture and stop its process in the midst of it; returns the state then. It reads slowly, so that it has a midst."""
    job = engine("start", spec=dict(spec, read_limit=DISK_SIZE // 3))["state"]["id"]
    path = os.path.join(engine.folder, job, "state.json")
    while True:
        with open(path) as handle:
            state = json.load(handle)
        assert state["status"] == "running"
        if at_work(state):
            os.kill(state["process"]["pid"], signal.SIGSTOP)
            return state


def same(one, other):
    return subprocess.run(["cmp", one, other], stdin=subprocess.DEVNULL, check=False).returncode == 0


def test_capture_verify_restore(any_engine, spec, big_disk, tmp_path):
    engine = any_engine
    captured = engine.do(spec)
    assert captured["changed"] and captured["image"]["used"] == DISK_SIZE
    verified = engine.do(dict(spec, kind="verify", level="full"))
    assert verified["verified"]["images"] == [captured["image"]["id"]] and not verified["verified"]["problems"]
    target = str(tmp_path / "restored.raw")
    restored = engine.do(dict(spec, kind="restore", disks=[{"name": "sda", "path": target}]))
    assert restored["image"]["id"] == captured["image"]["id"]
    assert same(big_disk, target)
    again = engine.do(spec)
    assert again["image"]["parent"] == captured["image"]["id"]
    assert again["image"]["stored_new"] < MIB


def test_a_capture_that_runs_is_joined(engine, spec):
    state = stop_at_work(engine, spec)
    assert engine("start", spec=spec)["answer"] == "joined"
    os.kill(state["process"]["pid"], signal.SIGCONT)
    ended = engine.wait(state["id"])
    assert (ended["status"], ended["done"]) == ("finished", ended["total"])
    assert engine("start", spec=spec)["answer"] == "handed_out"


def test_a_capture_that_is_killed_is_told_and_started_anew(any_engine, spec):
    engine = any_engine
    state = stop_at_work(engine, spec)
    os.kill(state["process"]["pid"], signal.SIGKILL)
    dead = engine.wait(state["id"])
    assert dead["status"] == "died" and "killed" in dead["error"]["message"]
    answer = engine("start", spec=spec)
    assert answer["answer"] == "started" and answer["earlier"]["status"] == "died"
    assert engine.wait(state["id"])["status"] == "finished"
    engine("collect", state["id"])
    assert not engine.do(dict(spec, kind="verify", level="full"))["verified"]["problems"]


def pending(pid):
    """The signals that wait for a process, as a bit mask (proc_pid_status(5))."""
    with open("/proc/{0}/status".format(pid)) as handle:
        return int([line.split()[1] for line in handle if line.startswith("ShdPnd")][0], 16)


def test_a_capture_can_be_cancelled(engine, spec):
    state = stop_at_work(engine, spec)
    pid = state["process"]["pid"]
    cancelling = subprocess.Popen([engine.python, engine.path, "cancel", state["id"]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    while not pending(pid) & 1 << signal.SIGTERM - 1:
        time.sleep(0.01)
    os.kill(pid, signal.SIGCONT)
    answer = cancelling.communicate(timeout=30)[0]
    assert json.loads(answer.decode())["state"]["status"] == "cancelled"
    assert engine.do(dict(spec, kind="verify", machine=""))["verified"]["images"] == []


def test_overlapping_captures_are_refused(engine, spec):
    stop_at_work(engine, spec)
    other = dict(spec, disks=spec["disks"] + [{"name": "sdb", "path": "/dev/null"}])
    assert "capture of machine 'web1'" in engine("start", spec=other)["error"]["message"]


def test_a_passphrase_opens_it_with_every_python(any_engine, secret_spec):
    assert any_engine.do(dict(secret_spec, check=True))["changed"]


def test_no_secret_can_be_seen(engine, secret_spec, tmp_path):
    state = stop_at_work(engine, secret_spec)
    secret = SECRET.encode()
    for number in os.listdir("/proc"):
        for name in ("cmdline", "environ"):
            try:
                with open("/proc/{0}/{1}".format(number, name), "rb") as handle:
                    assert secret not in handle.read()
            except OSError:
                continue        # no process, or not ours to read
    for base, _folders, names in os.walk(str(tmp_path)):
        for name in names:
            with open(os.path.join(base, name), "rb") as handle:
                assert secret not in handle.read()
    with open("/proc/{0}/limits".format(state["process"]["pid"])) as handle:
        assert [line.split()[4] for line in handle if line.startswith("Max core")] == ["0"]


def test_check_mode_writes_nothing(engine, spec, tmp_path):
    before = sorted(os.listdir(spec["repository"]["path"]))
    found = engine.do(dict(spec, check=True))
    assert found["changed"] and found["image"] is None and found["disks"][0]["used"] == DISK_SIZE
    assert sorted(os.listdir(spec["repository"]["path"])) == before
    engine.do(spec)
    target = tmp_path / "restored.raw"
    restore = dict(spec, kind="restore", disks=[{"name": "sda", "path": str(target)}], check=True)
    assert engine.do(restore)["disks"] == [{"name": "sda", "path": str(target), "size": DISK_SIZE}]
    assert not target.exists()


@pytest.mark.parametrize("change, kind, words", [
    ({"passphrase": "wrong", "key_file": None}, "KeyAccessError", "passphrase"),
    ({"key_file": None}, "KeyAccessError", "encrypted"),
    ({"key_file": "/nonexistent/key"}, "KeyAccessError", "/nonexistent/key"),
    ({"disks": [{"name": "sda", "path": "/nonexistent/disk"}]}, "SourceError", "/nonexistent/disk"),
    ({"repository": {"type": "directory", "path": "/nonexistent/repository"}}, "RepositoryError", "/nonexistent/repository"),
    ({"kind": "restore", "disks": [{"name": "sda", "path": "/nonexistent/disk"}]}, "RepositoryError", "no images"),
    ({"kind": "verify", "machine": "other"}, "RepositoryError", "other"),
])
def test_errors_are_of_the_librarys_types(engine, spec, change, kind, words):
    state = engine.wait(engine("start", spec=dict(spec, **change))["state"]["id"])
    assert state["status"] == "failed"
    assert (state["error"]["type"], words in state["error"]["message"]) == (kind, True), state["error"]
