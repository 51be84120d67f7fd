# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A distribution that nobody has tried is fitted like any other, since fix-ups go by what they find in the image, and this is said.

Families are told by ID and ID_LIKE of os-release(5).
"""

from typing import List

from ...errors import MachineError
from ...machine.osrelease import read_os_release
from ..draft import Draft
from ..situation import Situation

NAME = "distribution"

FAMILIES = ("debian", "ubuntu", "rhel", "fedora", "centos", "suse", "sles", "opensuse", "arch")


def plan(situation: Situation, draft: Draft) -> None:
    try:
        release = read_os_release(situation.tree)
    except MachineError:
        draft.find("warning", "The image does not say which distribution it holds. The general fix-ups are made; test it in a drill.")
        return
    if not any(name == family or name.startswith(family + "-") for name in (release.id,) + release.like for family in FAMILIES):
        draft.find(
            "warning",
            f"The distribution {release.name or release.id} is of no known family. The general fix-ups are made; test it in a drill.",
        )


def verify(_situation: Situation) -> List[str]:
    """Nothing is changed here."""
    return []
