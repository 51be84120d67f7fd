# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of a repository as hosts of an inventory: what is known of each from its image, and how
it is recovered."""

import re

from ..image.manifest import newest_images
from ..runbook.settings import read_settings
from .opening import opened
from .plain import plain

_TEMPLATE = re.compile(r"\{(?=[{%#])")
_OF_IMAGE = ("id", "created", "consistency", "size", "used", "warnings", "recoverable")
_OF_MACHINE = ("hostname", "architecture", "firmware", "boot_loader", "os")
_OF_DISK = ("name", "size", "sector_size")
_OF_NIC = ("name", "mac", "method", "kind", "addresses", "nameservers", "routes")


def read_hosts(options, wanted):
    """({machine: its variables}, {machine: the variables that were kept of it}, messages on what is damaged).

    :param options: of the doc fragment `repository`.
    :param wanted: "latest", or a time in UTC: the newest image not after it. Machines that have none are left out.

    Raises RecoveryError.
    """
    hosts, kept, messages = {}, {}, []
    with opened(options) as repository:
        for manifest, damaged in newest_images(repository, wanted):
            messages += damaged
            if manifest is not None:
                hosts[manifest.info.machine] = variables_of(plain(manifest.info), manifest.machine)
        if repository.info.encrypted and repository.can_read:
            settings, unusable = read_settings(repository)
            kept = {machine: settings[machine] for machine in hosts if machine in settings}
            messages += unusable
    return hosts, kept, messages


def variables_of(image, machine):
    """Variables of a host as plain data, of `image` (an ImageInfo) and the machine model in its manifest, which may lack anything.

    A source wrote them, and one that was taken over may write anything. What would begin a template is written otherwise: inventories are
    handed on, as by AWX, and a mark that a text is no template is lost then.
    """
    return _without_templates({
        "dr_machine": image["machine"],
        "dr_image": image["id"],
        "dr_image_info": _part(image, _OF_IMAGE),
        "dr_source": dict(
            _part(machine, _OF_MACHINE),
            disks=[_part(disk, _OF_DISK) for disk in image["disks"]],
            nics=[_part(nic, _OF_NIC) for nic in machine.get("nics") or ()]),
    })


def _without_templates(value):
    if isinstance(value, dict):
        return {_without_templates(name): _without_templates(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_templates(each) for each in value]
    return _TEMPLATE.sub("(", value) if isinstance(value, str) else value


def _part(whole, names):
    return {name: whole[name] for name in names if name in whole}
