# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner with a private data directory, as a user without rights, on a file system that cannot be written."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess

NOBODY = 65534
PLACE = "/mnt/runner"            # where a job finds its private data directory
# In a mount namespace of its own: what a job needs shows through closed homes, and all is read-only but /tmp and the private data
# directory, of which the project is read-only too.
SANDBOX = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/stage {place}
mount --bind {private} {place}
for needed in {needed}; do mkdir -p "/mnt/stage$needed"; mount --rbind "$needed" "/mnt/stage$needed"; done
for closed in {closed}; do mount -t tmpfs -o mode=0755 tmpfs "$closed"; done
for needed in {needed}; do mkdir -p "$needed"; mount --rbind "/mnt/stage$needed" "$needed"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
mount --bind {place}/project {place}/project
mount -o remount,bind,ro {place}/project
cd {place}
exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    env -i HOME={place}/home PATH={path} LANG=C.UTF-8 "$@"
"""


class AwxPlace:
    """The private data directory below `folder`, which everybody may enter, and the jobs that run in it."""

    def __init__(self, folder, venv, collections):
        self.folder, self.venv, self.collections = folder, venv, collections
        self.private = os.path.join(folder, "runner")
        for name in ("project", "inventory", "env", "artifacts", "home"):
            os.makedirs(os.path.join(self.private, name))

    def give(self, project, inventory, environment, key):
        """:param project: folder that is copied. :param inventory: {path: content} of files. :param key: path of the workers' SSH key."""
        shutil.copytree(project, os.path.join(self.private, "project"), dirs_exist_ok=True)
        for path, content in inventory.items():
            place = os.path.join(self.private, "inventory", path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                json.dump(content, file)
        with open(key, encoding="utf-8") as file:
            secret = file.read()
        for name, content in (("envvars", json.dumps(dict(environment, ANSIBLE_COLLECTIONS_PATH=self.collections))), ("ssh_key", secret)):
            with open(os.path.join(self.private, "env", name), "w", encoding="utf-8") as file:
                file.write(content)
        for folder, _folders, files in os.walk(self.private):
            for path in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(path, NOBODY, NOBODY)

    def run(self, job, playbook, *arguments, fails=False):
        """Run a playbook of the project; returns (what was printed, what it leaves for the next job of a workflow)."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.private, "env", "cmdline"))      # of the job before: each job of AWX has a directory of its own
        program = [os.path.join(self.venv, "bin", "ansible-runner"), "run", PLACE, "--ident", job, "--playbook", playbook]
        if arguments:
            program.append("--cmdline=" + " ".join(shlex.quote(each) for each in arguments))
        done = subprocess.run(["unshare", "--mount", "sh", "-c", self._sandbox(), "sandbox"] + program, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, universal_newlines=True, timeout=1500)
        print(done.stdout)                   # for when a test fails
        assert (done.returncode != 0) == fails, done.stdout[-4000:]
        return done.stdout, self._artifacts(job)

    def _sandbox(self):
        python = os.path.realpath(os.path.join(self.venv, "bin", "python"))
        needed = [self.venv, os.path.dirname(os.path.dirname(python))]
        closed = {home for home in ("/root", "/home") for path in needed if path.startswith(home + "/")}
        needed = [path for path in needed if any(path.startswith(home + "/") for home in closed)]
        return SANDBOX.format(
            place=PLACE, private=shlex.quote(self.private), needed=" ".join(map(shlex.quote, needed)), closed=" ".join(sorted(closed)),
            user=NOBODY, path=shlex.quote(f"{self.venv}/bin:/usr/bin:/bin"))

    def _artifacts(self, job):
        """What set_stats has left: ansible-runner has it in the last event of a play, as AWX reads it."""
        folder = os.path.join(self.private, "artifacts", job, "job_events")
        found = {}
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found.update(json.load(file).get("event_data", {}).get("artifact_data") or {})
        return found
