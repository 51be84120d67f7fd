# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The place of one live test: machines, an S3 server, an inventory, and ansible-playbook."""

import contextlib
import json
import os
import shutil
import subprocess

import yaml
from live_vm import Vm, copy_disks

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PASSPHRASE = "a test passphrase that protects nothing"


class Site:
    """`built`: folder of the built machines; `store`: how the S3 server is reached."""

    def __init__(self, folder, built, store):
        with open(os.path.join(HERE, "live.yml"), encoding="utf-8") as file:
            self.live = yaml.safe_load(file)["live"]
        self.folder = folder
        self._built = built
        self._store = store
        self._key = os.path.join(folder, "ssh-key")
        shutil.copyfile(os.path.join(built, "ssh-key"), self._key)
        os.chmod(self._key, 0o600)

    @contextlib.contextmanager
    def boot(self, name, **hardware):
        """The source machine, from fresh copies of its disks. It reaches the S3 server under the same URL as the controller."""
        disks = copy_disks(os.path.join(self._built, name), os.path.join(self.folder, "source-" + name))
        with Vm(os.path.join(self.folder, "source"), disks, self._key, **hardware) as vm:
            vm.wait_for_ssh()
            port = self._store["endpoint"].rsplit(":", 1)[1]
            vm.ssh(f"systemd-run --quiet --unit live-store --socket-property=ListenStream=127.0.0.1:{port} "
                   f"/lib/systemd/systemd-socket-proxyd 10.0.2.2:{port}")
            yield vm

    def boot_from(self, disks, **hardware):
        return Vm(os.path.join(self.folder, "target"), disks, self._key, **hardware)

    def playbook(self, playbook, name, vm=None, check=True, **variables):
        """Runs a playbook with the machine `name` as its only host; returns what was printed."""
        machine = {"ansible_host": "127.0.0.1", "ansible_port": vm.ssh_port if vm else 1, "ansible_user": "root",
                   "ansible_ssh_private_key_file": self._key, "ansible_python_interpreter": "/usr/bin/python3",
                   "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=60"}
        variables.update(dr_repository=self.repository(), dr_repository_passphrase=PASSPHRASE)
        local = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        inventory = {"all": {"hosts": {"localhost": local}}, "dr_machines": {"hosts": {name: machine}, "vars": variables}}
        path = os.path.join(self.folder, "inventory.yml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(inventory, file)
        done = subprocess.run(["ansible-playbook", "-i", path, playbook], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, check=False)
        with open(os.path.join(self.folder, "playbook.log"), "a", encoding="utf-8") as file:
            file.write(done.stdout)
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def repository(self):
        return {"type": "s3", "bucket": "live", "create": True, "endpoint_url": self._store["endpoint"], "addressing_style": "path",
                "access_key": self._store["access_key"], "secret_key": self._store["secret_key"]}

    def recover(self, name, target=""):
        """Restores the newest image; the paths of the disks. They are fitted to the target profile, if one is named."""
        folder = os.path.join(self.folder, "restored-" + name)
        os.makedirs(folder)
        files = [disk["file"] for disk in self.live["machines"][name]["disks"]]
        disks = [{"name": file.split(".")[0], "path": os.path.join(folder, file)} for file in files]
        fit = {"live_target": target} if target else {}
        self.playbook(os.path.join(HERE, "recover.yml"), name, live_disks=disks, live_folder=folder, **fit)
        return [disk["path"] for disk in disks]

    def image(self, name):
        """What image_info tells of the image that `recover` has restored."""
        with open(os.path.join(self.folder, "restored-" + name, "image.json"), encoding="utf-8") as file:
            return json.load(file)
