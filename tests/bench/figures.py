# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was measured, as tables, and what was promised of it."""

import statistics
from typing import NamedTuple


class Promise(NamedTuple):
    text: str
    met: bool


def _of(figures, tool, step):
    return [figure for figure in figures if (figure.tool, figure.step) == (tool, step)]


def median(figures, tool, step):
    """The median of the seconds that a tool took for a step over all rounds; 0 where it was not measured."""
    found = [figure.seconds for figure in _of(figures, tool, step)]
    return statistics.median(found) if found else 0


def largest(figures, tool, step, field):
    """The largest value of a field of the figures over all rounds; 0 where it was not measured."""
    return max((getattr(figure, field) for figure in _of(figures, tool, step)), default=0)


def table(figures):
    """Medians over the rounds, as rows of (tool, step, seconds, processor seconds, peak bytes, stored bytes)."""
    keys = list(dict.fromkeys((figure.tool, figure.step) for figure in figures))
    return [(tool, step, round(median(figures, tool, step), 1),
             round(statistics.median(figure.cpu for figure in _of(figures, tool, step)), 1),
             largest(figures, tool, step, "peak"), largest(figures, tool, step, "stored")) for tool, step in keys]


def show(title, figures, promises):
    """Print a section: its table, then its promises."""
    print(f"\n{title}\n{'tool':28} {'step':12} {'seconds':>8} {'cpu s':>7} {'peak MiB':>9} {'stored MiB':>11}")
    for tool, step, seconds, cpu, peak, stored in table(figures):
        mib = f"{stored / (1 << 20):.0f}" if stored else ""
        print(f"{tool:28} {step:12} {seconds:8.1f} {cpu:7.1f} {peak / (1 << 20):9.0f} {mib:>11}")
    for promise in promises:
        print(("met     " if promise.met else "MISSED  ") + promise.text)
