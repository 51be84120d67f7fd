# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a host."""

import sys

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.job.about import about, distribution, platforms


def test_this_host():
    found = about()
    assert found["python"] == "%d.%d" % sys.version_info[:2]
    assert set(found["libraries"]) == {"cryptography", "zstd", "boto3", "openstack"}


@pytest.mark.parametrize("name", ["cryptography", "boto3", "openstack"])
def test_a_broken_library_is_none(monkeypatch, name):
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    assert about()["libraries"][name] is False


def test_platforms():
    assert platforms(None, "x86_64") == [] and platforms(4, "x86_64") == []
    found = platforms(28, "x86_64")
    assert found[0] == "manylinux_2_28_x86_64" and found[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert found.index("manylinux_2_17_x86_64") + 1 == found.index("manylinux2014_x86_64")
    assert platforms(17, "aarch64")[:2] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


def test_distribution(tmp_path):
    path = tmp_path / "os-release"
    path.write_text('NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\nHOME_URL=\'https://x\'\n')
    assert distribution(str(path)) == {"id": "rocky", "like": ["rhel", "centos", "fedora"], "version": "8.10"}
    path.write_text("ID=debian\nVERSION_ID=\"12\"\n")
    assert distribution(str(path)) == {"id": "debian", "like": [], "version": "12"}
    assert distribution(str(tmp_path / "none")) == {"id": "", "like": [], "version": ""}
