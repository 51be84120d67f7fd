# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirt of our own, with networks, and a machine captured into a repository. tests/tools/libvirt has its needs.

It lives in a network namespace: whatever networks this machine is in, those of the tests are others.
"""

import json
import os
import subprocess
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest

PASSPHRASE = "a test passphrase that protects nothing"
# It reads /etc/libvirt and writes /var/lib/libvirt and /run whatever it is told, so it gets its own in a mount namespace.
START = """
set -e
mount --make-rprivate /
for place in etc/libvirt var/lib/libvirt; do mkdir -p "/$place" "{folder}/$place"; mount --bind "{folder}/$place" "/$place"; done
mkdir -p /etc/libvirt/qemu
exec libvirtd --config {folder}/libvirtd.conf --pid-file {folder}/libvirtd.pid
"""
LIBVIRTD = """unix_sock_dir = "{folder}/run"
auth_unix_rw = "none"
auth_unix_ro = "none"
listen_tls = 0
listen_tcp = 0
log_outputs = "2:stderr"
"""
QEMU = """user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""
NETWORKS = {
    "isolated": "<network><name>isolated</name><bridge name='drtest0' stp='off'/><ip address='192.0.2.1' netmask='255.255.255.0'/></network>",
    "open": "<network><name>open</name><forward mode='open'/><bridge name='drtest1'/><ip address='198.51.100.1' netmask='255.255.255.0'/></network>",
}


class Libvirt:

    def __init__(self, folder):
        self.folder = folder
        self.namespace = f"drlibvirt{os.getpid()}"
        self.python = os.path.join(folder, "python")         # of a host that is in its networks
        self.uri = f"qemu+unix:///system?socket={folder}/run/libvirt-sock"
        self.log = os.path.join(folder, "libvirtd.log")

    def virsh(self, *arguments, check=True):
        done = subprocess.run(["virsh", "-q", "-c", self.uri] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, check=False, timeout=120)
        assert not check or done.returncode == 0, (arguments, done.stdout)
        return done.stdout

    def domains(self, *options):
        return self.virsh("list", "--name", *options).split()


@pytest.fixture(scope="session")
def libvirt(tmp_path_factory):
    if os.geteuid():
        pytest.skip("libvirt for the whole system is started by root only")
    folder = str(tmp_path_factory.mktemp("libvirt"))
    made = Libvirt(folder)
    subprocess.run(["ip", "netns", "add", made.namespace], check=True)
    subprocess.run(["ip", "-n", made.namespace, "link", "set", "lo", "up"], check=True)
    with open(made.python, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec ip netns exec {made.namespace} /usr/bin/python3 "$@"\n')
    os.chmod(made.python, 0o755)
    os.makedirs(os.path.join(folder, "etc", "libvirt"))
    os.makedirs(os.path.join(folder, "run"))
    for path, text in (("libvirtd.conf", LIBVIRTD), ("etc/libvirt/qemu.conf", QEMU)):
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text.format(folder=folder))
    with open(made.log, "wb") as log:
        process = subprocess.Popen(["ip", "netns", "exec", made.namespace, "unshare", "--mount", "sh", "-c", START.format(folder=folder)],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not os.path.exists(os.path.join(folder, "run", "libvirt-sock")):
            assert process.poll() is None and time.monotonic() < deadline, open(made.log, encoding="utf-8").read()
            time.sleep(0.2)
        for name, text in NETWORKS.items():
            path = os.path.join(folder, name + ".xml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            made.virsh("net-define", path)
        made.virsh("net-start", "isolated")
        yield made
    finally:
        for name in made.domains("--all"):
            made.virsh("destroy", name, check=False)
        for name in NETWORKS:
            made.virsh("net-destroy", name, check=False)
        process.terminate()
        process.wait(30)
        subprocess.run(["ip", "netns", "delete", made.namespace], check=True)


class Site:
    """The machine shop in a repository, and the inventory that recovers it as a domain."""

    def __init__(self, libvirt, folder):
        self.libvirt, self.folder = libvirt, folder
        self.work = os.path.join(folder, "work")

    def run(self, playbook, *arguments, fails=False, **variables):
        shared = {
            "dr_worker": "worker", "dr_check_host": "inside", "dr_work_dir": self.work, "dr_capture": False,
            "dr_repository": {"path": os.path.join(self.folder, "repository")}, "dr_repository_passphrase": PASSPHRASE,
            "dr_report_dir": os.path.join(self.folder, "report"), "dr_provider": "libvirt", "dr_fixups": False,
            "dr_libvirt": {"uri": self.libvirt.uri, "network": "isolated"}, "dr_guest": {"firmware": "bios", "memory": 256, "cpus": 1},
            "dr_network": {"address": tiny_guest.ADDRESS}, "dr_checks": [{"name": "page", "kind": "http", "contains": ["Tiny shop"], "timeout": 300}]}
        path = os.path.join(self.folder, "inventory.json")
        with open(path, "w", encoding="utf-8") as file:
            # The worker's Python has Debian's libvirt; `inside` is in the networks of its domains.
            others = {name: {"ansible_connection": "local", "ansible_python_interpreter": python}
                      for name, python in (("worker", "/usr/bin/python3"), ("inside", self.libvirt.python))}
            json.dump({"dr_machines": {"hosts": {"shop": dict(shared, **variables)}}, "others": {"hosts": others}}, file)
        done = subprocess.run(["ansible-playbook", "-i", path, f"agnostic.recovery.{playbook}"] + list(arguments), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False, cwd=self.folder,
                              env=dict(os.environ, ANSIBLE_NOCOLOR="1", ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_RETRY_FILES_ENABLED="0"))
        assert (done.returncode != 0) == fails, done.stdout[-6000:]
        return done.stdout

    def evidence(self):
        with open(os.path.join(self.folder, "report", "evidence.json"), encoding="utf-8") as file:
            return json.load(file)["runs"][0]


@pytest.fixture
def site(libvirt, tmp_path):
    made = Site(libvirt, str(tmp_path))
    options = {"repository": {"path": str(tmp_path / "repository")}, "passphrase": PASSPHRASE}
    ensure_repository(dict(options, key_file=None, unencrypted=False, chunk_size=None, capture_credential_file=None), check=False)
    disk = str(tmp_path / "shop.raw")
    tiny_guest.linux_disk(disk)
    tasks.run(dict(options, kind="capture", machine="shop", disks=[{"name": "sda", "path": disk}]), NoProgress())
    os.unlink(disk)
    return made
