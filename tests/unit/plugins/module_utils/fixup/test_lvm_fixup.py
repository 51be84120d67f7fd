# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM finds its physical volumes on the target."""

import os
import shutil
import subprocess

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import lvm
from ansible_collections.agnostic.recovery.plugins.module_utils.machine import lvmconf
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.initramfs import read_initramfs

DEVICES = (
    "# LVM uses devices listed in this file.\n# Created by LVM command vgimportdevices pid 1 at x\nVERSION=1.1.2\n"
    "IDTYPE=sys_wwid IDNAME=naa.5000c500 DEVNAME=/dev/sda3 PVID=abc PART=3\n"
)
LASTING = "VERSION=1.1.1\nIDTYPE=crypt_uuid IDNAME=CRYPT-LUKS2-1-x DEVNAME=/dev/dm-0 PVID=abc\n"
FILTERS = (
    'devices {\n\t# filter = [ "r|.*|" ]\n\tfilter = [ "a|^/dev/sda3$|", # the old disk "r|x|" ]\n\t\t"r|.*|" ]\n'
    "\tglobal_filter = \"r|/dev/vd|\"\n}\nactivation {\n}\n"
)


def planned(machine):
    draft = Draft(machine.tree)
    lvm.plan(machine.inspect(), draft)
    return draft


@pytest.mark.parametrize("text,removed", [(DEVICES, True), (LASTING, False), (LASTING + DEVICES, True), ("", False), ("\x00=\n", False)])
def test_devices_file(machine, text, removed):
    machine.write("/etc/lvm/devices/system.devices", text)
    draft = planned(machine)
    assert (draft.read("/etc/lvm/devices/system.devices") is None) is removed
    assert [finding.severity for finding in draft.findings] == ["info"] * removed
    assert bool(lvm.verify(machine.inspect())) is removed


def test_devices_file_of_another_name(machine):
    machine.write("/etc/lvm/lvm.conf", 'devices {\n\tdevicesfile = "mine.devices"\n}\n')
    machine.write("/etc/lvm/devices/mine.devices", DEVICES)
    machine.write("/etc/lvm/devices/system.devices", DEVICES)
    assert [change.path for change in planned(machine).changes] == ["/etc/lvm/devices/mine.devices"]


def test_filters_let_the_disks_of_any_target_pass(machine):
    machine.write("/etc/lvm/lvm.conf", FILTERS)
    after = planned(machine).read_text("/etc/lvm/lvm.conf")
    first, second = lvmconf.filters(after)
    assert first.patterns == (lvm.DISKS, "a|^/dev/sda3$|", "r|.*|") and second.patterns == (lvm.DISKS, "r|/dev/vd|")
    for name in lvm.EXAMPLES + ("/dev/sdab12", "/dev/nvme10n1p15"):
        assert first.accepts([name]) and second.accepts([name])
    for name in ("/dev/drbd0", "/dev/loop0", "/dev/mapper/x"):
        assert not first.accepts([name])
    assert after.startswith('devices {\n\t# filter = [ "r|.*|" ]\n\tfilter = [ "') and after.endswith("]\n}\nactivation {\n}\n")
    assert 'the old disk "r|x|" ]' in after


@pytest.mark.parametrize("value", [
    '[ "a|.*|" ]', '"a/.*/"', '[ "r|/dev/cdrom|", "r|/dev/drbd.*|" ]',
    '[ "a|^/dev/sd|", "a|^/dev/vd|", "a|^/dev/xvd|", "a|^/dev/nvme|", "r/.*/" ]',
    "[]",
])
def test_filters_that_hide_no_disk_stay(machine, value):
    machine.write("/etc/lvm/lvm.conf", f"devices {{\n filter = {value}\n}}\n")
    assert not planned(machine).changes


