# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Promise and state: how old the newest image of a machine may be (the recovery point objective), and how old it is."""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence

from ..errors import RecoveryError
from ..image.manifest import ImageInfo
from .evidence import parse_time

GROWTH_IMAGES = 10          # growth is told over this many of the newest images
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_METRIC = "agnostic_recovery_"
_RECOVERABLE = {"as_is": 1, "with_changes": 1, "no": 0}      # what was not judged has no sample


class PromiseError(RecoveryError):
    """What was promised cannot be understood."""


class MachineState(NamedTuple):
    """One machine. Ages are seconds, sizes bytes; where there is no image, what describes it is None."""
    machine: str
    images: int                        # how many there are
    image: Optional[str]               # id of the newest
    created: Optional[str]             # ISO 8601, UTC: when its capture began
    age: Optional[int]
    consistency: Optional[str]
    size: Optional[int]                # of all disks
    used: Optional[int]
    stored_new: Optional[int]          # what the newest added to the repository
    growth_per_day: Optional[int]      # what a day of captures adds; None with fewer than two images
    rpo: Optional[int]                 # the promise; None: nothing is promised
    met: Optional[bool]                # None: nothing is promised
    recoverable: Optional[Dict[str, str]] = None      # target profile -> verdict of the newest image; empty: nothing was judged


def parse_duration(text: str) -> int:
    """"24h", "15m", "1d12h", "90s" -> seconds. Raises PromiseError."""
    if not re.match(r"(\d+[smhdw])+\Z", text):
        raise PromiseError(f"{text!r} is no duration; durations look like 15m, 24h, 1d12h.")
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdw])", text))


def machine_state(machine: str, count: int, newest: Sequence[ImageInfo], promised: str, now: float) -> MachineState:
    """`newest`: the newest images that can be read, the oldest first, up to GROWTH_IMAGES; `promised`: a duration, or "". `now` is seconds
    since 1970. Raises PromiseError.
    """
    rpo = parse_duration(promised) if promised else None
    if not newest:
        return MachineState(machine, count, None, None, None, None, None, None, None, None, rpo, None if rpo is None else False)
    image = newest[-1]
    # From the begin of the capture: what was written later may not be in it.
    age = max(0, int(now - parse_time(image.created)))
    return MachineState(machine, count, image.id, image.created, age, image.consistency, image.size, image.used, image.stored_new,
                        _growth(newest), rpo, None if rpo is None else age <= rpo, image.recoverable)


def _growth(images: Sequence[ImageInfo]) -> Optional[int]:
    """What all but the first added, over the time between the first and the last."""
    seconds = parse_time(images[-1].created) - parse_time(images[0].created)
    return int(sum(image.stored_new for image in images[1:]) * 86400 / seconds) if seconds > 0 else None


def metrics(states: Sequence[MachineState]) -> List[str]:
    """Samples in the text format of Prometheus, a line each, in no order."""
    lines = []
    for state in states:
        values = {"images": state.images, "rpo_seconds": state.rpo, "rpo_met": None if state.met is None else int(state.met),
                  "image_size_bytes": state.size, "image_used_bytes": state.used, "image_stored_new_bytes": state.stored_new,
                  "image_created_timestamp_seconds": None if state.created is None else int(parse_time(state.created))}
        name = _label(state.machine)
        for target, verdict in (state.recoverable or {}).items():
            if verdict in _RECOVERABLE:
                lines.append(f'{_METRIC}recoverable{{machine="{name}",target="{_label(target)}"}} {_RECOVERABLE[verdict]}')
        lines += [f'{_METRIC}{metric}{{machine="{name}"}} {value}' for metric, value in values.items() if value is not None]
    return lines


def _label(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
