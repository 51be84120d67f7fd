# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says which files still name the old disks although no change is right, since only the administrator knows what they should say on the
target. Most of them do not stop the boot; aliases of multipath devices in fstab do."""

import re

from typing import List

from ..draft import Draft
from ..situation import Situation

NAME = "left_names"

_OLD_DISK = re.compile(
    r"^[^#\n]*?(?P<name>/dev/(?:(?:sd|hd|vd|xvd)[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|cciss/c\d+d\d+|disk/by-(?:id|path)/[^\s\"']+))", re.MULTILINE
)
# debconf(7) keeps answers in paragraphs; SUSE's file names one device a line.
_GRUB_PC = re.compile(r"^Name: grub-pc/install_devices\n(?:[^\n]+\n)*?Value: (?P<name>/dev/[^\s,]+)", re.MULTILINE)
_WWID = re.compile(r"^[ \t]*(?:wwid[ \t]+|/)(?P<name>[\"']?[0-9A-Za-z._-]+)", re.MULTILINE)
_ALIAS = re.compile(r"^[ \t]*alias[ \t]+[\"']?([^\s\"'#]+)", re.MULTILINE)

NO_HEALTH = "smartd will not start on the target, which does no other harm: virtual disks tell nothing of their health."
ONE_PATH = "The target shows other disks, each by one path: aliases for the old ones are not made, so nothing may rely on them."
NOT_TAKEN = "The target shows other disks, each by one path; multipath leaves them alone unless find_multipaths is off."
GRUB_UPDATE = "Nothing reads it before GRUB's next update on the target, which fails then: "

FILES = (
    ("/boot/grub/device.map", _OLD_DISK, "Only grub-install reads it; before you run that on the target, run it with --recheck."),
    ("/var/cache/debconf/config.dat", _GRUB_PC, GRUB_UPDATE + "run dpkg-reconfigure grub-pc."),
    ("/etc/default/grub_installdevice", _OLD_DISK, GRUB_UPDATE + "name the target's disk there."),
    ("/etc/smartd.conf", _OLD_DISK, NO_HEALTH),
    ("/etc/smartmontools/smartd.conf", _OLD_DISK, NO_HEALTH),
    ("/etc/hdparm.conf", _OLD_DISK, "Settings of physical disks; on the target they do nothing."),
    ("/etc/multipath.conf", _WWID, ONE_PATH),
    ("/etc/multipath/wwids", _WWID, NOT_TAKEN),
)


def plan(situation: Situation, draft: Draft) -> None:
    aliases = _ALIAS.findall(draft.read_text("/etc/multipath.conf") or "")
    for mount in situation.mounts:
        if any(re.match(r"/dev/mapper/%s(?:-part|p)?\d*\Z" % re.escape(alias), mount.spec) for alias in aliases):
            draft.find(
                "error",
                f"/etc/fstab names {mount.spec} for {mount.path}, an alias from /etc/multipath.conf for a disk of the old storage, which "
                "does not exist on the target. Name it by UUID= on the source, and capture it again.",
            )
    for path, pattern, advice in FILES:
        found = pattern.search(draft.read_text(path) or "")
        if found:
            draft.find("info", f"{path} still names {found.group('name')}. {advice}")


def verify(_situation: Situation) -> List[str]:
    """Nothing was changed."""
    return []
