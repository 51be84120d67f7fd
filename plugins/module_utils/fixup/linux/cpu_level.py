# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Distributions that are compiled for newer processors stop on older ones: init dies of an illegal instruction, "Fatal glibc error: CPU
does not support x86-64-v2", and the kernel panics. No change of the image mends that, so it is said before the machine is needed.

Levels: System V ABI, AMD64 supplement, "Micro-Architecture Levels". What distributions need: Red Hat Enterprise Linux 9 and 10 release
notes; SLES 16 and Leap 16 as announced. AlmaLinux 10 has a second build for v2, and an image does not surely say which one it holds, so v2
is what it needs at least.
"""

import re

from typing import List

from ...errors import MachineError
from ...machine.osrelease import read_os_release
from ...machine.root import read_architecture
from ..draft import Draft
from ..situation import Situation

NAME = "cpu_level"

CPUINFO = "/proc/cpuinfo"                # of the worker
RED_HAT = ("rhel", "centos", "rocky", "ol", "almalinux", "circle", "eurolinux", "miraclelinux")

# Flags as /proc/cpuinfo names them (kernel arch/x86/include/asm/cpufeatures.h); each level has those of the one below too.
FLAGS = {
    2: ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"),
    3: ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"),
    4: ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
# A model of QEMU that has the level and is no newer than it must be.
MODELS = {2: "Nehalem", 3: "Haswell", 4: "Skylake-Server"}


def plan(situation: Situation, draft: Draft) -> None:
    try:
        release = read_os_release(situation.tree)
        if read_architecture(situation.tree) != "x86_64":
            return
    except MachineError:
        return
    needed = needed_level(release)
    profile = situation.profile
    if needed <= max(1, profile.cpu_level):
        return
    name = release.name or release.id
    if profile.cpu_level:
        draft.find(
            "error",
            f"{name} needs a CPU of level x86-64-v{needed}, and {profile.name} promises v{profile.cpu_level}. Choose a type that has it.",
        )
    elif profile.name != "kvm":
        draft.find(
            "warning",
            f"{name} needs a CPU of level x86-64-v{needed}, which not every machine of {profile.name} has. Choose a type or host that "
            f"has it (a CPU model such as {MODELS[needed]} or newer, not qemu64 or kvm64).",
        )
    elif worker_level() < needed:
        draft.find(
            "warning",
            f"{name} needs a CPU of level x86-64-v{needed}, which this worker has not. Without KVM give the guest QEMU's model max; "
            f"with KVM recover on a host with {MODELS[needed]} or newer.",
        )


def verify(_situation: Situation) -> List[str]:
    """Nothing is changed here."""
    return []


def needed_level(release) -> int:
    """1 to 3, from an `OsRelease`."""
    major = int(re.match(r"\d*", release.version).group(0) or 0)
    if release.id == "almalinux" and major >= 10:
        return 2
    if release.id in RED_HAT:
        return 3 if major >= 10 else 2 if major == 9 else 1
    # SLES 11 to 15 were followed by 16; openSUSE Leap 42 came before 15.
    if release.id in ("sles", "sles_sap", "sle_hpc", "opensuse-leap"):
        return 2 if 16 <= major < 42 else 1
    return 1


def level_of(flags) -> int:
    """The highest level, 1 to 4, whose flags are all among these."""
    level = 1
    while level < 4 and set(FLAGS[level + 1]) <= set(flags):
        level += 1
    return level


def worker_level() -> int:
    """Of this host; 1 where it does not say."""
    try:
        with open(CPUINFO, encoding="ascii", errors="replace") as file:
            found = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return 1
    return level_of(found.group(1).split()) if found else 1
