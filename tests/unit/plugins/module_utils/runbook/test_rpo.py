# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Promises and what is kept of them."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.image.manifest import ImageInfo, iso_time
from ansible_collections.agnostic.recovery.plugins.module_utils.runbook.rpo import (
    PromiseError, machine_state, metrics, parse_duration)

NOW = 1_800_000_000
DAY = 86400


def image(age, stored_new=0):
    return ImageInfo("web1/{0}".format(age), "web1", iso_time(NOW - age), "application", "", (), 1000, 500, stored_new, 1, 1.0)


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("15m", 900), ("24h", DAY), ("1d12h", 36 * 3600), ("2w", 14 * DAY)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "1.5h", "-1h", "24h ", "24 h", "1h\n"])
def test_what_is_no_duration(text):
    with pytest.raises(PromiseError):
        parse_duration(text)


@pytest.mark.parametrize("age, met", [(DAY - 1, True), (DAY, True), (DAY + 1, False), (-60, True)])
def test_the_newest_image_counts(age, met):
    state = machine_state("web1", 2, [image(9 * DAY), image(age)], "24h", NOW)
    assert (state.met, state.age, state.rpo, state.consistency) == (met, max(0, age), DAY, "application")


def test_a_machine_without_an_image_keeps_no_promise():
    state = machine_state("web1", 0, [], "24h", NOW)
    assert state.met is False and state.image is None and state.age is None
    assert machine_state("web1", 0, [], "", NOW).met is None
    assert machine_state("web1", 1, [image(DAY)], "", NOW).met is None


def test_growth_leaves_out_what_the_first_added():
    images = [image(4 * DAY, 10 ** 9), image(3 * DAY, 100), image(2 * DAY, 300)]
    assert machine_state("web1", 3, images, "", NOW).growth_per_day == 200
    assert machine_state("web1", 1, images[:1], "", NOW).growth_per_day is None
    assert machine_state("web1", 2, [image(DAY), image(DAY)], "", NOW).growth_per_day is None


def test_metrics():
    lines = metrics([machine_state('we"b\\1', 0, [], "1h", NOW), machine_state("db1", 3, [image(DAY, 7)], "48h", NOW)])
    assert sorted(line for line in lines if "db1" not in line) == [
        'agnostic_recovery_images{machine="we\\"b\\\\1"} 0', 'agnostic_recovery_rpo_met{machine="we\\"b\\\\1"} 0',
        'agnostic_recovery_rpo_seconds{machine="we\\"b\\\\1"} 3600']
    assert 'agnostic_recovery_rpo_met{machine="db1"} 1' in lines
    assert 'agnostic_recovery_image_created_timestamp_seconds{machine="db1"} %d' % (NOW - DAY) in lines


def test_where_the_newest_image_can_be_recovered():
    old = image(2 * DAY)._replace(recoverable={"kvm": "as_is"})
    new = image(DAY)._replace(
        recoverable={"kvm": "with_changes", "aws-nitro": "no", "gcp": "not_judged", "moon": "perhaps", 'a"b\n': "no"})
    state = machine_state("web1", 2, [old, new], "", NOW)
    assert state.recoverable == new.recoverable
    assert [line for line in metrics([state]) if "recoverable" in line] == [
        'agnostic_recovery_recoverable{machine="web1",target="kvm"} 1', 'agnostic_recovery_recoverable{machine="web1",target="aws-nitro"} 0',
        'agnostic_recovery_recoverable{machine="web1",target="a\\"b\\n"} 0']
    assert machine_state("web1", 0, [], "", NOW).recoverable is None
    assert machine_state("web1", 1, [image(DAY)], "", NOW).recoverable == {}
