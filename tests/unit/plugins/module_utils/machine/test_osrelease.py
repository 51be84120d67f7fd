# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operating system and host name."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import osrelease
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import OsRelease
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree


@pytest.fixture
def make(tmp_path):
    def make(files):
        for path, text in files.items():
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return Tree(str(tmp_path))
    return make


@pytest.mark.parametrize("files,expected", [
    ({"etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# ID=x\n'},
     OsRelease("debian", "12", "Debian GNU/Linux 12 (bookworm)")),
    ({"usr/lib/os-release": "NAME='Rocky Linux'\nID='rocky'\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.4"},
     OsRelease("rocky", "9.4", "Rocky Linux", ("rhel", "centos", "fedora"))),
    ({"etc/os-release": "NAME=Strange\n"}, OsRelease("linux", "", "Strange")),
    ({"etc/redhat-release": "CentOS release 6.10 (Final)\n"},
     OsRelease("centos", "6.10", "CentOS release 6.10 (Final)", ("rhel", "fedora"))),
    ({"etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\n"},
     OsRelease("sles", "11", "SUSE Linux Enterprise Server 11 (x86_64)", ("suse",))),
    ({"etc/debian_version": "6.0.10\n"}, OsRelease("debian", "6.0.10", "Debian GNU/Linux 6.0.10")),
])
def test_release(make, files, expected):
    assert osrelease.read_os_release(make(files)) == expected


def test_no_release(make):
    with pytest.raises(MachineError, match="does not say which operating system"):
        osrelease.read_os_release(make({}))


@pytest.mark.parametrize("files,expected", [
    ({"etc/hostname": "# comment\n\nshop\n"}, "shop"),
    ({"etc/HOSTNAME": "shop.example.com\n"}, "shop.example.com"),
    ({"etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=shop # old\n"}, "shop"),
    ({}, ""),
])
def test_hostname(make, files, expected):
    assert osrelease.read_hostname(make(files)) == expected


def test_assignments():
    text = "A=1\nexport B='two words' # c\n  C=\"x\\\"y\"\nD=\nE= # nothing\nbad line\nF=\"open\nG=a b\nA=2\n"
    assert osrelease.parse_assignments(text) == {"A": "2", "B": "two words", "C": 'x"y', "D": "", "E": "", "F": "open", "G": "a"}
