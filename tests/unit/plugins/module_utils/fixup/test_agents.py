# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agents of the old platform are disabled, those of the target are told if they miss."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import agents

UNITS = "/etc/systemd/system"


@pytest.fixture
def vmware(machine):
    """Debian's open-vm-tools, as its package installs and enables it."""
    machine.write("/usr/lib/systemd/system/open-vm-tools.service", "[Install]\nAlias=vmtoolsd.service\n")
    machine.write("/usr/lib/systemd/system/run-vmblock\\x2dfuse.mount", "[Mount]\n")
    machine.write("/usr/lib/systemd/system/ssh.service", "[Unit]\n")
    machine.write("/etc/init.d/open-vm-tools", "#!/bin/sh\n", 0o755)
    for folder in ("multi-user.target.wants", "open-vm-tools.service.requires"):
        os.makedirs(f"{machine.path}{UNITS}/{folder}")
    link(machine, "multi-user.target.wants/open-vm-tools.service", "/lib/systemd/system/open-vm-tools.service")
    link(machine, "multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service")
    link(machine, "open-vm-tools.service.requires/vgauth.service", "/lib/systemd/system/vgauth.service")
    link(machine, "multi-user.target.wants/run-vmblock\\x2dfuse.mount", "/lib/systemd/system/run-vmblock\\x2dfuse.mount")
    link(machine, "vmtoolsd.service", "/lib/systemd/system/open-vm-tools.service")
    return machine


def link(machine, name, target, folder=UNITS):
    os.makedirs(machine.path + folder, exist_ok=True)
    os.symlink(target, f"{machine.path}{folder}/{name}")


def links(machine):
    found = {}
    for folder, folders, files in os.walk(machine.path + "/etc"):
        for name in folders + files:
            place = os.path.join(folder, name)
            if os.path.islink(place):
                found[place[len(machine.path):]] = os.readlink(place)
    return found


def findings(machine, target, severity):
    draft = Draft(machine.tree)
    agents.plan(machine.inspect(target), draft)
    return [finding.text for finding in draft.findings if finding.severity == severity]


def test_a_foreign_agent_is_masked_and_comes_back(vmware):
    before = vmware.snapshot()
    situation = vmware.inspect("kvm")
    engine.apply(vmware.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    assert links(vmware) == {
        UNITS + "/multi-user.target.wants/ssh.service": "/lib/systemd/system/ssh.service",
        UNITS + "/open-vm-tools.service": "/dev/null",
        UNITS + "/vmtoolsd.service": "/dev/null",
        UNITS + "/run-vmblock\\x2dfuse.mount": "/dev/null",
    }
    assert not [change for change in engine.plan(vmware.inspect("kvm")).changes if change.fixup == "agents"]
    engine.undo(vmware.tree)
    assert vmware.snapshot() == before


def test_the_targets_own_agent_stays(vmware):
    draft = Draft(vmware.tree)
    agents.plan(vmware.inspect("vmware"), draft)
    assert draft.changes == [] and draft.findings == [] and agents.verify(vmware.inspect("vmware")) == []
    assert len(agents.verify(vmware.inspect("kvm"))) == 3


def test_missing_and_masked_agents_are_told(vmware):
    assert "walinuxagent" in findings(vmware, "azure", "info")[0]
    assert findings(vmware, "vmware", "info") == []
    os.unlink(vmware.path + UNITS + "/vmtoolsd.service")
    link(vmware, "vmtoolsd.service", "/dev/null")
    assert "unmask vmtoolsd.service" in findings(vmware, "vmware", "warning")[0]


def test_a_unit_of_the_machines_own_is_not_replaced(vmware):
    vmware.write(UNITS + "/open-vm-tools.service", "[Unit]\n# mine\n")
    situation = vmware.inspect("kvm")
    engine.apply(vmware.tree, engine.plan(situation))
    assert vmware.read(UNITS + "/open-vm-tools.service") == "[Unit]\n# mine\n" and engine.verify(situation) == ()
    assert "not masked" in findings(vmware, "kvm", "warning")[0]


@pytest.mark.parametrize("home", ["/etc/rc{}.d", "/etc/rc.d/rc{}.d", "/etc/init.d/rc{}.d"])
def test_system_v(machine, home):
    machine.write("/etc/init.d/vmware-tools", "#!/bin/sh\n", 0o755)
    for level in (0, 2, 3, 5):
        link(machine, "K08vmware-tools" if level == 0 else "S03vmware-tools", "../init.d/vmware-tools", home.format(level))
    link(machine, "S55sshd", "../init.d/sshd", home.format(3))
    before = machine.snapshot()
    engine.apply(machine.tree, engine.plan(machine.inspect("aws-nitro", drivers="target")))
    assert sorted(os.path.basename(path) for path in links(machine)) == ["K08vmware-tools", "S55sshd"]
    engine.undo(machine.tree)
    assert machine.snapshot() == before


def test_folders_that_are_links_are_changed_once(machine):
    machine.write("/etc/rc.d/init.d/vboxadd", "#!/bin/sh\n")
    link(machine, "S30vboxadd", "../init.d/vboxadd", "/etc/rc.d/rc3.d")
    os.symlink("rc.d/rc3.d", machine.path + "/etc/rc3.d")
    draft = Draft(machine.tree)
    agents.plan(machine.inspect("kvm"), draft)
    assert [change.path for change in draft.changes] == ["/etc/rc.d/rc3.d/S30vboxadd"]


def test_upstart(machine):
    machine.write("/etc/init/amazon-ssm-agent.conf", "start on runlevel [2345]\n")
    machine.write("/etc/init/amazon-ssm-agent.override", "nice 5")
    engine.apply(machine.tree, engine.plan(machine.inspect("kvm")))
    assert machine.read("/etc/init/amazon-ssm-agent.override") == "nice 5\nmanual\n"
    assert not [change for change in engine.plan(machine.inspect("kvm")).changes if change.fixup == "agents"]
    assert not machine.exists(UNITS)


def test_links_out_of_the_image_lead_nowhere(machine, tmp_path):
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/open-vm-tools.service").write_text("the worker's own")
    os.makedirs(machine.path + "/etc/systemd")
    os.symlink(str(tmp_path / "worker"), machine.path + UNITS)
    link(machine, "S30vboxadd", str(tmp_path / "worker/open-vm-tools.service"), "/etc/rc3.d")
    engine.apply(machine.tree, engine.plan(machine.inspect("kvm")))
    assert os.listdir(str(tmp_path / "worker")) == ["open-vm-tools.service"]
    assert (tmp_path / "worker/open-vm-tools.service").read_text() == "the worker's own"
