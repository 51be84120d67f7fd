# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether workers and clouds have room for what a plan brings there."""

from collections import Counter
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from .summary import size_text

WORDS = {"bytes": "free space", "memory": "MiB of memory", "servers": "servers", "cores": "cores", "volumes": "volumes",
         "gigabytes": "GiB of volumes", "ports": "ports"}


class Place(NamedTuple):
    """Where machines are recovered. `room` by the kinds of WORDS; None, or no such kind: no limit is known."""
    kind: str                            # worker, cloud
    name: str
    room: Dict[str, Optional[int]] = {}
    problem: str = ""                    # why nobody knows


def needs(wanted: Any, image: Any) -> Dict[Any, int]:
    """{(kind of place, its name, kind of room): how much} of a machine (plan.Wanted) that is recovered from an image (ImageInfo)."""
    worker, cloud = ("worker", wanted.worker), ("cloud", wanted.cloud)
    memory, cpus = _number(wanted.size.get("memory")), _number(wanted.size.get("cpus"))
    if wanted.provider == "openstack":
        found = {cloud + ("servers",): 1, cloud + ("ports",): 1, cloud + ("cores",): cpus, cloud + ("memory",): memory}
        if wanted.path == "glance":
            found[worker + ("bytes",)] = 2 * image.used          # as restored, and as it is uploaded
        else:
            found[cloud + ("volumes",)] = len(image.disks)
            found[cloud + ("gigabytes",)] = sum(-(-disk.size // 2 ** 30) for disk in image.disks)
        return found
    if wanted.provider in ("qemu", "libvirt"):
        return {worker + ("bytes",): image.used, worker + ("memory",): memory}
    return {}


def _number(value):
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0                         # who boots the machine says what is wrong with it


def shortages(demands: Sequence[Dict[Any, int]], places: Sequence[Place]) -> List[str]:
    """Sentences on places of which nobody knows what room they have, and on those that have too little for all `needs` together."""
    places = list({(place.kind, place.name): place for place in places}.values())       # several machines may have asked the same
    total = Counter()                    # type: Dict[Any, int]
    for demand in demands:
        total.update(demand)
    texts = [f"The {place.kind} {place.name} cannot be asked what room it has: {place.problem}" for place in places if place.problem]
    for place in places:
        for kind, word in WORDS.items():
            wanted, free = total[place.kind, place.name, kind], place.room.get(kind)
            if free is None or wanted <= free:
                continue
            has, asked = (size_text(free), size_text(wanted)) if kind == "bytes" else (str(free), str(wanted))
            texts.append(f"The {place.kind} {place.name} has {has}{' of' if kind == 'bytes' else ''} {word} left, and what recovers there needs {asked}.")
    return texts
