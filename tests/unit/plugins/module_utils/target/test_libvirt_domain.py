# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a machine is said to libvirt."""

import shutil
import subprocess

from xml.etree import ElementTree

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import TargetError
from ansible_collections.agnostic.recovery.plugins.module_utils.target import qemu_command
from ansible_collections.agnostic.recovery.plugins.module_utils.target.libvirt_domain import BUSES, NICS, Domain, domain_xml, network_leads_out

SHOP = Domain("drill-1-shop", "shop & <co>", ("/d/a.raw", "/dev/vg/b"), "virtio-scsi", "virtio-net", "52:54:00:12:34:56", "isolated", "", "bios", "q35",
              2048, 2, False, "/d/console.log")


def test_the_words_are_those_of_the_guest():
    assert set(BUSES) == set(qemu_command.DISK_BUSES) - {"nvme"} and set(NICS) == set(qemu_command.NIC_MODELS)


@pytest.mark.parametrize("bus", sorted(BUSES))
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_libvirt_accepts_it(tmp_path, bus, firmware):
    """libvirt's own schema is the oracle."""
    text = domain_xml(SHOP._replace(disk_bus=bus, firmware=firmware, machine="pc" if bus == "ide" else "q35"), ("/dev/vg/b",))
    root = ElementTree.fromstring(text)
    assert [disk.find("source").attrib for disk in root.iter("disk")] == [{"file": "/d/a.raw"}, {"dev": "/dev/vg/b"}]
    assert root.find("description").text == "shop & <co>" and root.find("memory").text == "2048"
    for program, package in (("virt-xml-validate", "libvirt-clients"), ("xmllint", "libxml2-utils")):
        if not shutil.which(program):
            pytest.skip(f"the oracle is missing: this machine has no {program} (package {package})")
    (tmp_path / "domain.xml").write_text(text)
    subprocess.run(["virt-xml-validate", str(tmp_path / "domain.xml"), "domain"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("changes, says", [
    ({"disk_bus": "nvme"}, "disk bus 'nvme' is not one of"),
    ({"disk_bus": "ide"}, "q35 has no IDE controller"),
    ({"nic": "ne2000"}, "NIC model 'ne2000'"),
    ({"network": ""}, "either a network of libvirt or a bridge"),
    ({"bridge": "br0"}, "either a network of libvirt or a bridge"),
    ({"disks": ()}, "0 disks are not 1 to 26"),
    ({"firmware": "coreboot"}, "firmware 'coreboot'"),
    ({"memory": 1}, "too little"),
])
def test_what_cannot_be_is_said(changes, says):
    with pytest.raises(TargetError, match=says):
        domain_xml(SHOP._replace(**changes))


def test_which_network_leads_out():
    assert not network_leads_out("<network><name>n</name><bridge name='virbr7'/><ip address='192.0.2.1' netmask='255.255.255.0'/></network>")
    for mode in ("<forward/>", "<forward mode='route'/>", "<forward mode='bridge'/>"):
        assert network_leads_out(f"<network><name>n</name>{mode}</network>")
    with pytest.raises(TargetError, match="nobody understands"):
        network_leads_out("error: no such network")
