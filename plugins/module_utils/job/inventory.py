# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a repository as hosts of an inventory: what is known of each from its image."""

from ..image.manifest import newest_images
from .opening import opened
from .plain import plain

_OF_IMAGE = ("id", "created", "consistency", "size", "used", "warnings", "recoverable")
_OF_MACHINE = ("hostname", "architecture", "firmware", "boot_loader", "os")
_OF_DISK = ("name", "size", "sector_size")
_OF_NIC = ("name", "mac", "method", "kind", "addresses", "nameservers", "routes")


def read_hosts(options, wanted):
    """({machine: its variables}, messages on damaged images).

    :param options: of the doc fragment `repository`.
    :param wanted: "latest", or a time in UTC: the newest image not after it. Machines that have none are left out.

    Raises RecoveryError.
    """
    hosts, messages = {}, []
    with opened(options) as repository:
        for manifest, damaged in newest_images(repository, wanted):
            messages += damaged
            if manifest is not None:
                hosts[manifest.info.machine] = variables_of(plain(manifest.info), manifest.machine)
    return hosts, messages


def variables_of(image, machine):
    """Variables of a host as plain data, of `image` (an ImageInfo) and the machine model in its manifest, which may lack anything."""
    return {
        "dr_machine": image["machine"],
        "dr_image": image["id"],
        "dr_image_info": _part(image, _OF_IMAGE),
        "dr_source": dict(
            _part(machine, _OF_MACHINE),
            disks=[_part(disk, _OF_DISK) for disk in image["disks"]],
            nics=[_part(nic, _OF_NIC) for nic in machine.get("nics") or ()]),
    }


def _part(whole, names):
    return {name: whole[name] for name in names if name in whole}
