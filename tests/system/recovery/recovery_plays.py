# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks run by the real ansible-playbook."""

import glob
import json
import os
import shutil
import subprocess
import sys

import pytest


def run_tasks(folder, tasks):
    """The results of the tasks, run on this machine one after the other. Skips where there is no ansible-playbook."""
    found = glob.glob(os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), "core-*", "bin", "ansible-playbook"))
    command = found[-1] if found else shutil.which("ansible-playbook")
    if not command:
        pytest.skip("not installed: ansible-playbook")
    tasks = [dict(task, register=f"result{number}") for number, task in enumerate(tasks)]
    results = "{{ [" + ", ".join(f"result{number}" for number in range(len(tasks))) + "] | to_json }}"
    tasks.append({"ansible.builtin.copy": {"content": results, "dest": str(folder / "results.json")}})
    (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    environment = dict(os.environ, ANSIBLE_HOME=str(folder / "ansible"), ANSIBLE_NOCOLOR="1")
    done = subprocess.run(
        [command, "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", str(folder / "play.json")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return json.loads((folder / "results.json").read_text())
