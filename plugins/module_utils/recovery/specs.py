# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which volume an entry of fstab means.

Names are looked up among the volumes of the given disks and nowhere else: never in the worker's /dev or by its udev. So a restored
clone of the worker itself, with all the same UUIDs, is safe, and /dev/sda means the machine's own first disk.
"""

import re
from typing import NamedTuple, Optional

from ..machine.fstab import split_spec
from .model import Volume

_BY_FOLDERS = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}
# Names that depend on the old hardware: serial numbers, bus positions. Only the partition number in them still tells something.
_BY_HARDWARE = re.compile(r"/dev/disk/by-(?:id|path)/.*-part(\d+)$")


class Resolution(NamedTuple):
    volume: Optional[Volume]    # None: not found, or not without doubt
    reason: str                 # why there is none


def resolve_spec(spec, kind, volumes):
    """The volume that the device field `spec` of an fstab entry names. `kind` is the file system type in that entry."""
    found = _candidates(spec, kind, volumes)
    if len(found) == 1:
        return Resolution(found[0], "")
    if found:
        labels = ", ".join(volume.label for volume in found)
        return Resolution(None, f"several volumes of the given disks match: {labels}")
    return Resolution(None, "no volume of the given disks matches")


def _candidates(spec, kind, volumes):
    tag, value = split_spec(spec)
    if tag:
        return _by_tag(tag, value, volumes)
    parts = spec.split("/", 4)
    if spec.startswith("/dev/disk/") and len(parts) == 5 and parts[3] in _BY_FOLDERS:
        return _by_tag(_BY_FOLDERS[parts[3]], _udev_decoded(parts[4]), volumes)
    hardware = _BY_HARDWARE.match(spec)
    if hardware:
        return [volume for volume in volumes if volume.partition == int(hardware.group(1)) and _kind_fits(kind, volume.content.kind)]
    return [volume for volume in volumes if spec in volume.aliases or (volume.disk and spec == f"/dev/{volume.label}")]


def _by_tag(tag, value, volumes):
    """UUIDs compare without regard to case: fstab files hold both, and libblkid prints FAT serial numbers in upper case."""
    if tag == "UUID":
        return [volume for volume in volumes if volume.content.uuid.lower() == value.lower() and value]
    if tag == "PARTUUID":
        return [volume for volume in volumes if volume.uuid.lower() == value.lower() and value]
    if tag == "LABEL":
        return [volume for volume in volumes if volume.content.label == value and value]
    if tag == "PARTLABEL":
        return [volume for volume in volumes if volume.name == value and value]
    return []


def _kind_fits(fstab_type, kind):
    if fstab_type in ("auto", kind):
        return True
    return fstab_type.startswith("ext") and kind.startswith("ext")


def _udev_decoded(name):
    r"""udev writes unusual bytes of a label as \x20 (its function encode_devnode_name)."""
    data = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match.group(1), 16)]), name.encode("utf-8", "surrogateescape"))
    return data.decode("utf-8", "surrogateescape")
