# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress as lines of text: how they look, and when they come."""

import pytest
from ansible_collections.agnostic.recovery.plugins.plugin_utils.progress_line import (
    Reporter, duration, progress_line, shared_seconds, size)

GIB = 1 << 30


def state(**changes):
    return dict({"kind": "capture", "phase": "capture", "disks": ["sda"], "done": 0, "total": 0, "rate": 0, "left": None}, **changes)


@pytest.mark.parametrize("seconds, text", [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (148, "2m28s"), (3600, "1h00m"), (90061, "25h01m")])
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("count, text", [
    (0, "0 B"), (1023, "1023 B"), (1000, "1000 B"), (1024, "1.0 KiB"), (int(12.6 * GIB), "12.6 GiB"), (118 << 20, "118 MiB"),
    (1023 << 30, "1023 GiB"), ((1 << 40) - 1, "1.0 TiB"), (100 << 40, "100 TiB"), (1 << 62, "4096 PiB")])
def test_sizes(count, text):
    assert size(count) == text


@pytest.mark.parametrize("fields, line", [
    ({"done": int(12.61 * GIB), "total": 30 * GIB, "rate": 118 << 20, "left": 148}, "sda  42% 12.6/30.0 GiB 118 MiB/s, 2m28s left"),
    ({"done": 0, "total": 30 * GIB}, "sda   0% 0.0/30.0 GiB"),
    ({"done": 30 * GIB, "total": 30 * GIB, "rate": 5 << 20, "left": 0}, "sda 100% 30.0/30.0 GiB 5.0 MiB/s"),
    ({"done": 31 * GIB, "total": 30 * GIB}, "sda 100% 31.0/30.0 GiB"),
    ({"disks": ["sda", "sdb"], "done": 512, "total": 1000, "rate": 10}, "sda,sdb  51% 512/1000 B 10 B/s"),
    ({"phase": "maps"}, "maps"),
    ({"phase": "maps", "done": 4096}, "maps 4.0 KiB"),
    ({"kind": "verify", "phase": "verify", "disks": [], "done": 1, "total": 2}, "verify  50% 1/2 B"),
])
def test_lines(fields, line):
    assert progress_line(state(**fields)) == line


def show(reporter, lines, now, **fields):
    before = len(lines)
    reporter.show(state(**fields), now)
    return len(lines) - before


def test_lines_come_at_most_every_so_often():
    lines = []
    reporter = Reporter(lines.append, 5)
    assert show(reporter, lines, 100.0, phase="maps") == 1
    assert show(reporter, lines, 100.1, done=0, total=1000) == 1           # a new phase
    assert show(reporter, lines, 104.0, done=300, total=1000) == 0         # too soon
    assert show(reporter, lines, 105.2, done=400, total=1000) == 1
    assert show(reporter, lines, 111.0, done=409, total=1000) == 0         # not one percent more
    assert show(reporter, lines, 112.0, done=410, total=1000) == 1
    assert show(reporter, lines, 171.9, done=410, total=1000) == 0
    assert show(reporter, lines, 172.0, done=410, total=1000) == 1         # a sign of life


def test_a_phase_of_unknown_size_is_shown_as_it_goes():
    lines = []
    reporter = Reporter(lines.append, 5)
    show(reporter, lines, 100.0, phase="list", done=10)
    assert show(reporter, lines, 103.0, phase="list", done=20) == 0
    assert show(reporter, lines, 105.0, phase="list", done=30) == 1


def test_the_time_before_the_first_phase_is_no_news():
    lines = []
    assert show(Reporter(lines.append, 5), lines, 10.0, phase="start") == 0


def test_none_at_all():
    lines = []
    assert show(Reporter(lines.append, 0), lines, 1e6, done=1, total=2) == 0


def test_the_end_is_shown_once():
    lines = []
    reporter = Reporter(lines.append, 5)
    show(reporter, lines, 100.0, done=10, total=1000)
    reporter.end(state(done=1000, total=1000))
    assert lines[-1] == "sda 100% 1000/1000 B"
    show(reporter, lines, 106.0, done=1000, total=1000)
    count = len(lines)
    reporter.end(state(done=1000, total=1000))
    reporter.end(state(phase="maps"))
    assert len(lines) == count


@pytest.mark.parametrize("seconds, hosts, shared", [(5, 1, 5), (5, 5, 5), (5, 200, 200), (0, 200, 0), (0.5, 3, 3)])
def test_many_hosts_share_the_lines(seconds, hosts, shared):
    assert shared_seconds(seconds, hosts) == shared
