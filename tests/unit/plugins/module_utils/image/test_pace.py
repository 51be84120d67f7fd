# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limit of bytes a second, on a clock that only sleeping moves."""

from ansible_collections.agnostic.recovery.plugins.module_utils.image.pace import UNLIMITED, Pace


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_the_rate_holds_from_the_second_piece_on():
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    for _piece in range(11):
        pace.spend(500)
    assert abs(clock.now - 105.0) < 1e-6


def test_time_not_used_is_not_saved_up():
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    pace.spend(1000)
    clock.now += 3600
    before = clock.now
    pace.spend(1000)
    pace.spend(1000)
    assert abs(clock.now - before - 1.0) < 1e-6


def test_a_cancelled_job_does_not_wait():
    clock = Clock()
    pace = Pace(1, cancelled=lambda: clock.now > 101, clock=clock, sleep=clock.sleep)
    pace.spend(1000000)
    pace.spend(1)
    assert 101 < clock.now < 101.5


def test_no_limit_takes_no_time():
    clock = Clock()
    Pace(0, clock=clock, sleep=clock.sleep).spend(10 ** 15)
    UNLIMITED.spend(10 ** 15)
    assert clock.now == 100.0
