# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the real ansible-playbook over hosts that are this machine."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.tests.system.ssh_server import SshServer

SECRET = "correct horse battery staple"
VENVS = os.environ.get("AGNOSTIC_RECOVERY_VENVS", "")


def _playbook_commands():
    found = sorted(glob.glob(os.path.join(VENVS, "core-*", "bin", "ansible-playbook"))) if VENVS else []
    on_path = shutil.which("ansible-playbook")
    return found or ([on_path] if on_path else [])


def _host_pythons():
    return {version: path for version, path in (
        (version, os.path.join(VENVS, "engine-" + version, "bin", "python")) for version in ("3.6", "3.9", "3.13")) if os.path.exists(path)}


class Play:
    """Playbooks in a folder of their own. Hosts have a Python that is none, unless a test says otherwise."""

    def __init__(self, command, folder):
        self.command = command
        self.folder = folder
        self.hosts = {"web1": {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent"}}
        self.variables = {
            "repository": {"path": str(folder / "repository")}, "passphrase": SECRET, "key": str(folder / "key"),
            "job_dir": str(folder / "jobs"), "disk": str(folder / "disk.raw"), "folder": str(folder)}

    def write(self, tasks):
        """A playbook of these tasks; what they register as, or set the fact, `result` is kept."""
        play = [{
            "hosts": "all", "gather_facts": False, "vars_files": ["vars.json"], "tasks": tasks + [{
                "ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": "{{ folder }}/result-{{ inventory_hostname }}.json"},
                "vars": {"ansible_python_interpreter": sys.executable}, "when": "result is defined", "check_mode": False}]}]
        (self.folder / "play.json").write_text(json.dumps(play))
        (self.folder / "vars.json").write_text(json.dumps(self.variables))
        (self.folder / "inventory.json").write_text(json.dumps({"all": {"hosts": self.hosts}}))
        return [self.command, "-i", str(self.folder / "inventory.json"), str(self.folder / "play.json")]

    def run_playbook(self, name, *arguments, fails=False):
        """Run a playbook of the collection, the hosts being the machines; returns what was printed."""
        (self.folder / "inventory.json").write_text(json.dumps({"dr_machines": {"hosts": self.hosts}}))
        result = subprocess.run([self.command, "-i", str(self.folder / "inventory.json"), name] + list(arguments), check=False, timeout=900,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(self.folder),
                                env=self.environment())
        text = result.stdout.decode()
        assert (result.returncode != 0) == fails, text
        return text

    def environment(self):
        return dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_HOME=str(self.folder / "ansible"),
                    ANSIBLE_RETRY_FILES_ENABLED="0", ANSIBLE_DEVEL_WARNING="0", ANSIBLE_HOST_KEY_CHECKING="0")

    def start(self, tasks, *arguments):
        """A running ansible-playbook, leader of a process group of its own."""
        return subprocess.Popen(self.write(tasks) + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=str(self.folder), env=self.environment(), start_new_session=True)

    def run(self, tasks, *arguments, fails=False):
        """Run tasks; returns what was printed."""
        process = self.start(tasks, *arguments)
        try:
            text = process.communicate(timeout=180)[0].decode()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert (process.returncode != 0) == fails, text
        return text

    @staticmethod
    def read_until(process, words):
        """Read what a running ansible-playbook prints until a line holds these words; returns the lines."""
        lines = []
        for line in process.stdout:
            lines.append(line.decode())
            if words in lines[-1]:
                return lines
        raise AssertionError("".join(lines))

    def result(self, host="web1"):
        return json.loads((self.folder / "result-{0}.json".format(host)).read_text())

    def task(self, module, register="result", **options):
        """A task of ours on the repository, with its key file unless it says otherwise."""
        arguments = dict({"repository": "{{ repository }}", "key_file": "{{ key }}"}, **options)
        if module.startswith("image_") and not module.endswith("_info"):
            arguments.setdefault("job_dir", "{{ job_dir }}")
        given = {name: value for name, value in arguments.items() if value is not None}
        task = {"agnostic.recovery." + module: given, "register": register}
        if module.startswith("repository_") or module.endswith("_info") or module == "recovery_kit":
            task["vars"] = {"ansible_python_interpreter": sys.executable}
        return task

    @staticmethod
    def results(*names):
        """A task that gathers what was registered under these names."""
        return {"ansible.builtin.set_fact": {"result": {name: "{{ %s }}" % name for name in names}}}

    def capture(self, **options):
        return self.task("image_capture", **dict({"machine": "web1", "disks": [{"name": "sda", "path": "{{ disk }}"}]}, **options))

    def restore(self, path, **options):
        return self.task("image_restore", **dict({"machine": "web1", "disks": [{"name": "sda", "path": path}]}, **options))

    def jobs(self):
        """The states of all jobs, by id."""
        states = {}
        for path in glob.glob(str(self.folder / "jobs" / "*" / "state.json")):
            with open(path) as handle:
                state = json.load(handle)
            states[state["id"]] = state
        return states

    def kill_jobs(self):
        for state in self.jobs().values():
            if state["status"] == "running":
                try:
                    os.kill(state["process"]["pid"], signal.SIGKILL)
                except ProcessLookupError:
                    pass


def _needs_ansible():
    if not _playbook_commands():
        pytest.skip("no ansible-playbook on this machine's PATH")


@pytest.fixture
def play(tmp_path):
    """The last of the ansible-cores that are there."""
    _needs_ansible()
    play = Play(_playbook_commands()[-1], tmp_path)
    yield play
    play.kill_jobs()


@pytest.fixture(params=_playbook_commands() or [None], ids=lambda path: path and path.split("/")[-3])
def any_play(request, tmp_path):
    """Each of the ansible-cores that are there."""
    _needs_ansible()
    play = Play(request.param, tmp_path)
    yield play
    play.kill_jobs()


@pytest.fixture(params=sorted(_host_pythons()) or ["this"])
def host_python(request):
    """A Python of hosts."""
    return _host_pythons().get(request.param, sys.executable)


@pytest.fixture
def ssh_server(tmp_path):
    for program in ("sshd", "ssh", "ssh-keygen", "ps"):
        if shutil.which(program) is None:
            pytest.skip("this machine has no " + program)
    server = SshServer(tmp_path)
    server.start()
    yield server
    server.cut()


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 MiB, a third of it random data."""
    path = tmp_path / "disk.raw"
    with open(str(path), "wb") as handle:
        handle.write(os.urandom(20 << 20))
        handle.truncate(64 << 20)
    return str(path)


@pytest.fixture
def repository(tmp_path):
    """An empty repository; the options that open it."""
    location = {"type": "directory", "path": str(tmp_path / "repository")}
    options = {"repository": location, "passphrase": None, "key_file": str(tmp_path / "key")}
    ensure_repository(dict(options, unencrypted=False, chunk_size=None, capture_credential_file=None), check=False)
    return options


@pytest.fixture
def image(repository, disk):
    """An image of the disk in the repository."""
    spec = dict(repository, kind="capture", machine="web1", disks=[{"name": "sda", "path": disk}])
    return tasks.run(spec, NoProgress())["image"]
