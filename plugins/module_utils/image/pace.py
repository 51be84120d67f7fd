# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a stream of bytes below a rate, over all threads of a job together."""

import threading
import time
from typing import Callable, NamedTuple


class Pace:
    """At most `rate` bytes a second on average; 0 sets no limit. A burst is never longer than the largest single piece.

    `spend(count)` is called by any thread before it moves `count` bytes, and returns when they may move. It looks at `cancelled` five
    times a second and returns early when that says True, so that a job with a narrow limit still stops at once.
    """

    def __init__(self, rate: float, cancelled: Callable[[], bool] = lambda: False, clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep):
        self.limited = bool(rate)
        self._rate = rate
        self._cancelled = cancelled
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def spend(self, count: int) -> None:
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            begin = max(now, self._free_at)
            self._free_at = begin + count / self._rate
        while begin > now and not self._cancelled():
            self._sleep(min(0.2, begin - now))
            now = self._clock()


UNLIMITED = Pace(0)


class Limits(NamedTuple):
    """Of a capture."""
    reading: Pace = UNLIMITED        # bytes read from the disks
    sending: Pace = UNLIMITED        # bytes of chunks as they go to the repository


NO_LIMITS = Limits()
