# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which package brings the drivers that an installed kernel has not, for each family of distributions.

Sources: the package descriptions of the distributions (Debian linux-image-cloud-*, Ubuntu linux-modules-extra-*, Fedora and RHEL
kernel-core, kernel-modules-core, kernel-modules and kernel-modules-extra, SUSE kernel-default-base, Oracle kernel-uek-modules, Alpine
linux-virt, Amazon Linux kernel-modules-extra).
"""

import re

from ...machine.model import OsRelease

UBUNTU_CLOUDS = ("-aws", "-azure", "-gcp", "-oracle", "-gke", "-ibm")


def advice(system: OsRelease, version: str) -> str:
    """What to do about a kernel `version` that lacks a driver, as a sentence. `system` may be empty."""
    family = (system.id,) + system.like
    for members, package in (
        (("ubuntu",), _ubuntu), (("debian",), _debian), (("ol",), _oracle), (("amzn",), _amazon), (("fedora", "rhel", "centos"), _red_hat),
        (("suse", "sles", "opensuse"), _suse), (("alpine",), _alpine),
    ):
        if any(name in members for name in family):
            return f"Install {package(version)} on the source machine, start that kernel and capture it again."
    return "Install a kernel package with that driver on the source machine and capture it again."


def _debian(version):
    if re.search(r"-cloud-[a-z0-9]+$", version):
        return "linux-image-" + version.rpartition("-")[2]
    return "the newest linux-image package, or that of backports,"


def _ubuntu(version):
    if version.endswith(UBUNTU_CLOUDS + ("-generic", "-lowlatency")):
        return f"linux-modules-extra-{version}"
    return "linux-image-generic"


def _red_hat(version):
    return f"kernel-modules-{version} and kernel-modules-extra-{version}"


def _oracle(version):
    return f"kernel-uek-modules-{version} and kernel-uek-modules-extra-{version}" if "uek" in version else _red_hat(version)


def _amazon(version):
    return f"kernel-modules-extra-{version}"


def _suse(version):
    if version.endswith("-default"):
        return "kernel-default in the place of kernel-default-base"
    return "kernel-default"


def _alpine(version):
    return "linux-lts in the place of linux-virt" if version.endswith("-virt") else "linux-lts"
