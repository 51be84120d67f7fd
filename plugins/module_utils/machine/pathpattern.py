# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a path matches a pattern of an SELinux policy, in a time that no pattern can make explode.

libselinux gives such patterns to PCRE, between "^" and "$" and with PCRE_DOTALL, bytes for bytes. A matcher that goes back and tries
again can be kept busy for years by one line of a hostile image, and Python's `re` reads some patterns otherwise than PCRE
("[[:alnum:]]", "a{,3}", "a++"). So a pattern becomes an automaton (Glushkov's construction: a state for each character of the
pattern), whose states are the bits of a number and are all followed at once. What only a matcher that goes back can do (references,
lookarounds, possessive quantifiers) is refused, and so is what is not in pcre2pattern(3) for all versions of PCRE.
"""

import re
import string

from ..errors import MachineError

MAX_LENGTH = 4096          # bytes; libselinux 3.9 refuses longer ones (label_file.h, compile_regex)
MAX_DEPTH = 50             # of parentheses
MAX_STATES = 2000          # policies of distributions need fewer than 100

_ANY = (1 << 256) - 1      # sets of bytes are numbers with a bit for each byte
_COUNT = re.compile(rb"\{(\d+)(,(\d*))?\}")
_NEW_COUNT = re.compile(rb"\{,\d+\}")
_NAME_OUTSIDE = re.compile(rb"\[([:.=])(\\.|[^\]\\])*?\1\]")
_MAX_COUNT = 65535         # pcre2pattern(3)


def _set(characters):
    return sum(1 << ord(character) for character in set(characters))


_DIGIT = _set(string.digits)
_WORD = _set(string.ascii_letters + string.digits + "_")
_SPACE = _set(" \t\n\v\f\r")
_PRINTED = _set(map(chr, range(33, 127)))
_ESCAPED_SETS = {
    b"d": _DIGIT, b"w": _WORD, b"s": _SPACE, b"D": _ANY & ~_DIGIT, b"W": _ANY & ~_WORD, b"S": _ANY & ~_SPACE,
}
_NAMED_SETS = {
    b"alnum": _set(string.ascii_letters + string.digits), b"alpha": _set(string.ascii_letters), b"ascii": (1 << 128) - 1,
    b"blank": _set(" \t"), b"cntrl": (1 << 32) - 1 | 1 << 127, b"digit": _DIGIT, b"graph": _PRINTED,
    b"lower": _set(string.ascii_lowercase), b"print": _PRINTED | _set(" "), b"punct": _set(string.punctuation), b"space": _SPACE,
    b"upper": _set(string.ascii_uppercase), b"word": _WORD, b"xdigit": _set(string.hexdigits),
}


class Effort:
    """How many steps of work may still be done, for all patterns together."""

    def __init__(self, steps):
        self._left = steps

    def spend(self, steps):
        """Raises MachineError when nothing is left."""
        self._left -= steps
        if self._left < 0:
            raise MachineError("Its patterns need more work than those of any real policy.")


class PathPattern:
    """A pattern, ready to be asked. Raises MachineError, with a sentence, for one that is wrong or not understood."""

    def __init__(self, pattern: bytes, effort: Effort):
        if len(pattern) > MAX_LENGTH:
            raise MachineError(f"It is longer than {MAX_LENGTH} bytes.")
        effort.spend(len(pattern))
        self._effort = effort
        self._sets = []            # of each state: the bytes that lead into it
        self._follow = []          # of each state: the states that may come next
        self._built = 0
        self._reached = {}         # byte -> the states that it leads into
        self._empty, self._first, self._last = self._build(_Parser(pattern).tree())

    def matches(self, path: bytes) -> bool:
        states = self._first
        entered = None
        for byte in path:
            if byte not in self._reached:
                self._effort.spend(1 + len(self._sets) // 8)
                self._reached[byte] = sum(1 << state for state, members in enumerate(self._sets) if members >> byte & 1)
            entered = states & self._reached[byte]
            if not entered:
                return False
            states = self._union(entered)
        return self._empty if entered is None else bool(entered & self._last)

    def _union(self, states):
        found = count = 0
        while states:
            lowest = states & -states
            found |= self._follow[lowest.bit_length() - 1]
            states ^= lowest
            count += 1
        self._effort.spend(count)
        return found

    # A part of a pattern is (whether it matches nothing too, its first states, its last states).

    def _build(self, node):
        self._built += 1
        if self._built > 4 * MAX_STATES or len(self._sets) > MAX_STATES:
            raise MachineError("It is too large.")
        kind, value = node
        if kind == "set":
            self._sets.append(value)
            self._follow.append(0)
            bit = 1 << (len(self._sets) - 1)
            return False, bit, bit
        if kind == "choice":
            parts = [self._build(choice) for choice in value]
            firsts = lasts = 0
            for _empty, first, last in parts:
                firsts |= first
                lasts |= last
            return any(part[0] for part in parts), firsts, lasts
        if kind in ("loop", "some"):
            empty, first, last = self._build(value)
            self._link(last, first)
            return empty or kind == "loop", first, last
        if kind == "optional":
            return (True,) + self._build(value)[1:]
        return self._chain(value)

    def _chain(self, nodes):
        empty, firsts, lasts = True, 0, 0
        for node in nodes:
            skipped, first, last = self._build(node)
            self._link(lasts, first)
            if empty:
                firsts |= first
            lasts = last | (lasts if skipped else 0)
            empty = empty and skipped
        return empty, firsts, lasts

    def _link(self, states, following):
        count = 0
        while states:
            lowest = states & -states
            self._follow[lowest.bit_length() - 1] |= following
            states ^= lowest
            count += 1
        self._effort.spend(1 + count)


class _Parser:
    """Reads a pattern into nodes (kind, value): set of bytes; chain and choice of nodes; loop, some (once or more) and optional of one."""

    def __init__(self, pattern):
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def tree(self):
        choices = self._choices()
        if self._at < len(self._pattern):
            raise MachineError('It has a ")" too many.')
        if len(choices) == 1:
            return choices[0]
        # libselinux puts "^" before and "$" behind the whole: they hold for the first and for the last choice only.
        rest = "loop", ("set", _ANY)
        inner = [("chain", [rest, choice, rest]) for choice in choices[1:-1]]
        return "choice", [("chain", [choices[0], rest])] + inner + [("chain", [rest, choices[-1]])]

    def _next(self):
        """The next byte, b"" at the end."""
        return self._pattern[self._at:self._at + 1]

    def _take(self):
        byte = self._next()
        if not byte:
            raise MachineError("It ends too early.")
        self._at += 1
        return byte

    def _choices(self):
        found = [self._chain()]
        while self._next() == b"|":
            self._at += 1
            found.append(self._chain())
        return found

    def _chain(self):
        nodes = []
        while self._next() not in (b"", b"|", b")"):
            if self._is_anchor():
                self._at += 1
            else:
                nodes.extend(self._repeated(self._atom()))
        return "chain", nodes

    def _is_anchor(self):
        """Whether here stands an anchor that says again what holds anyway."""
        byte, last = self._next(), self._depth == 0 and self._at == len(self._pattern) - 1
        return byte == b"^" and self._at == 0 or byte == b"$" and last

    def _atom(self):
        byte = self._take()
        if byte == b"(":
            return self._group()
        if byte == b"[":
            if _NAME_OUTSIDE.match(self._pattern, self._at - 1):
                raise MachineError("It names a set of characters outside of brackets.")
            return "set", self._bracket()
        if byte == b".":
            return "set", _ANY
        if byte == b"\\":
            return "set", self._escaped()
        if byte in b"^$":
            raise MachineError(f'It has a "{byte.decode()}" inside.')
        if byte in b"*+?" or byte == b"{" and _COUNT.match(self._pattern, self._at - 1):
            raise MachineError("It repeats what cannot be repeated.")
        return "set", 1 << byte[0]

    def _group(self):
        if self._next() == b"*":
            raise MachineError("It has a directive for PCRE.")
        if self._next() == b"?":
            if self._pattern[self._at:self._at + 2] != b"?:":
                raise MachineError("It has a group of a kind that is not understood.")
            self._at += 2
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MachineError("Its parentheses are nested too deeply.")
        choices = self._choices()
        self._depth -= 1
        if self._take() != b")":
            raise MachineError('It lacks a ")".')
        return "choice", choices

    def _repeated(self, node):
        """The nodes that stand for `node` with the quantifier behind it."""
        byte = self._next()
        count = _COUNT.match(self._pattern, self._at)
        if byte and byte in b"*+?":
            self._at += 1
            nodes = [({b"*": "loop", b"+": "some", b"?": "optional"}[byte], node)]
        elif count is not None:
            self._at = count.end()
            nodes = _counted(node, count)
        elif _NEW_COUNT.match(self._pattern, self._at):
            raise MachineError("It has a count that only some versions of PCRE know.")
        else:
            return [node]
        if self._next() == b"?":                 # lazy: which match is found first is another, whether there is one is not
            self._at += 1
        elif self._next() == b"+":
            raise MachineError("It has a possessive quantifier.")
        return nodes

    def _escaped(self):
        byte = self._take()
        if byte in _ESCAPED_SETS:
            return _ESCAPED_SETS[byte]
        if byte.isalnum():
            raise MachineError(f'It has the escape "\\{byte.decode()}", which is not understood.')
        return 1 << byte[0]

    def _bracket(self):
        negated = self._next() == b"^"
        if negated:
            self._at += 1
        members, begin = 0, self._at
        while self._next() != b"]" or self._at == begin:
            members |= self._members()
        self._at += 1
        return _ANY & ~members if negated else members

    def _members(self):
        """A byte, range or set inside brackets."""
        low = self._member()
        ahead = self._pattern[self._at:self._at + 2]
        if ahead[:1] != b"-" or ahead[1:] in (b"]", b""):
            return low
        self._at += 1
        high = self._member()
        if low & (low - 1) or high & (high - 1) or low > high:
            raise MachineError("It has a range that is none.")
        return (high << 1) - low

    def _member(self):
        byte = self._take()
        if byte == b"\\":
            return self._escaped()
        if byte == b"[" and self._next() in (b":", b".", b"="):
            end = self._pattern.find(b":]", self._at)
            name = self._pattern[self._at + 1:end] if end > 0 else b""
            if self._next() != b":" or name not in _NAMED_SETS:
                raise MachineError("It names a set of characters that is not known.")
            self._at = end + 2
            return _NAMED_SETS[name]
        return 1 << byte[0]


def _counted(node, count):
    low = int(count.group(1))
    high = low if count.group(2) is None else int(count.group(3)) if count.group(3) else None
    if low > _MAX_COUNT or high is not None and not low <= high <= _MAX_COUNT:
        raise MachineError("It has a count that cannot be.")
    if max(low, high or 0) > MAX_STATES:
        raise MachineError("It is too large.")
    return [node] * low + ([("loop", node)] if high is None else [("optional", node)] * (high - low))
