# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a machine can be recovered, and what is in the way."""

import os

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup import engine, recoverability, situation
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.change import Finding
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import cloud_init, overlay
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.recoverability import Judgement, judge, kept
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.data import from_data, to_data
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk, Partition
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.tree import Tree
from ansible_collections.agnostic.recovery.plugins.module_utils.target.profile import PROFILES, get_profile

VERSION = "6.1.0-9-amd64"
DISKS = (
    Disk("sda", 8 << 30, table="gpt", boot_code=True, partitions=(
        Partition(2, 2 << 20, 4 << 30, "0fc63daf-8483-4772-8e79-3d69d8477de4", "aaaa-02",
                  content=Content("ext4", "11111111-aaaa-4aaa-8aaa-111111111111")),
        Partition(3, 5 << 30, 1 << 30, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "aaaa-03",
                  content=Content("swap", "22222222-aaaa-4aaa-8aaa-222222222222")),
    )),
)


def judged(machine, *names, disks=DISKS):
    profiles = [get_profile(name) for name in names] or list(PROFILES.values())
    return {found.target: found for found in judge(machine.tree, disks, profiles)}


def errors(judgement):
    return [finding.text for finding in judgement.findings if finding.severity == "error"]


def test_every_profile_is_judged_and_nothing_is_written(machine):
    before = machine.snapshot()
    found = judged(machine)
    assert machine.snapshot() == before
    assert list(found) == list(PROFILES)
    # The small machine has no driver of the others, or is not made for their firmware. vmware has AHCI disks too.
    good = ("kvm", "openstack", "aws-nitro", "gcp", "ncloud-kvm", "vmware")
    assert {name: judgement.verdict for name, judgement in found.items()} == {
        name: "with_changes" if name in good else "no" for name in PROFILES}
    assert all(judgement.reason == "" for judgement in found.values())


def test_the_plan_is_that_of_the_fixups(machine):
    for name, found in judged(machine, "kvm", "aws-nitro", "openstack").items():
        planned = engine.plan(machine.inspect(name, disks=DISKS))
        assert found.changes == planned.changes and found.findings == planned.findings


def test_as_it_is_once_the_fixups_are_applied(machine):
    inspected = machine.inspect("kvm", disks=DISKS)
    engine.apply(machine.tree, engine.plan(inspected))
    found = judged(machine, "kvm", "openstack", "gcp")
    assert found["kvm"].verdict == "as_is" and found["kvm"].changes == ()
    assert kept(found["kvm"])._replace(warnings=()) == recoverability.Verdict("kvm", "as_is")
    assert found["gcp"].verdict == "with_changes"        # another serial console


def test_a_kernel_without_the_driver(machine):
    machine.add_kernel(without=("nvme", "nvme-core"))
    found = judged(machine, "kvm", "aws-nitro")
    assert found["kvm"].verdict == "with_changes" and errors(found["kvm"]) == []
    assert found["aws-nitro"].verdict == "no"
    told = errors(found["aws-nitro"])
    assert len(told) == 1 and f"Kernel {VERSION} has no driver nvme" in told[0] and "Install the newest linux-image package" in told[0]


def test_several_things_in_the_way_are_all_told(machine):
    """Not only that for which the plan is given up."""
    machine.add_kernel(without=("nvme", "nvme-core"))
    machine.write("/etc/fstab", "UUID=99999999-0000-4000-8000-000000000000 /var ext4 defaults 0 2\n")
    told = errors(judged(machine, "aws-nitro")["aws-nitro"])
    assert len(told) == 2 and "for /var, which is on none of the recovered disks" in told[0] and "no driver nvme" in told[1]


def test_the_firmware_is_in_the_way(machine):
    told = errors(judged(machine, "hyperv-gen2")["hyperv-gen2"])
    assert any("made for BIOS only" in text and "grub-install" in text for text in told)


def test_no_kernel_at_all(machine):
    for path in (f"/boot/vmlinuz-{VERSION}", "/boot/grub/grub.cfg"):
        os.unlink(machine.path + path)
    found = judged(machine, "kvm")["kvm"]
    assert found.verdict == "no" and "No kernel that the boot loader can start" in errors(found)[0]


def test_no_room_for_the_changes(machine, monkeypatch):
    class Full:
        f_bfree, f_frsize, f_files, f_ffree = 3, 4096, 0, 0

    monkeypatch.setattr(engine.os, "fstatvfs", lambda descriptor: Full)
    found = judged(machine, "kvm")["kvm"]
    assert found.verdict == "no" and "too little room" in errors(found)[0] and "Remove what is not needed there" in errors(found)[0]


def test_additions_are_packed_once(machine, monkeypatch):
    packed = []
    pack = overlay.pack
    monkeypatch.setattr(overlay, "pack", lambda *arguments: packed.append(arguments) or pack(*arguments))
    found = judged(machine, "kvm", "openstack", "aws-nitro", "gcp")
    assert all(judgement.verdict == "with_changes" for judgement in found.values()) and len(packed) == 1


def test_what_is_no_linux(tmp_path):
    os.makedirs(str(tmp_path / "Windows" / "System32"))
    found, = judge(Tree(str(tmp_path)), (), [get_profile("kvm")])
    assert found.verdict == "not_judged" and "Windows" in found.reason
    os.makedirs(str(tmp_path / "data"))
    found, = judge(Tree(str(tmp_path / "data")), (), [get_profile("kvm")])
    assert found.verdict == "not_judged" and "no /etc" in found.reason


def test_a_fixup_that_breaks_spoils_its_own_target_only(machine, monkeypatch):
    plan = cloud_init.plan

    def broken(situation, draft):
        if situation.profile.name == "gcp":
            raise IndexError("out of range")
        plan(situation, draft)

    monkeypatch.setattr(cloud_init, "plan", broken)
    found = judged(machine, "kvm", "gcp", "openstack")
    assert [judgement.verdict for judgement in found.values()] == ["with_changes", "not_judged", "with_changes"]
    assert found["gcp"].reason.startswith("IndexError: out of range.")


def test_an_inspection_that_breaks(machine, monkeypatch):
    def broken(tree, warn):
        raise KeyError("x")

    monkeypatch.setattr(situation, "read_nics", broken)
    assert [(found.verdict, found.reason[:8]) for found in judged(machine, "kvm", "gcp").values()] == [("not_judged", "KeyError")] * 2


def test_what_is_kept_is_small_and_clean():
    findings = tuple(Finding("x", "error", f"{number} " + "\u00e4" * 2000) for number in range(20))
    findings += tuple(Finding("x", "warning", f"bad \udcff \x1b[31m name {number}\n") for number in range(9)) + (Finding("x", "info", "i"),)
    verdict = kept(Judgement("kvm", "no", (), findings))
    assert len(verdict.errors) == 8 and verdict.more_errors == 12 and all(len(text) == 600 for text in verdict.errors)
    assert len(verdict.warnings) == 5 and verdict.more_warnings == 4
    assert verdict.warnings[0] == "bad \\xff  [31m name 0 "
    assert from_data(recoverability.Verdict, to_data(verdict)) == verdict


@pytest.mark.parametrize("efi,code,told", [(True, True, True), (False, True, False), (True, False, False)])
def test_started_by_another_firmware_than_the_disks_show(machine, efi, code, told):
    disks = (DISKS[0]._replace(boot_code=code),)
    note = recoverability.firmware_note(machine.tree, disks, efi)
    assert bool(note) == told and (not told or "UEFI" in note)
