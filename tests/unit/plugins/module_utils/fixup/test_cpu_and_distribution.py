# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of processors and of distributions that nobody has tried."""

import struct

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.draft import Draft
from ansible_collections.agnostic.recovery.plugins.module_utils.fixup.linux import cpu_level, distribution
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import OsRelease

ELF = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 2, 62)
V2 = "fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = V2 + " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = V3 + " avx512f avx512bw avx512cd avx512dq avx512vl"


def told(fixup, machine, target):
    draft = Draft(machine.tree)
    fixup.plan(machine.inspect(target), draft)
    assert draft.changes == [] and fixup.verify(machine.inspect(target)) == []
    return [(finding.severity, finding.text) for finding in draft.findings]


@pytest.mark.parametrize(
    "release,version,level",
    [("rhel", "8.10", 1), ("rhel", "9.4", 2), ("rocky", "9.6", 2), ("ol", "10.0", 3), ("centos", "10", 3), ("almalinux", "10.1", 2),
     ("sles", "15.7", 1), ("sles", "16.0", 2), ("opensuse-leap", "42.3", 1), ("opensuse-leap", "16.0", 2), ("debian", "13", 1),
     ("ubuntu", "26.04", 1), ("amzn", "2023", 1), ("rhel", "", 1), ("rhel", "x", 1)],
)
def test_what_distributions_need(release, version, level):
    assert cpu_level.needed_level(OsRelease(release, version)) == level


@pytest.mark.parametrize("flags,level", [("", 1), ("fpu sse2", 1), (V2, 2), (V3, 3), (V4, 4), (V4.replace("cx16 ", ""), 1)])
def test_levels_by_flags(flags, level):
    assert cpu_level.level_of(flags.split()) == level


@pytest.mark.parametrize(
    "target,version,flags,severity",
    [("kvm", "9.4", V2, ""), ("kvm", "10.0", V2, "warning"), ("kvm", "10.0", V3, ""), ("aws-nitro", "10.0", "", ""),
     ("openstack", "9.4", V4, "warning"), ("openstack", "8.10", "", "")],
)
def test_target_and_worker(machine, tmp_path, monkeypatch, target, version, flags, severity):
    machine.write("/bin/sh", ELF)
    machine.write("/etc/os-release", f"ID=rhel\nVERSION_ID={version}\n")
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx avx2\n")
    monkeypatch.setattr(cpu_level, "CPUINFO", str(tmp_path / "cpuinfo"))
    found = told(cpu_level, machine, target)
    assert [entry[0] for entry in found] == ([severity] if severity else [])
    assert all("x86-64-v" in text for _severity, text in found)


def test_other_architectures_and_workers_that_do_not_say(machine, monkeypatch):
    machine.write("/etc/os-release", "ID=rhel\nVERSION_ID=10\n")
    assert told(cpu_level, machine, "openstack") == []
    monkeypatch.setattr(cpu_level, "CPUINFO", "/nonexistent/cpuinfo")
    assert cpu_level.worker_level() == 1


@pytest.mark.parametrize(
    "text,known",
    [("ID=debian\n", True), ("ID=devuan\nID_LIKE=debian\n", True), ("ID=opensuse-leap\n", True), ("ID=rocky\nID_LIKE='rhel centos fedora'\n", True),
     ("ID=plamo\nPRETTY_NAME='Plamo Linux'\n", False), ("ID=suselike\n", False)],
)
def test_distributions(machine, text, known):
    machine.write("/etc/os-release", text)
    assert [severity for severity, _text in told(distribution, machine, "kvm")] == ([] if known else ["warning"])


def test_a_root_that_does_not_say(machine):
    machine.write("/etc/os-release", b"\xff\xfe\0=\n")
    assert told(distribution, machine, "kvm")[0][0] == "warning"
