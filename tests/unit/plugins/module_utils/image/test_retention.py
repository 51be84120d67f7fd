# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy: which images stay, and why."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.retention import Policy, image_time, reasons_to_keep


def image(time, machine="shop"):
    return f"{machine}/{time}-00000000"


def kept(ids, policy, **options):
    """The times of the images that stay, the oldest first."""
    return sorted(image_id.rpartition("/")[2][:-9] for image_id, reasons in reasons_to_keep(ids, policy, **options).items() if reasons)


def test_the_last_image_of_each_period_stays():
    ids = [image(f"202611{day:02d}T{hour:02d}0000Z") for day in range(1, 31) for hour in (1, 13)]
    assert kept(ids, Policy(daily=3)) == ["20261128T130000Z", "20261129T130000Z", "20261130T130000Z"]
    assert kept(ids, Policy(last=2)) == ["20261130T010000Z", "20261130T130000Z"]
    # Weeks begin on Monday: 30 November 2026 is one.
    assert kept(ids, Policy(weekly=3)) == ["20261122T130000Z", "20261129T130000Z", "20261130T130000Z"]
    assert kept(ids, Policy(hourly=2)) == ["20261130T010000Z", "20261130T130000Z"]
    assert kept(ids, Policy(monthly=5)) == ["20261130T130000Z"]


def test_periods_without_an_image_do_not_count():
    ids = [image("20260105T000000Z"), image("20260301T000000Z"), image("20261124T000000Z")]
    assert kept(ids, Policy(daily=2)) == ["20260301T000000Z", "20261124T000000Z"]
    assert kept(ids, Policy(yearly=1, monthly=2)) == ["20260301T000000Z", "20261124T000000Z"]


def test_the_turn_of_the_year():
    """The first of January 2027 is a Friday of the last week of 2026."""
    ids = [image("20261231T235959Z"), image("20270101T000000Z"), image("20270104T000000Z")]
    assert kept(ids, Policy(weekly=2)) == ["20270101T000000Z", "20270104T000000Z"]
    assert kept(ids, Policy(yearly=2)) == ["20261231T235959Z", "20270104T000000Z"]


def test_within_counts_from_the_newest_image():
    ids = [image("20200101T000000Z"), image("20200102T120000Z"), image("20200103T000000Z")]
    assert kept(ids, Policy(within=86400)) == ["20200102T120000Z", "20200103T000000Z"]


def test_machines_are_seen_for_themselves_and_the_newest_image_stays():
    ids = [image("20260101T000000Z"), image("20260101T000000Z", "other"), image("20260102T000000Z", "other")]
    assert kept(ids, Policy(last=1)) == ["20260101T000000Z", "20260102T000000Z"]
    reasons = reasons_to_keep(ids, Policy(within=1))
    assert reasons[image("20260101T000000Z")] == ["within"]


def test_protected_images_stay_and_a_policy_that_keeps_nothing_is_refused():
    ids = [image("20260101T000000Z"), image("20260102T000000Z")]
    assert kept(ids, Policy(last=1), protected=[ids[0]]) == ["20260101T000000Z", "20260102T000000Z"]
    for nothing in (Policy(), Policy(last=0)):
        with pytest.raises(RepositoryError, match="keeps nothing"):
            reasons_to_keep(ids, nothing)


def test_times_are_read_from_ids():
    assert image_time("a/b/20261122T010203Z-9f3a61c2") == 1795309323
