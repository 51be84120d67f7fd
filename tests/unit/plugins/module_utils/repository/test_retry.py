# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests are repeated while that makes sense, and no longer. Time is played."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RepositoryError
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.retry import Retrier, TransientError


class Play:
    """A clock that only `sleep` moves, and a request that fails until `good_at`."""

    def __init__(self, good_at=0.0, pause=0.0, answered=False):
        self.now = 0.0
        self.pauses = []
        self.tries = 0
        self._good_at = good_at
        self._pause = pause
        self._answered = answered

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def request(self):
        self.tries += 1
        if self.now < self._good_at:
            raise TransientError("the line is dead", answered=self._answered, pause=self._pause)
        return "answer"

    def retrier(self, seconds=300):
        return Retrier("s3:bucket", seconds, self.clock, self.sleep)


def proven(play):
    retrier = play.retrier()
    assert retrier.call(lambda: 1, "greeting") == 1
    return retrier


def test_a_failure_that_passes():
    play = Play(good_at=100)
    assert proven(play).call(play.request, "reading x") == "answer"
    assert 100 <= play.now <= 120
    assert play.tries < 20                                   # the pauses grow


def test_pauses_are_random_and_bounded():
    pauses = []
    for _unused in range(20):
        play = Play(good_at=200)
        proven(play).call(play.request, "reading x")
        assert max(play.pauses) <= 20
        pauses.append(play.pauses[0])
    assert len(set(pauses)) > 1 and all(0.1 <= pause <= 0.2 for pause in pauses)


def test_it_gives_up_at_the_limit_and_says_why():
    play = Play(good_at=1000)
    with pytest.raises(RepositoryError) as caught:
        proven(play).call(play.request, "reading x")
    assert 250 < play.now <= 300
    assert str(caught.value).startswith(f"s3:bucket: reading x failed {play.tries} times in ")
    assert "the line is dead" in str(caught.value)


def test_a_store_that_never_answered_is_given_up_soon():
    play = Play(good_at=1000)
    with pytest.raises(RepositoryError):
        play.retrier().call(play.request, "reading x")
    assert play.now <= 15
    overloaded = Play(good_at=100, answered=True)
    assert overloaded.retrier().call(overloaded.request, "reading x") == "answer"


def test_the_pause_that_the_server_asks_for_is_kept():
    play = Play(good_at=1, pause=30)
    proven(play).call(play.request, "reading x")
    assert play.pauses == [30]


def test_other_errors_pass_at_once():
    def request():
        raise RepositoryError("no such bucket")

    play = Play()
    with pytest.raises(RepositoryError, match="no such bucket"):
        play.retrier().call(request, "reading x")
    assert not play.pauses
