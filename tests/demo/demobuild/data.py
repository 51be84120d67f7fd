# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo machine's values (demo.yml) and its deterministic orders."""

import os
from typing import Any, Dict

import yaml

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load() -> Dict[str, Any]:
    with open(os.path.join(HERE, "demo.yml"), encoding="utf-8") as file:
        return yaml.safe_load(file)["demo"]


def order(demo: Dict[str, Any], number: int) -> Dict[str, Any]:
    """Row number (1, 2, ...) of table orders: a function of the number, so that every run can say what it expects to see."""
    items = demo["orders"]["items"]
    return {"item": items[number % len(items)], "quantity": 1 + number % 7, "customer": 1 + number * 37 % 900}


def title(demo: Dict[str, Any], number: int) -> str:
    """The text under which the shop shows that order."""
    return "Order {number}: {quantity} x {item} for customer {customer:04d}".format(number=number, **order(demo, number))


def partition(demo: Dict[str, Any], content: str) -> Dict[str, Any]:
    """The partition with that content; the demo disk has one of each."""
    return next(part for part in demo["disk"]["partitions"] if part["content"] == content)
