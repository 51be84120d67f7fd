# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns of SELinux policies, with PCRE itself as oracle."""

import ctypes
import ctypes.util
import random
import time

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import MachineError
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.pathpattern import Effort, PathPattern

PLENTY = 10 ** 9


def matches(pattern, path, steps=PLENTY):
    return PathPattern(pattern, Effort(steps)).matches(path)


@pytest.mark.parametrize("pattern,yes,no", [
    (b"/etc(/.*)?", [b"/etc", b"/etc/", b"/etc/a/b", b"/etc/\xff\n"], [b"/etca", b"/", b"", b"x/etc"]),
    (b"/[^/]+/log", [b"/var/log"], [b"//log", b"/a/b/log", b"/var/logs"]),
    (b"/lib(32|64)?/ld-.*\\.so(\\.[^/]*)*", [b"/lib/ld-1.so", b"/lib64/ld-.so.2.x"], [b"/lib3/ld-1.so", b"/lib/ld-1xso"]),
    (b"/a{2}b{0,1}c{1,}d{0}", [b"/aac", b"/aabccc"], [b"/ac", b"/aabbc", b"/aab", b"/aacd"]),
    (b"/%{x}[]a-c.]", [b"/%{x}]", b"/%{x}b", b"/%{x}."], [b"/%{x}d", b"/%x]"]),
    (b"/[[:upper:][:digit:]_-]+", [b"/A1_-"], [b"/a", b"/:", b"/"]),
    (b"/[^\\d\\s]\\w\\.\\_", [b"/xy._"], [b"/1y._", b"/x-._", b"/xyz_"]),
    (b"^/(?:a|b|)+?$", [b"/", b"/abba"], [b"/c"]),
    (b"/x.*?y??", [b"/x", b"/xyz"], [b"/"]),
    (b"", [b""], [b"/"]),
    # libselinux anchors the whole, so "^" belongs to the first choice and "$" to the last.
    (b"/a|/b|/c", [b"/a", b"/ab", b"/x/bz", b"/x/c"], [b"/x/a", b"/cx", b"/d"]),
])
def test_matches(pattern, yes, no):
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


@pytest.mark.parametrize("pattern", [
    b"/(a", b"/a)", b"/[a", b"/a\\", b"*", b"/a**", b"/a++", b"/a*+", b"/a{,3}", b"{2}", b"/a{3,2}", b"/a{99999}", b"/a{3000}", b"/\\1",
    b"/\\x41", b"/\\Qa\\E", b"/\\bx", b"/(?=a)", b"/(?<n>a)", b"/(?i)a", b"(*UTF)/a", b"/a^b", b"/a$b", b"/[z-a]", b"/[a-\\d]",
    b"/[[:none:]]", b"/[[.a.]]", b"[:alpha:]", b"(" * 60 + b")" * 60, b"a" * 5000, b"/(((a{50}){50}){50})", b"/((){60000}){60000}",
])
def test_refuses(pattern):
    with pytest.raises(MachineError, match=r"^It[' s].*\.$"):
        matches(pattern, b"/a")


@pytest.mark.parametrize("pattern,expected", [
    (b"/(a+)+b", False), (b"/(a|a)*b", False), (b"/(.*)(.*)(.*)(.*)(.*)(.*)x", False), (b"/(a*)*(a*)*(a*)*", True),
    (b"/" + b"(" * 50 + b"a" + b"*)" * 50, True), (b"/" + b"a?" * 200 + b"a" * 200, False), (b"/" + b"[^/]*" * 100 + b"!", False),
])
def test_hostile_patterns_take_no_longer(pattern, expected):
    """Each of them keeps a matcher that goes back busy for longer than the universe exists."""
    began = time.process_time()
    assert matches(pattern, b"/" + b"a" * 3000) is expected
    assert time.process_time() - began < 5


def test_effort_has_an_end():
    effort = Effort(20000)
    pattern = PathPattern(b"/" + b"[^/]*" * 50, effort)
    with pytest.raises(MachineError, match="more work"):
        for _count in range(10):
            pattern.matches(b"/" + b"a" * 1000)


class Pcre:
    """libpcre2 as libselinux calls it."""

    DOTALL = 0x20                        # pcre2.h
    NO_MATCH = -1

    def __init__(self):
        name = ctypes.util.find_library("pcre2-8")
        if name is None:
            pytest.skip("libpcre2-8 is not installed")
        self._library = ctypes.CDLL(name)
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for function, result, arguments in (
            ("compile", pointer, [ctypes.c_char_p, size, ctypes.c_uint32, pointer, pointer, pointer]),
            ("match_data_create", pointer, [ctypes.c_uint32, pointer]),
            ("match", ctypes.c_int, [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer]),
            ("code_free", None, [pointer]),
        ):
            entry = getattr(self._library, f"pcre2_{function}_8")
            entry.restype, entry.argtypes = result, arguments
        self._data = self._library.pcre2_match_data_create_8(1, None)

    def answers(self, pattern, paths):
        """None for a pattern that is none."""
        whole = b"^" + pattern + b"$"
        error, offset = ctypes.c_int(), ctypes.c_size_t()
        code = self._library.pcre2_compile_8(whole, len(whole), self.DOTALL, ctypes.byref(error), ctypes.byref(offset), None)
        if not code:
            return None
        found = [self._library.pcre2_match_8(code, path, len(path), 0, 0, self._data, None) for path in paths]
        assert min(found) >= self.NO_MATCH
        self._library.pcre2_code_free_8(code)
        return [answer >= 0 for answer in found]


TOKENS = (
    b"a", b"b", b"/", b".", b"-", b"[ab]", b"[^/]", b"[a-c]", b"[]a]", b"[^]a]", b"[[:alpha:]]", b"[a\\d-]", b"\\.", b"\\_", b"\\d", b"(", b")",
    b"(?:", b"|", b"*", b"+", b"?", b"{2}", b"{1,2}", b"{0,}", b"{,2}", b"{", b"}", b"{0}", b"]", b"\\-", b"[", b"^", b"$", b".*", b"(/.*)?",
    b"%", b"\\w", b"[\\w.]", b"[a-]", b"1", b"\\",
)


@pytest.mark.parametrize("seed", range(4))
def test_random_patterns_against_pcre(seed):
    pcre, state = Pcre(), random.Random(seed)
    compared = 0
    for _round in range(1500):
        pattern = b"".join(state.choice(TOKENS) for _count in range(state.randint(1, 9)))
        paths = [bytes(state.choice(b"ab/.1-_{]}c2,%") for _count in range(state.randint(0, 7))) for _path in range(8)]
        expected = pcre.answers(pattern, paths)
        try:
            own = PathPattern(pattern, Effort(PLENTY))
        except MachineError:
            continue
        assert expected is not None, f"PCRE refuses {pattern!r}"
        assert [own.matches(path) for path in paths] == expected, pattern
        compared += 1
    assert compared > 300
