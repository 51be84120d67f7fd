# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a job is: counted by the pipelines' threads, written to the state file by one thread of its own."""

import threading
import time
from collections import deque
from contextlib import contextmanager

WINDOW_SECONDS = 15.0
WRITE_SECONDS = 0.5


class Meter:
    """Bytes a second over the last seconds, and the seconds that the rest needs at that rate. Times are monotonic seconds."""

    def __init__(self, total, now, window=WINDOW_SECONDS):
        self.total = total
        self.done = 0
        self._window = window
        self._samples = deque([(now, 0)])

    def sample(self, done, now):
        """Note that `done` bytes were done at `now`; returns (rate, seconds left or None)."""
        self.done = done
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > self._window:
            self._samples.popleft()
        then, before = self._samples[0]
        rate = (done - before) / (now - then) if now > then else 0.0
        left = (self.total - done) / rate if rate > 0 and self.total > done else (0 if done >= self.total > 0 else None)
        return rate, left


class JobProgress:
    """The progress object of a job: `phase`, `advance` and `cancelled` may be called by any thread at any rate.

    `write(fields)` is called about twice a second, and at once for a new phase, with phase, done, total, rate and left, by one
    thread only.
    """

    def __init__(self, write):
        self._write = write
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._cancelled = threading.Event()
        self._stopped = False
        self._news = threading.Event()
        self._phase = "start"
        self._done = 0
        self._meter = Meter(0, time.monotonic())
        self._thread = threading.Thread(target=self._write_often, name="progress", daemon=True)

    def phase(self, name, total):
        """A new part of the work begins, of `total` bytes (0: not known)."""
        with self._lock:
            self._phase = name
            self._done = 0
            self._meter = Meter(total, time.monotonic())
        self._news.set()

    def advance(self, count):
        with self._lock:
            self._done += count

    def cancel(self):
        self._cancelled.set()

    def cancelled(self):
        return self._cancelled.is_set()

    def fields(self):
        """The part of a job's state that tells how far it is."""
        with self._lock:
            rate, left = self._meter.sample(self._done, time.monotonic())
            return {
                "phase": self._phase, "done": self._done, "total": self._meter.total,
                "rate": int(rate), "left": None if left is None else int(left + 0.5),
            }

    @contextmanager
    def quiet(self):
        """While the context lasts nothing is written: the state file may lie on a file system that is frozen.

        Waits for a write that is on its way.
        """
        with self._writing:
            yield

    def start(self):
        self._thread.start()

    def stop(self):
        """End the writing thread; after the return it writes no more."""
        self._stopped = True
        self._news.set()
        self._thread.join()

    def _write_often(self):
        while True:
            self._news.wait(WRITE_SECONDS)
            self._news.clear()
            if self._stopped:
                return
            try:
                with self._writing:
                    self._write(self.fields())
            except OSError:
                pass    # a full file system: the work itself says so if it matters
