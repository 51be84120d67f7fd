# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose Pythons have no libraries: wheels carried over from the controller, packages by the role's script."""

import os
import shutil
import subprocess

import pytest

ROLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "roles", "capture")


@pytest.fixture(scope="session", params=["3.6", "3.9", "3.13"])
def bare_python(request, tmp_path_factory):
    """A Python without any library."""
    base = shutil.which("python" + request.param)
    if not base:
        pytest.skip("this machine has no Python " + request.param)
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session")
def wheels_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("wheels")


def prepared(play, python, cache, **variables):
    """Run the playbook capture on a host with this Python alone; what it printed."""
    play.hosts = {"web1": dict({
        "ansible_connection": "local", "ansible_python_interpreter": python, "dr_disks": [{"name": "sda", "path": play.variables["disk"]}],
        "dr_repository": play.variables["repository"], "dr_repository_key_file": play.variables["key"], "dr_wheels_dir": str(cache),
        "dr_python": python, "dr_job_dir": play.variables["job_dir"]}, **variables)}
    return play.run_playbook("agnostic.recovery.capture")


def test_wheels(play, repository, disk, bare_python, wheels_cache):
    text = prepared(play, bare_python, wheels_cache, dr_prepare="wheels")
    assert "captured 64.0 MiB" in text, text
    state = next(iter(play.jobs().values()))
    version = subprocess.run([bare_python, "-V"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    assert state["python"] == version
    # The host's own Python is as it was.
    assert subprocess.run([bare_python, "-c", "import cryptography"], stderr=subprocess.DEVNULL, check=False).returncode == 1
    again = prepared(play, bare_python, wheels_cache, dr_prepare="wheels")
    assert "captured 64.0 MiB, " in again and len(list((wheels_cache).glob(state["python"].rpartition(".")[0] + "-*"))) == 1


def test_wheels_over_ssh(play, repository, disk, bare_python, wheels_cache, ssh_server):
    text = prepared(play, bare_python, wheels_cache, dr_prepare="wheels", **ssh_server.variables())
    assert "captured 64.0 MiB" in text, text


def test_nothing_is_brought_unless_asked_for(play, repository, disk, bare_python, wheels_cache):
    with pytest.raises(AssertionError, match="python3-cryptography"):
        prepared(play, bare_python, wheels_cache, dr_prepare="none")


def manager(folder, name, known):
    """A package manager that knows these packages, and writes down what it installed."""
    path = folder / name
    path.write_text("#!/bin/sh\nfor last; do :; done\n"
                    "case \" update {0} \" in *\" $last \"*) echo $last >> '{1}/installed';; *) exit 1;; esac\n".format(
                        " ".join(known), folder))
    path.chmod(0o755)


@pytest.mark.parametrize("name, known, wanted, installed, status", [
    ("apt-get", ["python3-cryptography", "python3-zstandard"], ["cryptography", "zstd"],
     ["update", "python3-cryptography", "python3-zstandard"], 0),
    ("dnf", ["python3-cryptography", "libzstd", "python3-boto3"], ["cryptography", "zstd", "boto3"],
     ["python3-cryptography", "libzstd", "python3-boto3"], 0),
    ("yum", ["python3", "python36-cryptography"], ["python", "cryptography"], ["python3", "python36-cryptography"], 0),
    ("zypper", ["python3-cryptography"], ["boto3", "cryptography"], ["python3-cryptography"], 1),
    ("none", [], ["cryptography"], [], 3),
])
def test_packages_by_manager(tmp_path, name, known, wanted, installed, status):
    manager(tmp_path, name, known)
    result = subprocess.run(["/bin/sh", os.path.join(ROLE, "files", "install.sh")] + wanted, env={"PATH": str(tmp_path)}, check=False,
                            stderr=subprocess.PIPE)
    log = tmp_path / "installed"
    assert (log.read_text().split() if log.exists() else []) == installed
    assert result.returncode == status
    if status == 1:
        assert b"No package for boto3 could be installed." in result.stderr
