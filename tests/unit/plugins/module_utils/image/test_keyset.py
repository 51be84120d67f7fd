# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import hashlib
import random

from ansible_collections.agnostic.recovery.plugins.module_utils.image.keyset import KeySet, chunk_key


def test_it_is_a_set():
    rng = random.Random(1)
    keys, numbers = KeySet(), set()
    for _step in range(20000):
        number = rng.randrange(1 << 12) << 52 | rng.randrange(4)
        assert keys.add(number) == (number not in numbers)
        numbers.add(number)
    assert len(keys) == len(numbers)
    assert all((number in keys) == (number in numbers) for number in (rng.getrandbits(64) for _number in range(1000)))
    assert all(number in keys for number in numbers)


def test_generations_of_a_chunk_are_different():
    chunk = hashlib.sha256(b"chunk").digest()
    assert len({chunk_key(chunk, generation) for generation in range(1000)}) == 1000
