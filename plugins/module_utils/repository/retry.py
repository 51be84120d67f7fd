# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests over the network, to a store or a cloud, are repeated while their failure may pass."""

import random
import threading
import time
from typing import Callable, Type, TypeVar

from ..errors import RecoveryError, RepositoryError

DEFAULT_SECONDS = 300            # how long one request is repeated
_UNPROVEN_SECONDS = 15           # ... before the first answer: a wrong address is told soon
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 20.0

Result = TypeVar("Result")


class TransientError(Exception):
    """A request failed in a way that may pass. `answered`: the server did answer; `pause`: the seconds that it asks to wait."""

    def __init__(self, message: str, answered: bool = False, pause: float = 0.0):
        super().__init__(message)
        self.answered = answered
        self.pause = pause


class Retrier:
    """Repeats requests with growing, random pauses. For several threads at once; `label` names the store or service in messages.

    What has failed for too long is raised as an error of the type `kind`.
    """

    def __init__(self, label: str, seconds: float = DEFAULT_SECONDS, clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep, kind: Type[RecoveryError] = RepositoryError):
        self._label = label
        self._kind = kind
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._proven = threading.Event()

    def call(self, request: Callable[[], Result], what: str) -> Result:
        """The result of `request`, which `what` names ("storing x"). Raises `kind` when it failed for too long."""
        began = self._clock()
        tries = 0
        while True:
            try:
                result = request()
                self._proven.set()
                return result
            except TransientError as error:
                tries += 1
                if error.answered:
                    self._proven.set()
                limit = self._seconds if self._proven.is_set() else min(self._seconds, _UNPROVEN_SECONDS)
                # Half of each pause is random, so that many threads and hosts do not come back at the same moment.
                pause = max(error.pause, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1)) * random.uniform(0.5, 1))
                waited = self._clock() - began
                if waited + pause > limit:
                    raise self._kind(f"{self._label}: {what} failed {tries} times in {waited:.0f} s, the last time because {error}. "
                                     "Check it and the network to it, then run this again.") from error
            self._sleep(pause)
