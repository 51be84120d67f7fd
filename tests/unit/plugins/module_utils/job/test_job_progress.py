# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rates and what the state says of them."""

import threading
import time

from ansible_collections.agnostic.recovery.plugins.module_utils.job.progress import JobProgress, Meter


def test_rate_and_time_left_over_the_last_seconds():
    meter = Meter(1000, now=0.0, window=10.0)
    assert meter.sample(0, 0.0) == (0.0, None)
    assert meter.sample(100, 1.0) == (100.0, 9.0)
    for second in range(2, 13):
        meter.sample(100, float(second))
    assert meter.sample(100, 13.0) == (0.0, None)          # it has stood still for the whole window
    rate, left = meter.sample(200, 14.0)
    assert rate == 10.0
    assert left == 80.0


def test_a_finished_phase_has_no_time_left():
    meter = Meter(100, now=0.0)
    assert meter.sample(100, 1.0) == (100.0, 0)
    assert meter.sample(120, 2.0)[1] == 0


def test_a_phase_of_unknown_size_has_no_time_left():
    assert Meter(0, now=0.0).sample(50, 1.0) == (50.0, None)


def test_many_threads_count_and_one_writes():
    written = []
    progress = JobProgress(lambda fields: written.append((threading.current_thread().name, fields)))
    progress.phase("sda", 8000)
    progress.start()
    threads = [threading.Thread(target=lambda: [progress.advance(1) for _number in range(1000)]) for _thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(0.7)
    progress.stop()
    count = len(written)
    assert progress.fields()["done"] == 8000
    assert written and {name for name, _fields in written} == {"progress"}
    assert written[-1][1]["phase"] == "sda"
    time.sleep(0.6)
    assert len(written) == count


def test_a_state_that_cannot_be_written_does_not_stop_the_writer():
    calls = []

    def write(fields):
        calls.append(fields)
        raise OSError(28, "No space left on device")

    progress = JobProgress(write)
    progress.start()
    time.sleep(1.3)
    progress.stop()
    assert len(calls) >= 2


def test_cancelled_is_seen_by_all():
    progress = JobProgress(lambda fields: None)
    assert not progress.cancelled()
    progress.cancel()
    assert progress.cancelled()


def test_nothing_is_written_while_it_has_to_be_quiet():
    written = []
    progress = JobProgress(written.append)
    progress.start()
    with progress.quiet():
        count = len(written)
        progress.phase("capture", 100)
        time.sleep(1.2)
        assert len(written) == count
    time.sleep(0.7)
    progress.stop()
    assert written[-1]["phase"] == "capture"
