# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bounded pool of threads over a stream of work.

The heavy calls of the pipelines (hash, compression, encryption, file input and output) release the interpreter lock, so
threads use all cores. Memory is bounded by the number of threads: each holds one chunk at a time, and items are made one by one.
"""

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, Iterator

from .progress import CancelledError

_MEMORY = 192 << 20              # bytes for all threads together
_BUFFERS_PER_WORKER = 3          # of a chunk's size: plain, compressed, sealed
_MAX_DEFAULT = 8
_LOOK_SECONDS = 0.2


def worker_count(asked: int, chunk_size: int, parallel: int = 0) -> int:
    """How many threads to use: `asked`, or (0) one more than the processors or what the store likes; within the memory limit."""
    bound = max(1, _MEMORY // (_BUFFERS_PER_WORKER * chunk_size))
    return max(1, min(asked or max(parallel, min(_MAX_DEFAULT, (os.cpu_count() or 1) + 1)), bound))


def run(items: Iterable, make_worker: Callable[[], Callable], workers: int, cancelled: Callable[[], bool]) -> None:
    """Call worker(item) for every item, in up to `workers` threads, each with a worker of its own from `make_worker`.

    Items are taken in order and one at a time, so the iterable needs no lock. The first error of an item, a worker or the
    iterable stops everything and is raised here as it is, when no thread runs any more.
    """
    source = iter(items)
    lock = threading.Lock()
    stop = threading.Event()
    errors = []

    def work():
        try:
            worker = make_worker()
            while not stop.is_set():
                if cancelled():
                    raise CancelledError("Cancelled on request.")
                with lock:
                    item = next(source, None)
                if item is None:
                    return
                worker(item)
        except BaseException as error:      # pylint: disable=broad-except
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=work, name=f"worker-{number}", daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # In short waits: the handler of a signal that the kernel gave to another thread runs only when this one does.
            while thread.is_alive():
                thread.join(_LOOK_SECONDS)
    except BaseException:                   # an interrupt from the terminal: leave no thread behind
        stop.set()
        for thread in threads:
            thread.join()
        raise
    if errors:
        raise errors[0]


def ordered(items: Iterable, make_worker: Callable[[], Callable], workers: int, cancelled: Callable[[], bool]) -> Iterator:
    """What worker(item) returns for every item, in the order of the items; otherwise as `run`.

    As many results as there are threads may wait to be taken.
    """
    own = threading.local()

    def work(item):
        if not hasattr(own, "worker"):
            own.worker = make_worker()
        return own.worker(item)

    waiting = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                if cancelled():
                    raise CancelledError("Cancelled on request.")
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
