# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool of threads."""

import threading

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.pool import run, worker_count
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import CancelledError


def never():
    return False


def test_all_items_are_worked_on_once_by_workers_of_their_own():
    done, makers, lock = [], [], threading.Lock()

    def make_worker():
        makers.append(threading.current_thread())

        def work(item):
            with lock:
                done.append(item)
        return work

    run(range(1, 1001), make_worker, 4, never)
    assert sorted(done) == list(range(1, 1001)) and len(set(makers)) == 4


@pytest.mark.parametrize("where", ["item", "iterable", "worker"])
def test_the_first_error_stops_everything(where):
    def items():
        for number in range(1, 10000):
            if where == "iterable" and number == 50:
                raise KeyError("found")
            yield number

    seen = []

    def work(item):
        seen.append(item)
        if where == "item" and item == 50:
            raise KeyError("found")

    def make_worker():
        if where == "worker":
            raise KeyError("found")
        return work

    with pytest.raises(KeyError, match="found"):
        run(items(), make_worker, 3, never)
    assert len(seen) < 5000
    assert threading.active_count() == 1


def test_cancelling():
    with pytest.raises(CancelledError):
        run(iter(int, 1), lambda: lambda item: None, 2, lambda: True)


def test_worker_count():
    assert worker_count(5, 1 << 20) == 5
    assert 1 <= worker_count(0, 1 << 20) <= 8
    assert worker_count(100, 8 << 20) * 3 * (8 << 20) <= 192 << 20
    assert worker_count(0, 2 << 20, parallel=32) == 32
    assert worker_count(0, 8 << 20, parallel=32) == 8
    assert worker_count(5, 2 << 20, parallel=32) == 5
