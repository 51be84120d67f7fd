# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine with cloud-init stays who it is."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import cloud_init
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.situation import MappedAddress, NetworkOptions
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES, get_profile


@pytest.fixture
def cloud(machine):
    machine.write("/etc/cloud/cloud.cfg", "users:\n - default\ndisable_root: true\npreserve_hostname: false\n")
    machine.write("/etc/cloud/cloud.cfg.d/90_dpkg.cfg", "datasource_list: [ Ec2, None ]\n")
    return machine


def planned(machine, target="kvm", **options):
    draft = Draft(machine.tree)
    cloud_init.plan(machine.inspect(target, **options), draft)
    return draft


def test_identity_survives_and_undo_brings_back(cloud):
    before = cloud.snapshot()
    situation = cloud.inspect("openstack")
    assert len(cloud_init.verify(situation)) == 1
    engine.apply(cloud.tree, engine.plan(situation))
    assert engine.verify(situation) == ()
    text = cloud.read(cloud_init.DROP_IN)
    for line in ("preserve_hostname: true", "ssh_deletekeys: false", "users: []", "network:\n  config: disabled",
                 "datasource_list: [ ConfigDrive, OpenStack, None ]"):
        assert line + "\n" in text
    engine.undo(cloud.tree)
    assert cloud.snapshot() == before


@pytest.mark.parametrize("target", sorted(PROFILES))
def test_the_drop_in_is_yaml_of_one_meaning(cloud, target):
    yaml = pytest.importorskip("yaml")
    data = yaml.safe_load(planned(cloud, target).read_text(cloud_init.DROP_IN))
    assert data["datasource_list"] == list(get_profile(target).datasources)
    assert data["ssh_deletekeys"] is False and data["preserve_hostname"] is True and data["users"] == []
    assert data["network"] == {"config": "disabled"} and data["locale"] is False


def test_it_is_read_last(cloud):
    names = ["00-x.cfg", "05_logging.cfg", "90_dpkg.cfg", "99-installer.cfg", "99_azure.cfg", "aws.cfg", "curtin-preserve-sources.cfg",
             "subiquity-disable-cloudinit-networking.cfg"]
    assert max(names + [cloud_init.DROP_IN.rsplit("/", 1)[-1]]) == cloud_init.DROP_IN.rsplit("/", 1)[-1]
    cloud.write("/etc/cloud/cloud.cfg.d/zzz.cfg", "ssh_deletekeys: true\n")
    assert "zzz.cfg" in planned(cloud).findings[0].text
    cloud.write("/etc/cloud/cloud.cfg.d/zzz.cfg", "runcmd: []\n")
    assert planned(cloud).findings == []


def test_the_network_mode(cloud):
    mapped = NetworkOptions("mapped", (), (MappedAddress("192.0.2.10", "198.51.100.7/24"),))
    assert "config: disabled" in planned(cloud, network=mapped).read_text(cloud_init.DROP_IN)
    assert "config: disabled" not in planned(cloud, network=NetworkOptions("dhcp")).read_text(cloud_init.DROP_IN)


@pytest.mark.parametrize("target,kept", [("aws-nitro", True), ("gcp", False)])
def test_a_pinned_data_source(cloud, target, kept):
    cloud.write(cloud_init.DS_IDENTIFY, "policy: search,found=all\ndatasource: Ec2\n# datasource: Azure\n")
    expected = "policy: search,found=all\n" + ("datasource: Ec2\n" if kept else "") + "# datasource: Azure\n"
    assert planned(cloud, target).read_text(cloud_init.DS_IDENTIFY) == expected


def test_where_cloud_init_does_not_run_nothing_is_done(machine):
    assert planned(machine).changes == [] and cloud_init.verify(machine.inspect()) == []
    machine.write("/etc/cloud/cloud.cfg", "users: []\n")
    machine.write("/etc/cloud/cloud-init.disabled", "")
    assert planned(machine).changes == [] and cloud_init.verify(machine.inspect()) == []


def test_one_target_after_the_other(cloud):
    for target in ("aws-nitro", "kvm"):
        engine.apply(cloud.tree, engine.plan(cloud.inspect(target, drivers="target")))
        assert cloud_init.verify(cloud.inspect(target)) == []
    assert "Ec2" not in cloud.read(cloud_init.DROP_IN)
