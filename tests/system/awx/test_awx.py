# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""examples/awx under ansible-runner: a repository in an object store, a worker behind SSH, and a controller that may do nothing."""

import json
import os
import shutil
import subprocess
import tempfile

import pytest
import yaml

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import kept_runs, settings, tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.initialise import ensure_repository
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu
from ansible_collections.agnostic.recovery.tests.system import ssh_server
from ansible_collections.agnostic.recovery.tests.system.awx import awx_place
from ansible_collections.agnostic.recovery.tests.system.target import tiny_guest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
EXAMPLES = os.path.join(ROOT, "examples", "awx")
VENV = os.path.join(os.environ.get("AGNOSTIC_RECOVERY_VENVS", ""), "runner")
PASSPHRASE = "correct horse battery staple"
SHOP = {"dr_target": "kvm", "dr_fixups": False, "dr_guest": {"firmware": "bios", "memory": 256, "cpus": 1, "lifetime": 600},
        "dr_network": {"network": tiny_guest.NETWORK, "gateway": tiny_guest.GATEWAY, "address": tiny_guest.ADDRESS},
        "dr_checks": [{"name": "page", "kind": "http", "contains": ["Tiny shop"], "timeout": 240}]}


@pytest.fixture(name="folder")
def fixture_folder():
    """One that everybody may enter, as what lies below tmp_path may not be."""
    folder = tempfile.mkdtemp(prefix="agnostic-recovery-awx-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="repository")
def fixture_repository(radosgw, tmp_path):
    """Options of a repository with an image of the machine shop, and how it is recovered. Nobody else knows it."""
    location = {"type": "s3", "endpoint_url": radosgw["endpoint"], "bucket": f"awx-{os.getpid()}", "create": True,
                "access_key": radosgw["access_key"], "secret_key": radosgw["secret_key"]}
    options = {"repository": location, "passphrase": PASSPHRASE}
    ensure_repository(dict(options, key_file=None, unencrypted=False, chunk_size=None, capture_credential_file=None), check=False)
    disk = str(tmp_path / "shop.raw")
    tiny_guest.linux_disk(disk)
    tasks.run(dict(options, kind="capture", machine="shop", disks=[{"name": "sda", "path": disk}]), NoProgress())
    settings.ensure_settings(dict(options, state="present", machines=[{"name": "shop", "variables": SHOP}]), check=False)
    return options


@pytest.fixture(name="worker")
def fixture_worker(tmp_path):
    """Root on this machine, reached by SSH; it works in the folder `work`."""
    server = ssh_server.SshServer(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.cut()
        for path in (tmp_path / "work" / "machines").glob("*/guest"):
            qemu.remove(str(path))


@pytest.fixture(name="place")
def fixture_place(folder, repository, worker, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("namespaces and the worker need root")
    if not os.path.exists(os.path.join(VENV, "bin", "ansible-runner")):
        pytest.skip("there is no virtual environment with ansible-runner; tests/tools/system makes it")
    collections = os.path.join(folder, "collections")
    for command in (["build", "--output-path", folder, ROOT], ["install", "--offline", "--force", "--collections-path", collections]):
        package = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".tar.gz")]
        subprocess.run([os.path.join(VENV, "bin", "ansible-galaxy"), "collection"] + command + package, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    place = awx_place.AwxPlace(folder, VENV, collections)
    # The example, but for where things are.
    inventory = {path: read(os.path.join(EXAMPLES, "project", "inventory", path))
                 for path in ("recovery.repository.yml", "workers.yml", "group_vars/dr_machines.yml")}
    location = {"bucket": repository["repository"]["bucket"], "endpoint_url": repository["repository"]["endpoint_url"]}
    inventory["recovery.repository.yml"]["repository"].update(location)
    inventory["group_vars/dr_machines.yml"]["dr_repository"].update(location)
    inventory["group_vars/dr_machines.yml"].update(dr_work_dir=str(tmp_path / "work"), dr_shutdown_timeout=0)
    reached = worker.variables()
    del reached["ansible_ssh_private_key_file"]          # it comes from the credential, by ssh-agent
    inventory["workers.yml"]["workers"]["hosts"]["worker"] = dict(reached, ansible_python_interpreter="/usr/bin/python3")
    place.give(os.path.join(EXAMPLES, "project"), inventory, {
        "DR_ACCESS_KEY": repository["repository"]["access_key"], "DR_SECRET_KEY": repository["repository"]["secret_key"],
        "DR_PASSPHRASE": PASSPHRASE}, worker.key)
    return place


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def guests(folder):
    return [path.parent.name for path in (folder / "work" / "machines").glob("*/guest") if qemu.find(str(path))]


def test_jobs_of_awx(place, repository, tmp_path):
    shown, left = place.run("plan", "failover.yml", "--check")
    assert "1 machine in 1 wave" in shown and left["dr_confirm"].startswith("plan-") and guests(tmp_path) == []

    # A workflow gives what a job has left to the next one, and a survey gives texts.
    shown, left = place.run("failover", "failover.yml", "-e", json.dumps({"dr_confirm": left["dr_confirm"], "dr_image": "", "dr_keep_evidence": "true"}))
    assert left["dr_run_passed"] is True and any("shop" in line for line in left["dr_summary"])
    assert len(guests(tmp_path)) == 1
    run = left["dr_run_id"]
    place.run("teardown", "teardown.yml", "-e", f"dr_run_id={run}")
    assert guests(tmp_path) == []

    shown, left = place.run("drill", "drill.yml")
    assert left["dr_run_passed"] is True and left["dr_run_id"].startswith("drill-") and guests(tmp_path) == []
    # Evidence has gone where it outlives the job.
    files, runs = kept_runs.fetch(dict(repository, run_id=left["dr_run_id"]))
    assert runs == sorted([run, left["dr_run_id"]])
    assert json.loads(files["evidence.json"])["passed"] is True and "<html" in files["report.html"]
    # Where the job is to make its worker, it plans without one, and without rights.
    made = {"dr_worker_server": {"image": "debian-12"}, "ansible_remote_tmp": "/tmp/ansible"}       # the user here has no home, as one of AWX has
    alone, left = place.run("plan-alone", "failover.yml", "--check", "-e", json.dumps(made))
    assert "1 machine in 1 wave" in alone and left["dr_confirm"].startswith("plan-") and "-> worker" not in alone
    for secret in (PASSPHRASE, repository["repository"]["secret_key"]):
        assert secret not in shown and secret not in files["journal.jsonl"] + files["evidence.json"]


def test_what_is_declared_for_awx_is_there():
    """Templates name playbooks of the project, and their surveys variables that are known."""
    with open(os.path.join(ROOT, "docs", "variables.md"), encoding="utf-8") as file:
        known = file.read()
    declared = read(os.path.join(EXAMPLES, "controller.yml"))
    templates = {template["name"]: template for template in declared["controller_templates"]}
    for template in templates.values():
        assert os.path.exists(os.path.join(EXAMPLES, "project", template["playbook"]))
    for each in list(templates.values()) + declared["controller_workflows"]:
        for question in each.get("survey_spec", {}).get("spec", ()):
            assert f"`{question['variable']}`" in known
    nodes = {node["identifier"]: node for node in declared["controller_workflows"][0]["simplified_workflow_nodes"]}
    for node in nodes.values():
        assert node.get("unified_job_template", "Drill") in templates and set(node.get("success_nodes", [])) <= set(nodes)
    for name in os.listdir(os.path.join(EXAMPLES, "project")):
        if name.endswith(".yml"):
            imported, = read(os.path.join(EXAMPLES, "project", name))
            playbook = imported["ansible.builtin.import_playbook"].rpartition(".")[2]
            assert os.path.exists(os.path.join(ROOT, "playbooks", playbook + ".yml"))
