# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""demo.yml says what the builder and the shop really do."""

import os
import subprocess

import pytest

pytest.importorskip("yaml")

from demobuild import data


@pytest.fixture(scope="module")
def demo():
    return data.load()


def test_expected_orders(demo):
    orders = demo["orders"]
    assert data.title(demo, orders["initial"]) == orders["newest_initial"]
    assert data.title(demo, orders["initial"] + orders["added"]) == orders["newest_added"]


def test_partitions_follow_each_other_and_leave_room_for_both_tables(demo):
    end = 1  # MiB; the first one holds MBR and GPT
    for number, part in enumerate(demo["disk"]["partitions"], 1):
        assert part["number"] == number
        assert part["start_mib"] >= end
        end = part["start_mib"] + part["size_mib"]
    assert end <= demo["disk"]["size_mib"] - 1
    assert data.partition(demo, "xfs")["mount"] in demo["disk"]["deleted_mib"]


def test_change_names_the_address_where_no_shop_answers():
    script = os.path.join(data.HERE, "change")
    command = [script, "--url", "http://127.0.0.1:9"]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.startswith("change: http://127.0.0.1:9: ") and process.stderr.count("\n") == 1
