# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An OpenStack that `allinone` has started, an S3 server, and two machines captured into it. tests/tools/openstack sets it all up."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from cloud_site import HOST, Site, lists
from two_tier import OldSite

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "tests", "live"))         # its virtual machines
STORE_PORT = 15100
STORE = f"http://{HOST}:{STORE_PORT}"


class Operator:
    """Runs playbooks as an operator does; `cloud` is what he may see of OpenStack."""

    def __init__(self, folder, site, network):
        self.folder, self.site, self.cloud = folder, site, site.cloud
        self.environment = dict(os.environ, DR_DEMO_DIR=folder, DR_TENANT_NETWORK=network, DR_STORE=STORE)
        self.log = os.path.join(folder, "playbooks.log")

    def command(self, playbook, **variables):
        return ["ansible-playbook", "-i", os.path.join(HERE, "inventory.yml"), playbook, "-e", json.dumps(variables)]

    def play(self, playbook, passes=True, **variables):
        with open(self.log, "ab") as log:
            began = log.tell()
            status = subprocess.run(self.command(playbook, **variables), env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT, check=False).returncode
        with open(self.log, "rb") as log:
            log.seek(began)
            output = log.read().decode(errors="replace")
        assert (status == 0) is passes, output[-8000:]
        return output

    def drill(self, name, passes=True, **variables):
        """Recovers the newest images, checks and removes them; the evidence of the run."""
        self.play("agnostic.recovery.drill", passes, dr_capture=False, dr_report_dir=self.report(name), dr_run_title=name, **variables)
        return self.evidence(name)

    def report(self, name):
        return os.path.join(self.folder, "report-" + name)

    def evidence(self, name):
        with open(os.path.join(self.report(name), "evidence.json"), encoding="utf-8") as file:
            return json.load(file)

    def lists(self):
        return lists(self.cloud)


@pytest.fixture(scope="session")
def site():
    """The cloud, made ready, with this machine in its external network."""
    made = Site()
    made.network = made.prepare()
    made.connect_host()
    return made


@pytest.fixture(scope="session")
def store(site, tmp_path_factory):      # pylint: disable=unused-argument
    """An S3 server in memory, at an address that servers of the cloud reach."""
    log = open(tmp_path_factory.mktemp("store") / "moto.log", "wb")      # pylint: disable=consider-using-with
    moto = os.path.join(os.environ["AGNOSTIC_RECOVERY_VENVS"], "moto", "bin", "moto_server")
    with log, subprocess.Popen([moto, "-H", HOST, "-p", str(STORE_PORT)], stdout=log, stderr=subprocess.STDOUT) as server:
        try:
            wait_for_store(server)
            yield STORE
        finally:
            server.terminate()


def wait_for_store(server):
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(STORE, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, "the S3 server does not come up"
            time.sleep(0.3)


@pytest.fixture(scope="session")
def operator(site, store, tmp_path_factory):      # pylint: disable=unused-argument
    """The machines are captured into the store while they run, then their data centre is gone: nothing below may read it."""
    folder = str(tmp_path_factory.mktemp("operator"))
    source = os.path.join(folder, "source")
    subprocess.run([os.path.join(ROOT, "tests/demo/build"), "--output", source], stdout=subprocess.DEVNULL, check=True)
    made = Operator(folder, site, site.network)
    old = OldSite(source, os.path.join(source, "shop.raw"))
    os.unlink(os.path.join(source, "shop.raw"))
    with old.running():
        newest = old.order("oak chair")
        made.environment.update(DR_SOURCE_KEY=old.key, DR_NEWEST_ORDER=newest, DR_DB_PORT=str(old.vms["db"].ssh_port),
                                DR_APP_PORT=str(old.vms["app"].ssh_port))
        made.play("agnostic.recovery.capture")
    old.lose()
    return made


@pytest.fixture(scope="session")
def worker_image(site, operator, tmp_path_factory):
    """Debian, SSH and the libraries of the engine: the disk of a machine of the live tests."""
    folder = tmp_path_factory.mktemp("worker")
    built = subprocess.run([os.path.join(ROOT, "tests/live/build")], stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout.strip()
    disk, key = str(folder / "worker.qcow2"), str(folder / "ssh-key")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", os.path.join(built, "plain", "sda.raw"), disk], check=True)
    subprocess.run(["install", "-m", "600", os.path.join(built, "ssh-key"), key], check=True)
    site.upload_worker(disk)
    operator.environment["DR_WORKER_KEY"] = key
