# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which images of a machine are kept. Pure: names and times in, reasons out."""

import calendar
import time
from typing import Dict, Iterable, List, NamedTuple

from ..errors import RepositoryError


class Policy(NamedTuple):
    """How many to keep. Of each of the latest so many hours, days, weeks, months and years that have an image, its last image stays.

    `within` seconds: all images that are no older than that, counted from the machine's newest one. Hours to years are those of UTC; a week
    begins on Monday (ISO 8601).
    """
    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: float = 0

    @property
    def keeps_something(self) -> bool:
        return any(value > 0 for value in self)


_PERIODS = (("hourly", "%Y%m%d%H"), ("daily", "%Y%m%d"), ("weekly", "%G%V"), ("monthly", "%Y%m"), ("yearly", "%Y"))


def image_time(image_id: str) -> int:
    """Start of the capture in seconds since 1970, from the id."""
    return calendar.timegm(time.strptime(image_id.rpartition("/")[2][:16], "%Y%m%dT%H%M%SZ"))


def reasons_to_keep(image_ids: Iterable[str], policy: Policy, protected: Iterable[str] = (),
                    last_image: bool = True) -> Dict[str, List[str]]:
    """{image id: why it is kept}; an image without a reason may go. The ids may be of several machines, each is seen for itself.

    With `last_image` the newest image of a machine is always kept. Raises RepositoryError for a policy that keeps nothing.
    """
    if not policy.keeps_something:
        raise RepositoryError("This policy keeps nothing at all: say how many images are to be kept.")
    machines = {}                # type: Dict[str, List[str]]
    for image_id in image_ids:
        machines.setdefault(image_id.rpartition("/")[0], []).append(image_id)
    protected = set(protected)
    reasons = {}                 # type: Dict[str, List[str]]
    for ids in machines.values():
        ids = sorted(ids, reverse=True)
        for image_id in ids:
            reasons[image_id] = ["protected"] if image_id in protected else []
        _keep_of_machine(ids, policy, reasons)
        if last_image and not reasons[ids[0]]:
            reasons[ids[0]].append("newest")
    return reasons


def _keep_of_machine(ids: List[str], policy: Policy, reasons: Dict[str, List[str]]) -> None:
    """`ids`: the newest first."""
    newest = image_time(ids[0])
    for number, image_id in enumerate(ids):
        if number < policy.last:
            reasons[image_id].append("last")
        if policy.within and image_time(image_id) >= newest - policy.within:
            reasons[image_id].append("within")
    for name, pattern in _PERIODS:
        seen = set()
        for image_id in ids:
            period = time.strftime(pattern, time.gmtime(image_time(image_id)))
            if period not in seen and len(seen) < getattr(policy, name):
                seen.add(period)
                reasons[image_id].append(name)
