# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which SELinux context a policy gives a path: file_contexts of selabel_file(5), matched as libselinux matches them.

A rule is a line "pattern [-type] context". Rules come from file_contexts, file_contexts.homedirs and file_contexts.local, in this order.
A rule whose pattern is a mere path goes before all others; apart from that the last one that matches holds (label_file.c: sort_specs and
lookup_common up to libselinux 3.7, lookup_check_node since). Before that the beginning of the path may be exchanged: by the last
line that fits of file_contexts.subs, then by that of file_contexts.subs_dist ("/lib64 /usr/lib" of a distribution).
"""

import re
import stat

from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from ..errors import MachineError
from .pathpattern import Effort, PathPattern

MAX_RULES = 100000         # Fedora's policy has 8,000
EFFORT = 2000000           # steps for all lookups together, about 1 s; with the policies of distributions a lookup needs 1000

_KINDS = {
    b"-b": stat.S_IFBLK, b"-c": stat.S_IFCHR, b"-d": stat.S_IFDIR, b"-p": stat.S_IFIFO, b"-l": stat.S_IFLNK, b"-s": stat.S_IFSOCK,
    b"--": stat.S_IFREG,
}
_NONE = b"<<none>>"
_CONTEXT = re.compile(rb"[!-9;-~]+:[!-9;-~]+:[!-9;-~]+(:[!-~]+)?")     # user:role:type, and a level or range
_MAX_CONTEXT = 4095                                                     # bytes: a page of the kernel, with the final NUL
_ESCAPED = rb"\\[.^$?*+|\[({\])}\-_,]"                                  # that still is a mere path: label_file.h, regex_has_meta_chars
_LITERAL = re.compile(rb"(?:[^\\.^$?*+|\[({\])}]|" + _ESCAPED + rb")*")
_UNESCAPE = re.compile(rb"\\(.)")


class Rule(NamedTuple):
    pattern: bytes
    kind: int              # file type as in st_mode; 0: any
    context: str           # "": nothing is to be labelled (<<none>>)
    origin: str            # "file_contexts.local, line 3"


class Answer(NamedTuple):
    rule: Optional[Rule]           # that holds; None: no rule matches
    doubts: Tuple[Rule, ...]       # that are not understood, and of which one might hold instead


class _Pattern(NamedTuple):
    rule: Rule
    beginning: bytes       # of every path that it can match


class FileContexts:
    """The rules of a policy, asked with `lookup`."""

    def __init__(self, rules: Iterable[Rule], substitutions: Iterable[Tuple[Tuple[bytes, bytes], ...]] = ()):
        """`substitutions` are those of file_contexts.subs and of file_contexts.subs_dist, as `parse_substitutions` gives them."""
        self._substitutions = tuple(substitutions)
        self._paths = {}           # type: Dict[bytes, List[Rule]]
        self._patterns = []        # type: List[_Pattern]
        self._compiled = {}        # type: Dict[bytes, Optional[PathPattern]]
        self._effort = Effort(EFFORT)
        for rule in rules:
            literal = _LITERAL.match(rule.pattern)
            path = _UNESCAPE.sub(rb"\1", literal.group())
            if literal.end() == len(rule.pattern):
                self._paths.setdefault(path, []).append(rule)
            else:
                self._patterns.append(_Pattern(rule, _beginning(rule.pattern, literal.end(), path)))

    def lookup(self, path: str, kind: int) -> Answer:
        """`path` is absolute, without dots and doubled slashes; `kind` is its file type as in st_mode.

        Raises MachineError when the patterns need more work than those of any real policy.
        """
        key = self._exchanged(path.encode("utf-8", "surrogateescape"))
        for rule in reversed(self._paths.get(key, ())):
            if rule.kind in (0, kind):
                return Answer(rule, ())
        doubts = []
        for rule, beginning in reversed(self._patterns):
            if rule.kind not in (0, kind) or not key.startswith(beginning):
                continue
            pattern = self._compile(rule.pattern)
            if pattern is None:
                doubts.append(rule)
            elif pattern.matches(key):
                return Answer(rule, tuple(doubts))
        return Answer(None, tuple(doubts))

    def _compile(self, text):
        """None: it is not understood."""
        if text not in self._compiled:
            try:
                self._compiled[text] = PathPattern(text, self._effort)
            except MachineError:
                self._effort.spend(0)            # raises when it is the effort that has come to its end
                self._compiled[text] = None
        return self._compiled[text]

    def _exchanged(self, key):
        for substitutions in self._substitutions:
            for old, new in substitutions:
                if key == old or key.startswith(old + b"/"):
                    rest = key[len(old):]
                    key = new + (rest[1:] if new == b"/" else rest)
                    break
        return key


def parse_rules(data: bytes, name: str) -> Tuple[Tuple[Rule, ...], Tuple[str, ...]]:
    """The rules of the file called `name`, and the places ("file_contexts, line 3") of lines that are none.

    libselinux takes no rule at all from a file with such a line; here the others hold, for a machine may have been damaged.
    Raises MachineError for more than MAX_RULES.
    """
    rules, wrong = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        fields = line.split()
        if not fields or fields[0].startswith(b"#"):
            continue
        origin = f"{name}, line {number}"
        rule = _rule(fields, origin)
        if rule is None:
            wrong.append(origin)
        else:
            rules.append(rule)
        if len(rules) + len(wrong) > MAX_RULES:
            raise MachineError(f"{name} has more than {MAX_RULES} lines, more than any real policy.")
    return tuple(rules), tuple(wrong)


def _rule(fields, origin):
    if len(fields) < 2:
        return None
    pattern = fields[0]
    kind, context = (0, fields[1]) if len(fields) == 2 else (_KINDS.get(fields[1]), fields[2])
    valid = context == _NONE or len(context) <= _MAX_CONTEXT and _CONTEXT.fullmatch(context)
    if kind is None or not valid or max(pattern) > 126 or min(pattern) < 33:
        return None
    return Rule(pattern, kind, "" if context == _NONE else context.decode("ascii"), origin)


def parse_substitutions(data: bytes) -> Tuple[Tuple[bytes, bytes], ...]:
    """(old, new) beginnings of paths, in the order in which they are tried: the last line first. Raises MachineError for too many."""
    lines = [line.split() for line in data.split(b"\n")]
    found = [(fields[0], fields[1]) for fields in lines if len(fields) > 1 and not fields[0].startswith(b"#")]
    if len(found) > MAX_RULES:
        raise MachineError(f"The policy exchanges more than {MAX_RULES} beginnings of paths, more than any real policy.")
    return tuple(reversed(found))


def _beginning(pattern, end, literal):
    """How every path begins that a pattern can match. `end` is where its first special character stands, `literal` what is before."""
    if _chooses(pattern):
        # "^" holds for the first choice only, but libselinux looks at paths below the pattern's own first folder alone.
        slash = literal.find(b"/", 1)
        return literal[:slash + 1] if slash > 0 else b""
    return literal[:-1] if pattern[end:end + 1] in (b"?", b"*", b"{") else literal


def _chooses(pattern):
    """Whether it has a "|" outside of parentheses."""
    depth = 0
    if b"|" in pattern:
        # A bracket that nothing closes goes on to the end, so that each byte is looked at once.
        for token in re.findall(rb"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|[()|]", pattern):
            depth += {b"(": 1, b")": -1}.get(token, 0)
            if token == b"|" and depth == 0:
                return True
    return False