@pytest.mark.parametrize("pattern", ["r|(((((.*)*)*)*)*)*x|", "r|" + ".*" * 40 + "|", "r|[|", "r|" + "(" * 200 + "|", "r", ""])
def test_an_expression_that_takes_for_ever_is_not_tried(pattern):
    rule, = lvmconf.filters(f'filter = [ "{pattern}" ]\n')
    assert rule.accepts(["/dev/nvme0n1p2"]) in (True, False)


def test_a_list_that_never_ends_is_read_in_no_time(machine):
    machine.write("/etc/lvm/lvm.conf", "filter = [ " + "#" * 200000 + "\n" + '"a|x|",' * 20000)
    assert not planned(machine).changes


def test_copies_in_the_initramfs(machine):
    """Nothing can be taken away there, so lvm.conf in front of it says that the file is not used."""
    archive = machine.initramfs(more={"etc": None, "etc/lvm": None, "etc/lvm/devices": None, "etc/lvm/lvm.conf": FILTERS.encode(),
                                      "etc/lvm/devices/system.devices": DEVICES.encode()})
    machine.add_kernel(initramfs=archive)
    before = machine.snapshot()
    engine.apply(machine.tree, engine.plan(machine.inspect()))
    path = machine.inspect().kernels[0].initramfs
    text = read_initramfs(machine.tree, path, lambda name: name == "etc/lvm/lvm.conf").entries["etc/lvm/lvm.conf"].data.decode()
    assert text.endswith("devices {\n\tuse_devicesfile = 0\n}\n") and lvm.DISKS in text
    assert not engine.plan(machine.inspect()).changes
    engine.undo(machine.tree)
    assert machine.snapshot() == before


def test_an_initramfs_without_configuration_gets_one():
    contents = {"etc/lvm/devices/system.devices": DEVICES}
    changed = lvm.in_initramfs(contents)
    assert changed == {"etc/lvm/lvm.conf": f"{lvm.MARK}\ndevices {{\n\tuse_devicesfile = 0\n}}\n"}
    contents.update(changed)
    assert lvm.in_initramfs(contents) == changed
    assert lvm.in_initramfs({"etc/lvm/devices/system.devices": LASTING}) == {}


@pytest.mark.skipif(not shutil.which("lvmconfig"), reason="needs lvm2")
def test_lvm_itself_reads_what_is_written(machine, tmp_path):
    machine.write("/etc/lvm/lvm.conf", FILTERS)
    text = planned(machine).read_text("/etc/lvm/lvm.conf")
    text = lvm.in_initramfs({"etc/lvm/lvm.conf": text + "devices {\n\tuse_devicesfile = 1\n}\n", "etc/lvm/devices/system.devices": DEVICES})
    (tmp_path / "lvm.conf").write_text(text["etc/lvm/lvm.conf"])
    environment = dict(os.environ, LVM_SYSTEM_DIR=str(tmp_path), LVM_SUPPRESS_FD_WARNINGS="1")
    shown = subprocess.run(["lvmconfig"], env=environment, stdout=subprocess.PIPE, check=True).stdout.decode()
    assert '\tfilter=["a|^/dev/(sd|vd|xvd|nvme)|","a|^/dev/sda3$|","r|.*|"]\n' in shown
    assert '\tglobal_filter=["a|^/dev/(sd|vd|xvd|nvme)|","r|/dev/vd|"]\n' in shown and "\tuse_devicesfile=0\n" in shown


def test_physical_volumes_of_a_backup():
    text = (
        'x {\n\tid = "g"\n\tphysical_volumes {\n\t\tpv0 {\n\t\t\tid = "one"\n\t\t}\n\t\tpv1 {\n\t\t\tid = "two"\n\t\t}\n\t}\n\n'
        '\tlogical_volumes {\n\t\tlv {\n\t\t\tid = "three"\n\t\t}\n\t}\n}\n'
    )
    assert lvmconf.physical_volumes(text) == ("one", "two")
    assert lvmconf.physical_volumes("\tphysical_volumes {\n" * 1000) == () == lvmconf.physical_volumes("")
