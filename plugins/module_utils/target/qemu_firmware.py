# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds a UEFI firmware build for QEMU by the descriptor files that distributions install.

Descriptors: docs/interop/firmware.json in the QEMU sources. Files of the same name in /etc hide those in /usr/share; they are taken in name
order.
"""

import fnmatch
import glob
import json
import os

from ..errors import TargetError
from .qemu_command import Firmware

DESCRIPTOR_DIRECTORIES = ("/usr/share/qemu/firmware", "/etc/qemu/firmware")
# Secure Boot would refuse recovered systems whose loader it does not know, and needs a machine with SMM.
_UNWANTED = {"requires-smm", "secure-boot", "enrolled-keys"}
_MACHINES = {"pc": "pc-i440fx-0", "q35": "pc-q35-0"}


def find_firmware(machine, directories=DESCRIPTOR_DIRECTORIES):
    """The plain UEFI build for machine type "pc" or "q35". Returns Firmware; raises TargetError naming the package to install."""
    for descriptor in _descriptors(directories):
        firmware = _match(descriptor, _MACHINES[machine])
        if firmware is not None:
            return firmware
    raise TargetError(f"No UEFI firmware for QEMU machine type {machine} is installed: install ovmf (Debian, Ubuntu), edk2-ovmf "
                      "(Red Hat and its relatives) or qemu-ovmf-x86_64 (SUSE).")


def _descriptors(directories):
    by_name = {}
    for directory in directories:
        for path in glob.glob(os.path.join(directory, "*.json")):
            by_name[os.path.basename(path)] = path
    for _name, path in sorted(by_name.items()):
        try:
            with open(path, encoding="utf-8") as stream:
                yield json.load(stream)
        except (OSError, ValueError):
            continue                          # an empty file in /etc masks a descriptor on purpose


def _match(descriptor, machine):
    try:
        mapping = descriptor["mapping"]
        if "uefi" not in descriptor["interface-types"] or mapping["device"] != "flash" or _UNWANTED & set(descriptor["features"]):
            return None
        fits = any(target["architecture"] == "x86_64" and any(fnmatch.fnmatch(machine, pattern) for pattern in target["machines"])
                   for target in descriptor["targets"])
        code, variables = mapping["executable"], mapping["nvram-template"]
        if fits and os.path.exists(code["filename"]) and os.path.exists(variables["filename"]):
            return Firmware(code["filename"], code["format"], variables["filename"], variables["format"])
    except (KeyError, TypeError):
        pass
    return None
