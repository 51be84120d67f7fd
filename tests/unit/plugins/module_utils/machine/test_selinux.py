# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a root uses SELinux, and with which policy."""

import os
import stat

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.machine.selinux import read_policy
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree


@pytest.fixture
def write(tmp_path):
    (tmp_path / "root").mkdir()

    def write(path, text):
        place = tmp_path / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    return write


@pytest.fixture
def policy(tmp_path, write):
    """A function: the policy as read."""
    return lambda: read_policy(Tree(str(tmp_path / "root")))


def test_roots_without_selinux(write, policy):
    assert policy() is None
    write("/etc/selinux/targeted/contexts/files/file_contexts", "/.* u:r:t\n")
    assert policy() is None
    write("/etc/selinux/config", "# SELINUX=enforcing\nSELINUX= Disabled # really\nSELINUXTYPE=targeted\nSELINUX=enforcing\n")
    assert policy() is None


@pytest.mark.parametrize("text,name", [
    ("SELINUX=enforcing\nSELINUXTYPE=mls\n", "mls"),
    ("SELINUX=permissive\n selinuxtype= mls \t\nSELINUXTYPE=mine\n", "mine"),
    ("#SELINUX=disabled\n#SELINUXTYPE=mls\n", "targeted"),
    ("SELINUX=what\nSELINUXTYPE=\n", "targeted"),
    ("", "targeted"),
])
def test_names_of_policies(write, policy, text, name):
    write("/etc/selinux/config", text)
    write(f"/etc/selinux/{name}/contexts/files/file_contexts", "/.* u:r:t\n")
    assert policy().name == name
    assert policy().contexts.lookup("/a", stat.S_IFREG).rule.context == "u:r:t"


def test_files_of_a_policy_in_their_order(write, policy):
    base = "/etc/selinux/targeted/contexts/files/file_contexts"
    write("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
    write(base + ".local", "/home/[^/]+/x u:r:local_t\nbroken\n\nbroken\n")
    write(base, "/.* u:r:default_t\n/opt/[xy] u:r:opt_t\n")
    write(base + ".homedirs", "/home/.* u:r:home_t\n/opt/x u:r:home_t\n")
    write(base + ".subs_dist", "/lib64 /opt\n")
    write(base + ".subs", "/u /home/u\n")
    found = policy()
    contexts = [found.contexts.lookup(path, stat.S_IFREG).rule.context for path in ("/u/x", "/u/y", "/lib64/y", "/lib64/x", "/z")]
    assert contexts == ["u:r:local_t", "u:r:home_t", "u:r:opt_t", "u:r:home_t", "u:r:default_t"]
    assert found.problems == (f"{base}.local, line 2 is no rule; 2 of this file are left out.",)


@pytest.mark.parametrize("name", ["../../../outside", "/outside", "a/b", "..\0", "a b"])
def test_hostile_names_of_policies(tmp_path, write, policy, name):
    (tmp_path / "outside/contexts/files").mkdir(parents=True)
    (tmp_path / "outside/contexts/files/file_contexts").write_text("/.* the:worker:own\n")
    write("/etc/selinux/config", f"SELINUX=enforcing\nSELINUXTYPE={name}\n")
    assert policy().contexts is None
    assert "no name of a policy" in policy().problems[0]


def test_policies_that_cannot_be_read(tmp_path, write, policy):
    write("/etc/selinux/config", "SELINUX=enforcing\n")
    assert policy().contexts is None and "file_contexts" in policy().problems[0]
    place = tmp_path / "root/etc/selinux/targeted/contexts/files/file_contexts"
    place.parent.mkdir(parents=True)
    (tmp_path / "outside").write_text("/.* the:worker:own\n")
    os.symlink(str(tmp_path / "outside"), str(place))
    assert policy().contexts is None
    place.unlink()
    os.mkfifo(str(place))
    assert policy().contexts is None and "not a regular file" in policy().problems[0]
    place.unlink()
    with open(str(place), "wb") as file:
        file.truncate(1 << 40)
    assert policy().contexts is None and "larger than" in policy().problems[0]
