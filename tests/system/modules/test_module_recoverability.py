# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a machine can be recovered, as modules and playbooks tell it."""

import os
import sys

import pytest
from file_trees import tree_of

from ansible_collections.agnostic.recovery.plugins.module_utils.image.capture import capture_image
from ansible_collections.agnostic.recovery.plugins.module_utils.image.diskread import CaptureDisk
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.opening import opened
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

VERSION = "6.1.0-9-amd64"
TOLD = {"reason": "", "notes": [], "targets": [
    {"target": "kvm", "verdict": "with_changes", "changes": 9, "errors": [], "warnings": [], "reason": ""},
    {"target": "aws-nitro", "verdict": "no", "changes": 9, "errors": ["Install linux-image-amd64."], "warnings": [], "reason": ""},
    {"target": "gcp", "verdict": "not_judged", "changes": 0, "errors": [], "warnings": [], "reason": "It took longer than 30 s."}]}
WORDS = {"kvm": "with_changes", "aws-nitro": "no", "gcp": "not_judged"}


@pytest.fixture(name="judged")
def fixture_judged(repository):
    """An image of a machine that was judged when it was captured."""
    data = os.urandom(5000)
    disk = CaptureDisk("sda", 5000, 512, lambda offset, length: data[offset:offset + length], Ranges([(0, 5000)]), ())
    with opened(repository) as place:
        return capture_image(place, "shop", {"name": "shop"}, [disk], "filesystem", {}, NoProgress(), recoverability=TOLD)


@pytest.fixture(name="root")
def fixture_root(tmp_path):
    """A mounted recovery image whose kernel has virtio's drivers built in, and no others; with the agent of kvm."""
    root = tmp_path / "root"
    builtin = "".join(f"kernel/{name}.ko\n" for name in ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"))
    for path, content in (
            ("etc/init.d/qemu-guest-agent", ""), ("etc/rc2.d/README", ""), ("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
            ("etc/fstab", ""), (f"boot/vmlinuz-{VERSION}", "kernel"), (f"lib/modules/{VERSION}/modules.dep", ""),
            (f"lib/modules/{VERSION}/modules.builtin", builtin),
            ("boot/grub/grub.cfg", f"menuentry 'Debian' {{\n\tlinux /boot/vmlinuz-{VERSION} root=/dev/sda1 console=ttyS0,115200\n}}\n")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    (root / "etc/rc2.d/S01qemu-guest-agent").symlink_to("../init.d/qemu-guest-agent")
    return str(root)


def test_status_tells_where_machines_can_be_recovered(play, judged, tmp_path):
    play.hosts = {"web1": {"dr_machine": "shop", "dr_repository": play.variables["repository"],
                           "dr_repository_key_file": play.variables["key"], "dr_status_metrics": str(tmp_path / "status.prom")}}
    assert "; recovers on kvm; NOT on aws-nitro" in play.run_playbook("agnostic.recovery.status")
    assert [line for line in (tmp_path / "status.prom").read_text().split("\n") if "recoverable" in line] == [
        'agnostic_recovery_recoverable{machine="shop",target="aws-nitro"} 0', 'agnostic_recovery_recoverable{machine="shop",target="kvm"} 1']


def test_image_info(any_play, judged):
    any_play.run([any_play.task("image_info", machine="shop", register="short"),
                  any_play.task("image_info", machine="shop", machine_model=True, register="long"), any_play.results("short", "long")])
    result = any_play.result()
    assert [found["images"][0]["recoverable"] for found in result.values()] == [WORDS, WORDS]
    assert result["long"]["images"][0]["recoverability"] == TOLD and "recoverability" not in result["short"]["images"][0]


def test_recovery_plan(any_play, root):
    def plan(register, **options):
        return {"agnostic.recovery.recovery_plan": options, "register": register, "vars": {"ansible_python_interpreter": sys.executable}}

    before = tree_of(root)
    any_play.run([plan("all", root=root), dict(plan("check", root=root, targets=["aws-nitro", "gcp"]), check_mode=True),
                  dict(plan("both", root=root, exclude=["x"]), ignore_errors=True), dict(plan("lost", disks=[]), ignore_errors=True),
                  dict(plan("gone", root=root + "/gone"), ignore_errors=True), any_play.results("all", "check", "both", "lost", "gone")])
    assert tree_of(root) == before
    result = any_play.result()
    found = result["all"]
    assert not found["changed"] and found["recoverable"]["kvm"] == "as_is" and found["recoverable"]["gcp"] == "with_changes"
    assert [target["target"] for target in result["check"]["targets"]] == ["aws-nitro", "gcp"]
    nitro, google = result["check"]["targets"]
    assert any(finding["severity"] == "error" and "has no driver nvme" in finding["text"] for finding in nitro["findings"])
    assert nitro["verdict"] == "no" and google["verdict"] == "with_changes" and google["reason"] == ""
    assert all(change["path"] and change["reason"] and change["action"] for change in google["changes"])
    assert [change["path"] for change in google["changes"]] == ["/etc/rc2.d/S01qemu-guest-agent"]
    assert "mutually exclusive" in result["both"]["msg"] and "root" in result["lost"]["msg"]
    assert "There is no mounted root file system" in result["gone"]["msg"]
