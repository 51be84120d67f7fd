# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fuzz targets of tests/fuzz, on random bytes and on good objects that were altered; `make fuzz` goes further."""

import importlib.util
import os
import tracemalloc
import zlib

import pytest

hypothesis = pytest.importorskip("hypothesis")
pytest.importorskip("cryptography")

from hypothesis import HealthCheck, given, settings, strategies as st  # noqa: E402

from ansible_collections.agnostic.recovery.plugins.module_utils.image.codec import ZLIB, ZSTD, CodecError, decompress  # noqa: E402
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.image import golden_cases as golden  # noqa: E402


def _load():
    spec = importlib.util.spec_from_file_location("fuzz_targets", os.path.join(golden.TESTS, "fuzz", "fuzz_targets.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz_targets = _load()
EDITS = st.lists(st.tuples(st.floats(0, 1, allow_nan=False), st.integers(0, 8), st.binary(max_size=8)), max_size=4)


def altered(data, edits):
    """Data with stretches replaced: (place as a share of the length, bytes to take out, bytes to put in)."""
    for share, out, into in edits:
        at = int(share * len(data))
        data = data[:at] + into + data[at + out:]
    return data


@pytest.mark.parametrize("name", sorted(fuzz_targets.TARGETS))
def test_nothing_but_documented_errors(name):
    target, seeds = fuzz_targets.TARGETS[name], fuzz_targets.seeds(name)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.one_of(st.binary(max_size=600), st.builds(altered, st.sampled_from(seeds), EDITS)))
    def check(data):
        target(data)

    check()


@pytest.mark.parametrize("name", sorted(fuzz_targets.TARGETS))
def test_the_seeds_are_taken(name):
    for seed in fuzz_targets.seeds(name):
        fuzz_targets.TARGETS[name](seed)


@pytest.mark.parametrize("codec", [ZLIB, ZSTD])
def test_a_bomb_takes_no_memory(codec):
    if codec == ZLIB:
        bomb = zlib.compress(bytes(64 << 20), 9)
    else:
        zstandard = pytest.importorskip("zstandard")
        bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        for size in (4096, 1 << 20):
            with pytest.raises(CodecError):
                decompress(codec, bomb, size)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text",
                         [b"[" * 100000,
                          b'{"a":' * 100000,
                          b'{"format_version":' + b"9" * 100000 + b"}",
                          b'{"format_version":1e999}',
                          b"NaN",
                          b"{}",
                          b"1"])
def test_json_that_is_made_to_hurt(text):
    for name in ("root", "slot", "image_manifest"):
        fuzz_targets.TARGETS[name](text)


def test_names_that_are_no_text():
    for name in (b"\xa3/20261122T010203Z-00000001", b"%ED%B0%80/20261122T010203Z-00000001", b"%FF/20261122T010203Z-00000001", b"/x"):
        fuzz_targets.image_name(name)
