# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The protocol of deletion is sound in every order of events of small worlds, and no rule of it can be left out.

MODEL=all in the environment also explores the larger worlds (minutes).
"""

import os

import pytest

from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.repository import deletion_model as model

A, B, C = ("a", 0), ("b", 0), ("c", 0)          # A belongs to image 0; B and C were left by a capture that died, or by another machine
IMAGE = [(0, frozenset([A]))]
NOTHING = frozenset()


def one_writer():
    """A writer that finds garbage useful while it is pruned, and a second run that tidies up."""
    return model.start([A, B], IMAGE, [model.writer(1, "b"), model.pruner(2)]), False


def two_writers():
    return model.start([A, B], IMAGE, [model.writer(1, "ab"), model.writer(2, "b"), model.pruner(1)]), False


def late_look():
    """A pruner sleeps between its look at sessions and its look at images, while another decides and goes on."""
    sleeper = model.pruner(1)._replace(step="look", number=1, candidates=frozenset([B]))
    return model.start([B], [(0, frozenset([B]))], [model.writer(1, "b"), sleeper, model.pruner(2)],
                       [(1, (frozenset([B]), None, 0))]), False


def late_delete():
    """A pruner sleeps in front of a deletion until its list is forgotten."""
    sleeper = model.pruner(1)._replace(step="delete", number=1, doomed=(B,))
    return model.start([A, C], IMAGE, [model.writer(1, "b"), sleeper, model.pruner(1)], [(1, (frozenset([B]), NOTHING, 0))]), False


def lagging_listings():
    return model.start([A, B], IMAGE, [model.writer(1, "b"), model.pruner(1)]), True


def two_pruners():
    return model.start([A, B], IMAGE, [model.writer(1, "b"), model.pruner(1), model.pruner(1)]), False


def lagging_two_writers():
    return model.start([A, B], IMAGE, [model.writer(1, "b"), model.writer(2, "b"), model.pruner(1)]), True


def two_writers_two_rounds():
    return model.start([A, B], IMAGE, [model.writer(1, "b"), model.writer(2, "b"), model.pruner(2)]), False


@pytest.mark.parametrize("world, expected", [
    (one_writer, 1000), (two_writers, 10000), (late_look, 10000), (late_delete, 1000), (lagging_listings, 1000)])
def test_no_order_of_events_breaks_an_image(world, expected):
    count, broken = model.explore(*_with_rules(world, model.SOUND))
    assert broken is None
    assert count > expected


@pytest.mark.skipif(os.environ.get("MODEL") != "all", reason="takes minutes; MODEL=all asks for it")
@pytest.mark.parametrize("world", [two_pruners, lagging_two_writers, two_writers_two_rounds])
def test_no_order_of_events_breaks_an_image_in_larger_worlds(world):
    count, broken = model.explore(*_with_rules(world, model.SOUND))
    print(f"{world.__name__}: {count} states")
    assert broken is None


@pytest.mark.parametrize("world, change", [
    (one_writer, {"wait": False}),               # a fixed grace, however long
    (one_writer, {"end_first": False}),          # a session is ended by removing it, seen by a look before the commit
    (one_writer, {"check_open": False}),
    (one_writer, {"look_again": False}),
    (one_writer, {"new_name": False}),
    (one_writer, {"open_before_end": False}),
    (late_look, {"decision": False}),
    (late_delete, {"base": False}),
    (late_delete, {"new_name": False}),
    (lagging_listings, {"done_images": False}),
    (lagging_listings, {"ticks": 0}),
    (lagging_listings, {"ticks": 1}),
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_rule_is_needed(world, change):
    _count, broken = model.explore(*_with_rules(world, model.SOUND._replace(**change)))
    assert broken is not None


def _with_rules(world, rules):
    first, lagging = world()
    return first, rules, lagging


def test_long_histories():
    """Random walks through a world that is too large to be explored."""
    hypothesis = pytest.importorskip("hypothesis")
    stateful = pytest.importorskip("hypothesis.stateful")

    class World(stateful.RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            writers = [model.writer(1, "a"), model.writer(2, "ab"), model.writer(3, "b"), model.writer(4, "c")]
            self.state = model.start([A, B, C], [(0, frozenset([A])), (9, frozenset([C]))], writers + [model.pruner(4), model.pruner(4)])

        @stateful.rule(choices=hypothesis.strategies.lists(hypothesis.strategies.integers(0, 1 << 16), min_size=1, max_size=20))
        def go_on(self, choices):
            for choice in choices:
                found = list(model.steps(self.state, model.SOUND, True))
                if found:
                    self.state = found[choice % len(found)]
                assert not model.broken_images(self.state)

    stateful.run_state_machine_as_test(
        World, settings=hypothesis.settings(max_examples=200, stateful_step_count=30, deadline=None,
                                            suppress_health_check=list(hypothesis.HealthCheck)))
