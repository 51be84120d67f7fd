# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of a job as whole lines of plain text, as rarely as is useful."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
HEARTBEAT_SECONDS = 60.0
LINES_A_SECOND = 1.0        # of all hosts together


def duration(seconds):
    """148 -> "2m28s"."""
    seconds = int(seconds)
    if seconds < 60:
        return "{0}s".format(seconds)
    if seconds < 3600:
        return "{0}m{1:02d}s".format(*divmod(seconds, 60))
    return "{0}h{1:02d}m".format(seconds // 3600, seconds % 3600 // 60)


def _unit(count):
    number = 0
    while count >= 1024 ** (number + 1) * 0.9995 and number < len(UNITS) - 1:
        number += 1
    return number


def _in_unit(count, number):
    value = count / 1024.0 ** number
    return "{0:.0f}".format(value) if number == 0 or value >= 99.95 else "{0:.1f}".format(value)


def size(count):
    """13529146982 -> "12.6 GiB"."""
    number = _unit(count)
    return "{0} {1}".format(_in_unit(count, number), UNITS[number])


def progress_line(state):
    """What a running job's state says: "sda  42% 12.6/30.0 GiB 118 MiB/s, 2m28s left".

    The main phase bears the name of the job's kind, which the reader knows: the names of the disks say more.
    """
    what = ",".join(state["disks"]) if state["phase"] == state["kind"] and state["disks"] else state["phase"]
    if not state["total"]:
        return "{0} {1}".format(what, size(state["done"])) if state["done"] else what
    number = _unit(state["total"])
    percent = min(100, int(100 * state["done"] // state["total"]))
    line = "{0} {1:3d}% {2}/{3} {4}".format(
        what, percent, _in_unit(state["done"], number), _in_unit(state["total"], number), UNITS[number])
    if state["rate"]:
        line += " {0}/s".format(size(state["rate"]))
    if state["left"] is not None and state["done"] < state["total"]:
        line += ", {0} left".format(duration(state["left"]))
    return line


def shared_seconds(seconds, hosts):
    """How long a host waits between two lines so that so many hosts stay readable together; `seconds` at least, 0 stays 0."""
    return max(seconds, hosts / LINES_A_SECOND) if seconds else 0


class Reporter:
    """Decides which states become lines: each new phase, then at most one every `seconds`, when a percent or more was done
    since; and one a minute as a sign of life. `seconds` 0: none at all. Times are monotonic seconds.
    """

    def __init__(self, say, seconds):
        self._say = say
        self._seconds = seconds
        self._phase = None
        self._percent = -1
        self._time = None

    def show(self, state, now):
        if not self._seconds:
            return
        if self._time is None:
            self._time = now
        percent = 100 * state["done"] // state["total"] if state["total"] else -1
        waited = now - self._time
        new = state["phase"] != self._phase and state["phase"] != "start"
        # A phase without a total has no percent: what it did is shown each time.
        step = waited >= self._seconds and (percent > self._percent or (not state["total"] and state["done"]))
        if new or step or waited >= max(HEARTBEAT_SECONDS, self._seconds):
            self._say(progress_line(state))
            self._phase, self._percent, self._time = state["phase"], percent, now

    def end(self, state):
        """The last line of a job that has ended, unless it was shown already."""
        if self._seconds and state["total"] and (state["phase"], 100 * state["done"] // state["total"]) != (self._phase, self._percent):
            self._say(progress_line(state))
